"""A coordinator's record in memory: a log, requests that ran on cast units, the evidence of it."""

from collections.abc import Sequence
from typing import Any

from coordinator.store.record import checkpoint_digest
from hsm_backend.unit.machine import answer_state
from protocol.charter import Charter
from protocol.commands.bodies import Body, LoadNewRegister
from protocol.commands.command import Contribution
from protocol.identifiers import VP, Instant
from protocol.receipts import Receipt
from protocol.record.checkpoints import Checkpoint, log_origin, sign_checkpoint
from protocol.record.entries import Entry, EntryKind, Salt, SaltedEntry, entry_leaf
from protocol.record.tree import Frontier
from protocol.report.evidence import Evidence, LogItem, OwnEntry, UnitEvidence, Witness
from protocol.request import DEFAULT_VALIDITY, Filing, Opening, Target, command_for
from protocol.schema import Struct, to_bytes
from protocol.sealing.contribution import vp_of
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from tests.cast.charters import accepts
from tests.cast.commands import NOON, Given, contribution, load_of, nonce, signed
from tests.cast.keys import SignatureKey, noise, signature_key
from tests.cast.people import INSTANCE, Custodian
from tests.cast.units import CastUnit

LOG_KEY = signature_key("log")


class CastRecord:
    """What an honest coordinator would have kept of a ceremony."""

    def __init__(
        self,
        charter: Charter,
        people: Sequence[Custodian],
        units: Sequence[CastUnit],
        *,
        before: Sequence[Charter] = (),
        key: SignatureKey = LOG_KEY,
        accepted: Sequence[Custodian] | None = None,
    ):
        """`before` are the versions before `charter`, taken over; `key` is the log's.

        `accepted` are those who have accepted `charter`, if not all.
        """
        self.charter, self.people, self.units, self.key = charter, people, units, key
        self.log: list[LogItem] = []
        self.notes: dict[int, bytes] = {}
        self.now = NOON
        for version in (*before, charter):
            self.keep(EntryKind.CHARTER, version)
            for one in people if accepted is None or version is not charter else accepted:
                self.keep(EntryKind.ACCEPTANCE, accepts(one, version))

    def keep(self, kind: EntryKind, body: Struct) -> None:
        """Appends to the log."""
        entry = Entry(instance=INSTANCE, at=self.now, kind=kind, body=to_bytes(body))
        salt = Salt(noise(f"salt {len(self.log)}"))
        self.log.append(OwnEntry(salted=SaltedEntry(salt=salt, entry=entry)))

    def checkpoint(self) -> bytes:
        """A signed checkpoint of the log as it is."""
        return checkpoint_of(self.log, self.key)

    def request(
        self,
        filer: Custodian,
        body: Body,
        signers: Sequence[Custodian] = (),
        *,
        given: Sequence[Given] = (),
        skip: Sequence[CastUnit] = (),
        **changes: Any,
    ) -> Opening:
        """Files, opens and runs a command on all units but those to skip."""
        filing = self.filing(filer, body, **changes)
        self.keep(EntryKind.FILING, sign_statement(Label.FILING, filing, filer.identity.sign))
        opening = self.opening(filing)
        self.keep(EntryKind.OPENING, opening)
        for unit in self.units:
            if unit not in skip:
                self.run(unit, filing, opening, signers, given)
        return opening

    def filing(self, filer: Custodian, body: Body, **changes: Any) -> Filing:
        """What a custodian files for all units."""
        fields: dict[str, Any] = {
            "instance": INSTANCE,
            "body": body,
            "targets": tuple(sorted(unit.id for unit in self.units)),
            "purpose": "CER-12",
            "custodian": filer.agent,
            "account": None,
            "step": None,
            "voids": None,
            "valid_for": DEFAULT_VALIDITY,
            "leave_out": False,
            "at": self.now,
            "nonce": nonce(f"filing {len(self.log)}"),
        }
        return Filing(**(fields | changes))

    def opening(self, filing: Filing) -> Opening:
        """The opening of a filing, under a checkpoint of the log as it is."""
        note = self.notes.setdefault(len(self.log), self.checkpoint())
        return Opening(
            filing=filing.digest,
            charter=self.charter.digest,
            practice=True,
            targets=filing.targets,
            left_out=(),
            checkpoint=checkpoint_digest(note),
            not_before=self.now,
            not_after=Instant(self.now + filing.valid_for),
            nonce=nonce(f"opening {len(self.log)}"),
        )

    def run(
        self,
        unit: CastUnit,
        filing: Filing,
        opening: Opening,
        signers: Sequence[Custodian],
        given: Sequence[Given],
    ) -> None:
        """Signs the request's command for one unit and runs it."""
        importer = unit.importer_key(opening.digest) if given else None
        seen = unit.seen()
        target = Target(
            unit=unit.id,
            incarnation=seen.incarnation,
            version=seen.version,
            state=seen.state_digest,
            importer=None if importer is None else importer.digest,
        )
        command = command_for(opening, filing, target)
        parts: list[Contribution] = []
        if importer is not None:
            parts = [contribution(one, command, importer) for one in given]
        answer = unit.execute(signed(command, signers, parts))
        assert isinstance(answer, Receipt), answer
        self.keep(EntryKind.EXECUTION, unit.entries[-1])

    def load(self, filer: Custodian, given: Sequence[Given]) -> VP:
        """Loads these parts on all units; gives the key's verification pattern."""
        body: LoadNewRegister = load_of(given)
        self.request(filer, body, [filer], given=given)
        key = bytes(32)
        for _, part in given:
            key = bytes(a ^ b for a, b in zip(key, part, strict=True))
        return vp_of(key)

    def evidence(self) -> Evidence:
        """All of it, as the first custodian's agent gathers it."""
        maker, note = self.people[0], self.checkpoint()
        witness = Witness(
            instance=INSTANCE, checkpoint=checkpoint_digest(note), agent=maker.agent, at=self.now
        )
        return Evidence(
            instance=INSTANCE,
            log=tuple(self.log),
            checkpoint=note,
            witness=sign_statement(Label.REPORT, witness, maker.identity.sign),
            checkpoints=tuple(self.notes[size] for size in sorted(self.notes)),
            units=tuple(
                UnitEvidence(
                    identity=unit.key.identity,
                    history=tuple(unit.entries),
                    state=answer_state(unit.identity, unit.memory, (witness.nonce,), unit.now),
                )
                for unit in sorted(self.units, key=lambda one: one.id)
            ),
        )


def checkpoint_of(log: Sequence[LogItem], key: SignatureKey = LOG_KEY) -> bytes:
    """A checkpoint over these items, signed with the coordinator's log key."""
    grown = Frontier.empty()
    for item in log:
        leaf = entry_leaf(item.salted) if isinstance(item, OwnEntry) else item.leaf
        grown, _ = grown.append(leaf)
    log_key = key.identity
    checkpoint = Checkpoint(origin=log_origin(log_key), size=grown.size, root=grown.root)
    return sign_checkpoint(checkpoint, public_key=log_key, sign=key.sign)
