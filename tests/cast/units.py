"""Crypto units in memory: the real state machine, and what a host would keep around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hsm_backend.unit import machine
from hsm_backend.unit.machine import Executed, Fresh, Step
from hsm_backend.unit.memory import Memory, UnitIdentity
from protocol.commands.bodies import Body, ExportKey, Held, ImportKey, SetThresholds
from protocol.commands.command import Command, ReceiverProof, SignedCommand
from protocol.identifiers import (
    VP,
    CommandId,
    Digest,
    IdentityKey,
    IncarnationId,
    Instant,
    UnitId,
)
from protocol.location import Location, UnitType
from protocol.receipts import Entry, Receipt, StateAnswer, open_entry, open_state
from protocol.refusals import Refusal
from protocol.schema import from_bytes
from protocol.sealing.copies import receivers_of
from protocol.sealing.hpke import PRIVATE_KEY_BYTES, seal
from protocol.sealing.importer import ImporterKey
from protocol.secrets import Secret
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.unit_identity import CertifiedUnit, UnitCertificate, unit_id
from protocol.unit_state import UnitState
from tests.cast.commands import (
    NOON,
    SOME_CHARTER,
    Given,
    Signer,
    adds,
    command_for_state,
    contribution,
    load_of,
    nonce,
    request_digest,
    signed,
)
from tests.cast.keys import SignatureKey, noise, signature_key
from tests.cast.people import Custodian


@dataclass(frozen=True)
class Vendor:
    """Who made the units: a root key that certifies them."""

    key: SignatureKey

    @property
    def root(self) -> IdentityKey:
        """What the charter names."""
        return self.key.identity

    def certify(self, certificate: UnitCertificate) -> Signed:
        """The certificate, signed."""
        return sign_statement(Label.UNIT_CERTIFICATE, certificate, self.key.sign)


VENDOR = Vendor(signature_key("vendor root"))


class CastUnit:
    """A crypto unit with its memory, its history and its receipts by command id.

    `now` is its host's clock; `charter` is what its commands name unless a test says otherwise.
    """

    def __init__(
        self,
        number: int = 1,
        *,
        kind: UnitType = UnitType.OPERATIONAL,
        zone: str | None = None,
        vendor: Vendor = VENDOR,
        now: Instant = NOON,
    ) -> None:
        self.key = signature_key(f"unit {number}")
        self.vendor = vendor
        self.certificate = UnitCertificate(
            identity=self.key.identity,
            serial=f"93A0{number:04}",
            type=kind,
            location=Location(
                region="eu-de", zone=zone or f"AZ{number}-CS1", module=0, domain=number
            ),
            made=now,
        )
        self.identity = UnitIdentity(unit=unit_id(self.key.identity), type=kind, sign=self.key.sign)
        self.now = now
        self.charter: Digest = SOME_CHARTER
        self.entries: list[Signed] = []
        self.receipts: dict[CommandId, Signed] = {}
        self._drawn = 0
        self.memory: Memory
        self._keep(machine.be_made(self.identity, incarnation=self._fresh(), now=now))

    @property
    def id(self) -> UnitId:
        """The unit's id."""
        return self.identity.unit

    @property
    def state(self) -> UnitState:
        """The state document."""
        return self.memory.state

    @property
    def last_receipt(self) -> Digest:
        """The hash of the last entry of its history."""
        return self.memory.last_receipt

    def history(self, start: int = 0) -> list[Entry]:
        """All entries, or those from `start` on, opened."""
        return [open_entry(one, self.key.identity) for one in self.entries[start:]]

    def seen(self) -> StateAnswer:
        """What the unit answers to who asks for its state."""
        answer = machine.answer_state(self.identity, self.memory, (nonce("state"),), self.now)
        return open_state(answer, self.key.identity)

    def pass_time(self, milliseconds: int) -> None:
        """The host's clock goes on."""
        self.now = Instant(self.now + milliseconds)

    # --- commands: made, sent, or both ---------------------------------------------------------

    def command(self, body: Body, **changes: Any) -> Command:
        """A command for this unit as it is now."""
        return command_for_state(body, self.seen(), **({"charter": self.charter} | changes))

    def execute(self, sent: SignedCommand, *, at: Instant | None = None) -> Receipt | Refusal:
        """What the unit answers; a receipt's effect is kept, a first receipt is given again."""
        done = machine.execute(
            self.identity,
            self.memory,
            sent,
            find_receipt=self.receipts.get,
            fresh=self._random(),
            now=self._at(at),
        )
        if isinstance(done, Refusal):
            return done
        self._keep_executed(sent.parsed().id, done)
        receipt = open_entry(done.receipt, self.key.identity)
        assert isinstance(receipt, Receipt)
        return receipt

    def prepare(self, sent: SignedCommand, *, at: Instant | None = None) -> Refusal | None:
        """What the unit says to a command before it runs."""
        return machine.prepare(self.identity, self.memory, sent, self._at(at))

    def run(
        self,
        body: Body,
        signers: Sequence[Signer] = (),
        *,
        at: Instant | None = None,
        **changes: Any,
    ) -> Receipt:
        """Signs a command, sends it and expects a receipt."""
        answer = self.execute(signed(self.command(body, **changes), signers), at=at)
        assert isinstance(answer, Receipt), answer
        return answer

    def refusal(
        self,
        body: Body,
        signers: Sequence[Signer] = (),
        *,
        at: Instant | None = None,
        **changes: Any,
    ) -> Refusal:
        """Signs a command, sends it and expects to be refused, by prepare and execute alike."""
        return self.refuses(signed(self.command(body, **changes), signers), at=at)

    def refuses(self, sent: SignedCommand, *, at: Instant | None = None) -> Refusal:
        """Expects to be refused, by prepare and execute alike, and that nothing has changed."""
        before, entries = self.memory, len(self.entries)
        prepared, answer = self.prepare(sent, at=at), self.execute(sent, at=at)
        assert isinstance(answer, Refusal), answer
        assert prepared == answer
        assert self.memory is before
        assert len(self.entries) == entries
        return answer

    def importer_key(self, request: Digest) -> ImporterKey:
        """The unit's importer key for a request in its present state."""
        private = Secret(noise(f"importer {self.id.hex()} {self._draw()}", PRIVATE_KEY_BYTES))
        self.memory, public = machine.make_importer_key(
            self.identity, self.memory, request, private=private, now=self.now
        )
        return public

    def load_command(self, given: Sequence[Given], **changes: Any) -> tuple[Command, ImporterKey]:
        """A load of these parts, and the importer key that it names."""
        request = changes.setdefault("request", request_digest())
        importer = self.importer_key(request)
        changes.setdefault("importer", importer.digest)
        return self.command(load_of(given), **changes), importer

    def sealed_load(
        self, given: Sequence[Given], signers: Sequence[Signer] = (), **changes: Any
    ) -> SignedCommand:
        """A load of these parts with all that it needs, each part sealed by who gives it."""
        load, importer = self.load_command(given, **changes)
        return signed(load, signers, [contribution(one, load, importer) for one in given])

    def load(self, given: Sequence[Given], signers: Sequence[Signer], **changes: Any) -> Receipt:
        """Loads the new register and expects a receipt."""
        answer = self.execute(self.sealed_load(given, signers, **changes))
        assert isinstance(answer, Receipt), answer
        return answer

    # --- keys of recovery units -----------------------------------------------------------------

    def proof(self, request: Digest) -> ReceiverProof:
        """What proves this unit, as it is now, a receiver of the export with this request."""
        importer = self.importer_key(request)
        answer = machine.answer_state(self.identity, self.memory, (nonce("proof"),), self.now)
        return ReceiverProof(
            certified=CertifiedUnit(
                certificate=self.vendor.certify(self.certificate), vendor_root=self.vendor.root
            ),
            state=answer,
            importer=sign_statement(Label.IMPORTER_KEY, importer, self.key.sign),
        )

    def export_command(
        self, receivers: Sequence["CastUnit"], register: Held = Held.NEW, **changes: Any
    ) -> tuple[Command, tuple[ReceiverProof, ...]]:
        """An export of the register's key to these units, and the proofs that it needs."""
        in_order = sorted(receivers, key=lambda one: one.id)
        request = changes.setdefault("request", request_digest())
        proofs = tuple(one.proof(request) for one in in_order)
        importers = tuple(from_bytes(ImporterKey, proof.importer.statement) for proof in proofs)
        holder = self.state.new if register is Held.NEW else self.state.current
        body = ExportKey(
            register=register,
            vp=holder.vp or VP(bytes(32)),
            receivers=tuple(one.id for one in in_order),
            vendor_roots=tuple(sorted({one.vendor.root for one in in_order})),
        )
        changes.setdefault("importer", receivers_of(importers).digest)
        return self.command(body, **changes), proofs

    def export(
        self, receivers: Sequence["CastUnit"], signers: Sequence[Signer], **changes: Any
    ) -> Signed:
        """Exports the key to these units; the signed receipt."""
        command, proofs = self.export_command(receivers, **changes)
        answer = self.execute(signed(command, signers).but(receivers=proofs))
        assert isinstance(answer, Receipt), answer
        return self.entries[-1]

    def import_command(self, source: "CastUnit", export: Signed, **changes: Any) -> SignedCommand:
        """An unsigned import of what the source exported."""
        receipt = open_entry(export, source.key.identity)
        assert isinstance(receipt, Receipt)
        done = receipt.parsed()
        assert isinstance(done.body, ExportKey)
        body = ImportKey(export=done.id, source=source.key.identity, vp=done.body.vp)
        return signed(self.command(body, **changes), []).but(export=export)

    def import_key(self, source: "CastUnit", export: Signed, signers: Sequence[Signer]) -> Receipt:
        """Imports what the source exported, and expects a receipt."""
        sent = self.import_command(source, export)
        by = signed(sent.parsed(), signers).but(export=export)
        answer = self.execute(by)
        assert isinstance(answer, Receipt), answer
        return answer

    # --- the usual beginnings ------------------------------------------------------------------

    def install(self, people: Sequence[Custodian], signers: Sequence[Signer] = ()) -> None:
        """Adds these administrators; out of imprint mode somebody has to sign."""
        for who in people:
            self.run(adds(who), signers)

    def leave_imprint(
        self, people: Sequence[Custodian], *, signatures: int = 2, revocations: int = 2
    ) -> Receipt:
        """Adds these administrators and sets the thresholds, signed by the first of them."""
        self.install(people)
        body = SetThresholds(signatures=signatures, revocations=revocations)
        return self.run(body, people[:signatures])

    def tick(self) -> None:
        """The host writes the clock's mark down."""
        self.memory = machine.tick(self.memory, self.now)

    def zeroize_by_hand(self) -> None:
        """What somebody at the host may do."""
        self._keep(
            machine.zeroize_by_hand(
                self.identity, self.memory, incarnation=self._fresh(), now=self.now
            )
        )

    # --- the host -------------------------------------------------------------------------------

    def _keep_executed(self, command: CommandId, done: Executed) -> None:
        if done.step is None:
            assert done.receipt is self.receipts[command]
            return
        self.receipts[command] = done.receipt
        self._keep(done.step)

    def _keep(self, step: Step) -> None:
        self.memory = step.memory
        self.entries.extend(step.entries)

    def _at(self, at: Instant | None) -> Instant:
        self.now = self.now if at is None else at
        return self.now

    def _fresh(self) -> IncarnationId:
        return IncarnationId(noise(f"incarnation {self.key.ski.hex()} {self._draw()}", 16))

    def _random(self) -> Fresh:
        return Fresh(
            incarnation=self._fresh(),
            key=Secret(noise(f"master key {self.key.ski.hex()} {self._draw()}")),
            seal=lambda plaintext, public_key, info: seal(plaintext, public_key, info=info),
        )

    def _draw(self) -> int:
        self._drawn += 1
        return self._drawn
