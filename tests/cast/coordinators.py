"""A coordinator in this process: the real store, engine and API, over units in memory.

Its clock stands still unless a test moves it. The charter is in force from the beginning.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web

from coordinator.accounts import changes, logins, tokens
from coordinator.accounts.logins import LoggedIn, Principal
from coordinator.accounts.passwords import Hasher
from coordinator.accounts.roles import Role
from coordinator.accounts.token_kinds import TokenKind
from coordinator.api.dispatch import MAX_BODY_BYTES, Api, plain_errors
from coordinator.engine.change import Change
from coordinator.engine.ledger import Ledger, OwnKeys
from coordinator.engine.operations import Filed, Wanted, file
from coordinator.engine.publications import Publisher, Taken, take
from coordinator.engine.pursuit import Pursuit
from coordinator.engine.units import Units
from coordinator.store import accounts as account_store
from coordinator.store import record, requests
from coordinator.store.accounts import Account
from coordinator.store.database import Database, migrate
from hsm_backend.client.driver import Outcome, Ran, Refused, UnitDriver
from hsm_backend.unit import machine
from protocol.charter import Charter
from protocol.commands.bodies import Body
from protocol.commands.command import SignedCommand
from protocol.displayable import AccountName, Purpose
from protocol.identifiers import Digest, Duration, Instant, Nonce, StateVersion, UnitId
from protocol.receipts import RefusalAnswer
from protocol.record.entries import Entry, EntryKind
from protocol.record.operations import AccountEvent
from protocol.refusals import Refusal
from protocol.report.evidence import OwnEntry
from protocol.request import DEFAULT_VALIDITY, Request, RequestState
from protocol.schema import from_bytes
from protocol.secrets import Secret
from protocol.session.messages import Approve, Publication, UnitApproval
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.unit_identity import CertifiedUnit
from quorate.unavailable import Unavailable
from tests.cast.charters import instance
from tests.cast.commands import NOON, key_of
from tests.cast.keys import noise, signature_key
from tests.cast.people import INSTANCE, Custodian, approval
from tests.cast.units import CastUnit

CERTIFICATE = noise("tls certificate")
PASSWORD = "correct horse battery staple"
CHEAP = {"operations": 1, "memory": 8192}
"""Argon2id's least cost: tests of anything but passwords shouldn't wait for them."""


class CastDriver:
    """A `UnitDriver` over units in memory; those in `lost` don't answer."""

    def __init__(self, units: tuple[CastUnit, ...]) -> None:
        self.units = {unit.id: unit for unit in units}
        self.lost: set[UnitId] = set()

    async def certificates(self) -> tuple[CertifiedUnit, ...]:
        return tuple(
            CertifiedUnit(
                certificate=unit.vendor.certify(unit.certificate), vendor_root=unit.vendor.root
            )
            for unit in self.units.values()
        )

    async def state(self, unit: UnitId, nonces: tuple[Nonce, ...]) -> Signed:
        cast_unit = self._unit(unit)
        return machine.answer_state(cast_unit.identity, cast_unit.memory, nonces, cast_unit.now)

    async def importer_key(self, unit: UnitId, request: Digest) -> Signed:
        cast_unit = self._unit(unit)
        return sign_statement(
            Label.IMPORTER_KEY, cast_unit.importer_key(request), cast_unit.key.sign
        )

    async def prepare(self, unit: UnitId, command: SignedCommand) -> Signed | None:
        refusal = self._unit(unit).prepare(command)
        return None if refusal is None else self._refused(unit, command, refusal)

    async def execute(self, unit: UnitId, command: SignedCommand) -> Outcome:
        cast_unit = self._unit(unit)
        answer = cast_unit.execute(command)
        if isinstance(answer, Refusal):
            return Refused(refusal=self._refused(unit, command, answer))
        return Ran(receipt=cast_unit.receipts[command.parsed().id])

    async def history(self, unit: UnitId, after: StateVersion) -> tuple[Signed, ...]:
        return tuple(self._unit(unit).entries[after:])

    def _unit(self, unit: UnitId) -> CastUnit:
        if unit in self.lost:
            raise Unavailable("lost")
        return self.units[unit]

    def _refused(self, unit: UnitId, command: SignedCommand, refusal: Refusal) -> Signed:
        cast_unit = self.units[unit]
        answer = RefusalAnswer(
            unit=unit,
            command=command.parsed().id,
            incarnation=cast_unit.memory.incarnation,
            version=cast_unit.memory.version,
            refusal=refusal,
            can_still_run=refusal.facts.can_still_run,
            at=cast_unit.now,
        )
        return sign_statement(Label.REFUSAL, answer, cast_unit.key.sign)


