"""A unit's history, step two: do the people of the charter stand behind it?

A unit counts keys. People count people, and only those whom the charter names; so what a chain of
valid receipts can hide (a unit captured in imprint mode, two keys of one person, thresholds once
lowered) is found here. The answer is a list of findings; each says what may still be signed.
Every receipt is judged by the charter version that it names (DESIGN §2.5), if that version ever
was in force: what somebody proposed and nobody accepted vouches for nothing.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from protocol.charter import Chain, Charter, Person
from protocol.commands.bodies import Body, RemoveAdministrator, SetThresholds, Zeroize
from protocol.commands.quorum import signatures_needed
from protocol.displayable import PersonName, shown
from protocol.history import History
from protocol.identifiers import SKI, Digest, grouped, short
from protocol.receipts import Birth, BirthCause, Receipt
from protocol.refusals import Refusal, Rule, refuse
from protocol.unit_state import Administrator, UnitState


class Ground(StrEnum):
    """Why something may not be signed for a unit."""

    CHARTER_UNKNOWN = "CHARTER_UNKNOWN"
    EXIT_BEFORE_CHARTER = "EXIT_BEFORE_CHARTER"
    EXIT_AFTER_NEWER_CHARTER = "EXIT_AFTER_NEWER_CHARTER"
    EXIT_BY_TOO_FEW_PEOPLE = "EXIT_BY_TOO_FEW_PEOPLE"
    SIGNED_BY_TOO_FEW_PEOPLE = "SIGNED_BY_TOO_FEW_PEOPLE"
    FLOOR_BROKEN = "FLOOR_BROKEN"
    ONE_PERSON_MEETS_THRESHOLD = "ONE_PERSON_MEETS_THRESHOLD"
    RESTORED = "RESTORED"
    LACKS_WHAT_WAS_SEEN = "LACKS_WHAT_WAS_SEEN"
    UNIT_NOT_IN_CHARTER = "UNIT_NOT_IN_CHARTER"
    STRANGER_INSTALLED = "STRANGER_INSTALLED"
    SECOND_KEY_INSTALLED = "SECOND_KEY_INSTALLED"
    BELOW_FLOOR = "BELOW_FLOOR"


@dataclass(frozen=True)
class Finding:
    """Something wrong with a unit, and what may still be signed besides zeroize.

    `removals` are the administrators whose removal may be signed; `floor` the charter whose least
    thresholds a raise must meet. With neither, only zeroize.
    """

    ground: Ground
    expected: str
    found: str
    removals: tuple[SKI, ...] = ()
    floor: Charter | None = None

    def permits(self, body: Body) -> bool:
        """Whether `body` may be signed although this was found."""
        match body:
            case Zeroize():
                return True
            case RemoveAdministrator(ski=ski):
                return ski in self.removals
            case SetThresholds() if self.floor is not None:
                return _meets(self.floor, body.signatures, body.revocations)
            case _:
                return False


def first_objection(findings: Collection[Finding], body: Body) -> Finding | None:
    """The first finding that forbids `body`; None when it may be signed.

    Findings come in the order of what has to be mended first: who may only be zeroized, strangers,
    second keys, floors.
    """
    for finding in findings:
        if not finding.permits(body):
            return finding
        if finding.removals or finding.floor is not None:
            return None
    return None


def below_floor(body: Body, charter: Charter) -> Refusal | None:
    """BELOW_FLOOR: nobody asks for thresholds below the charter's least: no agent would sign them.

    From below it, one raise leads there.
    """
    if not isinstance(body, SetThresholds):
        return None
    if _meets(charter, body.signatures, body.revocations):
        return None
    return refuse(
        Rule.BELOW_FLOOR,
        expected=f"at least {_floor(charter)}, by charter version {charter.number}",
        found=f"{body.signatures} and {body.revocations}",
    )


def judge(history: History, chain: Chain, in_force: Collection[Digest]) -> tuple[Finding, ...]:
    """All that is wrong with the present life of a unit, by the charters of its instance.

    `in_force` are the digests of the versions of `chain` that are or were in force.
    """
    standing = [charter for charter in chain.versions if charter.digest in in_force]
    if not standing or standing[-1].unit(history.unit) is None:
        return (
            Finding(
                Ground.UNIT_NOT_IN_CHARTER, "a unit of the charter in force", short(history.unit)
            ),
        )
    newest = standing[-1]
    fatal = (*_lacks_what_the_charter_names(history, newest), *_life(history, standing))
    mendable = () if history.state.imprint else _present(history, standing, newest)
    return (*fatal, *mendable)


def lacks_what_was_seen(history: History, seen: Digest) -> tuple[Finding, ...]:
    """LACKS_WHAT_WAS_SEEN: a history that an agent has followed further was rolled back."""
    if history.position(seen) is not None:
        return ()
    return (
        Finding(
            Ground.LACKS_WHAT_WAS_SEEN,
            expected=f"a history that goes on from receipt {short(seen)}",
            found=f"{len(history.entries)} entries without it",
        ),
    )


def strangers(state: UnitState, standing: Collection[Charter]) -> tuple[Administrator, ...]:
    """Installed administrators whom no version that is or was in force names."""
    return tuple(
        one
        for one in state.administrators
        if all(charter.owner_of(one.ski) is None for charter in standing)
    )


def left(
    state: UnitState, standing: Collection[Charter], newest: Charter
) -> tuple[Administrator, ...]:
    """Installed administrators of an earlier version: "has left, remove"."""
    unknown = strangers(state, standing)
    return tuple(
        one
        for one in state.administrators
        if newest.owner_of(one.ski) is None and one not in unknown
    )


def people_of(charter: Charter, skis: Collection[SKI]) -> frozenset[PersonName]:
    """The different people of the charter who own these keys."""
    owners = (charter.owner_of(ski) for ski in skis)
    return frozenset(owner.name for owner in owners if owner is not None)


def counted(charter: Charter, skis: Collection[SKI]) -> int:
    """How much these signatures count: people; where one may be alone, the keys of people."""
    if charter.alone:
        return sum(charter.owner_of(ski) is not None for ski in skis)
    return len(people_of(charter, skis))


def counted_people(charter: Charter, skis: Collection[SKI]) -> frozenset[PersonName]:
    """Those of whom no signature would count beside these: where one may be alone, nobody."""
    return frozenset() if charter.alone else people_of(charter, skis)


def could_still_sign(
    state: UnitState, signed: Collection[SKI], charter: Charter
) -> Iterator[tuple[SKI, PersonName]]:
    """Installed keys, with their owners, whose signature would count beside these."""
    counted_before = counted_people(charter, signed)
    for one in state.administrators:
        owner = None if one.ski in signed else charter.owner_of(one.ski)
        if owner is not None and owner.name not in counted_before:
            yield one.ski, owner.name


def needed_by_people(body: Body, state: UnitState, charter: Charter) -> int | Refusal:
    """How many must sign, as `counted` counts: the signature table, and for the exit from imprint
    mode as many different people as the charter wants."""
    needed = signatures_needed(body, state)
    if isinstance(needed, Refusal) or not (state.imprint and isinstance(body, SetThresholds)):
        return needed
    return max(needed, 1 if charter.alone else charter.floor.exit_people)


def _lacks_what_the_charter_names(history: History, newest: Charter) -> Iterator[Finding]:
    unit = newest.unit(history.unit)
    if unit is not None:
        yield from lacks_what_was_seen(history, unit.last_receipt)


def _life(history: History, standing: list[Charter]) -> Iterator[Finding]:
    """Everything since the present life's birth, receipt by receipt."""
    positions = history.this_life()
    birth = history.entries[positions[0]]
    if isinstance(birth, Birth) and birth.cause is BirthCause.RESTORE:
        yield Finding(Ground.RESTORED, "a unit that was never restored", f"restored at {birth.at}")
    for position in positions[1:]:
        receipt = history.entries[position]
        if not isinstance(receipt, Receipt) or receipt.after.imprint:
            continue
        named = receipt.parsed().charter
        charter = next((one for one in standing if one.digest == named), None)
        if charter is None or charter.unit(history.unit) is None:
            yield Finding(
                Ground.CHARTER_UNKNOWN,
                expected="a version of this charter that names the unit and came into force",
                found=f"receipt {receipt.version} under {short(named)}",
            )
            continue
        if receipt.before.imprint:
            yield from _exit_in_charter(history, position, charter, standing)
        yield from _signed_by_people(receipt, charter)
        yield from _floor_kept(receipt, charter)
        yield from _nobody_meets_a_threshold(history, position, charter)


