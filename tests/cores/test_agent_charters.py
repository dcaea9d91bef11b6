"""The charter book: what an agent takes as in force, whatever a coordinator claims."""

from dataclasses import replace

import pytest

from protocol.charter import Floor
from protocol.displayable import InstanceName
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from protocol.unit_identity import fingerprint_of_units
from protocol.violations import Violation
from quorate.exits import Exit
from signer_agent.cli.charter_screens import moving_lines
from signer_agent.objections import Objection
from signer_agent.trust.charters import CharterBook, not_overtaken, own_acceptance
from signer_agent.trust.difference import comparison, differences
from tests.cast.charters import accepts, charter
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, CAROL, DAVE, INSTANCE, MALLORY, Custodian
from tests.cast.units import CastUnit
from tests.cores.desk_world import Desk, World, world_with_desks


def test_the_first_version_needs_everybody_whom_it_names():
    world = World(3, 2)
    bob = Desk(world, BOB)
    bob.accept(world.charter)
    assert not bob.book.in_force
    waiting = bob.book.accession(world.charter.digest, bob.look().histories)
    assert waiting is not None and waiting.waiting_for == {"alice", "carol"}
    bob.accept(world.charter, others=[ALICE])
    assert not bob.book.in_force
    bob.accept(world.charter, others=[CAROL])
    assert bob.book.in_force == {world.charter.digest}


def test_an_acceptance_by_another_key_is_not_counted():
    world = World(3, 1)
    bob = Desk(world, BOB)
    forged = [
        accepts(Custodian(name=one.name, identity=MALLORY.identity, keys=one.keys), world.charter)
        for one in (ALICE, CAROL)
    ]
    bob.book = bob.book.heard(world.charter, tuple(forged))
    bob.accept(world.charter)
    assert not bob.book.in_force
    assert [one.person for one in bob.book.acceptances(world.charter.digest)] == ["bob"]


def test_a_later_version_needs_as_many_people_of_the_one_before_as_the_highest_threshold():
    world, (_, bob, _) = world_with_desks()
    version = charter([*world.people, DAVE], world.units, previous=world.charter)
    bob.accept(version, others=[DAVE])
    assert bob.book.ruling == world.charter, "dave isn't of the version before"
    bob.accept(version, others=[CAROL])
    assert bob.book.ruling == version


def test_what_was_in_force_once_stays_in_force():
    world, (_, bob, _) = world_with_desks()
    assert bob.book.in_force
    bob.book = replace(bob.book, known={world.charter.digest: bob.book.known[world.charter.digest]})
    for unit in world.units:
        unit.zeroize_by_hand()
    bob.look()
    assert bob.book.ruling == world.charter


def test_a_version_of_strangers_does_not_come_into_force_while_units_are_in_imprint_mode():
    world, (_, bob, _) = world_with_desks(initialised=False)
    takeover = charter([MALLORY, DAVE], world.units, previous=world.charter)
    bob.book = bob.book.heard(takeover, (accepts(MALLORY, takeover), accepts(DAVE, takeover)))
    bob.look()
    assert bob.book.in_force == {world.charter.digest}
    assert bob.book.overtaking is None


def test_a_version_that_replaces_the_judges_agents_is_judged_by_their_old_ones():
    world, (_, bob, _) = world_with_desks()
    evil = [
        Custodian(name=one.name, identity=signature_key(f"evil {one.name}"), keys=one.keys)
        for one in world.people
    ]
    swapped = charter(evil, world.units, previous=world.charter)
    after = charter(evil, world.units, previous=swapped)
    book = bob.book.heard(swapped, ()).heard(after, tuple(accepts(one, after) for one in evil))
    bob.book = book
    bob.look()
    assert bob.book.in_force == {world.charter.digest}


def test_a_version_is_not_accepted_on_top_of_one_that_nobody_vouched_for():
    world, (_, bob, _) = world_with_desks()
    evil = charter([*world.people, MALLORY], world.units, previous=world.charter)
    on_top = charter(world.people, world.units, previous=evil)
    book = bob.book.heard(evil, ()).heard(on_top, ())
    found = book.accept(on_top.digest, accepts(BOB, on_top))
    assert isinstance(found, Objection) and found.exit is Exit.ALARM
    assert "version 2 of the charter never came into force" in found.what
    vouched = book.heard(evil, (accepts(ALICE, evil), accepts(CAROL, evil)))
    vouched = vouched.judged(bob.look().histories)
    assert not isinstance(vouched.accept(on_top.digest, accepts(BOB, on_top)), Objection)


def test_a_version_of_another_line_is_not_accepted():
    world, (_, bob, _) = world_with_desks()
    other = charter([BOB, MALLORY], world.units)
    book = bob.book.heard(other, ())
    found = book.accept(other.digest, accepts(BOB, other))
    assert isinstance(found, Objection) and found.exit is Exit.ALARM
    assert other not in book.proposals


