"""Scripted approval: what a policy names it answers, once; whatever else waits for a person."""

import re
from pathlib import Path
from typing import Any

import pytest

from protocol.commands.bodies import (
    AddKeyUser,
    Body,
    ClearNewRegister,
    CommitNewRegister,
    RemoveKeyUser,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.displayable import AccountName, Purpose, Reason
from protocol.identifiers import DAY, HOUR, VP, Digest, Duration, Instant
from protocol.request import CeremonyStep, Outcome
from protocol.sealing.contribution import vp_of
from protocol.session.messages import Reject, RequestNews
from signer_agent.desk.approve import approve
from signer_agent.desk.policy import (
    AboutKey,
    AboutKeyOfParts,
    Allowed,
    Answer,
    Exactly,
    Policy,
    Use,
    Waits,
    What,
    answer,
    left,
)
from signer_agent.desk.policy_file import BadPolicy, parse_policy
from signer_agent.desk.reject import reject
from signer_agent.desk.review import Review
from tests.cast.charters import charter as make_charter
from tests.cast.commands import load_of, nonce
from tests.cast.people import ALICE, BOB, CAROL, DAVE
from tests.cores.desk_world import World, world_with_desks

PURPOSE = "First initialisation, ticket CER-12"
LOAD = load_of([(ALICE, ALICE.part()), (BOB, BOB.part())])
PARTS = tuple(vp_of(who.part()) for who in (ALICE, BOB))


def allowed(world: World, what: What, **changes: Any) -> Allowed:
    """A rule for bob's signature, once."""
    fields: dict[str, Any] = {
        "targets": tuple(sorted(unit.id for unit in world.units)),
        "purpose": Purpose(PURPOSE),
        "valid_for": Duration(DAY),
        "times": 1,
        "signature": BOB.key.ski,
        "part": None,
    }
    return Allowed(what=what, **(fields | changes))


def policy(world: World, *rules: Allowed, **changes: Any) -> Policy:
    fields: dict[str, Any] = {
        "name": "nightly",
        "filer": ALICE.agent,
        "until": Instant(world.now + 7 * DAY),
    }
    return Policy(allowed=rules, **(fields | changes))


class Night:
    """Bob's agent by night: his policy, and the uses that it has kept."""

    def __init__(self) -> None:
        self.world, (self.alice, self.bob, self.carol) = world_with_desks()
        for unit in self.world.units:
            unit.load([(ALICE, ALICE.part()), (BOB, BOB.part())], [ALICE])
        vp = self.world.units[0].state.new.vp
        assert vp is not None
        self.vp: VP = vp
        self.body: Body = CommitNewRegister(vp=vp)
        self.what: What = AboutKey(command="commit-new-register", vp=vp)
        self.policy = policy(self.world, allowed(self.world, self.what))
        self.uses: tuple[Use, ...] = ()

    def answers(self, news: RequestNews) -> Answer | Waits | None:
        """What the policy says; None where the review already objects."""
        found = self.bob.review(news)
        if not isinstance(found, Review):
            return None
        return answer(self.policy, self.uses, found, now=self.world.now)

    def gives(self, news: RequestNews) -> bool:
        return isinstance(self.answers(news), Answer)

    def keep(self, news: RequestNews) -> Answer:
        """Answers, and keeps the uses first."""
        found = self.answers(news)
        assert isinstance(found, Answer), found
        self.uses += found.uses
        return found

    def open(self, **changes: Any) -> RequestNews:
        """Alice's filing, as the policy names it, but for `changes`."""
        filing = self.world.filing(self.body, **changes)
        return self.world.open(self.body, filing=filing)


def test_what_the_policy_names_is_signed():
    night = Night()
    news = night.open()
    found = night.keep(news)
    assert (found.signature, found.part) == (BOB.key.ski, None)
    assert {use.unit for use in found.uses} == {unit.id for unit in night.world.units}
    review = night.bob.reviewed(news)
    signing = approve(review, night.bob.seat, BOB.key.ski, BOB.key.sign, at=night.world.now)
    assert len(signing.publication.approvals) == 2


ALTERED: dict[str, dict[str, Any]] = {
    "body": {},
    "targets": {},
    "purpose": {"purpose": "Another purpose"},
    "account": {"custodian": None, "account": AccountName("amy")},
    "step": {"step": CeremonyStep(ceremony="init", step=1)},
    "valid for": {"valid_for": Duration(DAY + HOUR)},
    "leave out": {"leave_out": True},
    "instance": {"instance": "ledger-us"},
}


@pytest.mark.parametrize("field", ALTERED)
def test_another_filing_of_the_same_filer_waits(field: str):
    night = Night()
    changes = ALTERED[field]
    match field:
        case "body":
            night.body = ClearNewRegister(vp=night.vp)
        case "targets":
            changes = {"targets": night.world.units[:1]}
    assert not night.gives(night.open(**changes))
    night.body = CommitNewRegister(vp=night.vp)
    assert night.gives(night.open())


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "Another purpose"},
        {"valid_for": Duration(2 * HOUR)},
        {"at": Instant(1)},
        {"nonce": nonce("another")},
        {"leave_out": True},
        {"step": CeremonyStep(ceremony="init", step=1)},
        {"custodian": CAROL.agent},
        {"body": Zeroize()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_filing_altered_on_its_way_waits(change: dict[str, Any]):
    """The coordinator alters one field; the filer's signature doesn't cover it any more."""
    night = Night()
    news = night.open()
    filing = news.request.filing.but(**change)
    opening = news.request.opening
    assert opening is not None
    bent = news.request.but(filing=filing, opening=opening.but(filing=filing.digest))
    assert not night.gives(news.but(request=bent))
    assert night.gives(news)


@pytest.mark.parametrize("field", ["charter", "practice", "targets", "left_out", "checkpoint"])
def test_an_opening_altered_waits(field: str):
    night = Night()
    news = night.open()
    opening = news.request.opening
    assert opening is not None
    first, second = opening.targets
    value: dict[str, Any] = {
        "charter": Digest(bytes(32)),
        "practice": False,
        "targets": (first,),
        "left_out": (second,),
        "checkpoint": Digest(bytes(32)),
    }
    bent = news.request.but(opening=opening.but(**{field: value[field]}))
    assert not night.gives(news.but(request=bent))


@pytest.mark.parametrize("field", ["incarnation", "version", "state", "unit", "importer"])
def test_a_target_altered_waits(field: str):
    night = Night()
    news = night.open()

    def bend(one: Any) -> Any:
        target = one.target
        value: dict[str, Any] = {
            "incarnation": target.incarnation.but(number=9),
            "version": target.version + 1,
            "state": Digest(bytes(32)),
            "unit": night.world.units[0].id,
            "importer": Digest(bytes(32)),
        }
        return one.but(target=target.but(**{field: value[field]}))

    assert not night.gives(night.world.each(news, bend))


def test_a_filing_of_somebody_else_waits():
    night = Night()
    filing = night.world.filing(night.body, by=CAROL)
    news = night.world.open(night.body, by=CAROL, filing=filing)
    assert isinstance(night.bob.review(news), Review)
    assert not night.gives(news)


def test_each_filing_is_answered_once_for_each_target():
    """The coordinator opens the same signed filing again, to get a second set of signatures."""
    night = Night()
    filing = night.world.filing(night.body)
    first = night.world.open(night.body, filing=filing)
    night.keep(first)
    again = night.world.open(night.body, filing=filing)
    found = night.answers(again)
    assert isinstance(found, Waits) and "answered before" in found.why


def test_the_same_request_is_answered_again_after_a_crash_without_a_new_use():
    night = Night()
    news = night.open()
    night.keep(news)
    assert night.keep(news).uses == ()


def test_so_many_times_and_no_more():
    night = Night()
    rule = allowed(night.world, night.what, times=2)
    night.policy = policy(night.world, rule)
    assert left(night.policy, night.uses, now=night.world.now) == 2
    for _ in range(2):
        night.keep(night.open())
    assert left(night.policy, night.uses, now=night.world.now) == 0
    found = night.answers(night.open())
    assert isinstance(found, Waits) and "as often as it may: 2" in found.why


def test_uses_are_counted_by_what_the_rule_says_not_by_the_policys_name():
    night = Night()
    night.keep(night.open())
    night.policy = night.policy.but(name="renamed")
    assert not night.gives(night.open())
    night.policy = policy(night.world, allowed(night.world, night.what, times=2))
    assert night.gives(night.open())


def test_a_policy_ends():
    night = Night()
    news = night.open()
    end = night.world.now
    assert night.gives(news)
    night.policy = night.policy.but(until=end)
    found = night.answers(news)
    assert isinstance(found, Waits) and "ended" in found.why
    assert left(night.policy, (), now=end) == 0


def test_another_key_waits():
    night = Night()
    night.policy = policy(
        night.world,
        allowed(night.world, AboutKey(command="commit-new-register", vp=VP(bytes(32)))),
    )
    assert not night.gives(night.open())


def test_a_key_may_be_named_by_its_parts():
    night = Night()
    what = AboutKeyOfParts(command="commit-new-register", parts=tuple(reversed(PARTS)))
    night.policy = policy(night.world, allowed(night.world, what))
    assert night.gives(night.open())
    other = AboutKeyOfParts(command="commit-new-register", parts=(PARTS[0], vp_of(CAROL.part())))
    night.policy = policy(night.world, allowed(night.world, other))
    assert not night.gives(night.open())
    more = AboutKeyOfParts(command="commit-new-register", parts=(*PARTS, vp_of(CAROL.part())))
    night.policy = policy(night.world, allowed(night.world, more))
    assert not night.gives(night.open())


@pytest.mark.parametrize("by_parts", [True, False])
def test_another_command_about_the_same_key_waits(by_parts: bool):
    night = Night()
    command = "commit-new-register"
    what: What = AboutKey(command=command, vp=night.vp)
    if by_parts:
        what = AboutKeyOfParts(command=command, parts=PARTS)
    night.policy = policy(night.world, allowed(night.world, what))
    assert night.gives(night.open())
    night.body = ClearNewRegister(vp=night.vp)
    assert isinstance(night.bob.review(night.open()), Review)
    assert not night.gives(night.open())


def test_key_users_are_answered_for_exactly_as_they_stand_in_the_file():
    key = "ab" * 32
    text = f"""
name = "nightly"
filer = "{ALICE.agent.hex()}"
until = 2026-11-27T17:00:00Z
[[allow]]
command = "add-key-user"
key-user = "{key}"
name = "payroll"
rights = ["unwrap", "wrap"]
targets = ["{"cd" * 32}"]
purpose = "{PURPOSE}"
times = 1
sign-with = "{BOB.key.ski.hex()}"
[[allow]]
command = "remove-key-user"
key-user = "{key}"
targets = ["{"cd" * 32}"]
purpose = "{PURPOSE}"
times = 1
sign-with = "{BOB.key.ski.hex()}"
"""
    public_key = bytes.fromhex(key)
    assert [rule.what for rule in parse_policy(text).allowed] == [
        Exactly(body=AddKeyUser(name="payroll", public_key=public_key, rights=("unwrap", "wrap"))),
        Exactly(body=RemoveKeyUser(public_key=public_key)),
    ]
    with pytest.raises(BadPolicy, match="rights is a list of texts"):
        parse_policy(text.replace('["unwrap", "wrap"]', '"wrap"'))


def test_only_the_named_key_signs():
    night = Night()
    rule = allowed(night.world, night.what, signature=CAROL.key.ski)
    night.policy = policy(night.world, rule)
    found = night.answers(night.open())
    assert isinstance(found, Waits) and "wanted" in found.why


def test_only_the_named_part_is_given():
    world, (_, bob, _) = world_with_desks()
    night = Night.__new__(Night)
    night.world, night.bob, night.uses = world, bob, ()
    night.body = LOAD
    rule = allowed(world, Exactly(body=LOAD), signature=None, part=PARTS[1])
    night.policy = policy(world, rule)
    found = night.keep(night.open())
    assert (found.signature, found.part) == (None, PARTS[1])
    night.uses = ()
    night.policy = policy(world, rule.but(part=PARTS[0]))
    assert not night.gives(night.open())
    both = rule.but(signature=BOB.key.ski)
    night.policy = policy(world, both)
    found = night.keep(night.open())
    assert (found.signature, found.part) == (BOB.key.ski, PARTS[1])


def test_a_load_of_other_parts_or_in_another_order_waits():
    world, (_, bob, _) = world_with_desks()
    night = Night.__new__(Night)
    night.world, night.bob, night.uses = world, bob, ()
    rule = allowed(world, Exactly(body=LOAD), signature=None, part=PARTS[1])
    night.policy = policy(world, rule)
    for other in (
        load_of([(CAROL, CAROL.part()), (BOB, BOB.part())]),
        LOAD.but(parts=LOAD.parts[::-1]),
    ):
        night.body = other
        assert not night.gives(night.open())


def test_what_is_unusual_waits():
    night = Night()
    news = night.open()
    no = reject(
        news.request, CAROL.agent, Reason("no"), sign=CAROL.identity.sign, at=night.world.now
    )
    assert isinstance(no, Reject)
    rejected = news.but(request=news.request.but(rejections=(no.rejection,)))
    found = night.answers(rejected)
    assert isinstance(found, Waits) and "rejected" in found.why
    gone = news.request.progress[0].unit
    some = night.world.each(
        news, lambda one: one.but(outcome=Outcome.SUPERSEDED) if one.unit == gone else one
    )
    found = night.answers(some)
    assert isinstance(found, Waits) and "open" in found.why
    night.world.out_of_reach.add(gone)
    found = night.answers(news)
    assert isinstance(found, Waits) and "out of reach" in found.why


def test_with_a_live_signature_for_the_same_state_it_waits():
    night = Night()
    night.body, body = ClearNewRegister(vp=night.vp), night.body
    other = night.open()
    signing = approve(
        night.bob.reviewed(other), night.bob.seat, BOB.key.ski, BOB.key.sign, at=night.world.now
    )
    night.bob.memory = night.bob.memory.signed(signing.given)
    night.body = body
    found = night.answers(night.open())
    assert isinstance(found, Waits) and "is out for the same state" in found.why


def test_usual_cautions_do_not_stop_it():
    world, (_, bob, _) = world_with_desks(initialised=False)
    for unit in world.units:
        unit.install(world.people)
    body = SetThresholds(signatures=2, revocations=2)
    night = Night.__new__(Night)
    night.world, night.bob, night.uses, night.body = world, bob, (), body
    night.policy = policy(world, allowed(world, Exactly(body=body)))
    news = night.open()
    assert night.bob.reviewed(news).screen.cautions
    assert night.gives(news)


def test_where_one_person_may_be_alone_that_alone_is_no_reason_to_wait():
    world, (alice,) = world_with_desks(people=1, units=1, initialised=False)
    world.initialise(signatures=1, revocations=1)
    night = Night.__new__(Night)
    night.world, night.bob, night.uses, night.body = world, alice, (), Zeroize()
    rule = allowed(world, Exactly(body=Zeroize()), signature=ALICE.key.ski)
    night.policy = policy(world, rule)
    assert night.gives(night.open())


def test_a_filer_who_left_the_charter_is_not_answered():
    night = Night()
    version = make_charter([BOB, CAROL, DAVE], night.world.units, previous=night.world.charter)
    night.bob.accept(version, others=[CAROL, DAVE, ALICE])
    night.world.charter = version
    assert not night.gives(night.open())


def test_a_void_waits():
    night = Night()
    filing = night.world.filing(Void(), voids=Digest(bytes(32)))
    night.policy = policy(night.world, allowed(night.world, Exactly(body=Void())))
    assert not night.gives(night.world.open(Void(), filing=filing))


# --- the file -------------------------------------------------------------------------------------


def text_of(world: World, **changes: str) -> str:
    """A policy file; a value of "" leaves the line out."""
    top = {
        "name": '"nightly"',
        "filer": f'"{ALICE.agent.hex()}"',
        "until": "2026-12-02T12:00:00Z",
    }
    vps = ", ".join(f'"{vp.hex()}"' for vp in PARTS)
    rule = {
        "command": '"commit-new-register"',
        "key-of-parts": f"[{vps}]",
        "targets": "[" + ", ".join(f'"{unit.id.hex()}"' for unit in world.units) + "]",
        "purpose": f'"{PURPOSE}"',
        "times": "3",
        "sign-with": f'"{BOB.key.ski.hex()}"',
    }
    for name, value in changes.items():
        key = name.replace("_", "-")
        (top if key in top else rule)[key] = value
    lines = [f"{key} = {value}" for key, value in top.items() if value]
    lines.append("[[allow]]")
    lines += [f"{key} = {value}" for key, value in rule.items() if value]
    return "\n".join(lines)


def test_a_policy_is_read_from_its_file():
    night = Night()
    read = parse_policy(text_of(night.world))
    what = AboutKeyOfParts(command="commit-new-register", parts=PARTS)
    assert read == policy(
        night.world, allowed(night.world, what, times=3), until=Instant(1_796_212_800_000)
    )
    night.policy = read
    assert night.gives(night.open())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            {"command": '"set-thresholds"', "signatures": "2", "revocations": "2"},
            Exactly(body=SetThresholds(signatures=2, revocations=2)),
        ),
        ({"command": '"zeroize"'}, Exactly(body=Zeroize())),
        (
            {"command": '"set-immediate"', "key": f'"{PARTS[0].hex()}"'},
            AboutKey(command="set-immediate", vp=PARTS[0]),
        ),
        (
            {
                "command": '"load-new-register"',
                "parts": "["
                + ", ".join(
                    f'{{vp = "{part.vp.hex()}", custodian = "{part.custodian.hex()}"}}'
                    for part in LOAD.parts
                )
                + "]",
            },
            Exactly(body=LOAD),
        ),
    ],
)
def test_every_way_to_name_a_command(changes: dict[str, str], what: What):
    world, _ = world_with_desks()
    read = parse_policy(text_of(world, **{"key_of_parts": "", **changes}))
    assert read.allowed[0].what == what


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": ""}, "has no name"),
        ({"filer": '"alice"'}, "64 hex digits"),
        ({"until": '"soon"'}, "a time with its zone"),
        ({"until": "2026-12-02T12:00:00"}, "a time with its zone"),
        ({"command": '"void"'}, "no policy answers"),
        ({"command": '"set-clock"'}, "no policy answers"),
        ({"command": '"anything"'}, "no policy answers"),
        ({"targets": "[]"}, "targets"),
        ({"targets": '["*"]'}, "64 hex digits"),
        ({"targets": ""}, "has no targets"),
        ({"purpose": ""}, "has no purpose"),
        ({"times": ""}, "has no times"),
        ({"times": "0"}, "times"),
        ({"times": "true"}, "whole number"),
        ({"sign_with": ""}, "gives a signature, a part or both"),
        ({"key_of_parts": ""}, "has no key-of-parts"),
        ({"key_of_parts": f'["{PARTS[0].hex()}"]'}, "parts"),
        ({"key": f'"{PARTS[0].hex()}"'}, "can't have: key-of-parts"),
        ({"valid_for_hours": "999"}, "1 to 168"),
        ({"unless": '"x"'}, "can't have: unless"),
    ],
)
def test_a_file_that_is_not_exact_is_not_used(changes: dict[str, str], says: str):
    world, _ = world_with_desks()
    with pytest.raises(BadPolicy, match=says):
        parse_policy(text_of(world, **changes))


def test_the_example_of_the_page_is_a_policy():
    page = Path(__file__).parents[2] / "docs" / "howto" / "scripted-agents.md"
    (example,) = re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert parse_policy(example).name == "nightly"


def test_what_is_not_toml_is_said():
    with pytest.raises(BadPolicy, match="not TOML"):
        parse_policy("allow =")