def _exit_in_charter(
    history: History, position: int, charter: Charter, standing: list[Charter]
) -> Iterator[Finding]:
    """EXIT_BEFORE_CHARTER, EXIT_AFTER_NEWER_CHARTER: taken out under the charter's last receipt.

    That is, after the receipt that the version named, and not after one that a newer version in
    force names.
    """
    unit = charter.unit(history.unit)
    named = None if unit is None else history.position(unit.last_receipt)
    if named is None or named >= position:
        yield Finding(
            Ground.EXIT_BEFORE_CHARTER,
            expected=f"out of imprint mode after the receipt that version {charter.number} names",
            found=f"receipt {position + 1}",
        )
    for newer in standing:
        unit = newer.unit(history.unit)
        if newer.number <= charter.number or unit is None:
            continue
        named = history.position(unit.last_receipt)
        if named is not None and named < position:
            yield Finding(
                Ground.EXIT_AFTER_NEWER_CHARTER,
                expected=f"out of imprint mode by people of charter version {newer.number}",
                found=f"receipt {position + 1} under version {charter.number}",
            )


def _signed_by_people(receipt: Receipt, charter: Charter) -> Iterator[Finding]:
    """SIGNED_BY_TOO_FEW_PEOPLE, EXIT_BY_TOO_FEW_PEOPLE: people approved it, not only keys."""
    body = receipt.parsed().body
    needed = needed_by_people(body, receipt.before, charter)
    if isinstance(needed, Refusal):
        return
    exits = receipt.before.imprint
    ground = Ground.EXIT_BY_TOO_FEW_PEOPLE if exits else Ground.SIGNED_BY_TOO_FEW_PEOPLE
    have = counted(charter, [approval.ski for approval in receipt.approvals])
    if have < needed:
        yield Finding(
            ground,
            expected=f"{needed} different people of charter version {charter.number}",
            found=f"{have}, in receipt {receipt.version}",
        )


