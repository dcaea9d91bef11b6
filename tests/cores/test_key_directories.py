"""Key files on a disk: made, listed, opened, copied, their passwords changed; and what refuses."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from protocol.displayable import AdministratorName, PersonName
from protocol.files.keyfile import (
    Damaged,
    KeyFileError,
    OtherKey,
    OutOfMemory,
    Unsupported,
    WrongPassword,
    WrongPractice,
    parse,
    unlock,
    vp_of,
    write_signature_key,
)
from protocol.files.keyfile_header import PartName, SignatureKeyHeader
from protocol.files.password_lock import PRACTICE, PasswordLock
from protocol.identifiers import Instant
from protocol.secrets import Secret
from protocol.signing.algorithms import Algorithm, verify, verify_identity
from quorate import private_files
from quorate.exits import Exit, Trouble
from signer_agent.keys import identity_file, locked_files, part_files, signature_files
from signer_agent.keys.copies import copy_key_file
from signer_agent.keys.part_files import PartFile
from signer_agent.keys.signature_files import SignatureKeyFile, UnlockedKey
from signer_agent.keys.troubles import as_trouble

AT = Instant(1795510920000)
PART = bytes(range(32))
HORSE = Secret(b"correct horse")
BATTERY = Secret(b"battery staple")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def signature_key(
    keys: Path, name: str = "alice", algorithm: Algorithm = Algorithm.ED25519
) -> SignatureKeyFile:
    return signature_files.generate(
        keys, HORSE, name=AdministratorName(name), algorithm=algorithm, practice=True, at=AT
    )


def key_part(keys: Path, name: str = "alice part", part: bytes = PART) -> PartFile:
    return part_files.keep(keys, Secret(part), HORSE, name=PartName(name), practice=True, at=AT)


def flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


# --- made and opened ------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_new_signature_key_signs(keys: Path, algorithm: Algorithm) -> None:
    made = signature_key(keys, algorithm=algorithm)
    assert (made.path, made.name, made.created) == (keys / "alice.sig", "alice", AT)
    with signature_files.open_file(made.path).unlock(HORSE, practice=True) as key:
        assert (key.ski, key.algorithm) == (made.ski, algorithm)
        verify(algorithm, key.public_key, b"message", key.sign(b"message"))
    with pytest.raises(ValueError, match="wiped"):
        key.sign(b"message")


def known_key(algorithm: Algorithm, private_key: bytes) -> UnlockedKey:
    lock = PasswordLock(cost=PRACTICE, salt=bytes(16), nonce=bytes(24))
    data = write_signature_key(
        Secret(private_key),
        HORSE,
        name=AdministratorName("known"),
        algorithm=algorithm,
        created=AT,
        practice=True,
        lock=lock,
    )
    file = parse(SignatureKeyHeader, data)
    return UnlockedKey(file.header, unlock(file, HORSE))


def test_ed25519_signs_as_in_rfc_8032_7_1() -> None:
    seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    assert known_key(Algorithm.ED25519, bytes.fromhex(seed)).sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


def test_p521_signs_as_in_rfc_6979_a_2_7() -> None:
    number = (
        "00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75C"
        "AA896EB32F1F47C70855836A6D16FCC1466F6D8FBEC67DB89EC0C08B0E996B83538"
    )
    key = known_key(Algorithm.ECDSA_P521_SHA512, bytes.fromhex(number))
    assert decode_dss_signature(key.sign(b"sample")) == (
        int(
            "0C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174"
            "E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E377FA",
            16,
        ),
        int(
            "0617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF2826"
            "23EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A",
            16,
        ),
    )


def test_two_new_keys_are_different(keys: Path) -> None:
    made = [signature_key(keys, algorithm=algorithm) for algorithm in [*Algorithm, *Algorithm]]
    assert len({key.ski for key in made}) == 6
    assert len({key.header.lock.salt for key in made}) == 6
    assert len({key.header.lock.nonce for key in made}) == 6


def test_a_part_comes_out_as_it_went_in(keys: Path) -> None:
    made = key_part(keys)
    assert (made.path.name, made.name) == ("alice-part.part", "alice part")
    assert made.vp == vp_of(PART)
    assert made.unlock(HORSE, practice=True).reveal() == PART
    assert not part_files.new_part().matches(part_files.new_part())


def test_files_and_directory_are_their_owners_alone(keys: Path) -> None:
    paths = [signature_key(keys).path, key_part(keys).path]
    identity_file.create(keys, name=PersonName("alice"), at=AT)
    for path in [*paths, keys / identity_file.FILE_NAME]:
        assert path.stat().st_mode & 0o777 == 0o600
    assert keys.stat().st_mode & 0o777 == 0o700
    assert len(list(keys.iterdir())) == 3


def test_a_real_key_is_written_at_the_floor(keys: Path) -> None:
    real = part_files.keep(keys, Secret(PART), HORSE, name=PartName("real"), practice=False, at=AT)
    assert (real.header.lock.cost.opslimit, real.header.lock.cost.memlimit) == (3, 256 << 20)
    assert real.unlock(HORSE, practice=False).reveal() == PART
    with pytest.raises(WrongPractice):
        real.unlock(HORSE, practice=True)


def test_a_real_charter_takes_no_practice_key(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    practice: list[SignatureKeyFile | PartFile] = [signature_key(keys), key_part(keys)]

    def never(*_: object) -> Secret:
        raise AssertionError("it was opened all the same")

    monkeypatch.setattr(locked_files, "unlock", never)
    for file in practice:
        with pytest.raises(WrongPractice):
            file.unlock(HORSE, practice=False)


# --- parts that people type -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "digits", [PART.hex(), PART.hex().upper(), PART.hex(" ", 4), PART.hex() + "\n"]
)
def test_a_part_is_64_hex_digits(digits: str) -> None:
    assert part_files.part_from_hex(Secret(digits.encode())).reveal() == PART


@pytest.mark.parametrize(
    ("digits", "found"),
    [
        (PART.hex()[1:], "63"),
        (PART.hex() + "0", "65"),
        (PART.hex() * 2, "128"),
        ("", "0"),
        ("g" + PART.hex()[1:], "something else among them"),
        ("0x" + PART.hex()[2:], "something else among them"),
        ("\u0660" * 64, "something else among them"),
        (PART.hex()[:32] + "\n" + PART.hex()[32:], "something else among them"),
    ],
)
def test_anything_else_is_no_part_and_is_not_repeated(digits: str, found: str) -> None:
    with pytest.raises(Trouble) as caught:
        part_files.part_from_hex(Secret(digits.encode()))
    assert caught.value.exit is Exit.REFUSED
    assert (caught.value.expected, caught.value.found) == ("64 hex digits", found)
    assert PART.hex()[2:12] not in str(caught.value.as_json())


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("alice", "alice.sig"),
        ("Alice B.", "Alice-B.sig"),
        ("../../etc/passwd", "etc-passwd.sig"),
        (".hidden", "hidden.sig"),
        ("-rf", "rf.sig"),
        ("...", "key.sig"),
        ("a/b:c=d?", "a-b-c-d.sig"),
        ("two  blanks", "two-blanks.sig"),
    ],
)
def test_a_file_name_is_safe(name: str, file_name: str) -> None:
    assert locked_files.free_file_name(name, ".sig", set()) == file_name


def test_a_second_key_of_a_name_gets_a_file_of_its_own(keys: Path) -> None:
    first = signature_key(keys, "alice")
    before = first.path.read_bytes()
    names = [signature_key(keys, name).path.name for name in ("alice", "ALICE", "alice/")]
    assert names == ["alice-2.sig", "ALICE-3.sig", "alice-4.sig"]
    assert first.path.read_bytes() == before


def test_a_file_that_appears_meanwhile_is_not_replaced(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signature_key(keys).path.read_bytes()
    monkeypatch.setattr(locked_files, "free_file_name", lambda *_: "alice.sig")
    with pytest.raises(Trouble) as caught:
        signature_key(keys)
    assert caught.value.exit is Exit.REFUSED
    assert (keys / "alice.sig").read_bytes() == before


# --- listed ---------------------------------------------------------------------------------------


def test_a_listing_has_each_kind_by_file_name(keys: Path) -> None:
    for name in ("carol", "alice", "bob"):
        signature_key(keys, name)
    key_part(keys)
    (keys / "notes.txt").write_text("x")
    (keys / ".alice.sig.0.new").write_text("x")
    (keys / "._alice.sig").write_text("x")  # as other systems leave beside files on a stick
    listing = signature_files.list_in(keys)
    assert [key.name for key in listing.usable] == ["alice", "bob", "carol"]
    assert listing.unusable == ()
    assert [part.name for part in part_files.list_in(keys).usable] == ["alice part"]


def test_no_directory_holds_no_keys(keys: Path) -> None:
    assert signature_files.list_in(keys).usable == ()


def test_a_file_in_the_directorys_place_is_trouble(keys: Path) -> None:
    keys.write_text("")
    with pytest.raises(Trouble) as caught:
        signature_files.list_in(keys)
    assert caught.value.exit is Exit.STORAGE


def test_one_bad_file_hides_no_other(keys: Path) -> None:
    signature_key(keys, "alice")
    flip(signature_key(keys, "bob").path)
    signature_key(keys, "carol").path.chmod(0o644)
    key_part(keys).path.rename(keys / "dave.sig")
    listing = signature_files.list_in(keys)
    assert [key.name for key in listing.usable] == ["alice"]
    why = {bad.path.name: bad.why for bad in listing.unusable}
    assert isinstance(why["bob.sig"], Damaged)
    assert isinstance(why["carol.sig"], Trouble) and why["carol.sig"].exit is Exit.EXPOSED
    assert isinstance(why["dave.sig"], Unsupported)


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_where_others_can_change_files_none_is_used(keys: Path, mode: int) -> None:
    """They could put an older copy in its place, with the password that it had then."""
    alice, part = signature_key(keys, "alice"), key_part(keys)
    keys.chmod(mode)
    for listing in (signature_files.list_in(keys), part_files.list_in(keys)):
        assert listing.usable == ()
        (bad,) = listing.unusable
        assert isinstance(bad.why, Trouble) and bad.why.exit is Exit.EXPOSED
        assert bad.why.next == f"look what is in it, then chmod 700 {keys}"
        assert bad.why.found == f"{mode:04o}"
    for use in (
        lambda: alice.unlock(HORSE, practice=True),
        lambda: part_files.open_file(part.path),
    ):
        with pytest.raises(Trouble, match="others on this machine can change") as caught:
            use()
        assert caught.value.exit is Exit.EXPOSED
    for good in (0o700, 0o755, 0o1777):
        keys.chmod(good)
        assert len(signature_files.list_in(keys).usable) == 1


# --- what refuses ---------------------------------------------------------------------------------


Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    ("spoil", "error", "code"),
    [
        (flip, Damaged, None),
        (lambda path: path.write_bytes(b""), Damaged, None),
        (lambda path: path.write_bytes(bytes(9000)), Trouble, Exit.DAMAGED),
        (lambda path: path.chmod(0o640), Trouble, Exit.EXPOSED),
        (lambda path: path.chmod(0o604), Trouble, Exit.EXPOSED),
        (lambda path: path.unlink(), Trouble, Exit.DAMAGED),
    ],
)
def test_a_file_is_looked_at_afresh_when_it_is_used(
    keys: Path, spoil: Spoil, error: type[Exception], code: Exit | None
) -> None:
    key = signature_key(keys)
    spoil(key.path)
    for use in (
        lambda: key.unlock(HORSE, practice=True),
        lambda: key.change_password(HORSE, BATTERY),
    ):
        with pytest.raises(error) as caught:
            use()
        if isinstance(caught.value, Trouble):
            assert caught.value.exit is code


def test_another_users_file_is_not_used(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = signature_key(keys)
    monkeypatch.setattr(os, "geteuid", lambda: key.path.stat().st_uid + 1)
    with pytest.raises(Trouble) as caught:
        key.unlock(HORSE, practice=True)
    assert caught.value.exit is Exit.EXPOSED


def test_another_key_in_the_files_place_is_noticed(keys: Path) -> None:
    alice, mallory = signature_key(keys, "alice"), signature_key(keys, "mallory")
    mallory.path.replace(alice.path)
    with pytest.raises(OtherKey) as caught:
        alice.unlock(HORSE, practice=True)
    assert caught.value.expected is not None and caught.value.found is not None
    assert caught.value.expected.replace(" ", "") == alice.ski.hex()
    assert caught.value.found.replace(" ", "") == mallory.ski.hex()
    with pytest.raises(OtherKey):
        alice.change_password(HORSE, BATTERY)


def test_a_wrong_password_leaves_the_file_as_it_was(keys: Path) -> None:
    key = signature_key(keys)
    before = key.path.read_bytes()
    with pytest.raises(WrongPassword):
        key.unlock(BATTERY, practice=True)
    with pytest.raises(WrongPassword):
        key.change_password(BATTERY, HORSE)
    assert key.path.read_bytes() == before


def test_a_directory_that_others_can_enter_gets_no_key(keys: Path) -> None:
    keys.mkdir(mode=0o755)
    keys.chmod(0o755)
    with pytest.raises(Trouble) as caught:
        signature_key(keys)
    assert caught.value.exit is Exit.EXPOSED
    assert list(keys.iterdir()) == []


# --- passwords ------------------------------------------------------------------------------------


def test_a_new_password_opens_and_the_old_one_does_not(keys: Path) -> None:
    key = signature_key(keys)
    key.change_password(HORSE, BATTERY)
    assert key.path.stat().st_mode & 0o777 == 0o600
    now = signature_files.open_file(key.path)
    assert now.header.but(lock=key.header.lock) == key.header
    assert now.header.lock.salt != key.header.lock.salt
    assert now.header.lock.nonce != key.header.lock.nonce
    assert now.unlock(BATTERY, practice=True).ski == key.ski
    with pytest.raises(WrongPassword):
        now.unlock(HORSE, practice=True)


def test_a_full_disk_leaves_the_old_password(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = signature_key(keys)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Trouble) as caught:
            key.change_password(HORSE, BATTERY)
        assert caught.value.exit is Exit.STORAGE
        assert "alice.sig has its old password" in caught.value.what
        with pytest.raises(Trouble, match="no key part was made or announced"):
            key_part(keys)
    assert [path.name for path in keys.iterdir()] == ["alice.sig"]
    key.unlock(HORSE, practice=True)


def test_a_removed_file_is_gone(keys: Path) -> None:
    key = signature_key(keys)
    key.remove()
    assert list(keys.iterdir()) == []
    with pytest.raises(Trouble):
        key.remove()


# --- copies ---------------------------------------------------------------------------------------


def test_a_copy_goes_into_a_directory_or_to_a_name_and_back(keys: Path, tmp_path: Path) -> None:
    key = signature_key(keys)
    stick = tmp_path / "stick"
    stick.mkdir()
    first, second = key.copy_to(stick), key.copy_to(stick / "alice-2026.sig")
    assert (first.path, second.path) == (stick / "alice.sig", stick / "alice-2026.sig")
    assert first.path.read_bytes() == second.path.read_bytes() == key.path.read_bytes()
    assert not first.exposed
    first.path.chmod(0o755)  # as on FAT
    key.remove()
    copy_key_file(first.path, keys)
    assert signature_files.open_file(key.path).unlock(HORSE, practice=True).ski == key.ski
    assert key.path.stat().st_mode & 0o777 == 0o600


def test_a_copy_replaces_nothing(keys: Path, tmp_path: Path) -> None:
    key, part = signature_key(keys), key_part(keys)
    before = part.path.read_bytes()
    with pytest.raises(Trouble) as caught:
        key.copy_to(part.path)
    assert caught.value.exit is Exit.REFUSED
    assert part.path.read_bytes() == before
    with pytest.raises(Trouble):
        key.copy_to(keys)


def test_a_damaged_file_is_not_copied(keys: Path, tmp_path: Path) -> None:
    part = key_part(keys)
    flip(part.path, 60)
    with pytest.raises(Damaged):
        part.copy_to(tmp_path / "copy.part")
    assert not (tmp_path / "copy.part").exists()


def test_a_copy_that_reads_back_otherwise_is_removed(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, other = key_part(keys), key_part(keys, part=bytes(32))
    target = tmp_path / "copy.part"
    whole = os.fsync

    def a_bad_stick(descriptor: int) -> None:
        whole(descriptor)
        target.write_bytes(bytes(target.stat().st_size))

    def a_stick_that_mixes_files_up(descriptor: int) -> None:
        whole(descriptor)
        target.write_bytes(other.path.read_bytes())

    for fault in (a_bad_stick, a_stick_that_mixes_files_up):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fault)
            with pytest.raises(Damaged):
                part.copy_to(target)
        assert not target.exists()


def test_a_copy_that_cannot_be_written_leaves_nothing(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = key_part(keys)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Trouble) as caught:
        part.copy_to(tmp_path / "copy.part")
    assert caught.value.exit is Exit.STORAGE
    assert not (tmp_path / "copy.part").exists()
    with pytest.raises(Trouble):
        part.copy_to(tmp_path / "no such" / "copy.part")


def test_a_copy_says_when_others_can_read_it(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = key_part(keys)
    monkeypatch.setattr(private_files, "FILE_MODE", 0o644)  # as if the stick knew no modes
    assert part.copy_to(tmp_path / "copy.part").exposed


def test_an_identity_is_never_copied(keys: Path, tmp_path: Path) -> None:
    identity_file.create(keys, name=PersonName("alice"), at=AT)
    with pytest.raises(Unsupported):
        copy_key_file(keys / identity_file.FILE_NAME, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


# --- the agent's identity -------------------------------------------------------------------------


def test_an_identity_is_made_once_and_signs_after_every_start(keys: Path) -> None:
    made = identity_file.create(keys, name=PersonName("alice"), at=AT)
    again = identity_file.load(keys)
    assert (again.name, again.key) == ("alice", made.key)
    verify_identity(made.key, b"message", again.sign(b"message"))
    with pytest.raises(Trouble) as caught:
        identity_file.create(keys, name=PersonName("alice"), at=AT)
    assert caught.value.exit is Exit.REFUSED
    assert identity_file.load(keys).key == made.key


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: path.chmod(0o640), Exit.EXPOSED),
        (lambda path: path.unlink(), Exit.USAGE),
    ],
)
def test_an_identity_that_others_know_is_not_used(keys: Path, spoil: Spoil, code: Exit) -> None:
    identity_file.create(keys, name=PersonName("alice"), at=AT)
    spoil(keys / identity_file.FILE_NAME)
    with pytest.raises(Trouble) as caught:
        identity_file.load(keys)
    assert caught.value.exit is code


def test_a_damaged_identity_says_so(keys: Path) -> None:
    identity_file.create(keys, name=PersonName("alice"), at=AT)
    flip(keys / identity_file.FILE_NAME)
    with pytest.raises(Trouble, match="isn't as it was written") as caught:
        identity_file.load(keys)
    assert caught.value.exit is Exit.DAMAGED


def test_nothing_unlocked_shows_its_secret(keys: Path) -> None:
    seed = b"\x07" * 32
    key = known_key(Algorithm.ED25519, seed)
    identity = identity_file.create(keys, name=PersonName("alice"), at=AT)
    stored = (keys / identity_file.FILE_NAME).read_bytes()[-64:-32]
    for text in (repr(key), str(vars(key)), repr(identity), str(vars(identity))):
        assert seed.hex() not in text and repr(seed)[2:-1] not in text
        assert stored.hex() not in text and repr(stored)[2:-1] not in text


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "what", "next_step"),
    [
        (
            WrongPassword(),
            Exit.WRONG_PASSWORD,
            "3 tries. bob.sig is undamaged; nothing was signed.",
            "caps lock? keyboard layout? Then approve again",
        ),
        (
            Damaged(expected="checksum 5d20e1c7", found="91b3004a"),
            Exit.DAMAGED,
            "bob.sig isn't as it was written; no password can open it. It was left as it is.",
            "put your copy of bob.sig back, then approve again",
        ),
        (
            WrongPractice(expected="a real key", found="a practice key"),
            Exit.REFUSED,
            "bob.sig is a practice key; practice and real work share no key; nothing was signed",
            "make a real key for it",
        ),
        (
            OtherKey(expected="a", found="b"),
            Exit.REFUSED,
            "bob.sig holds another key than before; nothing was signed",
            "put your copy of the right file back, then approve again",
        ),
        (
            Unsupported(expected="a", found="b"),
            Exit.REFUSED,
            "bob.sig isn't a key file that this program can use here; nothing was signed",
            "was it made by a newer program, or is it another kind of file?",
        ),
        (
            OutOfMemory(expected="a", found="b"),
            Exit.STORAGE,
            "too little memory here to open bob.sig, which is undamaged; nothing was signed",
            "end other programs, then approve again",
        ),
    ],
)
def test_what_people_read(error: KeyFileError, code: Exit, what: str, next_step: str) -> None:
    trouble = as_trouble(
        error, "bob.sig", untouched="nothing was signed", again="approve again", tries=3
    )
    assert (trouble.exit, trouble.what, trouble.next) == (code, what, next_step)
    assert (trouble.expected, trouble.found) == (error.expected, error.found)


def test_every_error_of_a_key_file_has_words() -> None:
    for error in KeyFileError.__subclasses__():
        as_trouble(error(), "bob.sig", untouched="nothing was signed", again="approve again")