@dataclass
class CastCoordinator:
    """The parts of a coordinator, and what tests do with them. `now` is its clock."""

    charter: Charter
    people: tuple[Custodian, ...]
    driver: CastDriver
    ledger: Ledger
    units: Units
    pursuit: Pursuit
    api: Api
    clock: "Clock"

    @property
    def targets(self) -> tuple[UnitId, ...]:
        """The ids of all units, in order."""
        return tuple(sorted(self.driver.units))

    def unit(self, number: int) -> CastUnit:
        """The unit whose id is the so many-th, from 0."""
        return self.driver.units[self.targets[number]]

    # --- requests -------------------------------------------------------------------------------

    async def file(
        self, body: Body, *, key: str | None = None, targets: tuple[UnitId, ...] | None = None
    ) -> Request:
        """The operator amy files it; the request as it was queued."""
        filed = await self.try_file(body, key=key, targets=targets)
        assert isinstance(filed, Filed), filed
        return filed.request

    async def try_file(
        self, body: Body, *, key: str | None = None, targets: tuple[UnitId, ...] | None = None
    ) -> Filed | Refusal:
        """The operator amy asks for it."""
        wanted = Wanted(
            body=body,
            targets=targets or self.targets,
            purpose=Purpose("a test"),
            valid_for=Duration(DEFAULT_VALIDITY),
            leave_out=False,
            idempotency_key=key,
        )
        return await self.ledger.change(
            lambda change: file(change, self.ledger, self.units, AccountName("amy"), wanted)
        )

    async def publish(self, who: Custodian, publication: Publication) -> Taken | Refusal:
        """A custodian's agent sends it."""
        publisher = Publisher(person=who.name, agent=who.agent)
        return await take(self.ledger, self.units, publisher, publication)

    async def sign(self, number: int, *people: Custodian) -> None:
        """These people sign for all open targets."""
        for who in people:
            request = await self.request(number)
            assert request.opening is not None
            key = key_of(who)
            approvals = tuple(
                UnitApproval(unit=one.unit, approval=approval(key, request.command(one.target)))
                for one in request.progress
                if one.open
            )
            sent = Approve(request=request.opening.digest, ski=key.ski, approvals=approvals)
            taken = await self.publish(who, sent)
            assert isinstance(taken, Taken), taken

    async def request(self, number: int) -> Request:
        """The request as it is stored."""
        found = await self.ledger.database.read(lambda connection: requests.get(connection, number))
        assert found is not None
        return found

    async def until(self, number: int, *states: RequestState) -> Request:
        """Waits until a request is in one of these states."""
        return await self.when(number, lambda request: request.state in states)

    async def when(self, number: int, reached: Callable[[Request], bool]) -> Request:
        """Waits until a request is as wanted."""
        listener = self.ledger.hub.join()
        try:
            async with asyncio.timeout(20):
                while not reached(request := await self.request(number)):
                    await listener.take()
            return request
        finally:
            self.ledger.hub.leave(listener)

    def lose(self, unit: UnitId) -> None:
        """The unit answers no more."""
        self.driver.lost.add(unit)

    def wake(self) -> None:
        """Has the pursuit look at everything again, as when a deadline has come."""
        self.ledger.wake()

    # --- accounts -------------------------------------------------------------------------------

    async def account(self, name: str, role: Role, *, password: str | None = None) -> None:
        """An account that is there, as if a manager had made it."""
        hashed = None
        if password is not None:
            hashed = self.api.hasher.hash(Secret(password.encode()))
        account = Account(AccountName(name), role, hashed, self.clock.now)
        await self.ledger.change(lambda change: account_store.add(change.connection, account))

    async def token(self, name: str, role: Role) -> str:
        """The token of a session of an account that is made where it isn't there."""
        found = await self.ledger.database.read(
            lambda connection: account_store.get(connection, name)
        )
        if found is None:
            await self.account(name, role)
        _, session = tokens.make(
            self.ledger.entropy,
            TokenKind.SESSION,
            None,
            at=self.clock.now,
            valid_for=tokens.SESSION,
        )
        manager = Principal(AccountName("host"), Role.MANAGER, session)

        async def issue(change: Change) -> str:
            issued = await changes.one_time_login(
                change, manager, AccountName(name), self.ledger.entropy
            )
            assert not isinstance(issued, Refusal)
            return tokens.write(issued[0])

        once = await self.ledger.change(issue)
        begun = await logins.log_in_once(self.ledger, tokens.read(once), "192.0.2.9")
        assert isinstance(begun, LoggedIn), begun
        return tokens.write(begun.secret)

    async def entries(self, *kinds: EntryKind) -> list[Entry]:
        """The log's entries of these kinds."""
        items = await self.ledger.database.read(
            lambda connection: record.items(connection, INSTANCE, 0, 10_000)
        )
        opened = [item.salted.entry for item in items if isinstance(item, OwnEntry)]
        return [entry for entry in opened if entry.kind in kinds]

    async def account_events(self) -> list[AccountEvent]:
        """What the log tells of accounts."""
        return [
            from_bytes(AccountEvent, entry.body) for entry in await self.entries(EntryKind.ACCOUNT)
        ]

    def application(self) -> web.Application:
        """What serves the API."""
        made = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[plain_errors])
        made.add_routes(self.api.routes())
        return made