def test_a_version_with_a_gap_before_it_is_not_accepted_yet():
    world = World(3, 1)
    second = charter(world.people, world.units, previous=world.charter)
    book = CharterBook(instance=INSTANCE, practice=True).heard(second, ())
    assert book.proposals == ()
    found = book.accept(second.digest, accepts(BOB, second))
    assert isinstance(found, Objection) and "earlier versions" in found.what
    assert book.heard(world.charter, ()).proposals == (world.charter, second)


def test_of_two_versions_that_follow_the_same_one_the_first_in_force_stands():
    world, (_, bob, _) = world_with_desks()
    one = charter([*world.people, DAVE], world.units, previous=world.charter)
    two = charter(world.people, world.units, previous=world.charter, alone=True)
    bob.accept(one, others=[ALICE, CAROL])
    bob.book = bob.book.heard(two, (accepts(ALICE, two), accepts(CAROL, two)))
    bob.look()
    assert bob.book.ruling == one and two.digest not in bob.book.in_force


def test_a_unit_that_left_imprint_mode_under_the_old_version_keeps_the_new_one_out():
    world, (_, bob, _) = world_with_desks(initialised=False)
    version = charter([*world.people, DAVE], world.units, previous=world.charter)
    world.units[0].leave_imprint(world.people)
    bob.accept(version, others=[ALICE, CAROL, DAVE])
    assert bob.book.ruling == world.charter
    waiting = bob.book.accession(version.digest, bob.look().histories)
    assert waiting is not None and waiting.outdated == {world.units[0].id}


def test_a_version_that_cannot_come_into_force_any_more_is_not_accepted():
    """Whoever accepted it could accept nothing in its place."""
    world, (_, bob, _) = world_with_desks(initialised=False)
    version = charter([*world.people, DAVE], world.units, previous=world.charter)
    bob.book = bob.book.heard(version, ())

    def objection() -> Objection | None:
        return not_overtaken(bob.book, version.digest, bob.look().histories.values())

    assert objection() is None
    world.units[0].leave_imprint(world.people)
    found = objection()
    assert found is not None and (found.rule, found.exit) == ("NOT_OVERTAKEN", Exit.REFUSED)
    now = charter([*world.people, DAVE], world.units, previous=world.charter)
    bob.book = bob.book.heard(now, ())
    assert not_overtaken(bob.book, now.digest, bob.look().histories.values()) is None


def test_a_yes_that_the_coordinator_did_not_take_is_at_hand_until_the_version_is_in_force():
    world, (_, bob, _) = world_with_desks()
    version = charter(world.people, world.units, previous=world.charter)
    assert own_acceptance(bob.book, BOB.name) is None
    forged = sign_statement(Label.ACCEPTANCE, version, MALLORY.identity.sign)
    bob.book = bob.book.heard(version, (forged, accepts(ALICE, version)))
    waiting = bob.book.accept(version.digest, accepts(BOB, version))
    assert isinstance(waiting, CharterBook)
    assert own_acceptance(waiting, BOB.name) == accepts(BOB, version)
    bob.book = waiting
    bob.look()
    assert own_acceptance(bob.book, BOB.name) is None


def test_another_coordinator_is_said_in_words():
    old = world_with_desks()[0].charter
    other = signature_key("another").identity
    for named in (old.coordinator.but(identity=other), old.coordinator.but(log=other)):
        said = " ".join(moving_lines(old, old.but(coordinator=named)))
        assert "another coordinator" in said and "can still run until it expires" in said
    moved = old.but(coordinator=old.coordinator.but(url="https://elsewhere.example:7443"))
    assert not list(moving_lines(old, moved))


def test_who_comes_late_judges_older_versions_by_the_thresholds_of_then():
    world, (alice, *_) = world_with_desks()
    second = charter([*world.people, DAVE], world.units, previous=world.charter)
    alice.accept(second, others=[BOB])
    for unit in world.units:
        unit.charter = second.digest
        unit.install([DAVE], [ALICE, BOB])
        from protocol.commands.bodies import SetThresholds

        unit.run(SetThresholds(signatures=3, revocations=3), [ALICE, BOB])
    third = charter([*world.people, DAVE], world.units, previous=second)
    late = Desk(world, DAVE)
    late.book = late.book.heard(
        world.charter, tuple(accepts(one, world.charter) for one in world.people)
    )
    late.book = late.book.heard(second, (accepts(ALICE, second), accepts(BOB, second)))
    late.accept(third, others=[ALICE, BOB, CAROL])
    assert late.book.in_force == {world.charter.digest, second.digest, third.digest}
    assert late.book.ruling == third


