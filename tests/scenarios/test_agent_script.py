"""An agent with a policy: real store and key files, the world's coordinator in memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.commands.bodies import CommitNewRegister
from protocol.identifiers import VP
from protocol.refusals import Rule, refuse
from protocol.sealing.contribution import vp_of
from protocol.secrets import Secret
from protocol.session.messages import (
    Approve,
    CharterNews,
    Contribute,
    Done,
    Feed,
    Refused,
    RequestNews,
    WantConsistency,
    WantHistory,
    WantStates,
)
from quorate import private_files
from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable
from signer_agent.daemon.agent import Agent
from signer_agent.daemon.script import Opened, Script, open_policy
from signer_agent.desk.policy import Use
from signer_agent.directory import KEYS_VARIABLE, AgentDirectory, AgentSettings
from signer_agent.kept import Kept, Sent
from signer_agent.keys import identity_file
from signer_agent.store import AgentStore
from signer_agent.trust.charters import CharterBook
from signer_agent.trust.evidence import AskConsistency, AskHistory, AskStates, Question
from tests.attacks.victim import PASSWORD, make_files
from tests.cast.charters import accepts
from tests.cast.commands import load_of
from tests.cast.keys import noise
from tests.cast.people import ALICE, BOB, INSTANCE
from tests.cores.desk_world import World

PURPOSE = "First initialisation, ticket CER-12"
PARTS = [(ALICE, ALICE.part()), (BOB, BOB.part())]


class InMemoryLink:
    """The session, without a network: questions go to the world, publications are kept."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.connected, self.ahead = True, 0
        self.coordinator = world.charter.coordinator
        self.sent: list[Sent] = []
        self.refuses = False
        self.before_sending: Callable[[], None] = lambda: None

    async def ask(self, make: Callable[[int], Any], *kinds: type[Any]) -> Any:
        if not self.connected:
            raise Unavailable("there is no coordinator")
        question: Question
        match make(1):
            case WantStates(units=units, nonce=nonce):
                question = AskStates(units, nonce)
            case WantHistory(unit=unit, after=after):
                question = AskHistory(unit, after)
            case WantConsistency(size=size):
                question = AskConsistency(size)
            case other:
                raise AssertionError(other)
        return self.world.answer(question)

    async def send(self, sent: Sent) -> Done | Refused:
        self.before_sending()
        self.sent.append(sent)
        if self.refuses:
            refusal = refuse(Rule.REQUEST_ENDED, expected="an open request", found="another")
            return Refused(ref=1, refusal=refusal)
        return Done(ref=1, request=None)


