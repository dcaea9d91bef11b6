"""The bytes of key storage: what is read back, and that nothing opens but in its own place."""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from hypothesis import assume, given
from hypothesis import strategies as st

from hsm_backend.keys.data_keys import unwrap_data, wrap_data
from hsm_backend.keys.inventory import Inventory
from hsm_backend.keys.master import MasterKey
from protocol.identifiers import VP
from protocol.keys.blobs import OVERHEAD, Blob, parse_blob
from protocol.keys.operations import MAX_DATA, KeyId, KeyVersion, StorageId
from protocol.record.tree import Hash
from protocol.refusals import Refusal, Rule
from protocol.schema import to_bytes
from protocol.secrets import Secret

BYTES_16, BYTES_32 = st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32)
NONCES = st.binary(min_size=12, max_size=12)
VERSIONS = st.integers(1, (1 << 32) - 1)
PLACES = st.tuples(BYTES_16.map(StorageId), BYTES_16.map(KeyId), VERSIONS.map(KeyVersion))
Place = tuple[StorageId, KeyId, KeyVersion]


@given(PLACES, NONCES, st.binary(min_size=1, max_size=200), st.binary(max_size=60), BYTES_32)
def test_a_blob_reads_back_and_opens(
    place: Place, nonce: bytes, data: bytes, associated: bytes, root: bytes
):
    made = wrap_data(root, *place, data=data, associated=associated, nonce=nonce)
    assert len(made) == OVERHEAD + len(data)
    blob = parse_blob(made)
    assert isinstance(blob, Blob)
    assert (blob.storage, blob.key, blob.version, blob.nonce) == (*place, nonce)
    assert blob.to_bytes() == made
    assert unwrap_data(root, blob, associated) == data


@given(PLACES, st.binary(min_size=1, max_size=40), st.data())
def test_damage_is_told_from_a_wrong_opening(place: Place, data: bytes, draw: st.DataObject):
    """Any bit, any length: damaged. With the checksum made good again: not what was wrapped."""
    root = bytes(32)
    made = wrap_data(root, *place, data=data, associated=b"a", nonce=bytes(12))
    at = draw.draw(st.integers(0, len(made) * 8 - 1))
    damaged = bytearray(made)
    damaged[at // 8] ^= 1 << at % 8
    found = parse_blob(bytes(damaged))
    assert isinstance(found, Refusal) and found.rule is Rule.BLOB_DAMAGED
    length = draw.draw(st.integers(0, len(made) - 1))
    found = parse_blob(made[:length])
    assert isinstance(found, Refusal) and found.rule is Rule.BLOB_DAMAGED
    body = bytes(damaged[:-8])
    mended = parse_blob(body + hashlib.sha256(body).digest()[:8])
    if isinstance(mended, Blob) and body != made[:-8]:
        opened = unwrap_data(root, mended, b"a")
        assert isinstance(opened, Refusal) and opened.rule is Rule.ASSOCIATED_DATA


def test_a_blob_byte_by_byte():
    """As the record has it, put together by hand and opened by the library alone."""
    storage, key, nonce, root = bytes([1] * 16), bytes([2] * 16), bytes([3] * 12), bytes([4] * 32)
    header = b"QRK1" + storage + key + b"\x00\x00\x01\x02"
    associated = b"quorate key blob v1\0" + header + b"row 7"
    body = header + nonce + AESGCMSIV(root).encrypt(nonce, b"data key", associated)
    blob = body + hashlib.sha256(body).digest()[:8]
    made = wrap_data(
        root,
        StorageId(storage),
        KeyId(key),
        KeyVersion(258),
        data=b"data key",
        associated=b"row 7",
        nonce=nonce,
    )
    assert made == blob


@given(st.binary(max_size=300))
def test_what_is_no_blob(data: bytes):
    assert isinstance(parse_blob(data), Refusal)


def test_the_longest_data_key_fits_into_a_blob():
    made = wrap_data(
        bytes(32),
        StorageId(bytes(16)),
        KeyId(bytes(16)),
        KeyVersion(1),
        data=bytes(MAX_DATA),
        associated=b"",
        nonce=bytes(12),
    )
    assert isinstance(parse_blob(made), Blob)
    assert isinstance(parse_blob(made[:-8] + b"x" * 200 + made[-8:]), Refusal)


@given(PLACES, PLACES, BYTES_32, NONCES, st.booleans())
def test_a_wrap_opens_in_its_own_place_alone(
    place: Place, other: Place, root: bytes, nonce: bytes, another_master: bool
):
    master, strange = MasterKey(Secret(bytes(32))), MasterKey(Secret(b"m" * 32))
    wrap = master.wrap(root, *place, nonce=nonce)
    assert len(wrap) == 60 and root not in wrap
    assert master.unwrap(wrap, *place) == root
    assert strange.unwrap(wrap, *place) is None
    for number in range(3):
        mixed = (*place[:number], other[number], *place[number + 1 :])
        if mixed != place:
            assert master.unwrap(wrap, *mixed) is None  # type: ignore[arg-type]
    assert master.unwrap(b"", *place) is None


@given(st.integers(1, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 40), BYTES_32)
def test_the_word_for_an_inventory_is_for_it_alone(
    version: int, count: int, size: int, root: bytes
):
    inventory = Inventory(
        storage=StorageId(bytes(16)),
        version=version,
        count=count,
        size=size,
        root=Hash(root),
        vps=(VP(bytes(32)),),
    )
    master = MasterKey(Secret(bytes(32)))
    tag = master.vouch(inventory)
    assert master.vouched(inventory, tag)
    assert not MasterKey(Secret(b"m" * 32)).vouched(inventory, tag)
    for change in (
        {"storage": b"s" * 16},
        {"version": version + 1},
        {"count": count + 1},
        {"size": size + 1},
        {"root": bytes(reversed(root))},
        {"vps": (VP(b"v" * 32),)},
    ):
        other = inventory.but(**change)
        assume(other != inventory)
        assert not master.vouched(other, tag)


def test_each_purpose_has_a_key_of_its_own():
    """By RFC 5869 as it is written, with HMAC from the standard library."""
    secret = bytes(range(32))

    def derived(info: bytes) -> bytes:
        extracted = hmac.digest(bytes(32), secret, "sha256")
        return hmac.digest(extracted, info + b"\x01", "sha256")

    master = MasterKey(Secret(secret))
    wrap = master.wrap(
        b"r" * 32, StorageId(bytes(16)), KeyId(bytes(16)), KeyVersion(1), nonce=bytes(12)
    )
    place = (
        b"quorate root key wrap v1\0\x84\xa3key\xc4\x10" + bytes(16)
        + b"\xa6master\xc4\x20" + hashlib.sha256(secret).digest()
        + b"\xa7storage\xc4\x10" + bytes(16) + b"\xa7version\x01"
    )  # fmt: skip
    opener = AESGCMSIV(derived(b"quorate root key wrap v1"))
    assert wrap[12:] == opener.encrypt(wrap[:12], b"r" * 32, place)
    assert secret not in wrap
    inventory = Inventory(
        storage=StorageId(bytes(16)),
        version=1,
        count=0,
        size=0,
        root=Hash(bytes(32)),
        vps=(master.vp,),
    )
    message = b"quorate key inventory v1\0" + to_bytes(inventory)
    expected = hmac.digest(derived(b"quorate key inventory v1"), message, "sha256")
    assert master.vouch(inventory) == expected
