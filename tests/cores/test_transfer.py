"""A recovery unit's key on its way: made, exported, imported, committed, by way of a coordinator.

And what an agent says to exports and imports that aren't what they seem.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.commands.bodies import (
    Body,
    CommitNewRegister,
    ExportKey,
    GenerateRandom,
    Held,
    ImportKey,
    SetImmediate,
    SetThresholds,
    Void,
)
from protocol.identifiers import VP, CommandId, UnitId
from protocol.location import UnitType
from protocol.receipts import Receipt
from protocol.refusals import Refusal, Rule
from protocol.request import Request, RequestState
from protocol.schema import from_bytes
from protocol.session.messages import RequestNews
from protocol.signing.statements import Signed
from protocol.unit_state import RegisterState
from quorate.exits import Exit
from signer_agent.desk.review import Review
from tests.cast.coordinators import CastCoordinator, coordinator
from tests.cast.keys import noise, signature_key
from tests.cast.people import ALICE, BOB, CAROL, MALLORY
from tests.cast.units import CastUnit
from tests.cores.desk_world import Desk, World, world_with_desks

PEOPLE = (ALICE, BOB, CAROL)


# --- all the way, by a coordinator ----------------------------------------------------------------


async def run(cast: CastCoordinator, body: Body, *targets: CastUnit) -> Request:
    """Filed, signed by two, run."""
    filed = await cast.file(body, targets=tuple(sorted(unit.id for unit in targets)))
    await cast.until(filed.id, RequestState.COLLECTING)
    for who in PEOPLE[:2]:
        if (await cast.request(filed.id)).state is RequestState.COLLECTING:
            await cast.sign(filed.id, who)
    return await cast.until(filed.id, RequestState.EXECUTED)


def receipt_of(request: Request, unit: UnitId) -> Receipt:
    progress = request.progress_on(unit)
    assert progress is not None and progress.receipt is not None
    return from_bytes(Receipt, progress.receipt.statement)


def source_and_others(cast: CastCoordinator) -> tuple[CastUnit, list[CastUnit]]:
    units = list(cast.driver.units.values())
    (source,) = (one for one in units if one.certificate.type is UnitType.RECOVERY)
    return source, [one for one in units if one is not source]


def export_of(cast: CastCoordinator, source: CastUnit, others: list[CastUnit]) -> ExportKey:
    vp = source.state.new.vp
    assert vp is not None
    return ExportKey(
        register=Held.NEW,
        vp=vp,
        receivers=tuple(sorted(unit.id for unit in others)),
        vendor_roots=cast.charter.vendor_roots,
    )


async def test_a_random_key_reaches_every_unit(tmp_path: Path):
    async with coordinator(tmp_path, units=4) as cast:
        source, others = source_and_others(cast)
        made = await run(cast, GenerateRandom(), source)
        vp = receipt_of(made, source.id).after.new.vp
        assert vp is not None
        exported = await run(cast, export_of(cast, source, others), source)
        receipt = receipt_of(exported, source.id)
        assert [copy.receiver for copy in receipt.copies] == sorted(one.id for one in others)
        body = ImportKey(export=receipt.parsed().id, source=source.key.identity, vp=vp)
        await run(cast, body, *others)
        await run(cast, CommitNewRegister(vp=vp), source, *others)
        await run(cast, SetImmediate(vp=vp), source, *others)
        for unit in (source, *others):
            assert (unit.state.current.state, unit.state.current.vp) == (RegisterState.VALID, vp)
        keys = {unit.memory.current_key.reveal() for unit in (source, *others)}  # type: ignore[union-attr]
        assert len(keys) == 1


async def test_a_receiver_that_went_on_needs_another_export(tmp_path: Path):
    async with coordinator(tmp_path, units=3) as cast:
        source, others = source_and_others(cast)
        await run(cast, GenerateRandom(), source)
        exported = await run(cast, export_of(cast, source, others), source)
        others[0].run(Void(), [ALICE])
        receipt = receipt_of(exported, source.id)
        vp = receipt.after.new.vp
        assert vp is not None
        body = ImportKey(export=receipt.parsed().id, source=source.key.identity, vp=vp)
        filed = await cast.file(body, targets=(others[0].id,))
        await cast.until(filed.id, RequestState.COLLECTING)
        await cast.sign(filed.id, ALICE)
        ended = await cast.until(filed.id, RequestState.FAILED)
        (one,) = ended.progress
        assert one.refusal is not None
        again = await run(cast, export_of(cast, source, others), source)
        body = body.but(export=receipt_of(again, source.id).parsed().id)
        await run(cast, body, *others)
        assert all(unit.state.new.vp == vp for unit in others)


@pytest.mark.parametrize("case", ["two sources", "to itself", "stranger", "operational"])
async def test_what_no_agent_would_sign_isnt_filed(tmp_path: Path, case: str):
    async with coordinator(tmp_path, units=3) as cast:
        source, others = source_and_others(cast)
        await run(cast, GenerateRandom(), source)
        body: Body = export_of(cast, source, others)
        assert isinstance(body, ExportKey)
        targets: tuple[UnitId, ...] = (source.id,)
        rule = Rule.RECEIVERS
        match case:
            case "two sources":
                targets = tuple(sorted((source.id, others[0].id)))
                rule = Rule.NOT_A_RECOVERY_UNIT
            case "to itself":
                body = body.but(receivers=tuple(sorted((*body.receivers, source.id))))
            case "stranger":
                body = body.but(receivers=(CastUnit(9).id,))
                rule = Rule.UNIT_NOT_IN_CHARTER
            case "operational":
                body = ImportKey(
                    export=CommandId(bytes(32)), source=others[0].key.identity, vp=VP(bytes(32))
                )
                targets, rule = (others[1].id,), Rule.NOT_A_RECOVERY_UNIT
        refused = await cast.try_file(body, targets=targets)
        assert isinstance(refused, Refusal), refused
        assert refused.rule is rule


# --- what an agent says ---------------------------------------------------------------------------


def with_key() -> tuple[World, Desk, CastUnit, list[CastUnit]]:
    """Four units; the recovery unit has made a key. Bob looks at what comes."""
    world, desks = world_with_desks(3, 4)
    (source,) = (one for one in world.units if one.certificate.type is UnitType.RECOVERY)
    source.run(GenerateRandom(), [ALICE])
    return world, desks[1], source, [one for one in world.units if one is not source]


def export_in(world: World, source: CastUnit, receivers: list[CastUnit]) -> ExportKey:
    vp = source.state.new.vp
    assert vp is not None
    return ExportKey(
        register=Held.NEW,
        vp=vp,
        receivers=tuple(sorted(unit.id for unit in receivers)),
        vendor_roots=world.charter.vendor_roots,
    )


def test_an_export_shows_who_would_get_the_key():
    world, bob, source, others = with_key()
    found = bob.reviewed(world.open(export_in(world, source, others[:2]), targets=[source]))
    assert {line.unit for line in found.screen.receivers} == {unit.id for unit in others[:2]}
    assert [line.unit for line in found.screen.left_out] == [others[2].id]
    assert found.screen.title == "export the new master key to 2 units"


def test_a_random_key_is_shown_as_what_it_is():
    world, desks = world_with_desks(3, 4)
    (source,) = (one for one in world.units if one.certificate.type is UnitType.RECOVERY)
    found = desks[1].reviewed(world.open(GenerateRandom(), targets=[source]))
    assert found.screen.title == "make a random master key"
    assert found.screen.needed == 1


Bend = Callable[[World, CastUnit, list[CastUnit]], RequestNews]


def another_vendor(world: World, source: CastUnit, others: list[CastUnit]) -> RequestNews:
    roots = tuple(sorted((*world.charter.vendor_roots, MALLORY.key.identity)))
    body = export_in(world, source, others).but(vendor_roots=roots)
    return world.open(body, targets=[source])


def a_stranger(world: World, source: CastUnit, others: list[CastUnit]) -> RequestNews:
    stranger = CastUnit(9)
    stranger.leave_imprint(PEOPLE)
    world.units = (*world.units, stranger)
    return world.open(export_in(world, source, [stranger]), targets=[source])


def others_proofs(world: World, source: CastUnit, others: list[CastUnit]) -> RequestNews:
    news = world.open(export_in(world, source, others), targets=[source])
    return world.each(news, lambda one: one.but(receivers=one.receivers[1:]))


def swapped_proofs(world: World, source: CastUnit, others: list[CastUnit]) -> RequestNews:
    news = world.open(export_in(world, source, others), targets=[source])
    return world.each(news, lambda one: one.but(receivers=one.receivers[::-1]))


def bound_to_others(world: World, source: CastUnit, others: list[CastUnit]) -> RequestNews:
    news = world.open(export_in(world, source, others), targets=[source])
    other = world.open(export_in(world, source, others), targets=[source])
    (told,) = other.request.progress
    return world.each(
        news, lambda one: one.but(target=one.target.but(importer=told.target.importer))
    )


def keys_of_the_request_before(
    world: World, source: CastUnit, others: list[CastUnit]
) -> RequestNews:
    before = world.open(export_in(world, source, others), targets=[source])
    (old,) = before.request.progress
    news = world.open(export_in(world, source, others), targets=[source])
    return world.each(
        news,
        lambda one: one.but(
            receivers=old.receivers, target=one.target.but(importer=old.target.importer)
        ),
    )


def governed_otherwise(world: World, source: CastUnit, others: list[CastUnit]) -> RequestNews:
    others[0].run(SetThresholds(signatures=3, revocations=3), PEOPLE)
    return world.open(export_in(world, source, others), targets=[source])


def taken_over(world: World, source: CastUnit, others: list[CastUnit]) -> RequestNews:
    """Somebody at its host zeroized a receiver, and set it up as their own."""
    others[0].zeroize_by_hand()
    others[0].leave_imprint([MALLORY], signatures=1, revocations=1)
    return world.open(export_in(world, source, others), targets=[source])


def from_an_operational_unit(world: World, source: CastUnit, others: list[CastUnit]) -> RequestNews:
    body = export_in(world, source, others[1:])
    return world.open(body, targets=[others[0]])


@pytest.mark.parametrize(
    ("bend", "exit_", "rule"),
    [
        (another_vendor, Exit.ALARM, "RECEIVERS_OF_EXPORT"),
        (a_stranger, Exit.ALARM, "RECEIVERS_OF_EXPORT"),
        (others_proofs, Exit.ALARM, "RECEIVERS_OF_EXPORT"),
        (swapped_proofs, Exit.ALARM, "RECEIVERS_OF_EXPORT"),
        (bound_to_others, Exit.ALARM, "RECEIVERS_OF_EXPORT"),
        (keys_of_the_request_before, Exit.ALARM, "RECEIVERS_OF_EXPORT"),
        (governed_otherwise, Exit.REFUSED, "RECEIVER_UNLIKE"),
        (taken_over, Exit.ALARM, None),
        (from_an_operational_unit, Exit.REFUSED, "NOT_A_RECOVERY_UNIT"),
    ],
)
def test_an_export_that_isnt_what_it_seems(bend: Bend, exit_: Exit, rule: str | None):
    world, bob, source, others = with_key()
    objection = bob.objection(bend(world, source, others))
    assert objection.exit is exit_, objection
    assert rule is None or objection.rule == rule, objection


def imported(source: CastUnit, export: Signed, **changes: object) -> ImportKey:
    receipt = from_bytes(Receipt, export.statement)
    command = receipt.parsed()
    assert isinstance(command.body, ExportKey)
    body = ImportKey(export=command.id, source=source.key.identity, vp=command.body.vp)
    return body.but(**changes)


def test_an_import_from_the_charters_recovery_unit_is_signed_and_its_commit_too():
    world, bob, source, others = with_key()
    export = source.export(others, PEOPLE)
    news = world.open(imported(source, export), targets=others)
    assert isinstance(bob.review(news), Review)
    for unit in others:
        unit.import_key(source, export, [ALICE])
    vp = source.state.new.vp
    assert vp is not None
    commit = world.open(CommitNewRegister(vp=vp), targets=[source, *others])
    assert isinstance(bob.review(commit), Review)


@pytest.mark.parametrize("case", ["not exported", "to others", "another key", "no source"])
def test_an_import_that_isnt_what_it_seems(case: str):
    world, bob, source, others = with_key()
    export = source.export(others[1:], PEOPLE)
    body, target = imported(source, export), others[1]
    match case:
        case "not exported":
            body = body.but(export=CommandId(noise("no command")))
        case "to others":
            target = others[0]
        case "another key":
            body = body.but(vp=VP(noise("another key")))
        case "no source":
            body = body.but(source=signature_key("a unit of mallory").identity)
    objection = bob.objection(world.open(body, targets=[target]))
    assert (objection.exit, objection.rule) == (Exit.ALARM, "SOURCE_OF_IMPORT")


def test_the_commit_of_a_key_from_a_unit_that_left_the_charter_is_not_signed():
    """The source was a stranger's all along: the import was signed by one person alone."""
    world, bob, _, others = with_key()
    strange = CastUnit(9, kind=UnitType.RECOVERY)
    strange.leave_imprint(PEOPLE)
    strange.run(GenerateRandom(), [ALICE])
    export = strange.export([others[0]], PEOPLE)
    others[0].import_key(strange, export, [ALICE])
    vp = others[0].state.new.vp
    assert vp is not None
    objection = bob.objection(world.open(CommitNewRegister(vp=vp), targets=[others[0]]))
    assert (objection.exit, objection.rule) == (Exit.ALARM, "SOURCE_OF_IMPORT")
