"""The daemon's end of the local socket."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from protocol.identifiers import Duration
from protocol.request import Request
from protocol.session import messages as session
from protocol.violations import Violation
from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable
from signer_agent.daemon import steering
from signer_agent.daemon.agent import Agent
from signer_agent.daemon.report import gather_report
from signer_agent.desk.receipts import results
from signer_agent.desk.units import line_of
from signer_agent.local import wire
from signer_agent.local.messages import (
    AcceptCharter,
    AnnouncePart,
    Answer,
    ApproveRequest,
    CancelRequest,
    CharterLine,
    Charters,
    Failed,
    FileWish,
    Gathered,
    GatherReport,
    GetCharters,
    GetFiled,
    GetRequests,
    GetResults,
    GetStatus,
    GetUnits,
    Given,
    HearCharter,
    OfferKey,
    Ok,
    PolicyLine,
    ProceedRequest,
    ProposeCharter,
    Question,
    Refiled,
    RefileRequest,
    RejectRequest,
    Requests,
    Results,
    SeenUnit,
    SelectKeys,
    Shown,
    ShowRequest,
    Status,
    UnitNow,
    Units,
    VoidRequest,
    WatchRequest,
)
from signer_agent.objections import Objection, object_to, of_trouble
from signer_agent.trust.charters import accepted_version, claimed_person
from signer_agent.trust.evidence import Evidence

_log = structlog.get_logger("agent.local")


@asynccontextmanager
async def listening(agent: Agent) -> AsyncIterator[None]:
    """Answers the person's commands until the end of the block."""
    path = agent.directory.socket
    path.unlink(missing_ok=True)
    old = os.umask(0o177)
    try:
        with agent.directory.reachable_socket() as name:
            server = await asyncio.start_unix_server(_Handler(agent).serve, path=name)
    finally:
        os.umask(old)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


