"""A request on its way: filed, opened for cast units, and the events that people and units send."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from coordinator.workflow.course import decide
from coordinator.workflow.events import (
    Approved,
    Contributed,
    Event,
    Opened,
    Prepared,
    Ran,
    SaidNo,
    SaidNoUnit,
)
from coordinator.workflow.filing import new_request
from protocol.charter import Charter
from protocol.commands.bodies import Body, ExportKey, LoadNewRegister, Void
from protocol.commands.command import ReceiverProof, SignedCommand
from protocol.displayable import Purpose, Reason
from protocol.identifiers import Digest, Instant, UnitId
from protocol.receipts import Receipt, RefusalAnswer
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import (
    DEFAULT_VALIDITY,
    Filing,
    Opening,
    Outcome,
    Rejection,
    Request,
    RequestState,
    Target,
    TargetProgress,
)
from protocol.schema import from_bytes
from protocol.sealing.copies import receivers_of
from protocol.sealing.importer import ImporterKey
from protocol.session.messages import UnitApproval, UnitContribution
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.standing import needed_by_people
from tests.cast.commands import NOON, Given, contribution, nonce, request_digest, signed
from tests.cast.keys import SignatureKey
from tests.cast.people import Custodian, approval
from tests.cast.units import CastUnit


def filing(charter: Charter, body: Body, units: Sequence[CastUnit], **changes: Any) -> Filing:
    """A filing by the first person of the charter, for these units."""
    fields: dict[str, Any] = {
        "instance": charter.instance,
        "body": body,
        "targets": tuple(sorted(unit.id for unit in units)),
        "purpose": Purpose("CER-12"),
        "custodian": charter.people[0].agent,
        "account": None,
        "step": None,
        "voids": request_digest("voided") if isinstance(body, Void) else None,
        "valid_for": DEFAULT_VALIDITY,
        "leave_out": False,
        "at": NOON,
        "nonce": nonce("filing"),
    }
    return Filing(**(fields | changes))


class Asked:
    """A request for cast units, and what happens to it. `now` is the coordinator's clock."""

    def __init__(
        self,
        charter: Charter,
        units: Sequence[CastUnit],
        body: Body,
        *,
        number: int = 1,
        now: Instant = NOON,
        **changes: Any,
    ) -> None:
        self.charter = charter
        self.units = {unit.id: unit for unit in units}
        self.now = now
        asked = filing(charter, body, units, **({"nonce": nonce(number)} | changes))
        self.request = new_request(number, asked, None, at=now)

    # --- what happens ---------------------------------------------------------------------------

    def take(self, event: Event, *, at: Instant | None = None) -> Request:
        """An event that isn't refused."""
        decided = self.decide(event, at=at)
        assert isinstance(decided, Request), decided
        self.request = decided
        return decided

    def refuses(self, event: Event, *, at: Instant | None = None) -> Rule:
        """An event that is refused; by which rule."""
        decided = self.decide(event, at=at)
        assert isinstance(decided, Refusal), decided.state
        return decided.rule

    def ignores(self, event: Event, *, at: Instant | None = None) -> bool:
        """Whether an event changes nothing."""
        return self.decide(event, at=at) == self.request

    def decide(self, event: Event, *, at: Instant | None = None) -> Request | Refusal:
        """What the workflow makes of an event; nothing is kept."""
        return decide(self.request, event, self.charter, at=self.now if at is None else at)

    def open(self) -> Self:
        """It is first in line, and its units are as they are now."""
        self.take(self.opened())
        return self

    def sign(self, *people: Custodian) -> Self:
        """These people sign for all units, with their first keys."""
        for who in people:
            self.take(self.approved(who.key))
        return self

    def give(self, *given: Given) -> Self:
        """These key parts come for all units."""
        for one in given:
            self.take(self.contributed(one))
        return self

    def prepare(self) -> Self:
        """All units in reach would run it."""
        self.take(self.prepared())
        return self

    # --- events ---------------------------------------------------------------------------------

    def opened(self, **changes: Any) -> Opened:
        """The opening, for units as they are now."""
        request = self.request
        fields: dict[str, Any] = {
            "filing": request.filing.digest,
            "charter": self.charter.digest,
            "practice": self.charter.practice,
            "targets": request.filing.targets,
            "left_out": (),
            "checkpoint": request_digest("checkpoint"),
            "not_before": self.now,
            "not_after": Instant(self.now + request.filing.valid_for),
            "nonce": nonce(f"opening {request.id}"),
        }
        opening = Opening(**(fields | changes))
        progress = (self._progress(self.units[unit], opening) for unit in opening.targets)
        return Opened(opening, tuple(progress))

    def approved(
        self, key: SignatureKey, *, units: Sequence[UnitId] | None = None, **changes: Any
    ) -> Approved:
        """A key's signatures for all targets or some, over commands that `changes` bend."""
        approvals = tuple(
            UnitApproval(
                unit=one.unit,
                approval=approval(key, self.request.command(one.target).but(**changes)),
            )
            for one in self.request.progress
            if units is None or one.unit in units
        )
        return Approved(key.ski, approvals)

    def contributed(
        self, given: Given, *, units: Sequence[UnitId] | None = None, **changes: Any
    ) -> Contributed:
        """A key part for all targets or some, for loads that `changes` bend."""
        return Contributed(
            tuple(
                UnitContribution(
                    unit=one.unit,
                    contribution=contribution(
                        given,
                        self.request.command(one.target).but(**changes),
                        self._importer(one),
                    ),
                )
                for one in self.request.progress
                if units is None or one.unit in units
            )
        )

    def said_no(self, who: Custodian) -> SaidNo:
        """A custodian's rejection."""
        rejection = Rejection(
            request=self.digest, custodian=who.agent, reason=Reason("not on the agenda"), at=NOON
        )
        return SaidNo(sign_statement(Label.REJECTION, rejection, who.identity.sign))

    def prepared(self, noes: Mapping[UnitId, Rule] | None = None) -> Prepared:
        """The answers of all open units in reach: None but for those that say No."""
        noes = noes or {}
        return Prepared(
            {
                one.unit: self.no(one.unit, noes[one.unit]) if one.unit in noes else None
                for one in self.request.progress
                if one.open and one.reachable
            }
        )

    def ran(self, unit: UnitId) -> Ran:
        """The unit runs it, with all that has come; its receipt."""
        answer = self.units[unit].execute(self.sent(unit), at=self.now)
        assert isinstance(answer, Receipt), answer
        return Ran(unit, self.units[unit].entries[-1])

    def said_no_unit(self, unit: UnitId, rule: Rule) -> SaidNoUnit:
        """The unit's refusal to execute."""
        return SaidNoUnit(unit, *self.no(unit, rule))

    def no(self, unit: UnitId, rule: Rule) -> tuple[Signed, RefusalAnswer]:
        """A unit's signed refusal."""
        cast = self.units[unit]
        refusal = refuse(rule, expected="one thing", found="another")
        answer = RefusalAnswer(
            unit=unit,
            command=self.request.command(self.on(unit).target).id,
            incarnation=cast.memory.incarnation,
            version=cast.memory.version,
            refusal=refusal,
            can_still_run=refusal.facts.can_still_run,
            at=self.now,
        )
        return sign_statement(Label.REFUSAL, answer, cast.key.sign), answer

    # --- what there is --------------------------------------------------------------------------

    def state(self) -> RequestState:
        """Where it is on its way."""
        return self.request.state

    @property
    def digest(self) -> Digest:
        """The request digest."""
        assert self.request.opening is not None
        return self.request.opening.digest

    @property
    def targets(self) -> tuple[UnitId, ...]:
        """The units, in the order of their ids."""
        return tuple(sorted(self.units))

    def on(self, unit: UnitId) -> TargetProgress:
        """How far it is on a unit."""
        found = self.request.progress_on(unit)
        assert found is not None
        return found

    def sent(self, unit: UnitId) -> SignedCommand:
        """The signed command as the unit is sent it."""
        one = self.on(unit)
        sent = signed(self.request.command(one.target), (), one.contributions)
        return sent.but(approvals=one.approvals, receivers=one.receivers)

    def _progress(self, unit: CastUnit, opening: Opening) -> TargetProgress:
        body = self.request.filing.body
        importer: Signed | None = None
        digest: Digest | None = None
        if isinstance(body, LoadNewRegister):
            key = unit.importer_key(opening.digest)
            importer = sign_statement(Label.IMPORTER_KEY, key, unit.key.sign)
            digest = key.digest
        receivers: tuple[ReceiverProof, ...] = ()
        if isinstance(body, ExportKey):
            others = [self.units[one] for one in body.receivers]
            receivers = tuple(one.proof(opening.digest) for one in others)
            digest = receivers_of(
                tuple(from_bytes(ImporterKey, one.importer.statement) for one in receivers)
            ).digest
        needed = needed_by_people(body, unit.state, self.charter)
        assert isinstance(needed, int), needed
        seen = unit.seen()
        return TargetProgress(
            target=Target(
                unit=unit.id,
                incarnation=seen.incarnation,
                version=seen.version,
                state=seen.state_digest,
                importer=digest,
            ),
            state=seen.state,
            needed=needed,
            importer=importer,
            receivers=receivers,
            approvals=(),
            contributions=(),
            outcome=Outcome.OPEN,
            receipt=None,
            refusal=None,
            reachable=True,
        )

    def _importer(self, one: TargetProgress) -> ImporterKey:
        if one.importer is None:  # not a load: a part for it is for nobody
            return self.units[one.unit].importer_key(self.digest)
        return from_bytes(ImporterKey, one.importer.statement)
