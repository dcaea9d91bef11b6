"""The agent under attack: a real signer agent in this process, asked over its real local socket.

It has key files with practice cost, its own store on disk, and the world's clock.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from protocol.charter import Charter
from protocol.displayable import AdministratorName
from protocol.files.keyfile import write_identity, write_signature_key
from protocol.files.keyfile_header import PartName
from protocol.identifiers import Duration, Instant
from protocol.secrets import Secret
from protocol.session.messages import CharterNews, Feed, News, RequestNews
from quorate import private_files
from quorate.exits import Exit, Trouble
from signer_agent.client.agent_client import AgentClient
from signer_agent.daemon.agent import Agent
from signer_agent.daemon.link import Link
from signer_agent.desk.screen import Screen
from signer_agent.directory import AgentDirectory, AgentSettings
from signer_agent.kept import Kept
from signer_agent.keys import identity_file, locked_files, part_files
from signer_agent.keys.identity_file import FILE_NAME
from signer_agent.local import server
from signer_agent.local.messages import (
    AcceptCharter,
    ApproveRequest,
    FilePassword,
    GetUnits,
    Given,
    Ok,
    Shown,
    ShowRequest,
    Units,
)
from signer_agent.store import AgentStore
from signer_agent.trust.charters import CharterBook
from tests.attacks.evil_coordinator import PATIENCE, EvilCoordinator
from tests.cast.charters import accepts
from tests.cast.commands import NOON
from tests.cast.keys import private_key
from tests.cast.people import INSTANCE, Custodian
from tests.cores.desk_world import World

PASSWORD = b"correct horse"


class Victim:
    """One person's agent, and the person. `path` is its directory."""

    agent: Agent

    def __init__(self, evil: EvilCoordinator, who: Custodian, path: Path) -> None:
        self.evil, self.who = evil, who
        self.directory = AgentDirectory(private_files.directory(path))
        self.client = AgentClient(self.directory)
        self.followed = 0
        """The position of the last news that the agent has taken in."""
        self.caught_up = 0
        """How many sessions have told it all there was."""
        self.token: bytes | None = None
        """Of an invitation."""
        self.behind = 0
        """How far this machine's clock is behind the world's, in milliseconds."""
        self._running = AsyncExitStack()
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        """Starts the agent as it is on its disk."""
        settings = AgentSettings(
            instance=INSTANCE,
            practice=True,
            person=self.who.name,
            url=self.evil.url,
            coordinator=self.evil.identity.identity,
            log=self.world.log.key.identity,
        )
        store = AgentStore(self.directory.store)
        self._running.callback(store.close)
        book = CharterBook(instance=settings.instance, practice=settings.practice)
        self.agent = agent = Agent(
            self.directory,
            settings,
            identity_file.load(self.directory.path),
            Kept.load(store, book),
            now=self.now,
            entropy=secrets.token_bytes,
        )
        agent.link = Link(
            settings,
            agent.identity,
            agent.kept,
            token=lambda: self.token,
            enrolled=lambda: None,
            now=self.now,
            steady=lambda: Duration(self.world.now),
            entropy=secrets.token_bytes,
            on_news=self._on_news,
            on_caught_up=self._on_caught_up,
        )
        await self._running.enter_async_context(server.listening(agent))
        self._running.push_async_callback(_cancelled, asyncio.create_task(agent.link.run()))

    async def stop(self) -> None:
        """Ends the agent; its disk stays."""
        await self._running.aclose()

    async def restart(self) -> None:
        """Ends it and starts it again."""
        await self.stop()
        await self.start()
        await self.connected()

    @property
    def world(self) -> World:
        """Where it lives."""
        return self.evil.world

    def now(self) -> Instant:
        """This machine's clock."""
        return Instant(self.world.now - self.behind)

    # --- what it hears ----------------------------------------------------------------------------

    async def hears(self, *news: News) -> None:
        """Is told news, and has taken them in."""
        await self.evil.tell(*news)
        last = len(self.evil.news)
        await self.until(lambda: self.followed >= last)

    async def until(self, found: Callable[[], bool]) -> None:
        """Waits until the agent has news that make `found` true."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(found)

    async def connected(self) -> None:
        """Waits for a session in which it was told all there was, from now on."""
        had = self.caught_up
        await self.until(lambda: self.caught_up > had)

    async def reconnect(self) -> None:
        """The coordinator hangs up, and the agent comes again."""
        await self.evil.hang_up()
        await self.connected()

    async def _on_news(self, feed: Feed) -> None:
        try:
            await self.agent.on_news(feed)
        finally:
            self.followed = feed.position
            await self._notice()

    async def _on_caught_up(self) -> None:
        await self.agent.on_caught_up()
        self.caught_up += 1
        await self._notice()

    async def _notice(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def forget_key_files(self) -> None:
        """Somebody has taken the key files away."""
        for file in self.directory.keys.iterdir():
            file.unlink()

    # --- what the person does ---------------------------------------------------------------------

    async def accepts(self, charter: Charter, *, others: Sequence[Custodian] = ()) -> None:
        """Hears of a version that the others have accepted, accepts it, looks at the units."""
        yes = tuple(accepts(one, charter) for one in others)
        await self.hears(CharterNews(charter=charter, acceptances=yes, in_force=True))
        await self.client.ask(AcceptCharter(charter=charter.digest), Ok)
        await self.looks()

    async def looks(self) -> Units:
        """Asks for all units."""
        return await self.client.ask(GetUnits(), Units)

    async def sees(self, news: RequestNews) -> Screen:
        """Is told of a request and looks at it."""
        await self.hears(news)
        return await self.shown(news.request.id)

    async def shown(self, number: int) -> Screen:
        """Looks at a request that it knows."""
        return (await self.client.ask(ShowRequest(number=number), Shown)).screen

    async def gives(self, seen: Screen) -> Given:
        """Types the passwords of everything that the screen asks for."""
        signature = part = None
        if seen.keys:
            signature = FilePassword(file=seen.keys[0].file, password=PASSWORD)
        if seen.part is not None:
            part = FilePassword(file=seen.part.file, password=PASSWORD)
        return await self.client.ask(
            ApproveRequest(screen=seen, signature=signature, part=part), Given
        )

    async def objects(self, seen: Screen | None = None, number: int | None = None) -> Trouble:
        """Looks at a request that it knows, and is warned; with a screen it types passwords too.

        Nothing may have been given, to whomever.
        """
        before, remembered = len(self.evil.given), self.agent.kept.memory.given
        trouble = await ends_with(self.shown(seen.request if seen is not None else number or 1))
        if seen is not None:
            again = await ends_with(self.gives(seen))
            assert (again.exit, again.rule) == (trouble.exit, trouble.rule), again
        assert len(self.evil.given) == before, "something was given"
        assert self.agent.kept.memory.given == remembered
        return trouble


async def ends_with(asking: Awaitable[object]) -> Trouble:
    """The Trouble that a command ends with; it must."""
    try:
        answer = await asking
    except Trouble as trouble:
        return trouble
    raise AssertionError(f"it was let pass: {answer}")


def says(trouble: Trouble, exit: Exit, rule: str | None, *texts: str) -> Trouble:
    """Checks how a command ended, and that it says these things and what to do."""
    whole = f"{trouble.what} | {trouble.expected} | {trouble.found} | {trouble.next}"
    assert (trouble.exit, trouble.rule) == (exit, rule), f"{trouble.exit!r} {trouble.rule} {whole}"
    assert trouble.next, whole
    for text in texts:
        assert text in whole, whole
    return trouble


async def foiled(victim: Victim, honest: RequestNews, bent: RequestNews) -> Trouble:
    """The person has seen the honest request when the coordinator tells it otherwise.

    Neither looking nor typing the password gives anything away then; told honestly again, the same
    agent gives what it is asked for. That is the control.
    """
    assert honest.request.id == bent.request.id
    seen = await victim.sees(honest)
    await victim.hears(bent)
    trouble = await victim.objects(seen)
    await victim.hears(honest)
    await victim.gives(seen)
    assert victim.evil.given
    return trouble


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def make_files(directory: AgentDirectory, who: Custodian, parts: Sequence[bytes]) -> None:
    """The identity, signature key and key part files of a custodian of the cast."""
    identity = write_identity(
        Secret(private_key(f"agent of {who.name}")), name=who.name, created=NOON
    )
    private_files.create(directory.path / FILE_NAME, identity, untouched="no agent was made")
    for number, key in enumerate(who.keys):
        data = write_signature_key(
            Secret(private_key(f"{who.name} {number}", key.algorithm)),
            Secret(PASSWORD),
            name=AdministratorName(who.proven(key).claim.administrator),
            algorithm=key.algorithm,
            created=NOON,
            practice=True,
            lock=locked_files.new_lock(practice=True),
        )
        locked_files.store(directory.keys, who.name, ".sig", data, untouched="no key was made")
    for number, part in enumerate(parts, start=1):
        part_files.keep(
            directory.keys,
            Secret(part),
            Secret(PASSWORD),
            name=PartName(f"{who.name} part {number}"),
            practice=True,
            at=NOON,
        )
