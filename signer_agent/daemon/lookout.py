"""What an agent knows and how it looks: news as they come, units, histories and the log."""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from protocol.charter import Charter, CharterUnit
from protocol.displayable import InstanceName
from protocol.identifiers import (
    VP,
    Duration,
    IdentityKey,
    Instant,
    Nonce,
    UnitId,
)
from protocol.refusals import Refusal
from protocol.request import Announcement, open_announcement
from protocol.session.messages import (
    AgentNews,
    Announce,
    CharterNews,
    Consistency,
    Feed,
    HistoryPage,
    KeyNews,
    PartNews,
    Publication,
    Refused,
    RequestNews,
    States,
    WantConsistency,
    WantHistory,
    WantStates,
)
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from protocol.violations import Violation
from quorate import crash_points, private_files, times
from quorate.exits import Exit
from signer_agent.daemon.link import Link
from signer_agent.daemon.untold import untold_acceptance, untold_keys, untold_parts
from signer_agent.desk.seat import HeldKey, HeldPart, Seat
from signer_agent.directory import AgentDirectory, AgentSettings
from signer_agent.kept import Kept, entries_of
from signer_agent.keys import part_files, signature_files
from signer_agent.keys.identity_file import AgentIdentity
from signer_agent.objections import Objection, object_to
from signer_agent.steps import (
    BEFORE_SEEN_KEPT,
    NEWS_KEPT,
    SEEN_KEPT,
)
from signer_agent.trust.evidence import (
    AskConsistency,
    AskHistory,
    AskStates,
    Evidence,
    Gathering,
    Question,
    Replies,
    Reply,
    gather,
)
from signer_agent.trust.witness import Fork, first_sight, with_log

if TYPE_CHECKING:
    from signer_agent.daemon.script import Script

T = TypeVar("T")


