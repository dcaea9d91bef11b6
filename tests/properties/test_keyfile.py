"""Key files: what holds for all keys, names, passwords and kinds of damage."""

import hashlib
import re
import string
import unicodedata

from hypothesis import assume, example, given
from hypothesis import strategies as st

from protocol.displayable import AdministratorName
from protocol.files.keyfile import (
    KeyFileError,
    WrongPassword,
    parse,
    parse_any,
    unlock,
    with_new_password,
    write_key_part,
    write_signature_key,
)
from protocol.files.keyfile_header import KeyPartHeader, PartName, SignatureKeyHeader
from protocol.files.password_lock import Cost, PasswordLock, password_from_text
from protocol.files.private_keys import private_key_length, public_key_of
from protocol.identifiers import Instant
from protocol.schema import from_bytes, to_bytes
from protocol.secrets import Secret
from protocol.signing.algorithms import Algorithm
from signer_agent.keys.locked_files import free_file_name

PRINTABLE = string.ascii_letters + string.digits + " '()+,-./:=?"
names = st.text(PRINTABLE, min_size=1, max_size=30)
instants = st.integers(0, (1 << 53) - 1).map(Instant)
passwords = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
parts = st.binary(min_size=32, max_size=32)
locks = st.builds(
    lambda opslimit, memory, salt, nonce: PasswordLock(
        cost=Cost(opslimit=opslimit, memlimit=1024 * memory), salt=salt, nonce=nonce
    ),
    st.integers(1, 3),
    st.integers(8, 64),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=24, max_size=24),
)
seeded = st.sampled_from([Algorithm.ED25519, Algorithm.ED25519_ML_DSA_65])


def practice_part(
    part: bytes = bytes(32),
    password: str = "pw",
    name: str = "p",
    created: int = 0,
    lock: PasswordLock | None = None,
) -> bytes:
    return write_key_part(
        Secret(part),
        password_from_text(password),
        name=PartName(name),
        created=Instant(created),
        practice=True,
        lock=lock
        or PasswordLock(cost=Cost(opslimit=1, memlimit=8192), salt=bytes(16), nonce=bytes(24)),
    )


@given(parts, passwords, names, instants, locks)
def test_what_was_put_into_a_part_file_comes_out(
    part: bytes, password: str, name: str, created: Instant, lock: PasswordLock
) -> None:
    file = parse(KeyPartHeader, practice_part(part, password, name, created, lock))
    assert (file.header.name, file.header.created, file.header.lock) == (name, created, lock)
    assert file.header.vp == hashlib.sha256(part).digest()
    assert unlock(file, password_from_text(password)).reveal() == part
    assert from_bytes(KeyPartHeader, to_bytes(file.header)) == file.header


@given(seeded, st.binary(min_size=64, max_size=64), passwords, names, locks)
def test_what_was_put_into_a_signature_key_file_comes_out(
    algorithm: Algorithm, noise: bytes, password: str, name: str, lock: PasswordLock
) -> None:
    private_key = noise[: private_key_length(algorithm)]
    data = write_signature_key(
        Secret(private_key),
        password_from_text(password),
        name=AdministratorName(name),
        algorithm=algorithm,
        created=Instant(0),
        practice=True,
        lock=lock,
    )
    file = parse(SignatureKeyHeader, data)
    assert file.header.public_key == public_key_of(algorithm, private_key)
    assert file.header.ski == hashlib.sha256(file.header.public_key).digest()
    assert unlock(file, password_from_text(password)).reveal() == private_key


@given(passwords, passwords)
@example("password", "Password")
@example("pw", "pw ")
@example("p", "p\0")
def test_no_other_password_opens(right: str, wrong: str) -> None:
    assume(unicodedata.normalize("NFC", right) != unicodedata.normalize("NFC", wrong))
    file = parse(KeyPartHeader, practice_part(password=right))
    try:
        unlock(file, password_from_text(wrong))
    except WrongPassword:
        return
    raise AssertionError("another password opened the file")


@given(st.lists(st.tuples(passwords, locks), min_size=1, max_size=4), parts)
def test_any_number_of_new_passwords_keep_the_part(
    changes: list[tuple[str, PasswordLock]], part: bytes
) -> None:
    data, last = practice_part(part), "pw"
    for password, lock in changes:
        data = with_new_password(
            parse(KeyPartHeader, data),
            password_from_text(last),
            password_from_text(password),
            lock=lock,
        )
        last = password
    assert unlock(parse(KeyPartHeader, data), password_from_text(last)).reveal() == part


FILE = practice_part()


@given(st.data())
def test_no_edit_opens_whether_its_checksum_is_mended_or_not(data: st.DataObject) -> None:
    content = FILE[:-32]
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 16)))
    edited = content[:start] + data.draw(st.binary(max_size=16)) + content[end:]
    assume(edited != content)
    for whole in (edited + FILE[-32:], edited + hashlib.sha256(edited).digest()):
        try:
            unlock(parse(KeyPartHeader, whole), password_from_text("pw"))
        except KeyFileError:
            continue
        raise AssertionError("an edited file was opened")


@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_any_bytes_are_a_key_file_or_a_key_file_error(
    noise: bytes, with_magic: bool, with_checksum: bool
) -> None:
    data = (FILE[:19] if with_magic else b"") + noise
    try:
        parse_any(data + hashlib.sha256(data).digest() if with_checksum else data)
    except KeyFileError:
        return
    raise AssertionError("noise was taken for a key file")


@given(st.lists(names | st.text(max_size=30), min_size=1, max_size=12))
def test_file_names_are_safe_and_never_meet(wanted: list[str]) -> None:
    taken: set[str] = set()
    for name in wanted:
        file_name = free_file_name(name, ".sig", taken)
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*\.sig", file_name)
        assert len(file_name) < 60
        assert file_name.casefold() not in {other.casefold() for other in taken}
        taken.add(file_name)
