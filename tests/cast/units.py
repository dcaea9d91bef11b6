"""Crypto units in memory: the real state machine, and what a host would keep around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hsm_backend.unit import machine
from hsm_backend.unit.machine import Executed, Step
from hsm_backend.unit.memory import Memory, UnitIdentity
from protocol.commands.bodies import Body, SetThresholds
from protocol.commands.command import Command, SignedCommand
from protocol.identifiers import (
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
from protocol.sealing.hpke import PRIVATE_KEY_BYTES
from protocol.sealing.importer import ImporterKey
from protocol.secrets import Secret
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.unit_identity import UnitCertificate, unit_id
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
        self.identity = UnitIdentity(unit=unit_id(self.key.identity), sign=self.key.sign)
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
            incarnation=self._fresh(),
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

    def _draw(self) -> int:
        self._drawn += 1
        return self._drawn
