"""DESIGN §2.5: a unit that was captured, laundered or rolled back is found out from its receipts.

Each unit here has a real history, made by the real state machine; the attacker holds its host where
it takes that. The agent signs nothing for it but zeroize, and says what was found.
"""

from collections.abc import Callable

import pytest

from hsm_backend.unit import machine
from protocol.charter import Floor
from protocol.commands.bodies import (
    AddAdministrator,
    RemoveAdministrator,
    SetControlPoint,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.commands.command import signed_command
from protocol.identifiers import Incarnation, IncarnationId, Signature, StateVersion
from protocol.receipts import Birth, BirthCause, Receipt, entry_hash
from protocol.refusals import Rule
from protocol.schema import to_bytes
from protocol.session.messages import Approve, FileRequest, HistoryPage
from protocol.signing.labels import Label, labelled
from protocol.signing.statements import Signed, sign_statement
from protocol.standing import Ground
from quorate.exits import Exit
from signer_agent.desk.filing import wish
from signer_agent.local.messages import FileWish, Ok
from signer_agent.trust.evidence import AskHistory, AskStates, Question, Reply
from tests.attacks.conftest import Attack
from tests.attacks.victim import Victim, ends_with, says
from tests.cast.charters import charter
from tests.cast.commands import adds, load_of, request_digest
from tests.cast.people import ALICE, BOB, CAROL, MALLORY, Custodian, custodian
from tests.cast.units import CastUnit
from tests.cores.desk_world import World

RAISE = SetThresholds(signatures=3, revocations=2)
POINT = SetControlPoint(point=55, on=True)
TWO_KEYS = custodian("alice", keys=2)
PEOPLE = (ALICE, BOB, CAROL)
Story = Callable[[CastUnit], None]


def second_key(who: Custodian) -> AddAdministrator:
    return AddAdministrator(key=who.proven(who.keys[1]))


def captured(unit: CastUnit) -> None:
    """A stranger gets there before the people do, while nothing needs a signature."""
    unit.install([MALLORY])
    unit.run(SetThresholds(signatures=1, revocations=1), [MALLORY])


def laundered(unit: CastUnit) -> None:
    """The stranger then brings in the people, raises the thresholds and leaves."""
    captured(unit)
    unit.install(PEOPLE, [MALLORY])
    unit.run(RemoveAdministrator(ski=MALLORY.key.ski), [MALLORY])
    unit.run(SetThresholds(signatures=2, revocations=2), [ALICE, BOB])


def taken_out_with_two_keys(unit: CastUnit) -> None:
    """Two keys of one person aren't two people, though the unit can't know."""
    unit.install([TWO_KEYS, BOB, CAROL])
    unit.run(second_key(TWO_KEYS))
    unit.run(SetThresholds(signatures=2, revocations=2), TWO_KEYS.keys)
    unit.run(RemoveAdministrator(ski=TWO_KEYS.keys[1].ski), [BOB, CAROL])


def commanded_with_two_keys(unit: CastUnit) -> None:
    unit.leave_imprint(PEOPLE)
    unit.run(second_key(TWO_KEYS), [BOB, CAROL])
    unit.run(POINT, TWO_KEYS.keys)
    unit.run(RemoveAdministrator(ski=TWO_KEYS.keys[1].ski), [BOB, CAROL])


def left_with_two_keys(unit: CastUnit) -> None:
    """Nobody used both, but one person could have, for longer than a change of key takes."""
    unit.leave_imprint(PEOPLE)
    unit.run(second_key(TWO_KEYS), [BOB, CAROL])
    unit.run(POINT, [BOB, CAROL])
    unit.run(RemoveAdministrator(ski=TWO_KEYS.keys[1].ski), [BOB, CAROL])


def once_below_the_floor(unit: CastUnit) -> None:
    unit.leave_imprint(PEOPLE)
    unit.run(SetThresholds(signatures=1, revocations=1), [ALICE, BOB])
    unit.run(SetThresholds(signatures=2, revocations=2), [CAROL])


def taken_out_below_the_floor(unit: CastUnit) -> None:
    unit.install(PEOPLE)
    unit.run(SetThresholds(signatures=2, revocations=1), [ALICE, BOB])
    unit.run(SetThresholds(signatures=2, revocations=2), [ALICE, BOB])


def under_a_charter_of_their_own(unit: CastUnit) -> None:
    """Two of the people, with a version that was never in force."""
    unit.install(PEOPLE)
    theirs = charter([ALICE, BOB], [unit], floor=Floor(signatures=2, revocations=2, exit_people=2))
    body = SetThresholds(signatures=2, revocations=2)
    unit.run(body, [ALICE, BOB], charter=theirs.digest)


def restored(unit: CastUnit) -> None:
    """Somebody put a backup back."""
    unit.leave_imprint(PEOPLE)
    birth = Birth(
        unit=unit.id,
        incarnation=Incarnation(number=2, id=IncarnationId(bytes(16))),
        version=StateVersion(unit.memory.version + 1),
        previous=unit.last_receipt,
        cause=BirthCause.RESTORE,
        after=unit.state,
        at=unit.now,
    )
    entry = sign_statement(Label.HISTORY, birth, unit.key.sign)
    unit.entries.append(entry)
    unit.memory = unit.memory.but(
        incarnation=birth.incarnation, version=birth.version, last_receipt=entry_hash(entry)
    )


def with_a_stranger(unit: CastUnit) -> None:
    unit.leave_imprint(PEOPLE)
    unit.run(adds(MALLORY), [ALICE, BOB])


STORIES = [
    (captured, Ground.EXIT_BY_TOO_FEW_PEOPLE, "set up by somebody outside your charter"),
    (laundered, Ground.EXIT_BY_TOO_FEW_PEOPLE, "set up by somebody outside your charter"),
    (taken_out_with_two_keys, Ground.EXIT_BY_TOO_FEW_PEOPLE, "2 different people"),
    (commanded_with_two_keys, Ground.ONE_PERSON_MEETS_THRESHOLD, "one person alone"),
    (left_with_two_keys, Ground.ONE_PERSON_MEETS_THRESHOLD, "one person alone"),
    (once_below_the_floor, Ground.FLOOR_BROKEN, "once fell below the charter's least"),
    (taken_out_below_the_floor, Ground.FLOOR_BROKEN, "once fell below the charter's least"),
    (under_a_charter_of_their_own, Ground.CHARTER_UNKNOWN, "never in force"),
    (restored, Ground.RESTORED, "restored from a backup"),
    (with_a_stranger, Ground.STRANGER_INSTALLED, "whom your charter doesn't know"),
]


def world_of(story: Story) -> World:
    """The first unit has this story; the second is as it should be."""
    world = World()
    world.people = (TWO_KEYS, BOB, CAROL)
    world.charter = charter(world.people, world.units)
    return world


def begin(world: World, story: Story) -> None:
    story(world.units[0])
    world.units[1].leave_imprint(world.people)


@pytest.mark.parametrize(
    ("story", "ground", "text"), STORIES, ids=lambda one: getattr(one, "__name__", "")
)
async def test_a_unit_with_a_past(attack: Attack, story: Story, ground: Ground, text: str):
    async with attack(world_of(story), initialised=False) as bob:
        begin(bob.world, story)
        bad, good = bob.world.units
        await bob.hears(bob.world.open(RAISE, targets=[bad]))
        says(await bob.objects(number=1), Exit.ALARM, ground, text, "nothing was signed")
        await only_zeroize(bob, bad, 2)
        await bob.gives(await bob.sees(bob.world.open(RAISE, targets=[good])))


async def only_zeroize(bob: Victim, unit: CastUnit, number: int) -> None:
    """The agent signs zeroize for the unit; where bob is installed, it runs."""
    before = len(bob.evil.given)
    news = bob.world.open(Zeroize(), targets=[unit])
    assert news.request.id == number
    screen = await bob.sees(news)
    assert screen.cautions
    if unit.state.administrator(BOB.key.ski) is None:
        assert not screen.keys
        return
    await bob.gives(screen)
    approve = bob.evil.given[before]
    assert isinstance(approve, Approve)
    command = news.request.command(news.request.progress[0].target)
    sent = signed_command(
        command=to_bytes(command), approvals=(approve.approvals[0].approval,), contributions=()
    )
    assert isinstance(unit.execute(sent), Receipt)
    assert unit.state.imprint


async def test_a_stranger_may_be_removed(attack: Attack):
    async with attack(world_of(with_a_stranger), initialised=False) as bob:
        begin(bob.world, with_a_stranger)
        body = RemoveAdministrator(ski=MALLORY.key.ski)
        screen = await bob.sees(bob.world.open(body, targets=bob.world.units[:1]))
        (roster,) = screen.roster
        assert [one.name for one in roster.administrators if one.person is None] == ["mallory"]
        assert (await bob.gives(screen)).signed_units == 1


async def test_no_part_is_sealed_to_a_captured_unit(attack: Attack):
    async with attack(world_of(laundered), initialised=False) as bob:
        begin(bob.world, laundered)
        body = load_of([(ALICE, ALICE.part()), (BOB, BOB.part())])
        await bob.hears(bob.world.open(body))
        trouble = await bob.objects(number=1)
        says(trouble, Exit.ALARM, Ground.EXIT_BY_TOO_FEW_PEOPLE)
        screen = await bob.sees(bob.world.open(body, targets=bob.world.units[1:]))
        assert (await bob.gives(screen)).sealed_units == 1


async def test_an_exit_before_the_receipt_that_the_charter_names(attack: Attack):
    """The unit had left imprint mode already when the charter was made.

    Its receipts can't name a charter that names them, so they name one that nobody knows.
    """
    world = World()
    for unit in world.units:
        unit.leave_imprint(world.people)
    world.charter = charter(world.people, world.units)
    async with attack(world, initialised=False) as bob:
        await bob.hears(world.open(RAISE))
        says(await bob.objects(number=1), Exit.ALARM, Ground.CHARTER_UNKNOWN, "nothing was signed")


async def test_an_exit_under_an_older_version(attack: Attack):
    """Version 2 is in force and names the receipt; people of version 1 take the unit out."""
    async with attack(initialised=False) as bob:
        world = bob.world
        older = world.charter
        left = [one for one in world.people if one is not CAROL]
        newer = charter(left, world.units, previous=older, coordinator=older.coordinator)
        await bob.accepts(newer, others=[ALICE, CAROL])
        bad, good = world.units
        bad.leave_imprint(world.people)
        good.charter = newer.digest
        good.leave_imprint(left)
        world.charter = newer
        await bob.hears(world.open(POINT, targets=[bad]))
        says(await bob.objects(number=1), Exit.ALARM, Ground.EXIT_AFTER_NEWER_CHARTER)
        await bob.gives(await bob.sees(world.open(POINT, targets=[good])))


# --- older than what was seen -------------------------------------------------------------------


async def test_a_unit_rolled_back_by_its_host(attack: Attack):
    """A raw copy of the unit's directory is put back: the unit can't know, the agent does."""
    async with attack() as bob:
        bad, good = bob.world.units
        memory, entries = bad.memory, list(bad.entries)
        bad.run(POINT, [ALICE, CAROL])
        await bob.looks()
        bad.memory, bad.entries = memory, entries
        await bob.hears(bob.world.open(RAISE, targets=[bad]))
        says(await bob.objects(number=1), Exit.ALARM, Ground.LACKS_WHAT_WAS_SEEN, "rolled back")
        await bob.restart()
        says(await bob.objects(number=1), Exit.ALARM, Ground.LACKS_WHAT_WAS_SEEN, "rolled back")
        await only_zeroize(bob, bad, 2)
        await bob.gives(await bob.sees(bob.world.open(RAISE, targets=[good])))


async def test_a_unit_that_goes_on_otherwise_than_was_seen(attack: Attack):
    async with attack() as bob:
        bad = bob.world.units[0]
        memory, entries = bad.memory, list(bad.entries)
        bad.run(POINT, [ALICE, CAROL])
        await bob.looks()
        bad.memory, bad.entries = memory, entries
        bad.run(Void(), [CAROL])
        bad.run(Void(), [CAROL])
        await bob.hears(bob.world.open(RAISE))
        says(await bob.objects(number=1), Exit.ALARM, Ground.LACKS_WHAT_WAS_SEEN)


async def test_a_unit_that_lacks_what_the_charter_names(attack: Attack):
    """An agent that never saw the lost receipts knows one of them from its charter."""
    async with attack(initialised=False, fresh=True) as bob:
        bad = bob.world.units[0]
        older = bad.memory, list(bad.entries)
        bad.run(adds(ALICE))
        version = charter(
            bob.world.people, bob.world.units, coordinator=bob.world.charter.coordinator
        )
        bob.world.charter = version
        newer = bad.memory, list(bad.entries)
        bad.memory, bad.entries = older
        await bob.accepts(version, others=bob.world.people)
        news = bob.world.open(adds(BOB), targets=bob.world.units[1:])
        await bob.hears(news)
        says(await bob.objects(number=1), Exit.REFUSED, Rule.CHARTER_NOT_IN_FORCE)
        bad.memory, bad.entries = newer
        await bob.looks()
        assert (await bob.shown(1)).charter == 1


# --- histories that don't hold ------------------------------------------------------------------


def dropped(page: HistoryPage) -> HistoryPage:
    return page.but(entries=(page.entries[0], *page.entries[2:], page.entries[-1]))


def swapped(page: HistoryPage) -> HistoryPage:
    one, two, *rest = page.entries
    return page.but(entries=(two, one, *rest))


def doubled(page: HistoryPage) -> HistoryPage:
    return page.but(entries=(page.entries[0], *page.entries))


def rewritten(page: HistoryPage) -> HistoryPage:
    """Signed by somebody, but not by the unit."""
    last = page.entries[-1]
    forged = Signed(
        statement=last.statement,
        signature=Signature(CAROL.identity.sign(labelled(Label.HISTORY, last.statement))),
    )
    return page.but(entries=(*page.entries[:-1], forged))


def of_another(page: HistoryPage) -> HistoryPage:
    other = World(3, 3).units[2]
    other.leave_imprint(PEOPLE)
    for _ in range(3):
        other.run(Void(), [ALICE])
    return page.but(entries=tuple(other.entries[-len(page.entries) :]))


@pytest.mark.parametrize("how", [dropped, swapped, doubled, rewritten, of_another])
async def test_a_history_that_the_coordinator_bends(
    attack: Attack, how: Callable[[HistoryPage], HistoryPage]
):
    async with attack() as bob:
        unit = bob.world.units[0]
        for _ in range(3):
            unit.run(Void(), [ALICE])
        news = bob.world.open(RAISE)

        def answer(question: Question) -> Reply | None:
            reply = bob.world.answer(question)
            bends = isinstance(question, AskHistory) and question.unit == unit.id
            return how(reply) if bends and isinstance(reply, HistoryPage) else reply

        bob.evil.answer = answer
        await bob.hears(news)
        says(await bob.objects(number=1), Exit.ALARM, "HISTORY_HOLDS", "doesn't hold")
        bob.evil.answer = bob.world.answer
        await bob.gives(await bob.shown(1))


async def test_a_history_whose_end_is_withheld(attack: Attack):
    async with attack() as bob:
        unit = bob.world.units[0]
        unit.run(Void(), [CAROL])
        news = bob.world.open(RAISE)

        def answer(question: Question) -> Reply | None:
            if isinstance(question, AskHistory):
                return HistoryPage(ref=0, entries=())
            return bob.world.answer(question)

        bob.evil.answer = answer
        await bob.hears(news)
        says(await bob.objects(number=1), Exit.UNREACHABLE, None, "histories")
        bob.evil.answer = bob.world.answer
        await bob.gives(await bob.shown(1))


async def test_an_endless_history_is_not_fetched(attack: Attack):
    """A unit whose host says that it is at version two thousand million."""
    async with attack() as bob:
        unit = bob.world.units[0]

        def answer(question: Question) -> Reply | None:
            if isinstance(question, AskStates):
                far = unit.memory.but(
                    version=StateVersion(2_000_000_000), last_receipt=request_digest("far")
                )
                signed = machine.answer_state(unit.identity, far, (question.nonce,), unit.now)
                honest = bob.world.answer(question)
                return honest.but(answers=(signed,))
            return bob.world.answer(question)

        await bob.hears(bob.world.open(RAISE))
        bob.evil.answer = answer
        asked = len(bob.evil.asked)
        says(await bob.objects(number=1), Exit.ALARM, None, "history of more than")
        assert not any(isinstance(one, AskHistory) for one in bob.evil.asked[asked:])
        bob.evil.answer = bob.world.answer
        await bob.gives(await bob.shown(1))


async def test_nothing_is_filed_for_such_a_unit_either(attack: Attack):
    async with attack(world_of(captured), initialised=False) as bob:
        begin(bob.world, captured)
        bad, good = bob.world.units
        trouble = await ends_with(
            bob.client.ask(FileWish(wish=wish(SetControlPoint(point=55, on=True), [bad.id])), Ok)
        )
        says(trouble, Exit.ALARM, Ground.EXIT_BY_TOO_FEW_PEOPLE, "nothing was")
        assert not any(isinstance(one, FileRequest) for one in bob.evil.taken)
        await ends_with(bob.client.ask(FileWish(wish=wish(RAISE, [good.id])), Ok))
        assert any(isinstance(one, FileRequest) for one in bob.evil.taken)