def test_who_comes_late_never_sees_a_unit_that_is_gone():
    world, (alice, *_) = world_with_desks(units=2)
    gone = world.units[1]
    second = charter(world.people, world.units[:1], previous=world.charter)
    alice.accept(second, others=[BOB])
    world.units[0].charter = second.digest
    world.out_of_reach.add(gone.id)
    late = Desk(world, CAROL)
    first = tuple(accepts(one, world.charter) for one in world.people)
    late.book = late.book.heard(world.charter, first)
    late.look()
    assert not late.book.in_force, "before the later version is accepted, the unit is missing"
    late.accept(second, others=[ALICE, BOB])
    assert late.book.in_force == {world.charter.digest, second.digest}


def test_a_version_is_not_in_force_while_a_unit_of_it_was_never_seen():
    world = World(3, 2)
    world.out_of_reach.add(world.units[1].id)
    bob = Desk(world, BOB)
    bob.accept(world.charter, others=world.people)
    assert not bob.book.in_force
    world.out_of_reach.clear()
    bob.look()
    assert bob.book.ruling == world.charter


def test_a_charter_of_another_instance_or_with_a_false_proof_breaks_the_protocol():
    world = World(2, 1)
    book = CharterBook(instance=INSTANCE, practice=True)
    with pytest.raises(Violation, match="another instance"):
        replace(book, instance=InstanceName("ledger-us")).heard(world.charter, ())
    with pytest.raises(Violation, match="another instance"):
        replace(book, practice=False).heard(world.charter, ())
    first, second = world.charter.people
    (key,) = first.keys
    stolen = first.but(keys=(key.but(proof=second.keys[0].proof),))
    with pytest.raises(Violation, match="verify"):
        book.heard(world.charter.but(people=(stolen, second)), ())


# --- what people compare --------------------------------------------------------------------------


def chain_of(*versions):
    from protocol.charter import Chain

    return Chain(versions)


def test_the_first_acceptance_compares_words_with_all_others_and_the_hosts():
    world = World(3, 2)
    found = comparison(chain_of(world.charter), None, BOB.name)
    assert found.by_voice == ("alice", "carol")
    (host,) = found.at_hosts
    assert host.fingerprint == fingerprint_of_units(
        world.charter.vendor_roots, [unit.certificate.identity for unit in world.charter.units]
    )
    assert found.differences == () and found.only_before == ()


def test_a_new_person_is_a_difference_and_no_host_is_asked():
    world = World(3, 2)
    version = charter([ALICE, BOB, DAVE], world.units, previous=world.charter)
    found = comparison(chain_of(world.charter, version), world.charter, BOB.name)
    assert found.by_voice == ("alice", "carol", "dave")
    assert found.at_hosts == ()
    said = [(one.what, one.before, one.after) for one in found.differences]
    assert ("carol", "there", "not there") in said
    assert ("dave", "not there", "there") in said
    assert not any(what.startswith("alice") for what, _, _ in said)


def test_a_new_unit_is_compared_at_its_host():
    world = World(2, 1)
    version = charter(world.people, [*world.units, CastUnit(7)], previous=world.charter)
    found = comparison(chain_of(world.charter, version), world.charter, BOB.name)
    (host,) = found.at_hosts
    assert len(host.units) == 2


def test_people_who_were_only_there_in_between_are_named():
    world = World(2, 1)
    between = charter([ALICE, BOB, MALLORY], world.units, previous=world.charter)
    version = charter(world.people, world.units, previous=between)
    found = comparison(chain_of(world.charter, between, version), world.charter, BOB.name)
    assert found.only_before == ("mallory",)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"alone": True}, "one person may be alone"),
        ({"floor": Floor(signatures=3, revocations=2, exit_people=2)}, "least signature threshold"),
        (
            {"floor": Floor(signatures=2, revocations=2, exit_people=3)},
            "people who must sign the exit from imprint mode",
        ),
    ],
)
def test_what_differs_is_said(changes, what):
    world = World(3, 1)
    version = charter(world.people, world.units, **{"previous": world.charter, **changes})
    assert [one.what for one in differences(world.charter, version)] == [what]


def test_another_agent_coordinator_or_log_key_is_said():
    world = World(2, 1)
    moved = Custodian(name=ALICE.name, identity=signature_key("new agent"), keys=ALICE.keys)
    coordinator = world.charter.coordinator.but(
        url="https://elsewhere.example:7443", log=signature_key("new log").identity
    )
    version = charter([moved, BOB], world.units, previous=world.charter, coordinator=coordinator)
    said = [one.what for one in differences(world.charter, version)]
    assert said == ["coordinator's address", "log key", "alice's agent"]


def test_a_receipt_that_moved_on_is_said():
    world = World(2, 1)
    world.units[0].install([ALICE])
    version = charter(world.people, world.units, previous=world.charter)
    (found,) = differences(world.charter, version)
    assert found.what.endswith("its last receipt")
