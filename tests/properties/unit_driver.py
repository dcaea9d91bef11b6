"""Sends commands to the real unit and to the reference model, and compares what they answer.

Whoever makes a signature, an importer key or a contribution here writes down what is true of it;
so any of them can be sent with any command, again or mixed, and the model still knows.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import note

from protocol.commands import bodies
from protocol.commands.bodies import Body, LoadNewRegister, NamedPart, kind_of
from protocol.commands.command import (
    Approval,
    Command,
    Contribution,
    ReceiverProof,
    SignedCommand,
    signed_command,
)
from protocol.commands.effects import after
from protocol.identifiers import VP, CommandId, Digest, Signature, UnitId
from protocol.location import UnitType
from protocol.receipts import Receipt
from protocol.refusals import Refusal
from protocol.schema import from_bytes, to_bytes
from protocol.sealing import hpke
from protocol.sealing.contribution import SealedPart, sealing_info, vp_of
from protocol.sealing.copies import SealedCopy, open_copy, receivers_of
from protocol.sealing.importer import ImporterKey
from protocol.signing.algorithms import Algorithm
from protocol.signing.labels import Label, labelled
from protocol.signing.statements import Signed, sign_statement
from protocol.violations import Violation
from tests.cast.commands import command_for_state, request_digest
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, CAROL, EVERYBODY, Custodian, custodian
from tests.cast.units import CastUnit
from tests.properties.unit_model import Ask, Export, Part, Receiver, UnitModel

POOL = (
    *EVERYBODY,
    custodian("peter", algorithm=Algorithm.ECDSA_P521_SHA512),
    custodian("hanna", algorithm=Algorithm.ED25519_ML_DSA_65),
)
"""Who may become an administrator."""
NO_KEYS = (bytes(32), bytes([1]) + bytes(31), b"\xff" * 32)
"""Bytes that are no Ed25519 public key: a point of order 4, the neutral one, no point."""
KEY_USERS = tuple(signature_key(f"key user {number}").identity for number in range(70))
"""Who may become a key user."""
BY_SKI: dict[bytes, Custodian] = {who.key.ski: who for who in POOL}

PARTS: dict[VP, tuple[Custodian, bytes]] = {
    vp_of(who.part(title)): (who, who.part(title))
    for who in (ALICE, BOB, CAROL)
    for title in ("one", "two")
}
"""Every key part there is, by VP, with its custodian."""


@dataclass(frozen=True)
class Content:
    """What is known of a contribution by whoever made it."""

    vp: VP
    custodian: bytes
    load: CommandId
    signed: bool
    value: bytes
    opens_for: tuple[CommandId, Digest]


@dataclass(frozen=True)
class Proof:
    """What is known of a receiver's proof by whoever made it."""

    unit: CastUnit
    genuine: bool
    request: Digest
    importer: ImporterKey
    administrators: dict[bytes, str]
    thresholds: tuple[int, int]


@dataclass(frozen=True)
class Exported:
    """What is known of an export's receipt: who signed it, and what its copies hold for whom."""

    signed_by: bytes
    vp: VP
    command: Command
    copies: tuple[tuple[UnitId, Digest, bytes], ...]


