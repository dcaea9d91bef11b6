"""Leaves of the log: bound to every field, silent without their salt."""

import hashlib
from typing import Any

import pytest

from protocol.displayable import InstanceName
from protocol.identifiers import Instant
from protocol.record.checkpoints import Checkpoint
from protocol.record.entries import (
    LEAF_LABEL,
    MAX_BODY_BYTES,
    Entry,
    EntryKind,
    Salt,
    SaltedEntry,
    commitment,
    entry_leaf,
    verify_logged,
)
from protocol.record.proofs import ProofFailed
from protocol.record.tree import Frontier, Hash, inclusion_path, leaf_hash
from protocol.schema import from_bytes, from_plain, to_bytes, to_plain
from protocol.violations import Violation

SALT = Salt(bytes(range(32)))
ENTRY = Entry(
    instance=InstanceName("payments"),
    at=Instant(1_700_000_000_000),
    kind=EntryKind.FILING,
    body=b"body",
)
SALTED = SaltedEntry(salt=SALT, entry=ENTRY)


def test_the_commitment_is_what_the_decision_record_says() -> None:
    written = (
        b"\x82"
        b"\xa5entry\x84"
        b"\xa2at\xcf\x00\x00\x01\x8b\xcf\xe5\x68\x00"
        b"\xa4body\xc4\x04body"
        b"\xa8instance\xa8payments"
        b"\xa4kind\xa6filing"
        b"\xa4salt\xc4\x20" + SALT
    )
    labelled = b"quorate log leaf v1" + b"\0" + written
    assert commitment(SALTED) == hashlib.sha256(labelled).digest()
    assert entry_leaf(SALTED) == hashlib.sha256(b"\0" + commitment(SALTED)).digest()
    assert LEAF_LABEL == b"quorate log leaf v1"


@pytest.mark.parametrize(
    "other",
    [
        SALTED.but(salt=Salt(bytes(32))),
        SALTED.but(entry=ENTRY.but(instance=InstanceName("payroll"))),
        SALTED.but(entry=ENTRY.but(instance=None)),
        SALTED.but(entry=ENTRY.but(at=Instant(1_700_000_000_001))),
        SALTED.but(entry=ENTRY.but(kind=EntryKind.OPENING)),
        SALTED.but(entry=ENTRY.but(body=b"Body")),
        SALTED.but(entry=ENTRY.but(body=b"")),
    ],
)
def test_every_field_is_bound(other: SaltedEntry) -> None:
    assert commitment(other) != commitment(SALTED)


@pytest.mark.parametrize("kind", EntryKind)
@pytest.mark.parametrize("instance", [None, InstanceName("payments")])
def test_an_entry_survives_the_wire(kind: EntryKind, instance: InstanceName | None) -> None:
    salted = SALTED.but(entry=ENTRY.but(kind=kind, instance=instance))
    assert from_bytes(SaltedEntry, to_bytes(salted)) == salted


def entry_plain(**changes: Any) -> Any:
    plain = to_plain(SALTED)
    plain["entry"] |= changes
    return plain


@pytest.mark.parametrize(
    "plain",
    [
        to_plain(SALTED) | {"salt": b"short"},
        to_plain(SALTED) | {"more": 1},
        {"entry": to_plain(ENTRY)},
        entry_plain(kind="unheard-of"),
        entry_plain(kind=None),
        entry_plain(at=-1),
        entry_plain(instance=""),
        entry_plain(instance="Pay\nments"),
        entry_plain(body="text"),
        entry_plain(body=bytes(MAX_BODY_BYTES + 1)),
        entry_plain(note="x"),
    ],
)
def test_what_is_no_entry_is_refused(plain: Any) -> None:
    with pytest.raises(Violation):
        from_plain(SaltedEntry, plain)


def test_a_salt_is_never_short_nor_a_body_too_long() -> None:
    with pytest.raises(ValueError, match="a salt is 32 bytes"):
        SaltedEntry(salt=Salt(b""), entry=ENTRY)
    with pytest.raises(ValueError, match="a body of more than"):
        ENTRY.but(body=bytes(MAX_BODY_BYTES + 1))


def test_an_entry_is_proven_to_be_in_the_log_and_no_other_is() -> None:
    salted = [
        SALTED.but(salt=Salt(bytes([number] * 32)), entry=ENTRY.but(body=b"%d" % number))
        for number in range(6)
    ]
    frontier, stored = Frontier.empty(), dict[Any, Hash]()
    for one in salted:
        frontier, made = frontier.append(entry_leaf(one))
        stored.update(made)
    head = Checkpoint(origin="log", size=frontier.size, root=frontier.root)
    for index, one in enumerate(salted):
        path = inclusion_path(index, head.size, stored.__getitem__)
        verify_logged(one, index=index, path=path, checkpoint=head)
        for wrong in (*(salted[:index] + salted[index + 1 :]), one.but(salt=SALT)):
            with pytest.raises(ProofFailed):
                verify_logged(wrong, index=index, path=path, checkpoint=head)


def test_a_proof_holds_neither_a_neighbours_entry_nor_anything_to_guess_it_by() -> None:
    mine, theirs = SALTED, SaltedEntry(salt=Salt(bytes(32)), entry=ENTRY.but(body=b"yes"))
    frontier, stored = Frontier.empty(), dict[Any, Hash]()
    for one in (mine, theirs):
        frontier, made = frontier.append(entry_leaf(one))
        stored.update(made)
    path = inclusion_path(0, 2, stored.__getitem__)
    assert path == (entry_leaf(theirs),)
    guesses = [to_bytes(theirs.entry), LEAF_LABEL + b"\0" + to_bytes(theirs.entry)]
    guesses += [hashlib.sha256(guess).digest() for guess in guesses]
    assert not {leaf_hash(guess) for guess in guesses} & set(path)
    assert entry_leaf(theirs.but(salt=SALT)) not in path, "one entry's salt opens another"
