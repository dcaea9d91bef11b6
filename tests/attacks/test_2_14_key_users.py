"""DESIGN §2.14, §5: who may use keys, and for what. A real unit host, over TLS.

Whom a quorum installed as key users get what it allowed them, from the unit itself, and nobody else
gets anything: no stranger, no administrator, not the coordinator, nobody who overheard a call.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hsm_backend.keys.engine import parse_url
from protocol.commands.bodies import (
    RemoveKeyUser,
    Void,
)
from protocol.identifiers import UnitId
from protocol.keys.answers import (
    CallRefused,
    Items,
    KeyView,
    Stats,
    Unwrapped,
    Wrapped,
)
from protocol.keys.operations import CLOCK_WINDOW, GetStats
from protocol.refusals import Rule
from protocol.schema import to_bytes
from protocol.signing.statements import Signed
from tests.attacks.key_callers import KEY, Caller, two_units_with_payroll
from tests.attacks.served_units import Served, run, seen, served_units
from tests.cast.commands import (
    NOON,
    command_for_state,
    signed,
)
from tests.cast.key_users import (
    BACKUP,
    EVERY_OPERATION,
    PAYROLL,
    new_keys,
    unwraps,
    wraps,
)
from tests.cast.people import ALICE, BOB, CAROL


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Served]:
    async with served_units(tmp_path) as made:
        yield made


async def test_a_key_user_wraps_on_one_unit_and_unwraps_on_another(host: Served):
    async with two_units_with_payroll(host) as (one, other), Caller(host) as caller:
        made = await caller.ask(one, new_keys("k"))
        assert isinstance(made, Items) and isinstance(made.items[0], KeyView)
        wrapped = await caller.ask(one, wraps("k", b"a data key", b"row 7"))
        assert isinstance(wrapped, Items) and isinstance(wrapped.items[0], Wrapped)
        opened = await caller.ask(other, unwraps(wrapped.items[0].blob, b"row 7"))
        assert opened == Items(items=(Unwrapped(data=b"a data key"),))
        files = b"".join(
            file.read_bytes() for file in host.directory.path.glob("*.db*") if file.is_file()
        )
        for secret in (b"a data key", KEY):
            assert secret not in files


async def test_whom_no_quorum_installed_gets_nothing(host: Served):
    async with two_units_with_payroll(host) as (one, _), Caller(host) as caller:
        await caller.ask(one, new_keys("k"))
        for operation in EVERY_OPERATION:
            assert await caller.refused(one, operation, BACKUP) is Rule.KEY_USER_UNKNOWN


async def test_each_does_what_a_quorum_allowed_and_no_longer_than_it_does(host: Served):
    async with (
        two_units_with_payroll(host) as (one, _),
        Caller(host) as caller,
        host.client() as coordinator,
    ):
        await run(coordinator, one, BACKUP.added("unwrap"), ALICE, BOB)
        await caller.ask(one, new_keys("k"))
        wrapped = await caller.ask(one, wraps("k"))
        assert isinstance(wrapped, Items) and isinstance(wrapped.items[0], Wrapped)
        asked = unwraps(wrapped.items[0].blob)
        expected = Items(items=(Unwrapped(data=b"data key"),))
        assert await caller.ask(one, asked, BACKUP) == expected
        for operation in (new_keys("x"), wraps("k"), *EVERY_OPERATION[3:5]):
            assert await caller.refused(one, operation, BACKUP) is Rule.KEY_RIGHT
        removal = RemoveKeyUser(public_key=BACKUP.public_key)
        await run(coordinator, one, removal, ALICE, CAROL)
        assert await caller.refused(one, asked, BACKUP) is Rule.KEY_USER_UNKNOWN
        assert await caller.ask(one, asked) == expected


async def test_a_call_that_was_overheard_is_good_for_nothing(host: Served):
    """At the same unit again, at another, later, changed, and under another's signature."""
    async with two_units_with_payroll(host) as (one, other), Caller(host) as caller:
        await caller.ask(one, new_keys("k"))
        wrapped = await caller.ask(one, wraps("k"))
        assert isinstance(wrapped, Items) and isinstance(wrapped.items[0], Wrapped)
        call = PAYROLL.call(one[0], unwraps(wrapped.items[0].blob))
        overheard = PAYROLL.signed(call)
        assert isinstance(await caller.outcome(one, overheard), Items)
        again = await caller.outcome(one, overheard)
        assert isinstance(again, CallRefused) and again.refusal.rule is Rule.KEY_REQUEST_AGAIN
        assert (await caller.send(other, overheard))[0] == 400
        forged = BACKUP.signed(call.but(user=BACKUP.public_key)).but(signature=overheard.signature)
        assert (await caller.send(one, forged))[0] == 400
        nonce_changed = overheard.but(statement=to_bytes(call.but(nonce=bytes(32))))
        assert (await caller.send(one, nonce_changed))[0] == 400
        for late in (-CLOCK_WINDOW - 1, CLOCK_WINDOW + 1):
            at = NOON + late
            refused = await caller.refused(one, new_keys("k"), at=at)
            assert refused is Rule.KEY_REQUEST_TIME


async def test_the_port_for_key_users_has_no_administration(host: Served):
    """Nor does it let anybody in who has an administrator's or the coordinator's keys."""
    async with (
        two_units_with_payroll(host) as (one, _),
        Caller(host) as caller,
        host.client() as coordinator,
    ):
        before = await seen(coordinator, one)
        voided = signed(command_for_state(Void(), before), [ALICE, BOB])
        there = f"/v1/units/{one[0].hex()}"
        for verb in ("state", "importer-key", "prepare", "execute", "history", "keys/state"):
            assert (await caller.post(f"{there}/{verb}", to_bytes(voided)))[0] == 404
        assert (await caller.post("/v1/units", b""))[0] == 404
        async with caller._session.get("/v1/units") as response:
            assert response.status == 404
        assert (await caller.post(f"{there}/keys", to_bytes(voided)))[0] == 400
        assert await seen(coordinator, one) == before


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x81\xa1a\x01", bytes(2 << 20)], ids=len)
async def test_what_is_no_call_is_answered_with_a_reason(host: Served, body: bytes):
    async with two_units_with_payroll(host) as (one, _), Caller(host) as caller:
        status, reason = await caller.post(f"/v1/units/{one[0].hex()}/keys", body)
        assert status == (413 if len(body) > 1 << 20 else 400) and reason
        status, _ = await caller.post(f"/v1/units/{'00' * 32}/keys", to_bytes(no_call()))
        assert status == 404
        assert isinstance(await caller.ask(one, GetStats()), Stats)


def no_call() -> Signed:
    return PAYROLL.signed(PAYROLL.call(UnitId(bytes(32)), GetStats()))


async def test_without_its_database_keys_wait_and_administration_goes_on(tmp_path: Path):
    """PostgreSQL is out of reach: whoever asks is told to ask again."""
    nowhere = parse_url(f"postgresql://quorate@/keys?host={tmp_path}")
    async with (
        served_units(tmp_path, keys_database=nowhere) as host,
        two_units_with_payroll(host) as (one, _),
        Caller(host) as caller,
    ):
        call = PAYROLL.signed(PAYROLL.call(one[0], new_keys("k")))
        for _ in range(2):
            status, reason = await caller.send(one, call)
            assert status == 503 and b"out of reach" in reason
