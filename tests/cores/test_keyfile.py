"""Key files: vectors of a second implementation, the rules of writing, damage byte by byte."""

import json
import re
import resource
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from protocol.displayable import AdministratorName, PersonName
from protocol.files import keyfile, password_lock
from protocol.files.keyfile import (
    Damaged,
    KeyFile,
    KeyFileError,
    OutOfMemory,
    Unsupported,
    WrongPassword,
    WrongPractice,
    check_practice,
    identity_private_key,
    parse,
    parse_any,
    unlock,
    vp_of,
    with_new_password,
    write_identity,
    write_key_part,
    write_signature_key,
)
from protocol.files.keyfile_header import (
    Header,
    IdentityHeader,
    KeyPartHeader,
    PartName,
    SignatureKeyHeader,
)
from protocol.files.password_lock import (
    CEILING,
    FLOOR,
    PRACTICE,
    Cost,
    PasswordLock,
    password_from_text,
    usual_cost,
)
from protocol.files.private_keys import public_key_of
from protocol.identifiers import Instant
from protocol.schema import to_plain
from protocol.secrets import Secret
from protocol.signing.algorithms import Algorithm

ROOT = Path(__file__).parents[2]
VECTORS: dict[str, Any] = json.loads(
    (ROOT / "tests" / "vectors" / "keyfile" / "keyfiles.json").read_text()
)
GOOD = {vector["case"]: vector for vector in VECTORS["good"]}
BAD = {vector["case"]: vector for vector in VECTORS["bad"]}
ERRORS = {error.__name__: error for error in (Damaged, Unsupported, WrongPassword)}

LEAST = Cost(opslimit=1, memlimit=8192)
PASSWORD = "correct horse"
PART = bytes(range(32))
CREATED = Instant(1795510920000)


def lock(cost: Cost = LEAST, *, salt: bytes = b"s" * 16, nonce: bytes = b"n" * 24) -> PasswordLock:
    return PasswordLock(cost=cost, salt=salt, nonce=nonce)


def part_file(
    *,
    part: bytes = PART,
    password: str = PASSWORD,
    name: str = "alice part",
    practice: bool = True,
    how: PasswordLock | None = None,
) -> bytes:
    return write_key_part(
        Secret(part),
        password_from_text(password),
        name=PartName(name),
        created=CREATED,
        practice=practice,
        lock=how or lock(),
    )


def opened(data: bytes, password: str) -> bytes:
    """What a file of any kind holds."""
    file = parse_any(data)
    match file.header:
        case IdentityHeader():
            return identity_private_key(parse(IdentityHeader, data)).reveal()
        case SignatureKeyHeader():
            return unlock(parse(SignatureKeyHeader, data), password_from_text(password)).reveal()
        case KeyPartHeader():
            return unlock(parse(KeyPartHeader, data), password_from_text(password)).reveal()


def as_in_vectors(header: Header) -> Any:
    """A header as the second implementation lists it."""
    return json.loads(json.dumps(to_plain(header), default=bytes.hex))


# --- the second implementation's files ------------------------------------------------------------


@pytest.mark.parametrize("case", GOOD)
def test_files_of_the_second_implementation_open(case: str) -> None:
    vector = GOOD[case]
    data = bytes.fromhex(vector["file"])
    assert as_in_vectors(parse_any(data).header) == vector["header"]
    assert opened(data, vector["password"] or "").hex() == vector["secret"]


@pytest.mark.parametrize("case", GOOD)
def test_we_write_the_same_bytes_as_the_second_implementation(case: str) -> None:
    vector = GOOD[case]
    data = bytes.fromhex(vector["file"])
    secret = Secret(bytes.fromhex(vector["secret"]))
    password = password_from_text(vector["password"] or "")
    match parse_any(data).header:
        case SignatureKeyHeader() as header:
            written = write_signature_key(
                secret,
                password,
                name=header.name,
                algorithm=header.algorithm,
                created=header.created,
                practice=header.practice,
                lock=header.lock,
            )
        case KeyPartHeader() as header:
            written = write_key_part(
                secret,
                password,
                name=header.name,
                created=header.created,
                practice=header.practice,
                lock=header.lock,
            )
        case IdentityHeader() as header:
            written = write_identity(secret, name=header.name, created=header.created)
    assert written == data


@pytest.mark.parametrize("case", BAD)
def test_files_that_are_wrong_on_purpose_do_not_open(case: str) -> None:
    vector = BAD[case]
    with pytest.raises(KeyFileError) as caught:
        opened(bytes.fromhex(vector["file"]), vector["password"])
    assert type(caught.value) is ERRORS[vector["error"]]


def test_the_vectors_cover_every_kind_and_algorithm_and_mostly_wrong_ones() -> None:
    headers = [vector["header"] for vector in GOOD.values()]
    assert {header["kind"] for header in headers} == {"signature-key", "key-part", "agent-identity"}
    assert {header.get("algorithm") for header in headers} >= {each.value for each in Algorithm}
    assert {vector["error"] for vector in BAD.values()} == set(ERRORS)
    assert len(BAD) > 10 * len(GOOD)


