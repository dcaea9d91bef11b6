"""What a custodian does to requests besides answering them: cancel, proceed, void, refile.

A custodian cancels and proceeds with what they filed; void and refile are filings, which are
anybody's. None of it gives power: signed copies that are out aren't recalled by it.
"""

import contextlib
from dataclasses import dataclass

from protocol.charter import Charter
from protocol.commands.bodies import Void
from protocol.displayable import Reason
from protocol.identifiers import Digest, UnitId
from protocol.live import NotRecalled, live_copies, not_recalled, void_purpose, void_validity
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import Request, RequestState
from protocol.session.messages import Cancel, Proceed
from quorate.exits import Exit
from quorate.unavailable import Unavailable
from signer_agent.daemon.agent import Agent
from signer_agent.desk.filing import NOTHING_FILED, Wish, wish
from signer_agent.objections import Objection, object_to, refused
from signer_agent.trust.charters import same_coordinator


@dataclass(frozen=True)
class Refiling:
    """The request that was filed for another one; `before` when it was there already."""

    request: int
    before: bool


async def cancel(agent: Agent, number: int, reason: Reason) -> Objection | None:
    """Stops asking for a request. The coordinator refuses it for somebody else's."""
    news = agent.request(number)
    if isinstance(news, Objection):
        return news
    request = news.request
    publication = Cancel(filing=request.filing.digest, reason=reason)
    return await agent.publish(publication, _digest(request))


async def proceed(agent: Agent, number: int) -> Objection | None:
    """Runs a request without the units that hold it."""
    news = agent.request(number)
    if isinstance(news, Objection):
        return news
    publication = Proceed(filing=news.request.filing.digest)
    return await agent.publish(publication, _digest(news.request))


async def void(agent: Agent, number: int) -> Refiling | Objection:
    """Files what makes the signed copies of an ended request harmless, on all their units.

    One that ran on some of its units only is given up on the others first.
    """
    news = agent.request(number)
    if isinstance(news, Objection):
        return news
    request, origin = news.request, _digest(news.request)
    objection = _of_coordinator_before(agent, request)
    if objection is not None:
        return objection
    for other in agent.waiting():
        if origin is not None and other.filing.voids == origin:
            return Refiling(other.id, before=True)
    evidence = await agent.look()
    if isinstance(evidence, Objection):
        return evidence
    gives_up = request.state is RequestState.PARTLY_EXECUTED and not request.ended
    ended = request.ended or gives_up
    copies = live_copies(request, _states(agent), agent.now()) if ended else ()
    if origin is None or not copies:
        return _not_filed(
            refuse(
                Rule.VOID_ORIGIN,
                expected="an ended request whose signed copies can still run",
                found=f"request {request.id}, {request.state}",
            )
        )
    if gives_up:
        objection = await cancel(agent, number, Reason(""))
        if objection is not None:
            return objection
    plain = wish(Void(), (copy.unit for copy in copies), void_purpose(request.id))
    valid_for = void_validity(copies, agent.now())
    # What can be reached is made harmless at once; for the rest it can be asked for again.
    filed = await _file(agent, plain.but(voids=origin, valid_for=valid_for, leave_out=True))
    if gives_up and isinstance(filed, Objection):
        given_up = f"request {request.id} was given up on the units that hadn't run it"
        return filed.but(what=f"{filed.what}; {given_up}")
    return filed


async def refile(agent: Agent, number: int) -> Refiling | Objection:
    """Files the same command again, for the same purpose and the units that haven't run it."""
    news = agent.request(number)
    if isinstance(news, Objection):
        return news
    request, filing = news.request, news.request.filing
    if not request.ended:
        return _not_filed(
            refuse(
                Rule.SAME_REQUEST_OPEN,
                expected="a request that has ended",
                found=f"request {request.id}, {request.state}",
            )
        )
    if filing.voids is not None:
        return await void(agent, _voided(agent, filing.voids))
    plain = wish(filing.body, request.left_to_run or filing.targets, filing.purpose)
    return await _file(agent, plain.but(valid_for=filing.valid_for, leave_out=filing.leave_out))


async def live(agent: Agent, request: Request, charter: Charter) -> NotRecalled | None:
    """What can still run of a request that has ended, by the newest that was seen of its units."""
    if not request.ended or request.state is RequestState.EXECUTED:
        return None
    if not_recalled(request, charter, _states(agent), agent.now()) is None:
        return None
    # Before it is said, the units are looked at again: they may have moved on.
    with contextlib.suppress(Unavailable):
        await agent.look()
    return not_recalled(request, charter, _states(agent), agent.now())


def _of_coordinator_before(agent: Agent, request: Request) -> Objection | None:
    """VOID_ORIGIN: the coordinator that the charter names now doesn't know the request."""
    trusted = agent.kept.book.trusted
    opened = None if request.opening is None or trusted is None else request.opening.charter
    named = None if opened is None or trusted is None else trusted.get(opened)
    if named is None or same_coordinator(named.coordinator, agent.link.coordinator):
        return None
    return object_to(
        Exit.REFUSED,
        f"request {request.id} was opened by the coordinator before, and the one that the charter "
        f"names now doesn't know it; {NOTHING_FILED}",
        next="whatever runs on its units makes the signed copies harmless: "
        f"quorate agent refile {request.id}, or any other command for them",
        rule=Rule.VOID_ORIGIN.value,
    )


def _states(agent: Agent) -> dict[UnitId, Digest]:
    return {unit: seen.history.state_digest for unit, seen in agent.kept.memory.units.items()}


def _digest(request: Request) -> Digest | None:
    return None if request.opening is None else request.opening.digest


def _voided(agent: Agent, digest: Digest) -> int:
    """The request that a void is for. 0, which no request has, where it isn't known here."""
    found = (one.request for one in agent.kept.requests.values())
    return next((one.id for one in found if _digest(one) == digest), 0)


async def _file(agent: Agent, wanted: Wish) -> Refiling | Objection:
    filed = await agent.file(wanted)
    return filed if isinstance(filed, Objection) else Refiling(filed, before=False)


def _not_filed(refusal: Refusal) -> Objection:
    return refused(refusal, untouched=NOTHING_FILED)