class Driver:
    """A unit, a model of it, and what is true of all that was made for it."""

    def __init__(self) -> None:
        self.unit = CastUnit(1, kind=UnitType.RECOVERY)
        life = self.unit.memory.incarnation
        self.model = UnitModel(self.unit.id, (life.number, life.id), self.unit.now)
        self.states: dict[int, Digest] = {}
        self.signatures: set[tuple[bytes, CommandId, bytes]] = set()
        self.importers: dict[Digest, tuple[int, bytes]] = {}
        self.newest_importer: dict[tuple[int, bytes], Digest] = {}
        self.contents: dict[Contribution, Content] = {}
        self.proofs: dict[ReceiverProof, Proof] = {}
        self.named_receivers: dict[Digest, tuple[ReceiverProof, ...]] = {}
        self.exports: dict[Signed, Exported] = {}
        self.secrets: set[bytes] = {part for _, part in PARTS.values()}
        self.sent: list[SignedCommand] = []
        self.answers: list[object] = []
        self.receipts: dict[CommandId, Signed] = {}
        self.refused_for_good: set[CommandId] = set()
        self.story = b""
        """A digest of all that was sent so far."""
        self.met: set[str] = set()
        """Which kinds have run and which rules have refused."""
        self.remember_state()

    def remember_state(self) -> None:
        """After every step: this digest stands for this state version, and no other does."""
        self.states[self.unit.memory.version] = self.unit.memory.state_digest

    # --- making -----------------------------------------------------------------------------------

    def enough(self, body: Body) -> list[Custodian]:
        """As many administrators as the command needs; all, where it needs more than there are."""
        needed = self.model.needed(kind_of(body), want(body))
        return [BY_SKI[ski] for ski in sorted(self.model.administrators)][:needed]

    def signed_by(self, command: Command, who: Sequence[Custodian]) -> list[Approval]:
        """Signatures that verify."""
        approvals = [one.approve(command) for one in who]
        self.signatures |= {(one.ski, command.id, one.signature) for one in approvals}
        return approvals

    def importer_for(self, request: Digest) -> ImporterKey:
        """The unit's importer key for a request in its present state."""
        importer = self.unit.importer_key(request)
        self.model.make_importer(request, self.unit.now)
        self.newest_importer[self.model.version, request] = importer.digest
        self.importers.setdefault(importer.digest, (self.model.version, request))
        self.secrets |= {one.private.reveal() for one in self.unit.memory.importer_keys}
        return importer

    def load_command(
        self, named: Sequence[tuple[VP, Custodian]], **changes: Any
    ) -> tuple[Command, ImporterKey]:
        """A load that names these parts, and the importer key for it."""
        request = request_digest()
        importer = self.importer_for(request)
        parts = tuple(NamedPart(vp=vp, custodian=who.agent) for vp, who in named)
        fields = {"request": request, "importer": importer.digest} | changes
        command = command_for_state(LoadNewRegister(parts=parts), self.unit.seen(), **fields)
        return command, importer

    def give(
        self,
        load: Command,
        reader: ImporterKey,
        vp: VP,
        *,
        value: bytes | None = None,
        who: Custodian | None = None,
        signer: Custodian | None = None,
    ) -> Contribution:
        """A contribution, as it should be or not, and what is true of it."""
        value, who = value or PARTS[vp][1], who or PARTS[vp][0]
        info = sealing_info(load, vp, who.agent)
        sealed = hpke.seal(value, reader.public_key, info=info)
        data = to_bytes(SealedPart(load=load.id, vp=vp, custodian=who.agent, sealed=sealed))
        signature = (signer or who).identity.sign(labelled(Label.CONTRIBUTION, data))
        made = Contribution(statement=data, signature=Signature(signature))
        self.secrets.add(value)
        self.contents[made] = Content(
            vp=vp,
            custodian=who.agent,
            load=load.id,
            signed=signer in (None, who),
            value=value,
            opens_for=(load.id, reader.digest),
        )
        return made

    def proof(self, receiver: CastUnit, request: Digest, *, genuine: bool = True) -> ReceiverProof:
        """A receiver's proof, as it should be or with somebody else's word on the state."""
        made = receiver.proof(request)
        importer = from_bytes(ImporterKey, made.importer.statement)
        if not genuine:
            made = made.but(state=made.importer)
        self.proofs[made] = Proof(
            unit=receiver,
            genuine=genuine,
            request=request,
            importer=importer,
            administrators={one.ski: one.name for one in receiver.state.administrators},
            thresholds=(receiver.state.signature_threshold, receiver.state.revocation_threshold),
        )
        return made

    def name_receivers(self, proofs: Sequence[ReceiverProof]) -> Digest:
        """What an export to these names as its `importer`."""
        digest = receivers_of(tuple(self.proofs[one].importer for one in proofs)).digest
        self.named_receivers[digest] = tuple(proofs)
        return digest

    def exported(
        self, source: CastUnit, receipt: Receipt, keys: Sequence[ImporterKey], value: bytes
    ) -> Signed:
        """A receipt by which this source gives this value to whoever holds these keys."""
        command = receipt.parsed()
        assert isinstance(command.body, bodies.ExportKey)
        made = sign_statement(Label.HISTORY, receipt, source.key.sign)
        self.secrets.add(value)
        self.exports[made] = Exported(
            signed_by=source.key.identity,
            vp=command.body.vp,
            command=command,
            copies=tuple((key.unit, key.digest, value) for key in keys),
        )
        return made

    # --- sending ----------------------------------------------------------------------------------

    def do(self, body: Body) -> None:
        """A command with nothing wrong, other than a load."""
        command = self.unit.command(body)
        self.send(command, self.signed_by(command, self.enough(body)))
        assert command.id in self.model.ran

    def load(self, vps: Sequence[VP]) -> None:
        """A load with nothing wrong."""
        command, importer = self.load_command([(vp, PARTS[vp][0]) for vp in vps])
        given = [self.give(command, importer, vp) for vp in vps]
        self.send(command, self.signed_by(command, self.enough(command.body)), given)
        assert command.id in self.model.ran

    def send(
        self,
        command: Command,
        approvals: Sequence[Approval],
        contributions: Sequence[Contribution] = (),
        *,
        receivers: Sequence[ReceiverProof] = (),
        export: Signed | None = None,
    ) -> None:
        """Sends a new command, and keeps it to be sent again."""
        self.sent.append(
            signed_command(
                command=to_bytes(command),
                approvals=tuple(approvals),
                contributions=tuple(contributions),
            ).but(receivers=tuple(receivers), export=export)
        )
        self.deliver(self.sent[-1])

    def deliver(self, sent: SignedCommand) -> None:
        """Sends to the unit and asks the model."""
        command, memory, entries = sent.parsed(), self.unit.memory, len(self.unit.entries)
        ask = self.in_plain_words(sent, command)
        broken = self.model.objections(ask, self.unit.now)
        # An export's id depends on what HPKE and ECDSA drew; the story must not.
        wants = {name: value for name, value in ask.want.items() if name != "export"}
        told = f"{ask.kind} {wants}, version {ask.version}: {sorted(broken) or 'should run'}"
        note(told)
        self.story = hashlib.sha256(self.story + told.encode()).digest()
        prepared = self.unit.prepare(sent)
        assert self.unit.memory is memory, "prepare changed something"
        answer = self.unit.execute(sent)
        self.answers += [prepared, answer]
        if command.id in self.model.ran:
            assert isinstance(answer, Receipt), f"{answer} instead of the first receipt"
            assert self.unit.receipts[command.id] is self.receipts[command.id]
            assert self.unit.memory is memory, "a redelivered command changed something"
        elif broken:
            assert isinstance(answer, Refusal), f"{ask.kind} ran against {broken}"
            assert answer.rule in broken
            assert answer == prepared
            assert answer.expected and answer.found
            assert self.unit.memory is memory, "a refusal changed something"
            assert len(self.unit.entries) == entries
            self.met.add(answer.rule.value)
            if not answer.facts.can_still_run:
                self.refused_for_good.add(command.id)
        else:
            assert isinstance(answer, Receipt), f"{answer}, where the model has no objection"
            assert prepared is None
            assert command.id not in self.refused_for_good, "it ran after it was refused for good"
            self._executed(answer, command, ask)

    def _executed(self, receipt: Receipt, command: Command, ask: Ask) -> None:
        at, version = self.model.time(self.unit.now), self.model.version
        drawn = receipt.after.new.vp
        self.model.run(ask, self.unit.now, self.unit.memory.incarnation.id, drawn)
        self.remember_state()
        self.met.add(ask.kind)
        self.receipts[command.id] = self.unit.receipts[command.id]
        assert (receipt.at, receipt.version) == (at, version + 1)
        skis = [one.ski for one in receipt.approvals]
        assert skis == sorted({ski for ski, _ in ask.signatures})
        only_the_unit_knew = ask.kind in ("load-new-register", "generate-random")
        loaded = receipt.after.new.vp if only_the_unit_knew else None
        if ask.kind == "generate-random":
            self.its_key_is_new(receipt)
        named = command.body.receivers if isinstance(command.body, bodies.ExportKey) else ()
        assert tuple(copy.receiver for copy in receipt.copies) == named
        for copy in receipt.copies:
            self.opens_for_its_receiver(copy, command)
        assert receipt.after == after(receipt.before, command.body, loaded=loaded)
        for key in (self.unit.memory.new_key, self.unit.memory.current_key):
            if key is not None:
                self.secrets.add(key.reveal())

    def its_key_is_new(self, receipt: Receipt) -> None:
        """A random key is 32 bytes that were never seen before."""
        key = self.unit.memory.new_key
        assert key is not None and len(key.reveal()) == 32
        assert key.reveal() not in self.secrets
        assert receipt.after.new.vp == vp_of(key.reveal())

    def opens_for_its_receiver(self, copy: SealedCopy, command: Command) -> None:
        """What was exported is the register's key, for whoever holds the importer key."""
        assert isinstance(command.body, bodies.ExportKey)
        (held,) = (
            one
            for proof in self.proofs.values()
            if proof.unit.id == copy.receiver and proof.request == command.request
            for one in proof.unit.memory.importer_keys
            if one.public == proof.importer
        )
        value = open_copy(copy, command, command.body.vp, held.private.reveal())
        assert vp_of(value) == command.body.vp

    def _receiver(self, made: ReceiverProof, command: Command) -> Receiver:
        one = self.proofs[made]
        roots = command.body.vendor_roots if isinstance(command.body, bodies.ExportKey) else ()
        return Receiver(
            unit=one.unit.id,
            holds=one.genuine and one.request == command.request and one.unit.vendor.root in roots,
            key=one.importer.digest,
            administrators=one.administrators,
            thresholds=one.thresholds,
        )

    def _export(self, made: Signed) -> Export:
        one = self.exports[made]
        newest = self.newest_importer.get((self.model.version, one.command.request))
        return Export(
            command=one.command.id,
            source=one.signed_by,
            vp=one.vp,
            request=one.command.request,
            copies=tuple(
                (unit, value if key == newest else b"") for unit, key, value in one.copies
            ),
        )

    def in_plain_words(self, sent: SignedCommand, command: Command) -> Ask:
        """What is true of a command, of its signatures and of its parts."""
        parts = []
        for contribution in sent.contributions:
            one = self.contents[contribution]
            opens = one.opens_for == (command.id, command.importer)
            parts.append(
                Part(
                    vp=one.vp,
                    custodian=one.custodian,
                    for_this_load=one.load == command.id,
                    signed_by_custodian=one.signed,
                    value=one.value if opens else None,
                )
            )
        return Ask(
            id=command.id,
            kind=kind_of(command.body),
            want=want(command.body),
            unit=command.unit,
            life=(command.incarnation.number, command.incarnation.id),
            version=command.version,
            state_as_seen=command.state == self.states.get(command.version),
            not_before=command.not_before,
            not_after=command.not_after,
            signatures=tuple(
                (one.ski, (one.ski, command.id, one.signature) in self.signatures)
                for one in sent.approvals
            ),
            request=command.request,
            importer=self.importers.get(command.importer) if command.importer else None,
            parts=tuple(parts),
            receivers=tuple(self._receiver(one, command) for one in sent.receivers),
            signed_for=tuple(
                self._receiver(one, command)
                for one in self.named_receivers.get(command.importer or Digest(b""), ())
            ),
            export=None if sent.export is None else self._export(sent.export),
        )


def want(body: Body) -> dict[str, Any]:
    """A body's parameters in plain words."""
    match body:
        case bodies.AddAdministrator(key=key):
            return {"ski": key.ski, "name": key.claim.administrator, "proven": _proven(body)}
        case bodies.LoadNewRegister(parts=parts):
            return {"parts": [(part.vp, part.custodian) for part in parts]}
        case bodies.AddKeyUser(name=name, public_key=key, rights=rights):
            on_curve = key not in NO_KEYS
            return {"name": name, "public_key": key, "rights": rights, "on_curve": on_curve}
    fields: tuple[str, ...] = type(body).__struct_fields__
    return {name: getattr(body, name) for name in fields}


def _proven(body: bodies.AddAdministrator) -> bool:
    try:
        body.key.check()
    except Violation:
        return False
    return True
