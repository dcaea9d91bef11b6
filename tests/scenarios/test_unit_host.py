"""A unit host as its users meet it: a real process over TLS, commands, clients, bad input."""

import asyncio
import json
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hsm_backend.client.driver import Ran, Refused, UnitDriver
from hsm_backend.client.host_client import HostClient
from hsm_backend.durable.steps import Write
from hsm_backend.wire import MAX_REQUEST_BYTES, StateRequest
from protocol.commands.bodies import (
    Body,
    CommitNewRegister,
    LoadNewRegister,
    SetImmediate,
    SetThresholds,
    Void,
)
from protocol.commands.command import SignedCommand, signed_command
from protocol.history import verify_history
from protocol.identifiers import IdentityKey, StateVersion, UnitId
from protocol.receipts import (
    Birth,
    BirthCause,
    Receipt,
    StateAnswer,
    open_entry,
    open_refusal,
    open_state,
)
from protocol.refusals import Rule
from protocol.schema import from_bytes, to_bytes
from protocol.sealing.contribution import vp_of
from protocol.sealing.importer import open_importer_key
from protocol.unit_identity import (
    CertifiedUnit,
    OfferedUnits,
    UnitCertificate,
    fingerprint_of_units,
)
from protocol.unit_state import RegisterState
from protocol.violations import Violation
from quorate import clock, crash_points, tls
from quorate.unavailable import Unavailable
from tests.cast.commands import (
    Signer,
    adds,
    command_for_state,
    contribution,
    load_of,
    nonce,
    request_digest,
    signed,
)
from tests.cast.people import ALICE, BOB, CAROL
from tests.scenarios.unit_hosts import Client, Serving, make_host, quorate, serving

PARTS = ((ALICE, ALICE.part()), (BOB, BOB.part()))
KEY = bytes(a ^ b for a, b in zip(ALICE.part(), BOB.part(), strict=True))
INITIALISATION: tuple[tuple[Body, tuple[Signer, ...]], ...] = (
    (adds(ALICE), ()),
    (adds(BOB), ()),
    (adds(CAROL), ()),
    (SetThresholds(signatures=2, revocations=2), (ALICE, BOB)),
    (load_of(PARTS), (ALICE,)),
    (CommitNewRegister(vp=vp_of(KEY)), (BOB, CAROL)),
    (SetImmediate(vp=vp_of(KEY)), (CAROL,)),
)
FAILOVER = "[eu-gb].[AZ1-CS1].[03].[04]"


@dataclass(frozen=True)
class Unit:
    """One unit through a driver."""

    driver: UnitDriver
    certificate: UnitCertificate

    @property
    def id(self) -> UnitId:
        return self.certificate.unit

    @property
    def identity(self) -> IdentityKey:
        return self.certificate.identity

    async def seen(self) -> StateAnswer:
        answer = open_state(await self.driver.state(self.id, (nonce("seen"),)), self.identity)
        assert answer.nonces == (nonce("seen"),)
        return answer

    async def command(self, body: Body, signers: tuple[Signer, ...] = ()) -> SignedCommand:
        if not isinstance(body, LoadNewRegister):
            return signed(command_for_state(body, await self.seen()), signers)
        made = await self.driver.importer_key(self.id, request_digest())
        importer = open_importer_key(made, self.identity)
        command = command_for_state(body, await self.seen(), importer=importer.digest)
        return signed(command, signers, [contribution(part, command, importer) for part in PARTS])

    async def execute(self, sent: SignedCommand) -> Receipt:
        outcome = await self.driver.execute(self.id, sent)
        assert isinstance(outcome, Ran), open_refusal(outcome.refusal, self.identity)
        receipt = open_entry(outcome.receipt, self.identity)
        assert isinstance(receipt, Receipt)
        return receipt