@dataclass
class Clock:
    """A clock that a test moves: milliseconds of the day, and seconds that only rise."""

    now: Instant = NOON
    seconds: float = 0.0

    def pass_time(self, duration: int) -> None:
        """So many milliseconds pass."""
        self.now = Instant(self.now + duration)
        self.seconds += duration / 1000


@cache
def _empty_database() -> bytes:
    """A migrated database: made once, because it takes a while."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "coordinator.db"
        migrate(path)
        return path.read_bytes()


@asynccontextmanager
async def coordinator(
    directory: Path, *, people: int = 3, units: int = 2, imprint: bool = False
) -> AsyncIterator[CastCoordinator]:
    """A coordinator whose charter is in force, with units out of imprint mode."""
    charter, custodians, cast_units = instance(people, units)
    if not imprint:
        for unit in cast_units:
            unit.leave_imprint(custodians)
    path = directory / "coordinator.db"
    path.write_bytes(_empty_database())
    database = await Database.open(path)
    clock, drawn = Clock(), 0

    def entropy(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return noise(f"drawn {drawn}", size)

    identity, log = signature_key("coordinator"), signature_key("log")
    keys = OwnKeys(identity.identity, identity.sign, log.identity, log.sign)
    ledger = Ledger(database, INSTANCE, keys, now=lambda: clock.now, entropy=entropy)
    driver = CastDriver(cast_units)

    all_known = asyncio.Event()

    async def changed(unit: UnitId) -> None:
        await pursuit.unit_changed(unit)
        if len(met.histories) == len(cast_units):
            all_known.set()

    driven: UnitDriver = driver
    met = Units([driven], database, nonce=lambda: Nonce(entropy(32)), on_change=changed)
    pursuit = Pursuit(ledger, met)
    api = Api(
        ledger,
        met,
        Hasher(**CHEAP),
        practice=True,
        certificate=CERTIFICATE,
        clock=lambda: clock.seconds,
    )
    await ledger.epoch()

    async def in_force(change: Change) -> None:
        await change.propose(charter)
        await change.set_in_force(charter)
        change.log(EntryKind.CHARTER, charter)

    await ledger.change(in_force)
    await met.start()
    await asyncio.wait_for(all_known.wait(), 20)
    pursuing = asyncio.create_task(pursuit.run())
    try:
        yield CastCoordinator(charter, custodians, driver, ledger, met, pursuit, api, clock)
    finally:
        await api.close()
        pursuing.cancel()
        await asyncio.gather(pursuing, return_exceptions=True)
        await met.stop()
        await database.close()
