"""Checkpoints: other people's signed notes open, ours are theirs, and damage is refused."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any, NamedTuple

import pytest
from nacl.signing import SigningKey

from protocol.identifiers import IdentityKey
from protocol.record.checkpoints import (
    MAX_NOTE_BYTES,
    MAX_ORIGIN,
    MAX_SIGNATURES,
    Checkpoint,
    format_checkpoint,
    log_origin,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    sign_checkpoint,
    sign_note,
    verify_extends,
)
from protocol.record.proofs import ProofFailed
from protocol.record.tree import EMPTY_ROOT, Hash
from protocol.schema import from_bytes, to_bytes
from protocol.violations import Violation
from tests.cores import rfc6962

VECTORS = File(__file__).parents[1] / "vectors" / "record"
NOTES: dict[str, Any] = json.loads((VECTORS / "notes.json").read_text())
CHECKPOINTS: dict[str, Any] = json.loads((VECTORS / "checkpoints.json").read_text())


class Verifier(NamedTuple):
    """A note verifier key as Go writes it: name, key id, and algorithm byte with public key."""

    name: str
    key_id: bytes
    public_key: IdentityKey


def verifier(text: str) -> Verifier:
    name, key_id, encoded = text.split("+", 2)
    key = base64.b64decode(encoded)
    assert key[0] == 1
    return Verifier(name, bytes.fromhex(key_id), IdentityKey(key[1:]))


PETER, ENOCH = (verifier(signer["verifier_key"]) for signer in NOTES["signers"])
PETER_LINE, ENOCH_LINE = (signer["line"] for signer in NOTES["signers"])
PETER_SEED = base64.b64decode(NOTES["signers"][0]["signer_key"].split("+", 4)[4])[1:]
TEXT: str = NOTES["text"]
SUMDB = verifier(CHECKPOINTS["verifier_key"])

KEY = SigningKey(bytes(range(32)))
PUBLIC = IdentityKey(KEY.verify_key.encode())
ORIGIN = log_origin(PUBLIC)
LEAVES = [b"a", b"b", b"c", b"d", b"e"]


def checkpoint(size: int, **changes: Any) -> Checkpoint:
    made = Checkpoint(origin=ORIGIN, size=size, root=Hash(rfc6962.mth(LEAVES[:size])))
    return made.but(**changes)


def sign(data: bytes) -> bytes:
    return KEY.sign(data).signature


def signed(text: str, name: str = ORIGIN) -> bytes:
    return sign_note(text, name=name, public_key=PUBLIC, sign=sign)


# Notes that the Go implementation made.


@pytest.mark.parametrize("lines", [PETER_LINE, PETER_LINE + ENOCH_LINE, ENOCH_LINE + PETER_LINE])
def test_a_note_of_another_implementation_opens(lines: str) -> None:
    note = f"{TEXT}\n{lines}".encode()
    assert open_note(note, name=PETER.name, public_key=PETER.public_key) == TEXT


def test_our_note_is_byte_for_byte_theirs() -> None:
    key = SigningKey(PETER_SEED)
    made = sign_note(
        TEXT,
        name=PETER.name,
        public_key=PETER.public_key,
        sign=lambda data: key.sign(data).signature,
    )
    assert made == f"{TEXT}\n{PETER_LINE}".encode()


def test_a_note_that_only_others_signed_is_refused() -> None:
    with pytest.raises(Violation, match="no signature by the expected key"):
        open_note(f"{TEXT}\n{ENOCH_LINE}".encode(), name=PETER.name, public_key=PETER.public_key)


@pytest.mark.parametrize("who", [ENOCH, SUMDB])
def test_the_right_name_with_another_key_is_not_the_key(who: Verifier) -> None:
    note = f"{TEXT}\n{PETER_LINE}".encode()
    with pytest.raises(Violation, match="no signature by the expected key"):
        open_note(note, name=PETER.name, public_key=who.public_key)


def test_a_text_may_have_empty_lines() -> None:
    text = "Ognuno sta solo\n\ned è subito sera.\n"
    assert open_note(signed(text), name=ORIGIN, public_key=PUBLIC) == text


@pytest.mark.parametrize("text", ["tab\t\n", "\x00\n", "a\r\n", "\x1b[2J\n"])
def test_a_text_with_control_characters_is_refused_though_it_is_signed(text: str) -> None:
    line = signed("a\n").rpartition(b" ")[0]
    key_id = base64.b64decode(signed("a\n").split()[-1])[:4]
    note = text.encode() + b"\n" + line.rpartition(b"\n")[2] + b" "
    note += base64.b64encode(key_id + sign(text.encode())) + b"\n"
    with pytest.raises(Violation, match="control characters"):
        open_note(note, name=ORIGIN, public_key=PUBLIC)


@pytest.mark.parametrize("template", NOTES["malformed"])
def test_a_malformed_note_is_refused(template: str) -> None:
    note = (
        template.replace("{text}", TEXT)
        .replace("{line}", PETER_LINE)
        .replace("{line-without-newline}", PETER_LINE.removesuffix("\n"))
    )
    with pytest.raises(Violation):
        open_note(note.encode(), name=PETER.name, public_key=PETER.public_key)


# Checkpoints that the Go checksum database signed. Its key's name isn't its origin.


@pytest.mark.parametrize("vector", CHECKPOINTS["signed"])
def test_a_real_checkpoint_opens_whoever_else_signed_it(vector: dict[str, Any]) -> None:
    note = vector["note"].encode()
    text = open_note(note, name=SUMDB.name, public_key=SUMDB.public_key)
    opened = parse_checkpoint(text)
    assert opened.origin == "go.sum database tree"
    assert (opened.size, opened.root.hex()) == (vector["size"], vector["root"])
    assert format_checkpoint(opened) == text
    with pytest.raises(Violation, match="another log"):
        open_checkpoint(note, name=SUMDB.name, public_key=SUMDB.public_key)


def test_the_specifications_example_parses_but_its_signature_is_another_texts() -> None:
    note: str = CHECKPOINTS["example"]
    assert parse_checkpoint(note.partition("\n\n")[0] + "\n").size == 20852163
    with pytest.raises(Violation, match="no signature by the expected key"):
        open_checkpoint(
            note.encode(), name="example.com/behind-the-sofa", public_key=SUMDB.public_key
        )
    renamed = note.replace("— example.com/behind-the-sofa", f"— {SUMDB.name}")
    with pytest.raises(Violation, match="signature is wrong"):
        open_note(renamed.encode(), name=SUMDB.name, public_key=SUMDB.public_key)


# Ours.


@pytest.mark.parametrize("size", range(6))
def test_what_we_sign_opens(size: int) -> None:
    note = sign_checkpoint(checkpoint(size), public_key=PUBLIC, sign=sign)
    assert open_checkpoint(note, name=ORIGIN, public_key=PUBLIC) == checkpoint(size)


def test_a_checkpoint_survives_the_wire() -> None:
    assert from_bytes(Checkpoint, to_bytes(checkpoint(3))) == checkpoint(3)


def test_witnesses_are_ignored_wherever_they_stand() -> None:
    note = sign_checkpoint(checkpoint(4), public_key=PUBLIC, sign=sign).decode()
    text, _, ours = note.rpartition("\n\n")
    witness = f"— {ORIGIN} {base64.b64encode(b'key id of another kind' * 4).decode()}\n"
    for lines in (ours + ENOCH_LINE, ENOCH_LINE + ours, witness + ours, ours + witness):
        opened = open_checkpoint(f"{text}\n\n{lines}".encode(), name=ORIGIN, public_key=PUBLIC)
        assert opened == checkpoint(4)


def test_one_wrong_signature_in_our_name_spoils_the_note() -> None:
    note = sign_checkpoint(checkpoint(4), public_key=PUBLIC, sign=sign)
    other = sign_checkpoint(checkpoint(3), public_key=PUBLIC, sign=sign)
    stolen = other.rpartition(b"\n\n")[2]
    with pytest.raises(Violation, match="signature is wrong"):
        open_checkpoint(note + stolen, name=ORIGIN, public_key=PUBLIC)


def test_the_same_log_key_under_another_name_is_another_log() -> None:
    note = sign_checkpoint(checkpoint(4, origin="other/log"), public_key=PUBLIC, sign=sign)
    with pytest.raises(Violation, match="no signature by the expected key"):
        open_checkpoint(note, name=ORIGIN, public_key=PUBLIC)
    inside = signed(format_checkpoint(checkpoint(4, origin="other/log")))
    with pytest.raises(Violation, match="another log"):
        open_checkpoint(inside, name=ORIGIN, public_key=PUBLIC)


ROOT = base64.b64encode(checkpoint(4).root).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n04\n{ROOT}\n",
        f"{ORIGIN}\n+4\n{ROOT}\n",
        f"{ORIGIN}\n-4\n{ROOT}\n",
        f"{ORIGIN}\n 4\n{ROOT}\n",
        f"{ORIGIN}\n4 \n{ROOT}\n",
        f"{ORIGIN}\n4_0\n{ROOT}\n",
        f"{ORIGIN}\n4.0\n{ROOT}\n",
        f"{ORIGIN}\n0x4\n{ROOT}\n",
        f"{ORIGIN}\n\N{ARABIC-INDIC DIGIT FOUR}\n{ROOT}\n",
        f"{ORIGIN}\n1\N{ARABIC-INDIC DIGIT FOUR}\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n00\n{ROOT}\n",
        f"{ORIGIN}\n{1 << 63}\n{ROOT}\n",
        f"{ORIGIN}\n{'9' * 5000}\n{ROOT}\n",
        f"{ORIGIN}\n0\n{ROOT}\n",
        f"\n4\n{ROOT}\n",
        f"{'o' * (MAX_ORIGIN + 1)}\n4\n{ROOT}\n",
        f"{ORIGIN}\n4\n{ROOT}\nan extension line\n",
        f"{ORIGIN}\n4\n{ROOT}\n\n",
        f"\n{ORIGIN}\n4\n{ROOT}\n",
        f"{ORIGIN}\n4\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n4\n{ROOT[:-4]}\n",
        f"{ORIGIN}\n4\n{ROOT}=\n",
        f"{ORIGIN}\n4\n{ROOT[:-2]}{chr(ord(ROOT[-2]) + 1)}=\n",
        f"{ORIGIN}\n4\n{ROOT[:9]} {ROOT[9:]}\n",
        f"{ORIGIN}\n4\n {ROOT}\n",
        f"{ORIGIN}\n4\nAAAA{ROOT}\n",
        f"{ORIGIN}\n4\n{'-' * 43}=\n",
        f"{ORIGIN}\n4\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n4\n\N{FULLWIDTH LATIN CAPITAL LETTER A}{ROOT[1:]}\n",
        f"{ORIGIN}\n4\n\n",
        f"{ORIGIN}\n4\n",
        f"{ORIGIN}\n{ROOT}\n4\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused_though_the_log_signed_it(text: str) -> None:
    with pytest.raises(Violation):
        open_checkpoint(signed(text), name=ORIGIN, public_key=PUBLIC)


def test_a_base64_text_with_stray_bits_is_what_we_think() -> None:
    stray = f"{ROOT[:-2]}{chr(ord(ROOT[-2]) + 1)}="
    assert base64.b64decode(stray) == base64.b64decode(ROOT)


GOOD = sign_checkpoint(checkpoint(4), public_key=PUBLIC, sign=sign)


def damaged_notes() -> Iterator[tuple[str, bytes]]:
    """Every bit, every byte, every line of a good note, and some that only a person thinks of."""
    for place in range(len(GOOD)):
        for bit in range(8):
            byte = bytes([GOOD[place] ^ 1 << bit])
            yield f"bit {bit} of byte {place}", GOOD[:place] + byte + GOOD[place + 1 :]
        yield f"byte {place} dropped", GOOD[:place] + GOOD[place + 1 :]
        yield f"byte {place} doubled", GOOD[: place + 1] + GOOD[place:]
        yield f"ends before byte {place}", GOOD[:place]
    lines = GOOD.splitlines(keepends=True)
    for place in range(len(lines)):
        yield f"line {place} dropped", b"".join(lines[:place] + lines[place + 1 :])
        for other in range(place):
            swapped = list(lines)
            swapped[place], swapped[other] = swapped[other], swapped[place]
            yield f"lines {place} and {other} swapped", b"".join(swapped)
    yield "CRLF", GOOD.replace(b"\n", b"\r\n")
    yield "a hyphen for the dash", GOOD.replace("—".encode(), b"-")
    yield "an en dash for the dash", GOOD.replace("—".encode(), "–".encode())
    yield "two spaces", GOOD.replace("— ".encode(), "—  ".encode())
    yield "a no-break space", GOOD.replace("— ".encode(), "—\N{NO-BREAK SPACE}".encode())
    yield "not UTF-8", b"\xff" + GOOD
    yield "a mark of byte order", b"\xef\xbb\xbf" + GOOD
    yield "a word after the signature", GOOD[:-1] + b" word\n"
    yield "an empty line at the end", GOOD + b"\n"
    yield "no signature", GOOD.rpartition(b"\n\n")[0] + b"\n\n"
    short = base64.b64encode(base64.b64decode(GOOD.split()[-1])[:4])
    yield "only a key id", GOOD + f"— {ORIGIN} ".encode() + short + b"\n"
    yield "a witness with only a key id", GOOD + "— witness AAAAAA==\n".encode()
    yield "a line without a dash", GOOD + b"witness AAAAAAAA\n"
    short = base64.b64encode(base64.b64decode(GOOD.split()[-1])[:67])
    yield "a short signature", GOOD + f"— {ORIGIN} ".encode() + short + b"\n"
    yield "a name with a plus", GOOD + "— a+b AAAAAAAA\n".encode()
    yield "no name", GOOD + "—  AAAAAAAA\n".encode()
    yield "a witness that isn't base64", GOOD + "— witness AAAAAAA\n".encode()
    yield "a witness with stray bits", GOOD + "— witness AAAAAAB=\n".encode()
    yield "too many signatures", GOOD + "— witness AAAAAAAA\n".encode() * MAX_SIGNATURES
    yield "too long", GOOD + "— witness ".encode() + b"AAAA" * (MAX_NOTE_BYTES // 4) + b"\n"


def test_a_damaged_note_is_refused() -> None:
    wrong = [(what, note) for what, note in damaged_notes() if note != GOOD]
    assert len(wrong) > 1000
    for what, note in wrong:
        try:
            open_checkpoint(note, name=ORIGIN, public_key=PUBLIC)
        except Violation:
            continue
        pytest.fail(f"accepted although wrong: {what}")


def test_as_many_signatures_as_allowed_are_accepted() -> None:
    note = GOOD + "— witness AAAAAAAA\n".encode() * (MAX_SIGNATURES - 1)
    assert open_checkpoint(note, name=ORIGIN, public_key=PUBLIC) == checkpoint(4)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"origin": ""}, "1 to 255 characters"),
        ({"origin": "o" * (MAX_ORIGIN + 1)}, "1 to 255 characters"),
        ({"origin": "a\nb"}, "one line"),
        ({"origin": "a\x1bb"}, "one line"),
        ({"size": -1}, "below 2"),
        ({"size": 1 << 63}, "below 2"),
        ({"size": 0}, "empty tree"),
        ({"root": b"short"}, "32 bytes"),
    ],
)
def test_a_checkpoint_can_not_be_invalid(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checkpoint(4).but(**changes)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\N{NO-BREAK SPACE}b"])
def test_we_sign_under_no_name_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="key's name"):
        signed("text\n", name)


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "\x00\n", "a\r\n"])
def test_we_sign_no_text_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="note's text"):
        signed(text)


def test_we_put_nothing_but_a_signature_into_a_note() -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        sign_note("text\n", name=ORIGIN, public_key=PUBLIC, sign=lambda _: b"short")


def test_each_log_key_has_an_origin_of_its_own() -> None:
    other = IdentityKey(SigningKey(bytes(32)).verify_key.encode())
    assert log_origin(PUBLIC) == log_origin(PUBLIC) != log_origin(other)


# Two checkpoints of one log.


def path(old: int, new: int) -> tuple[Hash, ...]:
    return tuple(map(Hash, rfc6962.proof(old, LEAVES[:new])))


def test_a_log_extends_what_it_was() -> None:
    verify_extends(checkpoint(3), checkpoint(5), path(3, 5))
    verify_extends(checkpoint(0), checkpoint(5), ())
    verify_extends(checkpoint(5), checkpoint(5), ())


@pytest.mark.parametrize(
    ("old", "new", "proof", "why"),
    [
        (checkpoint(3), checkpoint(5, origin="other"), path(3, 5), "two logs"),
        (checkpoint(5), checkpoint(3), path(3, 5), "can't begin"),
        (checkpoint(5), checkpoint(5, root=EMPTY_ROOT), (), "two roots"),
        (checkpoint(3), checkpoint(5, root=EMPTY_ROOT), path(3, 5), "another new root"),
        (checkpoint(3, root=EMPTY_ROOT), checkpoint(5), path(3, 5), "another old root"),
        (checkpoint(3), checkpoint(5), path(2, 5), "below the root|another"),
    ],
)
def test_a_log_that_was_forked_or_rolled_back_is_found(
    old: Checkpoint, new: Checkpoint, proof: tuple[Hash, ...], why: str
) -> None:
    with pytest.raises(ProofFailed, match=why):
        verify_extends(old, new, proof)