async def units_of(driver: UnitDriver) -> list[Unit]:
    return [Unit(driver, certified.opened()) for certified in await driver.certificates()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unit-host")


@pytest.fixture(scope="module")
def coordinator(place: Path) -> Client:
    return Client.make(place, "coordinator")


@pytest.fixture(scope="module")
def running(place: Path, coordinator: Client) -> Iterator[Serving]:
    """A host that the tests of this module share; each leaves it serving."""
    make_host(place / "shared", coordinator)
    with serving(place / "shared") as host:
        yield host


@pytest.fixture
async def client(running: Serving, coordinator: Client) -> AsyncIterator[HostClient]:
    async with running.client(coordinator) as client:
        yield client


@pytest.fixture
def own(tmp_path: Path, coordinator: Client) -> Path:
    """A host directory of the test's own."""
    make_host(tmp_path / "own", coordinator)
    return tmp_path / "own"


# --- the main job -------------------------------------------------------------------------------


async def test_two_units_are_initialised_and_remember_it(own: Path, coordinator: Client):
    with serving(own) as host:
        async with host.client(coordinator) as client:
            units = await units_of(client)
            await asyncio.gather(*map(initialise, units))
        code, log = host.end()
    assert code == 0
    assert log.count('"event": "executed"') == 2 * len(INITIALISATION)
    for secret in (KEY, *(part for _, part in PARTS)):
        assert secret.hex() not in log
    with serving(own) as host:
        async with host.client(coordinator) as client:
            for unit in await units_of(client):
                state = (await unit.seen()).state
                assert state.current.state is RegisterState.VALID
                assert state.current.vp == vp_of(KEY)
                assert (state.signature_threshold, len(state.administrators)) == (2, 3)
                entries = await client.history(unit.id, StateVersion(0))
                history = verify_history(entries, unit.identity)
                assert history.state == state
                newer = await client.history(unit.id, StateVersion(6))
                assert newer == entries[6:]


async def initialise(unit: Unit) -> None:
    for body, signers in INITIALISATION:
        sent = await unit.command(body, signers)
        assert await unit.driver.prepare(unit.id, sent) is None
        receipt = await unit.execute(sent)
        assert receipt.parsed().body == body
        assert await unit.execute(sent) == receipt
        assert await unit.driver.prepare(unit.id, sent) is None


async def test_a_refusal_is_an_answer(client: HostClient):
    unit = (await units_of(client))[0]
    sent = await unit.command(CommitNewRegister(vp=vp_of(KEY)))
    outcome = await client.execute(unit.id, sent)
    assert isinstance(outcome, Refused)
    refusal = open_refusal(outcome.refusal, unit.identity)
    assert (refusal.refusal.rule, refusal.command) == (Rule.IMPRINT_MODE, sent.parsed().id)
    prepared = await client.prepare(unit.id, sent)
    assert prepared is not None
    assert open_refusal(prepared, unit.identity).refusal == refusal.refusal


async def test_a_history_longer_than_a_page(client: HostClient):
    unit = (await units_of(client))[1]
    for _ in range(130):
        await unit.execute(await unit.command(Void()))
    entries = await client.history(unit.id, StateVersion(0))
    assert verify_history(entries, unit.identity).last_receipt == (await unit.seen()).last_receipt


# --- who may connect ----------------------------------------------------------------------------


async def test_a_stranger_is_refused(running: Serving, client: HostClient, tmp_path: Path):
    async with running.client(Client.make(tmp_path, "coordinator")) as stranger:
        with pytest.raises(Unavailable, match="is our certificate among its clients"):
            await stranger.certificates()
    assert await client.certificates()


async def test_without_a_certificate_nobody_connects(running: Serving):
    certificate = tls.fingerprint((running.directory / "tls.pem").read_text())
    context = tls.client_context(certificate)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"https://{running.address}/v1/units")


async def test_another_host_is_not_talked_to(running: Serving, coordinator: Client):
    other = HostClient(
        running.address,
        pinned=tls.Fingerprint(bytes(32)),
        certificate=coordinator.certificate,
        key=coordinator.key,
    )
    async with other:
        with pytest.raises(Violation):
            await other.certificates()


async def test_a_host_that_is_not_there(coordinator: Client):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        nobody = HostClient(
            address,
            pinned=tls.Fingerprint(bytes(32)),
            certificate=coordinator.certificate,
            key=coordinator.key,
        )
        async with nobody:
            with pytest.raises(Unavailable, match="can't be reached"):
                await nobody.certificates()