def _floor_kept(receipt: Receipt, charter: Charter) -> Iterator[Finding]:
    """FLOOR_BROKEN: thresholds never fell below the floor of the version that a receipt names.

    A unit that was below a floor raised since may have run the raise, or what came before it.
    """
    state, before = receipt.after, receipt.before
    if _meets(charter, state.signature_threshold, state.revocation_threshold):
        return
    lowered = (
        before.imprint
        or state.signature_threshold < before.signature_threshold
        or state.revocation_threshold < before.revocation_threshold
    )
    if lowered:
        yield Finding(
            Ground.FLOOR_BROKEN,
            expected=f"thresholds of at least {_floor(charter)}",
            found=f"{_thresholds(state)}, in receipt {receipt.version}",
        )


def _nobody_meets_a_threshold(
    history: History, position: int, charter: Charter
) -> Iterator[Finding]:
    """ONE_PERSON_MEETS_THRESHOLD: no roster lets one person's keys meet a threshold.

    Tolerated where the very next receipt removes one of them: that is how a key is replaced. In the
    present state it is SECOND_KEY_INSTALLED, which a removal mends.
    """
    entry = history.entries[position]
    over = _over_threshold(entry.after, charter)
    if over is None:
        return
    if position + 1 == len(history.entries):
        return
    following = history.entries[position + 1]
    if isinstance(following, Receipt):
        body = following.parsed().body
        if isinstance(body, RemoveAdministrator) and any(key.ski == body.ski for key in over.keys):
            return
    yield Finding(
        Ground.ONE_PERSON_MEETS_THRESHOLD,
        expected=f"fewer keys of {over.name} than {_least(entry.after)}",
        found=f"{_keys_in(entry.after, over)}, in receipt {entry.version}",
    )


def _present(history: History, standing: list[Charter], newest: Charter) -> tuple[Finding, ...]:
    """What is wrong with the state as it is now, and can be mended by command."""
    state = history.state
    found: list[Finding] = []
    unknown = strangers(state, standing)
    if unknown:
        found.append(
            Finding(
                Ground.STRANGER_INSTALLED,
                expected="only administrators whom a version of the charter names",
                found=", ".join(f"{shown(one.name)} {grouped(one.ski)}" for one in unknown),
                removals=tuple(one.ski for one in unknown),
            )
        )
    over = _over_threshold(state, newest)
    if over is not None:
        found.append(
            Finding(
                Ground.SECOND_KEY_INSTALLED,
                expected=f"fewer keys of {over.name} than {_least(state)}",
                found=str(_keys_in(state, over)),
                removals=tuple(key.ski for key in over.keys if state.administrator(key.ski)),
            )
        )
    if not _meets(newest, state.signature_threshold, state.revocation_threshold):
        found.append(
            Finding(
                Ground.BELOW_FLOOR,
                expected=f"thresholds of at least {_floor(newest)}",
                found=_thresholds(state),
                floor=newest,
            )
        )
    return tuple(found)


def _over_threshold(state: UnitState, charter: Charter) -> Person | None:
    if charter.alone:
        return None
    return next((one for one in charter.people if _keys_in(state, one) >= _least(state)), None)


def _keys_in(state: UnitState, person: Person) -> int:
    return sum(state.administrator(key.ski) is not None for key in person.keys)


def _least(state: UnitState) -> int:
    return min(state.signature_threshold, state.revocation_threshold)


def _meets(charter: Charter, signatures: int, revocations: int) -> bool:
    return signatures >= charter.floor.signatures and revocations >= charter.floor.revocations


def _floor(charter: Charter) -> str:
    return f"{charter.floor.signatures} and {charter.floor.revocations}"


def _thresholds(state: UnitState) -> str:
    return f"{state.signature_threshold} and {state.revocation_threshold}"