class _Handler:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled is how it ends with the daemon: nobody has to hear of that.
        with contextlib.suppress(ConnectionError, EOFError, asyncio.CancelledError):
            try:
                wire.check_peer(writer)
                question: Question = await wire.receive(reader, Question)
                if isinstance(question, WatchRequest):
                    await self._watch(reader, writer, question.number)
                else:
                    await wire.send(writer, await self._answer(question))
            except Trouble as trouble:
                await wire.send(writer, Failed(objection=of_trouble(trouble)))
            except Violation as violation:
                _log.warning("a question was refused", why=str(violation))
            finally:
                writer.close()

    async def _answer(self, question: Question) -> Answer:
        try:
            return await self._answered(question)
        except Unavailable as unavailable:
            return Failed(
                objection=object_to(
                    Exit.UNREACHABLE,
                    str(unavailable),
                    next="try again later; asking twice is safe. What the coordinator "
                    "acknowledged is stored",
                )
            )
        except Trouble as trouble:
            return Failed(objection=of_trouble(trouble))
        except Violation as violation:
            _log.error("the coordinator broke the protocol", why=str(violation))
            return Failed(
                objection=object_to(
                    Exit.ALARM,
                    f"the coordinator broke the protocol: {violation}",
                    next="call the people who run it; nothing was signed",
                )
            )

    async def _answered(self, question: Question) -> Answer:
        agent = self._agent
        match question:
            case GetStatus():
                return self._status()
            case GetCharters():
                return await self._charters()
            case AcceptCharter(charter=charter):
                return _done(await agent.accept(charter))
            case HearCharter(versions=versions, acceptances=signed):
                for version in versions:
                    of_it = tuple(one for one in signed if accepted_version(one) == version.digest)
                    agent.kept.set_book(agent.kept.book.heard(version, of_it))
                return Ok(request=None)
            case ProposeCharter(charter=charter):
                return _done(await agent.propose(charter))
            case OfferKey(key=key):
                return _done(await agent.offer(session.OfferKey(key=key)))
            case SelectKeys(skis=skis):
                agent.kept.set_selected(skis)
                return Ok(request=None)
            case AnnouncePart(vp=vp, description=description, offered=offered):
                return _done(await agent.announce(vp, description, offered=offered))
            case FileWish(wish=wish):
                filed = await agent.file(wish)
                return (
                    Failed(objection=filed) if isinstance(filed, Objection) else Ok(request=filed)
                )
            case GetFiled(idempotency_key=key):
                return Ok(request=agent.kept.filed.get(key))
            case GetRequests():
                return Requests(requests=self._requests())
            case ShowRequest(number=number):
                found = await agent.review(number)
                if isinstance(found, Objection):
                    return Failed(objection=found)
                return Shown(screen=found.screen)
            case ApproveRequest(screen=screen, signature=signature, part=part):
                given = await agent.approve(screen, signature, part)
                if isinstance(given, Objection):
                    return Failed(objection=given)
                return Given(request=screen.request, signed_units=given[0], sealed_units=given[1])
            case RejectRequest(number=number, reason=reason):
                return _done(await agent.reject(number, reason))
            case CancelRequest(number=number, reason=reason):
                return _done(await steering.cancel(agent, number, reason))
            case ProceedRequest(number=number):
                return _done(await steering.proceed(agent, number))
            case VoidRequest(number=number):
                return _refiled(await steering.void(agent, number))
            case RefileRequest(number=number):
                return _refiled(await steering.refile(agent, number))
            case GetResults(number=number):
                return await self._results(number)
            case GetUnits():
                return await self._units()
            case GatherReport():
                evidence, charters = await gather_report(agent)
                return Gathered(evidence=evidence, charters=charters)
            case WatchRequest():
                raise AssertionError("a watch is answered more than once")

    def _requests(self) -> tuple[Request, ...]:
        return tuple(news.request for _, news in sorted(self._agent.kept.requests.items()))

    async def _watch(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int | None
    ) -> None:
        """Tells a request, or all, as they are now and after every change, until nobody listens."""
        gone = asyncio.create_task(reader.read(1))
        told: tuple[Request, ...] | None = None
        try:
            while True:
                changed = asyncio.create_task(self._other_than(told, number))
                await asyncio.wait({gone, changed}, return_when=asyncio.FIRST_COMPLETED)
                if not changed.done():
                    changed.cancel()
                    await asyncio.gather(changed, return_exceptions=True)
                    return
                told = changed.result()
                await wire.send(writer, Requests(requests=told))
        finally:
            gone.cancel()

    async def _other_than(
        self, told: tuple[Request, ...] | None, number: int | None
    ) -> tuple[Request, ...]:
        """The requests once they aren't what was told; a change while it is sent isn't missed."""
        async with self._agent.changed:
            while True:
                now = self._requests()
                if number is not None:
                    now = tuple(one for one in now if one.id == number)
                if now != told:
                    return now
                await self._agent.changed.wait()

    async def _results(self, number: int) -> Answer:
        agent = self._agent
        news = agent.request(number)
        if isinstance(news, Objection):
            return Failed(objection=news)
        opening, trusted = news.request.opening, agent.kept.book.trusted
        charter = None
        if opening is not None and trusted is not None:
            charter = trusted.get(opening.charter)
        if charter is None:
            return Results(request=news.request, units=(), live=None)
        own = frozenset(part.vp for part in agent.seat().parts)
        units = results(news.request, charter, agent.identity.key, own)
        live = await steering.live(agent, news.request, charter)
        return Results(request=news.request, units=units, live=live)

    async def _units(self) -> Answer:
        agent = self._agent
        evidence = await agent.look()
        if isinstance(evidence, Objection):
            return Failed(objection=evidence)
        units = []
        for one in evidence.units.values():
            history = one.history
            units.append(
                UnitNow(
                    unit=line_of(one.unit),
                    state=None if history is None else history.state,
                    version=0 if history is None else len(history.entries),
                    last_receipt=None if history is None else history.last_receipt,
                    in_reach=one.answer is not None,
                    problem=one.broken,
                )
            )
        order = ("operational", "recovery", "failover")
        units.sort(key=lambda one: (order.index(one.unit.type.value), one.unit.location))
        return Units(instance=agent.settings.instance, units=tuple(units))

    async def _charters(self) -> Charters:
        agent = self._agent
        book = agent.kept.book
        looked: Evidence | Objection | None = None
        if agent.link.connected and book.known:
            # Which versions there are is known without the coordinator, too.
            with contextlib.suppress(Unavailable):
                looked = await agent.look()
            book = agent.kept.book
        answers = looked.units if isinstance(looked, Evidence) else {}
        now = {unit for unit, one in answers.items() if one.answer is not None}
        histories = {unit: seen.history for unit, seen in agent.kept.memory.units.items()}
        lines = []
        for digest, known in sorted(book.known.items(), key=lambda one: one[1].charter.number):
            accession = book.accession(digest, histories)
            trusted = book.trusted
            accepted = sorted(book.signed_acceptances(digest), key=claimed_person)
            lines.append(
                CharterLine(
                    charter=known.charter,
                    accepted_here=trusted is not None and trusted.get(digest) is not None,
                    in_force=digest in book.in_force,
                    accepted_by=tuple(claimed_person(one) for one in accepted),
                    acceptances=tuple(accepted),
                    needed=0 if accession is None else accession.needed,
                    missing=() if accession is None else tuple(sorted(accession.waiting_for)),
                )
            )
        return Charters(
            versions=tuple(lines),
            keys=tuple(agent.kept.keys.values()),
            parts=tuple(one for one in agent.kept.parts.values() if one.offered),
            agents=tuple(agent.kept.agents.values()),
            coordinator=agent.link.coordinator.identity,
            log=agent.link.coordinator.log,
            seen=tuple(
                SeenUnit(
                    unit=unit,
                    last_receipt=history.last_receipt,
                    imprint=history.state.imprint,
                    now=unit in now,
                )
                for unit, history in sorted(histories.items())
            ),
        )

    def _status(self) -> Status:
        agent = self._agent
        kept, link = agent.kept, agent.link
        ruling, trusted = kept.book.ruling, kept.book.trusted
        witness, script = kept.witness, agent.script
        return Status(
            person=agent.settings.person,
            instance=agent.settings.instance,
            practice=agent.settings.practice,
            agent=agent.identity.key,
            coordinator=link.coordinator.identity,
            url=link.coordinator.url,
            connected=link.connected,
            since=link.since,
            why=link.why,
            skew_forward=Duration(max(link.ahead, 0)),
            skew_back=Duration(max(-link.ahead, 0)),
            log_size=0 if witness is None else witness.size,
            charter=None if ruling is None else ruling.number,
            accepted=None if trusted is None else trusted.newest.number,
            keys=str(agent.directory.keys),
            selected=kept.selected,
            offered_keys=len(kept.keys),
            agents=len(kept.agents),
            waiting=tuple(one.id for one in agent.waiting()),
            policy=None
            if script is None
            else PolicyLine(name=script.policy.name, left=script.left(), until=script.policy.until),
            alarm=agent.alarm(),
        )


def _refiled(done: steering.Refiling | Objection) -> Answer:
    if isinstance(done, Objection):
        return Failed(objection=done)
    return Refiled(request=done.request, before=done.before)


def _done(objection: Objection | None) -> Answer:
    return Ok(request=None) if objection is None else Failed(objection=objection)
