"""What a program that uses keys has on its disk: its private key, and which units there are.

The key is Ed25519 in PKCS #8 PEM (RFC 8410), as `openssl genpkey -algorithm ed25519` writes it,
without a password and private to its user. The units stand in TOML, one table each:

    [[unit]]
    name = "OPERATIONAL [eu-de].[AZ1-CS1].[00].[03]"
    address = "units.example:7445"
    fingerprint = "<SHA-256 of the host's TLS certificate, 64 hex digits>"
    identity = "<the unit's identity key, 64 hex digits>"
    failover = false

`quorate unit show DIR --for-key-users FILE` writes it for the units of a host.
"""

import json
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from hsm_backend.client.key_units import KeyUnit, KeyUserKey
from protocol.identifiers import IdentityKey
from quorate import private_files
from quorate.exits import Exit, Trouble
from quorate.tls import Fingerprint

_LIMIT = 64 * 1024
_FIELDS = {"name", "address", "fingerprint", "identity", "failover"}


def make_key(path: Path) -> KeyUserKey:
    """A new private key in a file; refused trouble where there is one."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    private_files.create(path, pem, untouched="no key was made")
    return load_key(path)


def load_key(path: Path) -> KeyUserKey:
    """The key in the file; trouble where there is none, others can read it, or it is another."""
    try:
        data = private_files.read(path, limit=_LIMIT)
    except FileNotFoundError:
        raise Trouble(
            Exit.USAGE,
            "there is no key of a key user",
            expected=str(path),
            found="no file",
            next=f"quorate keys identity {path}",
        ) from None
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Trouble(
            Exit.DAMAGED,
            f"{path.name} isn't an Ed25519 private key in PEM without a password",
            next="put your copy back, or make another and have a quorum install it",
        )
    public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return KeyUserKey(public_key=public_key, sign=key.sign)


def load_units(paths: Sequence[Path]) -> list[KeyUnit]:
    """The units in these files, each once; trouble where one can't be read."""
    found: dict[IdentityKey, KeyUnit] = {}
    for path in paths:
        try:
            table = tomllib.loads(path.read_text("utf-8"))
            if set(table) != {"unit"}:
                raise ValueError("a [[unit]] for each unit, nothing else")
            for one in table["unit"]:
                unit = _unit(one)
                found.setdefault(unit.identity, unit)
        except OSError as error:
            raise Trouble(
                Exit.USAGE,
                f"{path} can't be read: {error.strerror}",
                next="ask who runs the units for it: quorate unit show DIR --for-key-users FILE",
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise Trouble(
                Exit.DAMAGED,
                f"{path} doesn't say which units there are",
                found=str(error),
                next="ask who runs the units for it: quorate unit show DIR --for-key-users FILE",
            ) from None
    return list(found.values())


def units_as_text(units: Iterable[KeyUnit]) -> str:
    """The file for these units."""
    return "\n".join(
        "\n".join(
            (
                "[[unit]]",
                f"name = {json.dumps(unit.name)}",
                f"address = {json.dumps(unit.address)}",
                f'fingerprint = "{unit.pinned.hex()}"',
                f'identity = "{unit.identity.hex()}"',
                f"failover = {str(unit.failover).lower()}",
                "",
            )
        )
        for unit in units
    )


def _unit(table: dict[str, Any]) -> KeyUnit:
    if set(table) - _FIELDS:
        raise ValueError(f"unknown: {', '.join(sorted(set(table) - _FIELDS))}")
    failover = table.get("failover", False)
    if not isinstance(failover, bool):
        raise ValueError("failover is true or false")
    return KeyUnit(
        name=str(table["name"]),
        address=str(table["address"]),
        pinned=Fingerprint(_bytes_32(table, "fingerprint")),
        identity=IdentityKey(_bytes_32(table, "identity")),
        failover=failover,
    )


def _bytes_32(table: dict[str, Any], field: str) -> bytes:
    value = bytes.fromhex(table[field])
    if len(value) != 32:
        raise ValueError(f"{field} is 64 hex digits")
    return value
