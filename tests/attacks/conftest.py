"""What all attacks share: an evil coordinator around a world, and a real agent at its mercy."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from signer_agent.daemon import link
from signer_agent.directory import KEYS_VARIABLE
from tests.attacks.evil_coordinator import Certificate, EvilCoordinator
from tests.attacks.victim import Victim, make_files
from tests.cast.charters import COORDINATOR
from tests.cast.commands import NOON
from tests.cast.people import BOB, Custodian
from tests.cores.desk_world import World

Attack = Callable[..., AbstractAsyncContextManager[Victim]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between attempts to connect, and nobody's own key files."""
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    monkeypatch.setattr(link, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(link, "LONGEST_PAUSE", 0.01)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The coordinator's TLS certificate."""
    return Certificate.make(tmp_path_factory.mktemp("tls"), "coordinator", at=NOON)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for stores, in memory where there is one: nothing here is about power cuts.

    Its name is short: a socket's path has at most 108 bytes (unix(7)).
    """
    memory = Path("/dev/shm")
    top = str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None
    with TemporaryDirectory(prefix="attack-", dir=top) as made:
        yield Path(made)


@pytest.fixture
async def attack(certificate: Certificate, place: Path) -> AsyncIterator[Attack]:
    """Makes worlds with a victim in each.

    `initialised` worlds are out of imprint mode; the victim has accepted the charter and has looked
    at the units, unless it is to be `fresh`.
    """

    @asynccontextmanager
    async def make(
        world: World | None = None,
        who: Custodian = BOB,
        *,
        initialised: bool = True,
        fresh: bool = False,
    ) -> AsyncIterator[Victim]:
        world = world or World()
        evil = EvilCoordinator(world, certificate)
        async with evil.listening():
            names(world, evil)
            if initialised:
                world.initialise()
            victim = Victim(evil, who, place / who.name)
            make_files(victim.directory, who, [who.part()])
            await victim.start()
            try:
                await victim.connected()
                if not fresh:
                    await victim.accepts(world.charter, others=world.people)
                yield victim
            finally:
                await victim.stop()

    yield make


def names(world: World, evil: EvilCoordinator) -> None:
    """Has the world's charter name this coordinator."""
    world.charter = world.charter.but(coordinator=COORDINATOR.but(url=evil.url))
    for unit in world.units:
        unit.charter = world.charter.digest
