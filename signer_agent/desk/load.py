"""Key parts: who may give them, to which importer key, and who gave those of a loaded key."""

from protocol.charter import Chain, Charter
from protocol.commands.bodies import (
    Body,
    CommitNewRegister,
    GenerateRandom,
    ImportKey,
    LoadNewRegister,
    NamedPart,
)
from protocol.commands.command import Command
from protocol.history import History
from protocol.identifiers import VP, IdentityKey, short
from protocol.receipts import Receipt
from protocol.request import TargetProgress
from protocol.sealing.contribution import open_contribution
from protocol.sealing.importer import ImporterKey, open_importer_key
from protocol.violations import Violation
from quorate.exits import Exit
from signer_agent.desk.screen import UnitLine
from signer_agent.objections import Objection, alarm, object_to

_STAYED = "your part stayed here"


def parts_in_charter(body: Body, charter: Charter) -> Objection | None:
    """PARTS_IN_CHARTER: every part's custodian is in the charter, and none gives two.

    But for the charter's leave: where it says that one person may be alone.
    """
    if not isinstance(body, LoadNewRegister):
        return None
    return _by_people_of(body.parts, charter, "nothing was signed or given")


def _by_people_of(
    parts: tuple[NamedPart, ...], charter: Charter, untouched: str
) -> Objection | None:
    givers: list[IdentityKey] = []
    for part in parts:
        if charter.custodian(part.custodian) is None:
            return alarm(
                f"a key part would come from somebody outside your charter; {untouched}",
                expected=f"custodians of charter version {charter.number}",
                found=f"the agent {short(part.custodian)}, for part {short(part.vp)}",
                next="call the others: whose part is that?",
                rule="PARTS_IN_CHARTER",
            )
        if part.custodian in givers and not charter.alone:
            person = charter.custodian(part.custodian)
            assert person is not None
            return object_to(
                Exit.REFUSED,
                f"one person would know two parts of the master key; {untouched}",
                expected="one part from each custodian",
                found=f"two from {person.name}",
                next="choose parts of different people",
                rule="PARTS_IN_CHARTER",
            )
        givers.append(part.custodian)
    return None


def importer_key(
    line: UnitLine, progress: TargetProgress, command: Command, identity: IdentityKey
) -> ImporterKey | Objection | None:
    """IMPORTER_KEY_OF_UNIT: made by this unit, for its life, its state and this very request."""
    if not isinstance(command.body, LoadNewRegister):
        return None
    found = "none"
    if progress.importer is not None:
        try:
            importer = open_importer_key(progress.importer, identity)
        except Violation as violation:
            found = str(violation)
        else:
            bound = (importer.incarnation, importer.version, importer.state, importer.request)
            if (
                bound == (command.incarnation, command.version, command.state, command.request)
                and importer.digest == command.importer
            ):
                return importer
            found = f"one made for another purpose, {short(importer.digest)}"
    return alarm(
        f"the importer key isn't one that {line} made for this load; {_STAYED}",
        expected="a key signed by the unit, for its present state and this request",
        found=found,
        next="nothing was signed. Call the others: somebody wants parts sealed to another key",
        rule="IMPORTER_KEY_OF_UNIT",
    )


def given(progress: TargetProgress, command: Command) -> frozenset[VP]:
    """The parts that have come for this target: signed by the custodian named for them."""
    body = command.body
    if not isinstance(body, LoadNewRegister):
        return frozenset()
    named = {(part.vp, part.custodian) for part in body.parts}
    found = set()
    for contribution in progress.contributions:
        try:
            part = open_contribution(contribution)
        except Violation:
            continue
        if (part.vp, part.custodian) in named and part.load == command.id:
            found.add(part.vp)
    return frozenset(found)


def origin(
    history: History | None, vp: VP | None
) -> tuple[LoadNewRegister | GenerateRandom | ImportKey, Receipt] | None:
    """The command that put this key into the unit, in its present life."""
    if history is None or vp is None:
        return None
    for position in reversed(history.this_life()):
        entry = history.entries[position]
        if isinstance(entry, Receipt) and entry.after.new.vp == vp != entry.before.new.vp:
            body = entry.parsed().body
            if isinstance(body, LoadNewRegister | GenerateRandom | ImportKey):
                return body, entry
            return None
    return None


def committed_key_of_people(
    line: UnitLine, body: Body, history: History | None, chain: Chain
) -> Objection | None:
    """PARTS_IN_CHARTER, for a commit: the parts of the loaded key came from people of the charter.

    They are judged by the version that the load's receipt names.
    """
    if not isinstance(body, CommitNewRegister):
        return None
    found = origin(history, body.vp)
    if found is None:
        return alarm(
            f"no receipt of {line} says who gave the parts of this key; nothing was signed",
            expected="the load that made it, in the unit's present life",
            found="none",
            next="clear the new register and load it again",
            rule="PARTS_IN_CHARTER",
        )
    load, receipt = found
    if not isinstance(load, LoadNewRegister):
        return None  # a recovery unit made it: `signer_agent.desk.transfer`
    charter = chain.get(receipt.parsed().charter)
    if charter is None:  # the history was judged before: its receipts name versions of the chain
        raise ValueError("a receipt under a charter that isn't in the chain")
    return _by_people_of(load.parts, charter, "nothing was signed")


def own_parts_named(receipt: Receipt, custodian: IdentityKey) -> frozenset[VP]:
    """The parts of this custodian that a load's receipt names."""
    body = receipt.parsed().body
    if not isinstance(body, LoadNewRegister):
        return frozenset()
    return frozenset(part.vp for part in body.parts if part.custodian == custodian)