def test_the_worked_example_in_the_reference_is_the_first_vector() -> None:
    page = (ROOT / "docs" / "reference" / "key-file.md").read_text()
    example = page.split("<!-- example: begin")[1].split("<!-- example: end")[0]
    code = [line for line in example.splitlines() if line.startswith("    ")]
    hexes = "".join(line[4:].split("  ")[0].replace(" ", "") for line in code)
    assert re.fullmatch(r"[0-9a-f]+", hexes)
    assert hexes == GOOD["practice key part"]["file"]
    assert GOOD["practice key part"]["password"] == PASSWORD


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in GOOD if case != "hybrid signature key"])
def test_every_flipped_byte_is_damage_and_no_wrong_password(case: str) -> None:
    vector = GOOD[case]
    data = bytes.fromhex(vector["file"])
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 8
        with pytest.raises(Damaged):
            opened(bytes(broken), vector["password"] or "")


def test_every_flipped_byte_with_a_mended_checksum_is_refused_or_a_wrong_password() -> None:
    data = bytes.fromhex(GOOD["practice key part"]["file"])
    met = set()
    for at in range(len(data) - 32):
        broken = bytearray(data[:-32])
        broken[at] ^= 1
        with pytest.raises((Unsupported, WrongPassword)) as caught:
            opened(keyfile._with_checksum(bytes(broken)), PASSWORD)
        met.add(type(caught.value))
    assert met == {Unsupported, WrongPassword}


def test_every_truncation_is_damage() -> None:
    data = part_file()
    for length in range(len(data)):
        with pytest.raises(Damaged):
            parse_any(data[:length])


def test_damage_shows_the_checksum_in_the_file_and_the_right_one() -> None:
    data = bytes.fromhex(GOOD["practice key part"]["file"])
    with pytest.raises(Damaged) as caught:
        parse_any(data[:-1] + bytes([data[-1] ^ 1]))
    right = data[-32:].hex()[:8]
    assert caught.value.expected == f"checksum {right}"
    assert caught.value.found == right
    with pytest.raises(Damaged) as caught:
        parse_any(bytes([data[0] ^ 1]) + data[1:])
    assert caught.value.expected == f"checksum {right}"
    assert caught.value.found != right


def test_another_key_inside_shows_both_public_values() -> None:
    with pytest.raises(Damaged) as caught:
        opened(bytes.fromhex(BAD["another part than the VP's"]["file"]), PASSWORD)
    seed = bytes.fromhex(GOOD["ed25519 signature key"]["secret"])
    assert caught.value.expected is not None and caught.value.found is not None
    assert caught.value.expected.replace(" ", "") == vp_of(PART).hex()
    assert caught.value.found.replace(" ", "") == vp_of(seed).hex()


