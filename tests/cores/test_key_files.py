"""What a key user has on disk: a private key in PEM, and a file that says which units there are."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from hsm_backend.client.key_files import load_key, load_units, make_key, units_as_text
from hsm_backend.client.key_units import KeyUnit
from quorate import private_files
from quorate.exits import Exit, Trouble
from quorate.tls import Fingerprint
from tests.cast.keys import signature_key

UNITS = [
    KeyUnit(
        name=f"OPERATIONAL [eu-de].[AZ{number}-CS1].[00].[03]",
        address=f"zone{number}.example:7445",
        pinned=Fingerprint(bytes([number]) * 32),
        identity=signature_key(f"unit {number}").identity,
        failover=number == 3,
    )
    for number in (1, 2, 3)
]


def pem(key: object, lock: KeySerializationEncryption | None = None) -> bytes:
    assert isinstance(key, Ed25519PrivateKey | ec.EllipticCurvePrivateKey)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption())


def test_a_key_is_made_once_and_signs(tmp_path: Path):
    path = tmp_path / "key.pem"
    made = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path).public_key == made.public_key
    Ed25519PublicKey.from_public_bytes(made.public_key).verify(made.sign(b"call"), b"call")
    assert "sign" not in repr(made)
    with pytest.raises(Trouble) as found:
        make_key(path)
    assert found.value.exit is Exit.REFUSED
    assert load_key(path).public_key == made.public_key


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"password")),
    ],
    ids=["empty", "nothing in it", "another algorithm", "locked"],
)
def test_what_is_no_key(tmp_path: Path, data: bytes):
    private_files.write(tmp_path / "key.pem", data, untouched="")
    with pytest.raises(Trouble) as found:
        load_key(tmp_path / "key.pem")
    assert found.value.exit is Exit.DAMAGED


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path):
    make_key(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o644)
    with pytest.raises(Trouble) as found:
        load_key(tmp_path / "key.pem")
    assert found.value.exit is Exit.EXPOSED
    with pytest.raises(Trouble, match="no key of a key user") as found:
        load_key(tmp_path / "nothing.pem")
    assert found.value.exit is Exit.USAGE


def test_units_read_back_from_several_files_each_once(tmp_path: Path):
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(units_as_text(UNITS[:2]))
    two.write_text(units_as_text(UNITS[1:]))
    assert load_units([one, two]) == UNITS


GOOD = units_as_text(UNITS[:1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[[unit]]\n",
        "unit = 1\n",
        "x = 1\n" + GOOD,
        GOOD + "more = 1\n",
        GOOD.replace("01" * 32, "01" * 31),
        GOOD.replace("01" * 32, "xx" * 32),
        GOOD.replace("failover = false", "failover = 0"),
        GOOD.replace("identity", "identiti"),
        "[[unit",
    ],
    ids=range(10),
)
def test_what_says_no_units(tmp_path: Path, text: str):
    path = tmp_path / "units.toml"
    path.write_text(text)
    with pytest.raises(Trouble, match="which units there are") as found:
        load_units([path])
    assert found.value.exit is Exit.DAMAGED
