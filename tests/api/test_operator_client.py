"""An operator's client: what it makes of what the coordinator gives, honest or not."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from coordinator.client.calls import Calls
from coordinator.client.profile import Profile
from coordinator.wire.instance import Charters, History
from coordinator.wire.requests import Evidence
from protocol.charter import Charter
from protocol.commands.bodies import SetControlPoint
from protocol.identifiers import Signature, UnitId
from protocol.request import Request, RequestState, TargetProgress
from protocol.schema import from_bytes, to_bytes
from protocol.secrets import Secret
from protocol.signing.statements import Signed
from protocol.violations import Violation
from quorate.exits import Exit, Trouble
from quorate.tls import Fingerprint
from signer_agent.client.operator_client import OperatorClient
from signer_agent.desk.filing import wish
from tests.cast.coordinators import CERTIFICATE
from tests.cast.http import Http
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, INSTANCE

BTC = SetControlPoint(point=66, on=True)


async def operator(http: Http, name: str = "amy", kind: type[Calls] = Calls) -> OperatorClient:
    """Somebody at a machine that knows this very coordinator."""
    await http.headers(name)
    profile = Profile(
        name="default",
        url=http.url,
        account=name,
        instance=INSTANCE,
        practice=True,
        coordinator=http.cast.ledger.keys.identity,
        fingerprint=Fingerprint(CERTIFICATE),
    )
    calls = kind(http.url, profile.fingerprint, Secret(http.tokens[name].encode()))
    return OperatorClient(profile, calls)


@pytest.fixture
async def amy(http: Http) -> AsyncIterator[OperatorClient]:
    async with await operator(http) as client:
        yield client


def bent(signed: Signed) -> Signed:
    """The same, with one bit of its signature turned."""
    return signed.but(
        signature=Signature(signed.signature[:-1] + bytes([signed.signature[-1] ^ 1]))
    )


async def test_units_are_as_their_receipts_say(http: Http, amy: OperatorClient):
    found = {one.unit.unit: one for one in (await amy.units()).units}
    assert amy.verified is False
    for number, unit in enumerate(http.cast.targets):
        assert found[unit].state == http.cast.unit(number).state
        assert (found[unit].in_reach, found[unit].problem) == (True, None)
    assert set(found) == set(http.cast.targets)


async def test_what_was_filed_under_a_key_is_the_accounts_own(http: Http, amy: OperatorClient):
    wanted = wish(BTC, http.cast.targets, "ticket 7").but(idempotency_key="k")
    number = await amy.file(wanted)
    assert await amy.file(wanted) == number
    assert await amy.filed("k") == number
    assert await amy.filed("another") is None
    async with await operator(http, "ann") as ann:
        assert await ann.filed("k") is None
        with pytest.raises(Trouble) as refused:
            await ann.file(wanted)
        assert refused.value.rule == "NOT_YOURS"
        assert refused.value.what.endswith("; nothing was filed")
    request = await amy.request(number)
    assert request is not None
    assert (request.filing.body, request.filing.purpose) == (BTC, "ticket 7")
    assert [one.id for one in await amy.open_requests()] == [number]
    assert await amy.request(99) is None


async def test_results_are_receipts(http: Http, amy: OperatorClient):
    number = await amy.file(wish(BTC, http.cast.targets))
    await http.cast.until(number, RequestState.COLLECTING)
    await http.cast.sign(number, ALICE, BOB)
    await http.cast.until(number, RequestState.EXECUTED)
    done = await amy.results(number)
    assert [one.executed for one in done.units] == [True] * len(http.cast.targets)
    assert done.live is None


async def test_a_charter_of_another_coordinator_is_an_alarm(http: Http):
    class Evil(Calls):
        async def charter(self) -> Charters:
            given = await super().charter()
            (version,) = given.versions
            document = from_bytes(Charter, version.document)
            other = document.coordinator.but(identity=signature_key("mallory").identity)
            bytes_ = to_bytes(document.but(coordinator=other))
            return msgspec.structs.replace(
                given, versions=(msgspec.structs.replace(version, document=bytes_),)
            )

    async with await operator(http, kind=Evil) as amy:
        for asked in (amy.units, amy.charters, amy.parts):
            with pytest.raises(Trouble) as alarm:
                await asked()
            assert alarm.value.exit is Exit.ALARM


async def test_only_the_version_in_force_has_to_name_this_coordinator(http: Http):
    """Where it has taken over, the older ones name the one before."""

    class TookOver(Calls):
        async def charter(self) -> Charters:
            given = await super().charter()
            (version,) = given.versions
            document = from_bytes(Charter, version.document)
            before = document.coordinator.but(identity=signature_key("the one before").identity)
            older = document.but(number=2, previous=document.digest, coordinator=before)
            other = msgspec.structs.replace(version, number=2, document=to_bytes(older))
            return msgspec.structs.replace(given, versions=(other, version))

    async with await operator(http, kind=TookOver) as amy:
        known = await amy.charters()
        assert known.in_force is not None and known.in_force.number == 1
        assert len(known.versions) == 2


async def test_a_history_that_doesnt_hold_is_a_violation(http: Http):
    class Evil(Calls):
        async def unit_history(self, unit: UnitId, after: int = 0) -> History:
            entries = [
                from_bytes(Signed, one) for one in (await super().unit_history(unit)).entries
            ]
            return History(entries=tuple(map(to_bytes, (*entries[:-1], bent(entries[-1])))))

    async with await operator(http, kind=Evil) as amy:
        with pytest.raises(Violation):
            await amy.units()


async def test_signatures_that_dont_hold_are_a_violation(http: Http, amy: OperatorClient):
    class Evil(Calls):
        async def evidence(self, number: int) -> Evidence:
            given = await super().evidence(number)
            request = from_bytes(Request, given.request)
            progress = tuple(map(_bent, request.progress))
            return msgspec.structs.replace(given, request=to_bytes(request.but(progress=progress)))

    number = await amy.file(wish(BTC, http.cast.targets))
    await http.cast.until(number, RequestState.COLLECTING)
    await http.cast.sign(number, ALICE)
    assert (await amy.request(number)) is not None
    async with await operator(http, kind=Evil) as deceived:
        with pytest.raises(Violation):
            await deceived.request(number)


def _bent(progress: TargetProgress) -> TargetProgress:
    (approval,) = progress.approvals
    signature = Signature(approval.signature[:-1] + bytes([approval.signature[-1] ^ 1]))
    return progress.but(approvals=(approval.but(signature=signature),))