# --- what a file may cost -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cost",
    [
        FLOOR.but(opslimit=FLOOR.opslimit - 1),
        FLOOR.but(memlimit=FLOOR.memlimit - 1024),
        FLOOR.but(opslimit=10, memlimit=FLOOR.memlimit - 1024),
        FLOOR.but(opslimit=2, memlimit=CEILING.memlimit),
        PRACTICE,
    ],
)
def test_a_real_file_is_never_written_below_the_floor(
    cost: Cost, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived: list[PasswordLock] = []

    def derive(_: Secret, how: PasswordLock) -> bytes:
        derived.append(how)
        return bytes(32)

    monkeypatch.setattr(keyfile, "derive", derive)
    with pytest.raises(ValueError, match="at least"):
        part_file(practice=False, how=lock(cost))
    assert derived == []
    part_file(practice=False, how=lock(FLOOR))
    part_file(practice=True, how=lock(cost))
    assert derived == [lock(FLOOR), lock(cost)]


@pytest.mark.parametrize("practice", [True, False])
@pytest.mark.parametrize(
    "cost",
    [CEILING.but(opslimit=11), CEILING.but(memlimit=CEILING.memlimit + 1024)],
)
def test_no_file_is_written_that_nobody_could_read(cost: Cost, practice: bool) -> None:
    with pytest.raises(ValueError, match="at most"):
        part_file(practice=practice, how=lock(cost))


def test_the_cost_of_a_foreign_file_is_looked_at_before_it_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> bytes:
        raise AssertionError("Argon2id was started")

    monkeypatch.setattr(keyfile, "derive", never)
    for case in ("header: opslimit above the most", "header: memlimit above the most"):
        with pytest.raises(Unsupported, match="can't|isn't") as caught:
            opened(bytes.fromhex(BAD[case]["file"]), PASSWORD)
        assert caught.value.expected is not None and "at most" in caught.value.expected


def test_real_files_cost_the_floor_and_practice_files_little() -> None:
    assert usual_cost(practice=False) == FLOOR == Cost(opslimit=3, memlimit=268_435_456)
    assert usual_cost(practice=True) == PRACTICE
    assert CEILING.reaches(FLOOR)


@contextmanager
def memory_for_no_more_than(spare: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + spare
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_machine_without_the_memory_says_so() -> None:
    real = parse(KeyPartHeader, bytes.fromhex(GOOD["real key part"]["file"]))
    with (
        memory_for_no_more_than(64 * 1024 * 1024),
        pytest.raises(OutOfMemory) as caught,
    ):
        unlock(real, password_from_text(PASSWORD))
    assert caught.value.expected == "268435456 bytes"


# --- practice -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [True, False])
@pytest.mark.parametrize("charter", [True, False])
def test_practice_and_real_work_share_no_key(
    key: bool, charter: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyfile, "derive", lambda *_: bytes(32))
    header = parse(KeyPartHeader, part_file(practice=key, how=lock(FLOOR))).header
    if key == charter:
        check_practice(header, practice=charter)
        return
    with pytest.raises(WrongPractice) as caught:
        check_practice(header, practice=charter)
    words = {True: "a practice key", False: "a real key"}
    assert (caught.value.expected, caught.value.found) == (words[charter], words[key])


# --- passwords ------------------------------------------------------------------------------------


def test_a_password_is_the_same_however_its_accents_were_typed() -> None:
    vector = GOOD["password beyond ASCII"]
    apart = unicodedata.normalize("NFD", vector["password"])
    assert apart != vector["password"]
    assert opened(bytes.fromhex(vector["file"]), apart).hex() == vector["secret"]


def test_no_file_is_written_with_an_empty_password() -> None:
    with pytest.raises(ValueError, match="empty"):
        part_file(password="")
    file = parse(KeyPartHeader, part_file())
    with pytest.raises(ValueError, match="empty"):
        with_new_password(file, password_from_text(PASSWORD), Secret(b""), lock=lock())


def test_a_new_password_changes_the_lock_and_nothing_else() -> None:
    old = parse(KeyPartHeader, part_file())
    fresh = lock(PRACTICE, salt=b"t" * 16, nonce=b"m" * 24)
    data = with_new_password(
        old, password_from_text(PASSWORD), password_from_text("new"), lock=fresh
    )
    assert parse(KeyPartHeader, data).header == old.header.but(lock=fresh)
    assert opened(data, "new") == PART
    with pytest.raises(WrongPassword):
        opened(data, PASSWORD)
    with pytest.raises(WrongPassword):
        with_new_password(old, password_from_text("new"), password_from_text("x"), lock=fresh)


def test_a_new_password_may_not_cheapen_the_lock() -> None:
    real = parse(KeyPartHeader, bytes.fromhex(GOOD["real key part"]["file"]))
    with pytest.raises(ValueError, match="at least"):
        with_new_password(
            real, password_from_text(PASSWORD), password_from_text("new"), lock=lock()
        )


# --- what else may not be written -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a" * 31, "ä", "tab\t", "alice\n"])
def test_a_name_that_no_reader_would_take_is_not_written(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        part_file(name=name)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_part_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        part_file(part=bytes(length))


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("surplus", [-1, 1])
def test_a_private_key_of_another_length_is_not_written(algorithm: Algorithm, surplus: int) -> None:
    case = next(v for v in GOOD.values() if v["header"].get("algorithm") == algorithm.value)
    private_key = (bytes.fromhex(case["secret"]) + b"\0")[: len(case["secret"]) // 2 + surplus]
    with pytest.raises(ValueError, match="length"):
        public_key_of(algorithm, private_key)
    with pytest.raises(ValueError, match="length"):
        write_signature_key(
            Secret(private_key),
            password_from_text(PASSWORD),
            name=AdministratorName("alice"),
            algorithm=algorithm,
            created=CREATED,
            practice=True,
            lock=lock(),
        )


# --- what is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyFileError, *KeyFileError.__subclasses__()])
def test_an_error_says_its_docstring_which_is_one_sentence(error: type[KeyFileError]) -> None:
    assert str(error()) == error.__doc__
    assert re.fullmatch(r"[A-Z][^.\n]*\.", str(error()))


def test_a_wrong_kind_says_which() -> None:
    with pytest.raises(Unsupported) as caught:
        parse(SignatureKeyHeader, part_file())
    assert (caught.value.expected, caught.value.found) == ("signature-key", "key-part")


def test_a_parsed_file_shows_nothing_of_its_body() -> None:
    data = write_identity(Secret(PART), name=PersonName("alice"), created=CREATED)
    file: KeyFile[IdentityHeader] = parse(IdentityHeader, data)
    assert PART in data
    for text in (repr(file), str(file), repr(file.header)):
        assert PART.hex() not in text
        assert repr(PART)[2:-1] not in text


def test_the_lock_names_a_fault_of_the_caller_not_a_lack_of_memory() -> None:
    with pytest.raises(ValueError, match="wiped"):
        password = Secret(b"x")
        password.wipe()
        password_lock.derive(password, lock())