def test_with_no_client_it_says_what_to_do(own: Path):
    (own / "clients" / "coordinator.pem").unlink()
    with serving(own) as host:
        code, errors = host.end()
    assert code == 0
    assert "nobody may connect yet" in errors
    assert str(own / "clients") in errors


async def test_only_a_clients_own_certificate_counts(own: Path, tmp_path: Path):
    """A certificate among the clients may have issued others; they are strangers all the same."""
    issued = issue(own / "clients" / "authority.pem", tmp_path)
    with serving(own) as host:
        async with host.client(issued) as stranger:
            with pytest.raises(Violation, match="403"):
                await stranger.certificates()


def issue(authority: Path, directory: Path) -> Client:
    """A client certificate by a new authority, whose own goes to `authority`."""
    ours, theirs = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    day = datetime.fromtimestamp(clock.now() / 1000, UTC)
    for key, file, subject, is_authority in (
        (ours, authority, name, True),
        (theirs, directory / "issued.pem", x509.Name([]), False),
    ):
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(day - timedelta(days=1))
            .not_valid_after(day + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(ours, hashes.SHA256())
        )
        file.write_bytes(made.public_bytes(Encoding.PEM))
    secret = theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "issued.key").write_bytes(secret)
    return Client(certificate=directory / "issued.pem", key=directory / "issued.key")


# --- bad input (issue 4, §6) --------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """A request that breaks the protocol, and how it is answered."""

    path: str
    body: bytes
    status: int


def bad_requests(unit: str) -> dict[str, Bad]:
    state = to_bytes(StateRequest(nonces=(nonce(1),)))
    many = b"\x81\xa6nonces\xdc\x00\x41" + (b"\xc4\x20" + bytes(32)) * 65
    return {
        "no msgpack": Bad(f"{unit}/state", b"\xc1", 400),
        "nothing": Bad(f"{unit}/state", b"", 400),
        "not canonical": Bad(f"{unit}/history", b"\x81\xa5after\xcc\x01", 400),
        "twice the same key": Bad(f"{unit}/history", b"\x82\xa5after\x01\xa5after\x01", 400),
        "a field too many": Bad(f"{unit}/history", b"\x82\xa5after\x01\xa4more\x01", 400),
        "a negative version": Bad(f"{unit}/history", b"\x81\xa5after\xff", 400),
        "no nonces": Bad(f"{unit}/state", b"\x81\xa6nonces\x90", 400),
        "too many nonces": Bad(f"{unit}/state", many, 400),
        "more after the end": Bad(f"{unit}/state", state + b"\x00", 400),
        "another verb's body": Bad(f"{unit}/execute", state, 400),
        "no command": Bad(
            f"{unit}/execute",
            to_bytes(signed_command(command=b"\xc0", approvals=(), contributions=())),
            400,
        ),
        "too big": Bad(f"{unit}/execute", bytes(MAX_REQUEST_BYTES + 1), 413),
        "an unknown verb": Bad(f"{unit}/zeroise", state, 404),
        "an unknown unit": Bad(f"{'00' * 32}/state", state, 404),
        "no unit id": Bad("7/state", state, 404),
    }


async def test_bad_requests_are_answered_and_the_connection_closed(
    running: Serving, client: HostClient
):
    unit = (await units_of(client))[0]
    before = await client.history(unit.id, StateVersion(0))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=client._context)
    ) as session:
        for name, bad in bad_requests(unit.id.hex()).items():
            url = f"https://{running.address}/v1/units/{bad.path}"
            async with session.post(url, data=bad.body) as answer:
                assert (answer.status, answer.headers["Connection"]) == (bad.status, "close"), name
                assert await answer.text()
    assert await client.history(unit.id, StateVersion(0)) == before


@pytest.mark.parametrize(
    "frame",
    [b"\x16\x03\x01 not TLS at all \r\n\r\n" * 40, b"GET /v1/units HTTP/1.1\r\n\r\n", b""],
    ids=["garbage", "no TLS", "nothing"],
)
async def test_who_speaks_no_tls_is_hung_up_on(running: Serving, client: HostClient, frame: bytes):
    host, _, port = running.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(frame)
    writer.write_eof()
    await reader.read()
    writer.close()
    assert await client.certificates()


