"""Charters: proposed, accepted, in force."""

from collections.abc import Mapping, Sequence

from coordinator.engine.change import Change
from coordinator.engine.ledger import Ledger, OwnKeys
from coordinator.steps import Write
from coordinator.store import people
from coordinator.store.people import KnownCharter
from coordinator.workflow.events import Outdated
from protocol.accession import accession
from protocol.charter import Acceptance, Charter, open_acceptance
from protocol.history import History
from protocol.identifiers import IdentityKey, UnitId
from protocol.record.entries import EntryKind
from protocol.refusals import Refusal, Rule, refuse
from protocol.schema import from_bytes
from protocol.session.messages import CharterNews
from protocol.signing.statements import Signed
from protocol.violations import Violation

MAX_PROPOSALS = 200


async def propose_charter(change: Change, charter: Charter, keys: OwnKeys) -> Refusal | None:
    """Stores a version for all to accept. Violation when its proofs don't hold."""
    charter.check()
    refusal = await charter_does_not_follow(change, charter, keys)
    if refusal is not None:
        return refusal
    waiting = sum(not one.in_force for one in change.charters())
    if waiting >= MAX_PROPOSALS:
        return refuse(Rule.QUEUE_FULL, expected=f"at most {MAX_PROPOSALS} waiting", found=waiting)
    if await change.propose(charter):
        change.log(EntryKind.CHARTER, charter)
        await change.tell(CharterNews(charter=charter, acceptances=(), in_force=False))
    return None


async def charter_does_not_follow(
    change: Change, charter: Charter, keys: OwnKeys
) -> Refusal | None:
    """CHARTER_DOES_NOT_FOLLOW: of this instance and coordinator, after the newest in force."""
    newest = change.in_force()
    previous = None if newest is None else newest.digest
    number = 1 if newest is None else newest.number + 1
    practice = charter.practice if newest is None else newest.practice
    expected: tuple[object, ...] = (
        (change.instance, practice, number, previous),
        keys.identity,
        keys.log,
    )
    found = (
        (charter.instance, charter.practice, charter.number, charter.previous),
        charter.coordinator.identity,
        charter.coordinator.log,
    )
    if expected == found or newest == charter:
        return None
    return refuse(
        Rule.CHARTER_DOES_NOT_FOLLOW,
        expected=f"version {number} of {change.instance}, with this coordinator's keys",
        found=f"version {charter.number} of {charter.instance}",
    )


async def accept_charter(
    change: Change, signed: Signed, agent: IdentityKey, histories: Mapping[UnitId, History]
) -> Refusal | None:
    """Stores an acceptance; the version comes into force when enough have accepted it."""
    claimed = from_bytes(Acceptance, signed.statement)
    chain = change.chain_to(claimed.charter)
    if chain is None:
        return refuse(
            Rule.CHARTER_DOES_NOT_FOLLOW, expected="a version that was proposed", found="another"
        )
    acceptance = open_acceptance(signed, chain)
    if agent not in _agents_of(acceptance, chain.versions):
        raise Violation("an acceptance in the name of somebody else")
    if await people.add_acceptance(
        change.connection, acceptance.charter, acceptance.person, signed
    ):
        change.log(EntryKind.ACCEPTANCE, signed)
    await bring_into_force(change, chain.newest, histories)
    return None


async def judge_proposals(ledger: Ledger, histories: Mapping[UnitId, History]) -> None:
    """Brings proposed versions into force where what units show now lets them."""

    def waiting(known: Sequence[KnownCharter]) -> list[Charter]:
        newest = max((one.charter.number for one in known if one.in_force), default=0)
        return [one.charter for one in known if one.charter.number > newest]

    async def judge(change: Change) -> None:
        for candidate in waiting(change.charters()):
            await bring_into_force(change, candidate, histories, quiet=True)

    if waiting((await ledger.known()).charters):
        await ledger.change(judge)


async def bring_into_force(
    change: Change,
    candidate: Charter,
    histories: Mapping[UnitId, History],
    *,
    quiet: bool = False,
) -> None:
    """Puts a version into force if nothing is missing, and tells how far it is.

    With `quiet` it is told only when it comes into force.
    """
    known = change.charters()
    preceding = next((one for one in known if one.charter.digest == candidate.previous), None)
    already = any(one.in_force for one in known if one.charter.digest == candidate.digest)
    signed = [one for _, one in await people.accepted(change.connection, candidate.digest)]
    in_force = already
    if not already and (preceding is None or preceding.in_force):
        units = {one.id for one in candidate.units}
        if preceding is not None:
            units |= {one.id for one in preceding.charter.units}
        relevant = {unit: one for unit, one in histories.items() if unit in units}
        in_force = accession(
            candidate,
            None if preceding is None else preceding.charter,
            [from_bytes(Acceptance, one.statement) for one in signed],
            relevant,
        ).in_force
    if quiet and not in_force:
        return
    await change.tell(CharterNews(charter=candidate, acceptances=tuple(signed), in_force=in_force))
    if in_force and not already:
        change.writes(Write.IN_FORCE)
        await change.set_in_force(candidate)
        for request in change.not_ended():
            if request.opening is not None:
                await change.apply(request, Outdated())


def _agents_of(acceptance: Acceptance, versions: tuple[Charter, ...]) -> set[IdentityKey]:
    named = (charter.person(acceptance.person) for charter in versions)
    return {person.agent for person in named if person is not None}