class Lookout:
    """Takes in news, and fetches and verifies what they are about.

    `changed` is told after any news, and when all of them are here.
    """

    def __init__(
        self,
        directory: AgentDirectory,
        settings: AgentSettings,
        identity: AgentIdentity,
        kept: Kept,
        *,
        now: Callable[[], Instant],
        entropy: Callable[[int], bytes],
    ) -> None:
        self.directory, self.settings, self.identity, self.kept = (
            directory,
            settings,
            identity,
            kept,
        )
        self.now, self.entropy = now, entropy
        self.link: Link
        self.script: Script | None = None
        """The person's policy at work, if they have one."""
        self.shorter: Refusal | None = None
        """What the coordinator said at the last look, if its log lacks what was seen of it."""
        self.changed, self.changes = asyncio.Condition(), 0
        self._looking = asyncio.Lock()

    # --- news -----------------------------------------------------------------------------------

    async def on_news(self, feed: Feed) -> None:
        """Takes in one piece of news; durable when it returns."""
        match feed.news:
            case RequestNews() as news:
                self.kept.know_request(news)
            case CharterNews(charter=charter, acceptances=acceptances):
                self.kept.set_book(self.kept.book.heard(charter, acceptances))
                self._follow_log_of(charter)
            case KeyNews(key=key) as news:
                key.check()
                self._ours(key.claim.instance)
                self.kept.know_key(news)
            case PartNews(announcement=signed) as news:
                self._ours(open_announcement(signed).instance)
                self.kept.know_part(news)
            case AgentNews() as news:
                self.kept.know_agent(news)
        crash_points.crash_point(NEWS_KEPT)
        await self._tell_changed()

    async def on_caught_up(self) -> None:
        """All news are here, so what isn't among them hasn't been told: keeps it to be sent."""
        about = (self.directory, self.settings, self.identity.key, self.kept)
        untold: list[Publication] = [*untold_keys(*about)]
        untold += untold_parts(*about, self._announce_file)
        untold += untold_acceptance(self.kept, self.settings.person)
        for publication in untold:
            self.kept.keep_sent(publication, None)
        await self._tell_changed()

    def _ours(self, instance: InstanceName) -> None:
        if instance != self.settings.instance:
            raise Violation("an offer that was made to another instance")

    async def _tell_changed(self) -> None:
        async with self.changed:
            self.changes += 1
            self.changed.notify_all()

    def _follow_log_of(self, charter: Charter) -> None:
        if self.kept.witness is None:
            self.kept.set_witness(first_sight(charter.coordinator.log))

    # --- looking --------------------------------------------------------------------------------

    def seat(self) -> Seat:
        """Who sits at the desk, with the key files at hand."""
        keys = signature_files.list_in(self.directory.keys).usable
        parts = part_files.list_in(self.directory.keys).usable
        selected = self.kept.selected
        return Seat(
            me=self.settings.person,
            agent=self.identity.key,
            book=self.kept.book,
            memory=self.kept.memory,
            keys=tuple(
                HeldKey(ski=one.ski, file=one.path.name)
                for one in keys
                if not selected or one.ski in selected
            ),
            parts=tuple(HeldPart(vp=one.vp, name=one.name, file=one.path.name) for one in parts),
            coordinator_ahead=Duration(self.link.ahead),
        )

    async def look(self, *, note: bytes | None = None) -> Evidence | Objection:
        """Fetches and verifies states, histories and log, and remembers what was seen."""
        async with self._looking:
            charter = self._newest()
            if charter is None:
                return object_to(
                    Exit.REFUSED,
                    "there is no charter yet, so no units to look at",
                    next="quorate charter accept, or quorate charter new",
                )
            witness = with_log(self.kept.witness, charter.coordinator.log)
            # Also those that only the version in force names: requests may still be for them.
            versions = [self.kept.book.ruling or charter, charter]
            units: dict[UnitId, CharterUnit] = {
                unit.id: unit for version in versions for unit in version.units
            }
            evidence = await self.drive(
                gather(
                    units.values(),
                    self.kept.memory,
                    witness,
                    accepted=self._accepted(),
                    note=note,
                    now=self.now(),
                    draw=lambda: Nonce(self.entropy(32)),
                )
            )
            self._remember(evidence)
            if self._follows(evidence.witness.log):
                self.shorter = evidence.shorter
            return evidence

    def _remember(self, evidence: Evidence) -> None:
        memory = self.kept.memory.forgetting(self.now())
        fetched = {}
        for unit, one in evidence.units.items():
            if one.history is None or one.asked is None:
                continue
            learned = memory.learned(one.history, one.asked, self._accepted())
            if learned.seen(unit) is not memory.seen(unit):
                identity = one.unit.certificate.identity
                before = self.kept.entries.get(unit)
                old = () if before is None or one.after == 0 else before.entries[: one.after]
                if one.fetched or before is None:
                    fetched[unit] = entries_of(identity, (*old, *one.fetched), one.asked)
                else:
                    fetched[unit] = before.but(at=one.asked)
            memory = learned
        crash_points.crash_point(BEFORE_SEEN_KEPT)
        with self.kept.step():
            self.kept.set_memory(memory, fetched)
            if self._follows(evidence.witness.log):
                self.kept.set_witness(evidence.witness)
            self.kept.set_book(self.kept.book.judged(evidence.histories))
        crash_points.crash_point(SEEN_KEPT)
        if evidence.witness.fork is not None:
            self._keep_evidence(evidence.witness.fork)

    def _keep_evidence(self, fork: Fork) -> None:
        """Both checkpoints as a file: what people show to others when a log was forked."""
        path = self.directory.fork
        if path.exists():
            return
        content = {
            "log": fork.log.hex(),
            "seen": fork.seen.decode(errors="replace"),
            "seen_at": times.for_scripts(fork.seen_at),
            "found": fork.found.decode(errors="replace"),
            "found_at": times.for_scripts(fork.found_at),
        }
        text = json.dumps(content, indent=2) + "\n"
        private_files.write(path, text.encode(), untouched="the agent's store holds both too")

    async def drive(self, work: Gathering[T]) -> T:
        """Runs a piece of work, asking the coordinator what it demands."""
        try:
            demands = next(work)
            while True:
                replies = await asyncio.gather(*(self._reply(one) for one in demands))
                demands = work.send(Replies(messages=tuple(replies), at=self.now()))
        except StopIteration as done:
            result: T = done.value
            return result

    async def _reply(self, question: Question) -> Reply:
        match question:
            case AskStates(units=units, nonce=nonce):
                answer = await self.link.ask(
                    lambda ref: WantStates(ref=ref, units=units, nonce=nonce), States
                )
            case AskHistory(unit=unit, after=after):
                answer = await self.link.ask(
                    lambda ref: WantHistory(ref=ref, unit=unit, after=after), HistoryPage
                )
            case AskConsistency(size=size):
                answer = await self.link.ask(
                    lambda ref: WantConsistency(ref=ref, size=size), Consistency, Refused
                )
        reply: Reply = answer
        return reply

    def _follows(self, log: IdentityKey) -> bool:
        """Whether this is the log to follow: another may have been accepted during the look."""
        charter = self._newest()
        return charter is not None and charter.coordinator.log == log

    def _accepted(self) -> Charter | None:
        trusted = self.kept.book.trusted
        return None if trusted is None else trusted.newest

    def _newest(self) -> Charter | None:
        """The newest version that the person accepted; before that, the newest proposed."""
        proposals = self.kept.book.proposals
        return self._accepted() or (proposals[-1] if proposals else None)

    def _announcement(self, vp: VP, description: str, *, offered: bool) -> Announce:
        announcement = Announcement(
            instance=self.settings.instance,
            custodian=self.identity.key,
            vp=vp,
            description=description,
            offered=offered,
            at=self.now(),
        )
        signed = sign_statement(Label.ANNOUNCEMENT, announcement, self.identity.sign)
        return Announce(announcement=signed)

    def _announce_file(self, part: part_files.PartFile) -> Announce:
        return self._announcement(part.vp, part.name, offered=True)