async def test_who_speaks_no_http_is_hung_up_on(running: Serving, client: HostClient):
    host, _, port = running.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=client._context)
    writer.write(b"\x00\x01\x02 not HTTP\r\n\r\n")
    assert b" 400 " in await reader.read()
    writer.close()
    assert await client.certificates()


async def test_what_the_host_says_no_to_is_our_violation(client: HostClient):
    with pytest.raises(Violation, match="404"):
        await client.state(UnitId(bytes(32)), (nonce(1),))
    with pytest.raises(Violation, match="400"):
        await client.state((await units_of(client))[0].id, ())


def test_old_tls_is_refused(running: Serving, coordinator: Client):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(coordinator.certificate, coordinator.key)
    host, _, port = running.address.rpartition(":")
    with (
        socket.create_connection((host, int(port))) as plain,
        pytest.raises(ssl.SSLError),
        context.wrap_socket(plain),
    ):
        pass


# --- storage ------------------------------------------------------------------------------------


async def test_a_full_disk_stops_commands_and_nothing_else(own: Path, coordinator: Client):
    with serving(own) as host:
        async with host.client(coordinator) as client:
            unit = (await units_of(client))[0]
            ran = await unit.command(adds(ALICE))
            receipt = await unit.execute(ran)
            before, entries = await unit.seen(), await client.history(unit.id, StateVersion(0))
            sent = await unit.command(adds(BOB))
            unlimited = resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE)
            # Every write to a file fails from here on, as if the disk were full.
            resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
            with pytest.raises(Unavailable, match="state is as it was"):
                await client.execute(unit.id, sent)
            with pytest.raises(Unavailable, match="state is as it was"):
                await client.importer_key(unit.id, request_digest())
            assert (await unit.seen()).but(clock=before.clock) == before
            assert await client.history(unit.id, StateVersion(0)) == entries
            assert await unit.execute(ran) == receipt
            resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, unlimited)
            assert (await unit.execute(sent)).version == before.version + 1


async def test_killed_while_serving_it_gives_the_first_receipt(own: Path, coordinator: Client):
    point = {crash_points.VARIABLE: Write.COMMAND.after_commit}
    with serving(own, environment=point) as host:
        async with host.client(coordinator) as client:
            unit = (await units_of(client))[0]
            sent = await unit.command(adds(ALICE))
            with pytest.raises(Unavailable):
                await client.execute(unit.id, sent)
        host.process.wait(30)
    with serving(own) as host:
        async with host.client(coordinator) as client:
            unit = (await units_of(client))[0]
            assert (await unit.execute(sent)).version == 2
            assert (await unit.seen()).version == 2


def test_one_process_serves_a_directory(running: Serving):
    for command in (("serve", "--port", "0"), ("zeroize", FAILOVER, "--yes-destroy", FAILOVER)):
        done = quorate("unit", command[0], running.directory, *command[1:])
        assert done.returncode == 3
        assert "another process owns" in done.stderr
        assert str(running.process.pid) in done.stderr


# --- at the host --------------------------------------------------------------------------------


async def test_show_prints_what_custodians_compare(running: Serving, client: HostClient):
    file = running.directory.parent / "units"
    done = quorate("unit", "show", running.directory, "--json", "--export", file)
    said = json.loads(done.stdout)
    certified: tuple[CertifiedUnit, ...] = await client.certificates()
    units = [one.opened() for one in certified]
    assert said["address"] == running.address
    assert [one["id"] for one in said["units"]] == [unit.unit.hex() for unit in units]
    expected = fingerprint_of_units(
        [one.vendor_root for one in certified], [unit.identity for unit in units]
    )
    assert said["fingerprint"] == expected.hex()

    offered = from_bytes(OfferedUnits, file.read_bytes()).units
    assert tuple(one.certified for one in offered) == certified
    for one, unit in zip(offered, units, strict=True):
        entry = open_entry(one.last_entry, unit.identity)
        assert entry.version == (await Unit(client, unit).seen()).version

    words = quorate("unit", "show", running.directory, "--unit", FAILOVER).stdout
    alone = fingerprint_of_units([certified[1].vendor_root], [units[1].identity]).hex()
    assert alone in words.replace(" ", "")
    assert "[eu-de]" not in words


