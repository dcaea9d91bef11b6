"""A fresh coordinator takes an instance over: the charter so far, and whom it names.

The file is the custodians' and an operator's word, as an invitation is: by it a coordinator knows
whose agents to talk to. No agent relies on it. Each judges the versions itself, and follows this
coordinator's log only by a version that its own person has accepted.
"""

from coordinator.engine.change import Change
from coordinator.engine.ledger import OwnKeys
from coordinator.store import people
from protocol.charter import Acceptance, Charter
from protocol.files.takeover_file import TakeOver
from protocol.record.entries import EntryKind
from protocol.refusals import Refusal, Rule, refuse
from protocol.schema import from_bytes
from protocol.session.messages import AgentNews, CharterNews, KeyNews
from protocol.signing.statements import Signed

_NUMBERS_APART = 1000


async def take_over(change: Change, takeover: TakeOver, keys: OwnKeys) -> Refusal | None:
    """Stores the versions, enrols the agents, and tells both; nothing when it refuses.

    Again with another file as long as no version after those is in force: a proposal may fail.
    """
    refusal = not_to_be_taken_over(change, takeover, keys) or await _has_another_life(
        change, takeover
    )
    if refusal is not None:
        return refusal
    for charter in takeover.versions:
        await _know(change, charter, takeover)
    for person in takeover.newest.people:
        await people.enrol_named(
            change.connection, change.instance, person.agent, person.name, change.at
        )
        news = AgentNews(person=person.name, agent=person.agent, enrolled=change.at)
        change.log(EntryKind.ENROLMENT, news)
        await change.tell(news)
        for key in person.keys:
            await change.tell(KeyNews(key=key))
    await change.begin_after(last_of_before(takeover.requests))
    return None


def not_to_be_taken_over(change: Change, takeover: TakeOver, keys: OwnKeys) -> Refusal | None:
    """CHARTER_DOES_NOT_FOLLOW: of this instance, and the newest version names this coordinator."""
    newest = takeover.newest
    named = newest.coordinator
    if (newest.instance, named.identity, named.log) == (change.instance, keys.identity, keys.log):
        return None
    return refuse(
        Rule.CHARTER_DOES_NOT_FOLLOW,
        expected=f"a version of {change.instance} that names this coordinator's keys",
        found=f"version {newest.number} of {newest.instance}, with others",
    )


async def _has_another_life(change: Change, takeover: TakeOver) -> Refusal | None:
    newest = change.in_force()
    if newest is None or newest == takeover.before[-1]:
        return None
    return refuse(
        Rule.CHARTER_DOES_NOT_FOLLOW,
        expected=f"a coordinator where version {takeover.before[-1].number} is in force, or none",
        found=f"version {newest.number}",
    )


async def _know(change: Change, charter: Charter, takeover: TakeOver) -> None:
    in_force = charter != takeover.newest
    if not await change.propose(charter):
        return
    change.log(EntryKind.CHARTER, charter)
    accepted: list[Signed] = []
    for signed in takeover.acceptances:
        acceptance = from_bytes(Acceptance, signed.statement)
        if acceptance.charter == charter.digest and await people.add_acceptance(
            change.connection, charter.digest, acceptance.person, signed
        ):
            change.log(EntryKind.ACCEPTANCE, signed)
            accepted.append(signed)
    if in_force:
        await change.set_in_force(charter)
    await change.tell(CharterNews(charter=charter, acceptances=tuple(accepted), in_force=in_force))


def last_of_before(known: int) -> int:
    """A round number above those that agents may know of the coordinator before."""
    return (known // _NUMBERS_APART + 1) * _NUMBERS_APART
