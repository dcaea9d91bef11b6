"""An instance of real units, and people who sign whatever a ceremony wants next."""

from collections.abc import Sequence
from random import Random

from protocol.ceremony.goals import Exported, Situation, Step, UnitView, next_step
from protocol.ceremony.plan import Plan, Stage
from protocol.charter import Charter
from protocol.commands.bodies import ExportKey, ImportKey, LoadNewRegister
from protocol.identifiers import VP, IdentityKey
from protocol.receipts import Receipt, StateAnswer
from protocol.schema import from_bytes
from protocol.sealing.contribution import vp_of
from protocol.signing.statements import Signed
from tests.cast.charters import KINDS, charter
from tests.cast.commands import signed
from tests.cast.people import ALICE, BOB, CAROL, DAVE, Custodian
from tests.cast.units import CastUnit

PEOPLE = (ALICE, BOB, CAROL, DAVE)
NAMES = ("alice", "bob", "carol")

FROM_PARTS = """
ceremony = "initialise from parts"
administrators = ["alice", "bob", "carol"]
thresholds = { signatures = 2, revocations = 2 }
key = { parts = ["alice", "bob"] }
"""
FROM_RECOVERY = """
ceremony = "initialise from recovery units"
administrators = ["alice", "bob", "carol"]
thresholds = { signatures = 2, revocations = 3 }
"""
RECOVER = 'ceremony = "recover"'
REPLACE = """
ceremony = "replace an administrator"
administrators = ["dave"]
remove = "carol"
"""
CHANGE = """
ceremony = "change thresholds"
thresholds = { signatures = 3, revocations = 3 }
"""


class Instance:
    """Units of the real kind, and everybody who signs whatever a plan wants next."""

    def __init__(self, units: int = 4) -> None:
        self.units = [
            CastUnit(number, kind=KINDS[(number - 1) % len(KINDS)])
            for number in range(1, units + 1)
        ]
        self.charter: Charter = charter(PEOPLE, self.units)
        self.exports: list[Exported] = []
        self.offered: dict[IdentityKey, tuple[VP, ...]] = {
            who.agent: (vp_of(who.part()),) for who in (ALICE, BOB)
        }
        for unit in self.units:
            unit.charter = self.charter.digest

    @property
    def situation(self) -> Situation:
        return Situation(
            charter=self.charter,
            units=tuple(
                UnitView(
                    id=unit.id,
                    type=unit.certificate.type,
                    location=str(unit.certificate.location),
                    state=unit.state,
                    version=unit.memory.version,
                )
                for unit in self.units
            ),
            exports=tuple(self.exports),
            offered=self.offered,
        )

    def by_id(self, ids: Sequence[bytes]) -> list[CastUnit]:
        return [unit for unit in self.units if unit.id in ids]

    def take(self, step: Step, *, only: Sequence[CastUnit] | None = None) -> None:
        """The step's command is signed by all and run on its targets, or on some of them."""
        for unit in self.by_id(step.targets):
            if only is not None and unit not in only:
                continue
            everybody = [who for who in PEOPLE if unit.state.administrator(who.key.ski)]
            match step.body:
                case LoadNewRegister():
                    unit.load([(ALICE, ALICE.part()), (BOB, BOB.part())], everybody)
                case ExportKey(receivers=receivers):
                    self._export(unit, step.body, self.by_id(receivers), everybody)
                case ImportKey():
                    source = next(one for one in self.units if one.key.identity == step.body.source)
                    unit.import_key(source, self._receipt(source, step.body), everybody)
                case _:
                    unit.run(step.body, everybody)

    def _export(
        self,
        source: CastUnit,
        body: ExportKey,
        receivers: list[CastUnit],
        signers: list[Custodian],
    ) -> None:
        command, proofs = source.export_command(receivers, register=body.register)
        assert command.body == body, "the plan's export is the one that the source makes"
        receipt = source.execute(signed(command, signers).but(receivers=proofs))
        assert isinstance(receipt, Receipt), receipt
        versions = {
            answer.unit: answer.version
            for answer in (from_bytes(StateAnswer, one.state.statement) for one in proofs)
        }
        self.exports.append(Exported(command.id, source.key.identity, body.vp, versions))

    @staticmethod
    def _receipt(source: CastUnit, body: ImportKey) -> Signed:
        return next(
            signed_entry
            for signed_entry, entry in zip(source.entries, source.history(), strict=True)
            if isinstance(entry, Receipt) and entry.parsed().id == body.export
        )

    def run(self, plan: Plan, dice: Random | None = None) -> list[Stage]:
        """To the end; with dice, each step reaches only some of its targets. The stages taken."""
        taken: list[Stage] = []
        for _ in range(200):
            step = next_step(plan, self.situation)
            if step is None:
                return taken
            assert isinstance(step, Step), step
            taken.append(step.stage)
            targets = self.by_id(step.targets)
            some = targets if dice is None else dice.sample(targets, dice.randint(1, len(targets)))
            self.take(step, only=some)
        raise AssertionError("it goes on for ever")
