"""The real unit, with real signatures and seals, does what the reference model says.

Hypothesis sends commands of all kinds in all states: good ones, ones with each thing wrong, and
ones that were sent before, alone or mixed. The model says which rules a command breaks and what
the state is afterwards; what must hold whatever happens is checked after every step.
"""

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from protocol.commands import bodies
from protocol.history import verify_history
from protocol.identifiers import DAY, HOUR, MINUTE
from protocol.receipts import Birth, entry_hash
from protocol.sealing.contribution import vp_of
from tests.cast.commands import request_digest
from tests.properties.unit_dice import (
    IN_THE_FIELDS,
    IN_THE_SIGNATURES,
    KINDS,
    ask,
    some_kind,
)
from tests.properties.unit_driver import KEY_USERS, PARTS, POOL, Driver
from tests.properties.unit_model import NOT_IN_IMPRINT_MODE, RULES

STARTS = ["new", "imprint", "ready", "loaded", "committed", "valid", "crowded", "strict", "busy"]
MET: set[str] = set()
"""Which kinds have run and which rules have refused, in any run of the machine."""


class UnitAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver()
        self.unit, self.model = self.driver.unit, self.driver.model
        self.seen = 0
        self.seed = self.thrown = 0

    def dice(self) -> Random:
        """Fresh dice for every step. Runs that differ in one step throw others from there on."""
        self.thrown += 1
        return Random(f"{self.seed} {self.thrown} {self.driver.story.hex()}")

    @initialize(start=st.sampled_from(STARTS), seed=st.integers(0, 1 << 64))
    def begin(self, start: str, seed: int) -> None:
        """Not every run should have to find its way out of imprint mode."""
        self.seed = seed
        if start == "new":
            return
        people, thresholds = (POOL[:8], (2, 5)) if start == "crowded" else (POOL[-4:], (2, 3))
        for who in people:
            self.driver.do(bodies.AddAdministrator(key=who.proven()))
        if start == "imprint":
            return
        signatures, revocations = thresholds
        self.driver.do(bodies.SetThresholds(signatures=signatures, revocations=revocations))
        if start == "strict":
            self.driver.do(bodies.SetAttribute(attribute="zeroize-one", on=False))
        if start == "busy":
            for number, key in enumerate(KEY_USERS[:63]):
                name, rights = f"user {number}", ("unwrap",)
                self.driver.do(bodies.AddKeyUser(name=name, public_key=key, rights=rights))
        if start in ("ready", "crowded", "strict", "busy"):
            return
        self.driver.load(sorted(PARTS)[:2])
        vp = self.unit.state.new.vp
        assert vp is not None
        if start != "loaded":
            self.driver.do(bodies.CommitNewRegister(vp=vp))
        if start == "valid":
            self.driver.do(bodies.SetImmediate(vp=vp))

    # --- rules ------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.imprint)
    @rule()
    def leave_imprint(self) -> None:
        draw = self.dice()
        count = draw.randint(1, 8)
        for who in draw.sample(POOL, len(POOL)):
            if who.key.ski in self.model.administrators:
                continue
            if len(self.model.administrators) < count:
                self.driver.do(bodies.AddAdministrator(key=who.proven()))
        most = len(self.model.administrators)
        signatures, revocations = draw.randint(1, most), draw.randint(1, most)
        self.driver.do(bodies.SetThresholds(signatures=signatures, revocations=revocations))

    @rule()
    def well_signed(self) -> None:
        """Nothing is wrong but perhaps what the commands themselves ask for."""
        draw = self.dice()
        for _ in range(4):
            ask(self.driver, draw, some_kind(self.driver, draw))

    @rule()
    def something_wrong(self) -> None:
        draw = self.dice()
        wrong = draw.choice(draw.choice((IN_THE_FIELDS, IN_THE_SIGNATURES)))
        ask(self.driver, draw, some_kind(self.driver, draw), wrong)

    @precondition(lambda self: self.model.imprint and self.model.administrators)
    @rule()
    def not_in_imprint_mode(self) -> None:
        """What doesn't run in imprint mode, though everybody signs it."""
        draw = self.dice()
        for kind in ("load-new-register", draw.choice(sorted(NOT_IN_IMPRINT_MODE))):
            ask(self.driver, draw, kind, "one more")

    @precondition(lambda self: self.driver.sent)
    @rule()
    def again(self) -> None:
        """What was sent before, as it was."""
        draw = self.dice()
        self.driver.deliver(draw.choice(self.driver.sent))

    @precondition(lambda self: self.driver.sent)
    @rule()
    def again_mixed(self) -> None:
        """A command that was sent before, with signatures and parts that others came with."""
        draw = self.dice()
        old = draw.choice(self.driver.sent[-4:])
        other, command = draw.choice(self.driver.sent), old.parsed()
        more = self.driver.signed_by(command, self.driver.enough(command.body))
        approvals = [*old.approvals, *other.approvals, *more]
        contributions = [*old.contributions, *other.contributions]
        self.driver.deliver(
            old.but(
                approvals=tuple(draw.sample(approvals, len(approvals))[:16]),
                contributions=tuple(draw.sample(contributions, len(contributions))[:8]),
            )
        )

    @rule(what=st.sampled_from(["time", "time", "back", "importer", "importer", "by hand"]))
    def at_the_host(self, what: str) -> None:
        draw = self.dice()
        match what:
            case "time":
                self.unit.pass_time(draw.choice([0, 1, MINUTE, HOUR, 23 * HOUR, DAY]))
            case "back":
                # The mark was written down before; the unit's clock doesn't follow.
                self.unit.tick()
                self.model.clock = self.model.time(self.unit.now)
                self.unit.pass_time(-draw.choice([1, HOUR, 30 * DAY]))
            case "importer":
                for _ in range(draw.choice([1, 1, 1, 20])):
                    self.driver.importer_for(request_digest(draw.randint(0, 40)))
            case "by hand" if self.seen > 12:
                self.unit.zeroize_by_hand()
                self.model.zeroize_by_hand(self.unit.now, self.unit.memory.incarnation.id)
                self.driver.remember_state()

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def the_state_is_the_models(self) -> None:
        memory, state, model = self.unit.memory, self.unit.state, self.model
        assert {one.ski: one.name for one in state.administrators} == model.administrators
        assert state.signature_threshold == model.signatures
        assert state.revocation_threshold == model.revocations
        assert (state.new.state.value, state.new.vp) == model.new
        assert (state.current.state.value, state.current.vp) == model.current
        assert set(state.control_points) == model.points
        assert {one.value for one in state.attributes} == model.attributes
        users = {one.public_key: (one.name, frozenset(one.rights)) for one in state.key_users}
        assert users == model.key_users
        assert (memory.incarnation.number, memory.incarnation.id) == model.life
        assert memory.clock == model.clock
        held = [(one.public.request, one.public.made) for one in memory.importer_keys]
        assert held == model.importers
        for register, key in ((state.new, memory.new_key), (state.current, memory.current_key)):
            assert register.vp == (None if key is None else vp_of(key.reveal()))

    @invariant()
    def every_entry_raises_the_version_by_one_and_names_the_one_before(self) -> None:
        signed = self.unit.entries
        for number, entry in enumerate(self.unit.history(self.seen), start=self.seen + 1):
            assert entry.version == number
            assert entry.previous == (entry_hash(signed[number - 2]) if number > 1 else None)
            assert isinstance(entry, Birth) or entry.before.imprint or entry.approvals
        self.seen = len(signed)
        assert self.unit.memory.version == self.model.version == len(signed)
        assert self.unit.memory.last_receipt == entry_hash(signed[-1])

    @invariant()
    def the_administrators_can_meet_the_thresholds(self) -> None:
        state = self.unit.state
        installed = len(state.administrators)
        assert installed <= 8
        thresholds = (state.signature_threshold, state.revocation_threshold)
        assert thresholds == (0, 0) or all(1 <= one <= installed for one in thresholds)

    @invariant()
    def nothing_shows_a_secret(self) -> None:
        shown = (self.unit.memory, self.unit.seen(), self.driver.answers, self.unit.entries[-2:])
        text = repr(shown)
        data = b"".join(one.statement for one in self.unit.entries[-2:])
        self.driver.answers = []
        for secret in self.driver.secrets:
            assert secret.hex() not in text
            assert repr(secret)[2:-1] not in text
            assert secret not in data

    def teardown(self) -> None:
        """Whoever reads the whole history finds nothing wrong with it."""
        MET.update(self.driver.met)
        history = verify_history(self.unit.entries, self.unit.key.identity)
        assert history.state == self.unit.state
        assert history.state_digest == self.unit.memory.state_digest


def test_the_unit_does_what_the_model_says() -> None:
    MET.clear()
    run_state_machine_as_test(UnitAgainstModel, settings=settings(stateful_step_count=40))
    assert set(KINDS) <= MET, f"the search never ran {sorted(set(KINDS) - MET)}"
    assert len(RULES - MET) <= 3, f"the search is blind: it never met {sorted(RULES - MET)}"