class Night:
    """Bob's agent in an initialised world with a loaded key, with his policy at work."""

    def __init__(self, path: Path) -> None:
        self.world = World()
        self.world.initialise()
        self.path = private_files.directory(path / "agent")
        self.directory = AgentDirectory(self.path)
        make_files(self.directory, BOB, [BOB.part()])
        self.positions = 0
        self.start()

    def start(self) -> None:
        """The agent as it is on its disk."""
        self.store = AgentStore(self.directory.store)
        settings = AgentSettings(
            instance=INSTANCE,
            practice=True,
            person=BOB.name,
            url="https://quorate.example:7443",
            coordinator=self.world.charter.coordinator.identity,
            log=self.world.charter.coordinator.log,
        )
        self.drawn = getattr(self, "drawn", 0)
        self.agent = Agent(
            self.directory,
            settings,
            identity_file.load(self.path),
            Kept.load(self.store, CharterBook(instance=INSTANCE, practice=True)),
            now=lambda: self.world.now,
            entropy=self._entropy,
        )
        self.link = InMemoryLink(self.world)
        self.agent.link = self.link  # type: ignore[assignment]

    def restart(self) -> None:
        """Ends the agent, as power cuts do, and starts it again."""
        self.store.close()
        self.start()
        self.work()

    def work(self) -> None:
        """Opens the policy and puts it to work."""
        opened = open_policy(
            self.directory.path / "policy.toml",
            self.directory,
            lambda file: Secret(PASSWORD),
            practice=True,
        )
        self.script = self.agent.script = Script(self.agent, opened)

    async def hears(self, news: CharterNews | RequestNews) -> None:
        self.positions += 1
        await self.agent.on_news(Feed(position=self.positions, news=news))

    async def accepts(self) -> None:
        yes = tuple(accepts(one, self.world.charter) for one in self.world.people)
        charter = self.world.charter
        await self.hears(CharterNews(charter=charter, acceptances=yes, in_force=True))
        assert await self.agent.accept(charter.digest) is None
        await self.agent.look()
        self.link.sent.clear()

    def write(self, *rules: str, until: str = "2026-12-02T12:00:00Z") -> None:
        top = f'name = "nightly"\nfiler = "{ALICE.agent.hex()}"\nuntil = {until}\n'
        private_files.write(
            self.directory.path / "policy.toml",
            (top + "\n".join(rules)).encode(),
            untouched="no policy",
        )

    def rule(self, command: str, **lines: str) -> str:
        targets = ", ".join(f'"{unit.id.hex()}"' for unit in self.world.units)
        said = {
            "command": f'"{command}"',
            "targets": f"[{targets}]",
            "purpose": f'"{PURPOSE}"',
            "times": "1",
            **{name.replace("_", "-"): value for name, value in lines.items()},
        }
        return "[[allow]]\n" + "\n".join(f"{name} = {value}" for name, value in said.items())

    def load_key(self) -> VP:
        for unit in self.world.units:
            unit.load(PARTS, [ALICE])
        vp = self.world.units[0].state.new.vp
        assert vp is not None
        return vp

    def commit_rule(self) -> str:
        vps = ", ".join(f'"{vp_of(part).hex()}"' for _, part in PARTS)
        return self.rule(
            "commit-new-register",
            key_of_parts=f"[{vps}]",
            sign_with=f'"{BOB.key.ski.hex()}"',
        )

    @property
    def given(self) -> list[object]:
        return [sent.publication for sent in self.link.sent]

    def uses(self) -> list[Use]:
        return [use for _, use in self.store.all("use", Use)]

    def _entropy(self, length: int) -> bytes:
        self.drawn += 1
        return noise(f"script {self.drawn}", length)


@pytest.fixture
async def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Night]:
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    made = Night(tmp_path)
    await made.accepts()
    yield made
    made.store.close()


async def test_it_signs_what_the_policy_names_and_counts_before(night: Night):
    vp = night.load_key()
    night.write(night.commit_rule())
    night.work()
    kept: list[int] = []
    night.link.before_sending = lambda: kept.append(len(night.uses()))
    await night.hears(night.world.open(CommitNewRegister(vp=vp)))
    await night.script.look()
    (sent,) = night.given
    assert isinstance(sent, Approve) and len(sent.approvals) == 2
    assert kept == [2], "the uses were durable before anything was sent"
    assert night.script.left() == 0
    await night.script.look()
    assert len(night.given) == 1, "what hasn't changed isn't looked at again"


async def test_it_gives_the_part_that_the_policy_names(night: Night):
    load = load_of(PARTS)
    parts = ", ".join(
        f'{{vp = "{part.vp.hex()}", custodian = "{part.custodian.hex()}"}}' for part in load.parts
    )
    night.write(
        night.rule("load-new-register", parts=f"[{parts}]", give_part=f'"{load.parts[1].vp.hex()}"')
    )
    night.work()
    await night.hears(night.world.open(load))
    await night.script.look()
    (sent,) = night.given
    assert isinstance(sent, Contribute) and len(sent.contributions) == 2


async def test_what_it_does_not_name_waits(night: Night):
    vp = night.load_key()
    night.write(night.commit_rule())
    night.work()
    filing = night.world.filing(CommitNewRegister(vp=vp), purpose="something else")
    await night.hears(night.world.open(CommitNewRegister(vp=vp), filing=filing))
    await night.script.look()
    assert night.given == [] and night.uses() == []
    assert night.script.left() == 1


