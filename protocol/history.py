"""A unit's history, step one: is it one unbroken chain, and did every entry follow the rules?

The unit signs its history, but an agent believes it no further than it can check: each entry names
the one before, each receipt's command was for the state that it found, was signed by enough of the
administrators installed then, and changed what it says and nothing else. A chain that doesn't hold
is a Violation; what people make of one that does is `protocol.standing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.commands.bodies import ExportKey, GenerateRandom, LoadNewRegister, SetClock, Zeroize
from protocol.commands.command import Command
from protocol.commands.effects import after
from protocol.commands.quorum import signatures_needed
from protocol.commands.rules import refusal_of
from protocol.identifiers import Digest, IdentityKey, Incarnation, UnitId
from protocol.receipts import Birth, BirthCause, Entry, Receipt, entry_hash, open_entry
from protocol.refusals import Refusal
from protocol.request import LAST_MINUTE, LONGEST_VALIDITY
from protocol.signing.algorithms import verify
from protocol.signing.statements import Signed
from protocol.unit_identity import unit_id
from protocol.unit_state import IMPRINT, UnitState, state_digest
from protocol.violations import Violation


@dataclass(frozen=True)
class History:
    """A verified chain: entry `n` (from 0) has state version `n + 1` and the hash `hashes[n]`.

    Only `verify_history` makes one.
    """

    unit: UnitId
    entries: tuple[Entry, ...]
    hashes: tuple[Digest, ...]

    @property
    def state(self) -> UnitState:
        """The state after the last entry."""
        return self.entries[-1].after

    @property
    def incarnation(self) -> Incarnation:
        """The present life."""
        return self.entries[-1].incarnation

    @property
    def last_receipt(self) -> Digest:
        """The hash of the last entry."""
        return self.hashes[-1]

    @property
    def state_digest(self) -> Digest:
        """What a command for the unit as it is now is bound to."""
        return state_digest(self.state, self.last_receipt)

    def position(self, entry: Digest) -> int | None:
        """Where the entry with this hash stands, from 0; None when it isn't in this history."""
        newest = len(self.hashes) - 1  # what is asked for most of the time
        for place in range(newest, -1, -1):
            if self.hashes[place] == entry:
                return place
        return None

    def this_life(self) -> range:
        """The positions of the present life's entries, its birth first."""
        births = [n for n, entry in enumerate(self.entries) if isinstance(entry, Birth)]
        return range(births[-1], len(self.entries))


def verify_history(
    signed: Sequence[Signed], identity: IdentityKey, *, known: History | None = None
) -> History:
    """Verifies a unit's entries from the first on, or those that follow `known`.

    Raises Violation at the first entry that doesn't hold.
    """
    entries = list(known.entries) if known else []
    hashes = list(known.hashes) if known else []
    for one in signed:
        entry = open_entry(one, identity)
        try:
            _follows(entry, entries, hashes)
        except Violation as violation:
            raise Violation(f"history entry {len(entries) + 1}: {violation}") from None
        entries.append(entry)
        hashes.append(entry_hash(one))
    if not entries:
        raise Violation("a history without entries")
    return History(unit=unit_id(identity), entries=tuple(entries), hashes=tuple(hashes))


def _follows(entry: Entry, entries: list[Entry], hashes: list[Digest]) -> None:
    if entry.version != len(entries) + 1:
        raise Violation(f"state version {entry.version} where {len(entries) + 1} follows")
    if entry.previous != (hashes[-1] if hashes else None):
        raise Violation("it follows another entry than the one before it")
    before = entries[-1] if entries else None
    if isinstance(entry, Birth):
        _birth_follows(entry, before)
        return
    if before is None:
        raise Violation("a history begins with a birth")
    if isinstance(before, Receipt) and isinstance(before.parsed().body, Zeroize):
        raise Violation("a command ran between a zeroize and the new life")
    if entry.incarnation != before.incarnation or entry.before != before.after:
        raise Violation("it begins in another state than the entry before left")
    _receipt_holds(entry)


def _birth_follows(birth: Birth, before: Entry | None) -> None:
    zeroized = isinstance(before, Receipt) and isinstance(before.parsed().body, Zeroize)
    if (before is None) != (birth.cause is BirthCause.MADE):
        raise Violation("a unit is made once, at the beginning")
    if zeroized != (birth.cause is BirthCause.ZEROIZE):
        raise Violation("a zeroize, and only a zeroize, is followed by the birth that it causes")
    if birth.cause is not BirthCause.RESTORE and birth.after != IMPRINT:
        raise Violation("a life that doesn't begin in the cleared state")
    number = before.incarnation.number if before else 0
    if birth.incarnation.number <= number:
        raise Violation("an incarnation number that doesn't rise")


def _receipt_holds(receipt: Receipt) -> None:
    command = receipt.parsed()
    _bound(command, receipt)
    _in_time(command, receipt)
    refusal = refusal_of(command.body, receipt.before)
    if refusal is not None:
        raise Violation(f"a command ran against the rule {refusal.rule}")
    _signed_by_enough(command, receipt)
    loads = isinstance(command.body, LoadNewRegister | GenerateRandom)
    loaded = receipt.after.new.vp if loads else None
    if loads and loaded is None:
        raise Violation("a load that left the new register empty")
    receivers = command.body.receivers if isinstance(command.body, ExportKey) else ()
    if tuple(copy.receiver for copy in receipt.copies) != receivers:
        raise Violation("copies of a key for others than the command names")
    if receipt.after != after(receipt.before, command.body, loaded=loaded):
        raise Violation("the state changed otherwise than the command says")


def _bound(command: Command, receipt: Receipt) -> None:
    digest = state_digest(receipt.before, receipt.previous)
    found = (command.unit, command.incarnation, command.version + 1, command.state)
    if found != (receipt.unit, receipt.incarnation, receipt.version, digest):
        raise Violation("a command ran that was signed for another unit, life or state")


def _in_time(command: Command, receipt: Receipt) -> None:
    if command.not_after - command.not_before > LONGEST_VALIDITY:
        raise Violation("a command ran that was valid for more than 7 days")
    if isinstance(command.body, SetClock):
        return
    if not command.not_before <= receipt.at < command.not_after - LAST_MINUTE:
        raise Violation("a command ran outside the time that was signed")


def _signed_by_enough(command: Command, receipt: Receipt) -> None:
    needed = signatures_needed(command.body, receipt.before)
    if isinstance(needed, Refusal):
        raise Violation(f"a command ran against the rule {needed.rule}")
    skis = [approval.ski for approval in receipt.approvals]
    if skis != sorted(set(skis)):
        raise Violation("signatures that are not each there once, in order")
    if len(skis) < needed:
        raise Violation(f"a command ran with {len(skis)} of {needed} signatures")
    for approval in receipt.approvals:
        signer = receipt.before.administrator(approval.ski)
        if signer is None:
            raise Violation("a signature counted that is no administrator's")
        verify(signer.algorithm, signer.public_key, command.signing_bytes(), approval.signature)