async def test_zeroize_by_hand(own: Path, coordinator: Client):
    with serving(own) as host:
        async with host.client(coordinator) as client:
            other, unit = await units_of(client)
            await initialise(unit)
    wrong = quorate("unit", "zeroize", own, FAILOVER, "--yes-destroy", FAILOVER[:-1])
    assert (wrong.returncode, "nothing was destroyed" in wrong.stderr) == (3, True)
    unasked = quorate("unit", "zeroize", own, FAILOVER)
    assert (unasked.returncode, "--yes-destroy LOCATION" in unasked.stderr) == (2, True)
    done = quorate("unit", "zeroize", own, unit.id.hex(), "--yes-destroy", FAILOVER, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["incarnation"] == 2

    with serving(own) as host:
        async with host.client(coordinator) as client:
            unit = Unit(client, unit.certificate)
            assert (await unit.seen()).state.imprint
            entries = await client.history(unit.id, StateVersion(0))
            history = verify_history(entries, unit.identity)
            last = history.entries[-1]
            assert isinstance(last, Birth)
            assert (last.cause, len(history.entries)) == (BirthCause.BY_HAND, 9)
            assert (await Unit(client, other.certificate).seen()).version == 1


def test_clock_shows_a_mark_that_is_ahead(own: Path):
    done = quorate("unit", "clock", own, "--json")
    assert (done.returncode, json.loads(done.stdout)["code"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--unit", "operational"), "TYPE:LOCATION"),
        (("--unit", "hsm:[eu-de].[AZ1-CS1].[00].[03]"), "TYPE:LOCATION"),
        (("--unit", "recovery:[eu-de].[AZ1 CS1].[00].[03]"), "TYPE:LOCATION"),
        (("--unit", "recovery:[eu-de].[AZ1-CS1].[00].[03]:93a0021f"), "eight of 0-9 and A-Z"),
        (("--unit", "recovery:[eu-de].[AZ1-CS1].[00].[03]") * 2, "same location"),
        ((), "--unit"),
    ],
)
def test_init_refuses_what_it_can_not_make(tmp_path: Path, arguments: tuple[str, ...], says: str):
    done = quorate("unit", "init", tmp_path / "new", *arguments)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "new").exists()


def test_flags_and_environment_override_the_file(own: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        (own / "unit.toml").write_text(f'host = "127.0.0.1"\nport = {port}\n')
        done = quorate("unit", "serve", own)
        assert (done.returncode, f"127.0.0.1:{port}" in done.stderr) == (2, True), done.stderr
        with serving(own, environment={"QUORATE_UNIT_SERVE_PORT": "0"}) as host:
            assert not host.address.endswith(f":{port}")
        with serving(own, options=("--port", "0")) as host:
            assert (own / "address").read_text() == f"{host.address}\n"


def test_a_client_that_is_no_certificate(tmp_path: Path):
    (tmp_path / "client.pem").write_text("nothing")
    unit = "recovery:[eu-de].[AZ1-CS1].[00].[03]"
    arguments = ("--unit", unit, "--client", tmp_path / "client.pem")
    done = quorate("unit", "init", tmp_path / "new", *arguments)
    # Where the line breaks depends on how long the path is.
    assert (done.returncode, "isn't one certificate" in " ".join(done.stderr.split())) == (5, True)


def test_two_clients_of_one_name(tmp_path: Path):
    files = [tmp_path / name / "client.pem" for name in ("one", "two")]
    clients = [argument for file in files for argument in ("--client", file)]
    unit = "recovery:[eu-de].[AZ1-CS1].[00].[03]"
    done = quorate("unit", "init", tmp_path / "new", "--unit", unit, *clients)
    assert (done.returncode, "the same name" in done.stderr) == (2, True)