async def test_after_a_power_cut_the_count_is_there(night: Night):
    vp = night.load_key()
    night.write(night.commit_rule())
    night.work()
    news = night.world.open(CommitNewRegister(vp=vp))
    await night.hears(news)

    def power_cut() -> None:
        raise ConnectionResetError("power cut")

    night.link.before_sending = power_cut
    with pytest.raises(ConnectionResetError):
        await night.script.look()
    night.restart()
    assert night.script.left() == 0 and len(night.uses()) == 2
    await night.script.look()
    (sent,) = night.given
    assert isinstance(sent, Approve), "the very same request is signed again"
    assert len(night.uses()) == 2
    again = night.world.open(CommitNewRegister(vp=vp), filing=news.request.filing)
    await night.hears(again)
    await night.script.look()
    assert len(night.given) == 1, "the same filing, opened again, waits"


async def test_without_a_coordinator_it_tries_again_later(night: Night):
    vp = night.load_key()
    night.write(night.commit_rule())
    night.work()
    await night.hears(night.world.open(CommitNewRegister(vp=vp)))
    night.link.connected = False
    await night.script.look()
    assert night.given == []
    night.link.connected = True
    await night.script.look()
    assert len(night.given) == 1


async def test_it_answers_as_news_come(night: Night):
    vp = night.load_key()
    night.write(night.commit_rule())
    night.work()
    working = asyncio.create_task(night.script.run())
    await asyncio.sleep(0)
    sent = asyncio.Event()
    night.link.before_sending = sent.set
    await night.hears(night.world.open(CommitNewRegister(vp=vp)))
    async with asyncio.timeout(20):
        await sent.wait()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def test_what_the_coordinator_refuses_ends_nothing(night: Night):
    vp = night.load_key()
    night.write(night.commit_rule())
    night.work()
    night.link.refuses = True
    await night.hears(night.world.open(CommitNewRegister(vp=vp)))
    await night.script.look()
    assert len(night.given) == 1


# --- opening a policy -----------------------------------------------------------------------------


def opening(night: Night, password: bytes = PASSWORD) -> Opened:
    return open_policy(
        night.directory.path / "policy.toml",
        night.directory,
        lambda file: Secret(password),
        practice=True,
    )


async def test_a_policy_that_others_can_read_is_not_used(night: Night):
    night.write(night.commit_rule())
    (night.directory.path / "policy.toml").chmod(0o644)
    with pytest.raises(Trouble) as found:
        opening(night)
    assert found.value.exit is Exit.EXPOSED


async def test_a_policy_with_a_mistake_is_said(night: Night):
    night.write(night.commit_rule().replace("times = 1", "times = 0"))
    with pytest.raises(Trouble, match="can't be used") as found:
        opening(night)
    assert found.value.exit is Exit.USAGE


async def test_a_policy_that_is_not_there_is_said(night: Night):
    with pytest.raises(Trouble, match="there is no policy") as found:
        opening(night)
    assert found.value.exit is Exit.USAGE


async def test_a_key_that_no_file_holds_is_said(night: Night):
    rule = night.rule("zeroize", sign_with=f'"{ALICE.key.ski.hex()}"')
    night.write(rule)
    with pytest.raises(Trouble, match="no file here holds") as found:
        opening(night)
    assert found.value.expected == ALICE.key.ski.hex()


async def test_a_wrong_password_starts_nothing(night: Night):
    night.write(night.commit_rule())
    with pytest.raises(Trouble) as found:
        opening(night, b"wrong")
    assert found.value.exit is Exit.WRONG_PASSWORD
    assert "wasn't started" in found.value.what


async def test_each_key_is_opened_once_and_wiped_at_the_end(night: Night):
    asked: list[str] = []

    def ask(file: str) -> Secret:
        asked.append(file)
        return Secret(PASSWORD)

    rules = [night.commit_rule(), night.rule("zeroize", sign_with=f'"{BOB.key.ski.hex()}"')]
    night.write(*rules)
    opened = open_policy(night.directory.path / "policy.toml", night.directory, ask, practice=True)
    assert asked == ["bob.sig"]
    key = opened.keys[BOB.key.ski]
    assert key.sign(b"message")
    opened.wipe()
    with pytest.raises(ValueError, match="wiped"):
        key.sign(b"message")
