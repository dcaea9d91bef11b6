# mypy: ignore-errors
"""Makes keyfiles.json. A second implementation of docs/reference/key-file.md; see README.md.

It needs libraries that the project doesn't, so types aren't checked here.
"""

import hashlib
import json
import struct
import sys
from collections.abc import Callable
from typing import Any

from argon2.low_level import Type, hash_secret_raw
from Crypto.Cipher import ChaCha20_Poly1305
from Crypto.PublicKey import ECC
from dilithium_py.ml_dsa import ML_DSA_65

MAGIC = b"quorate key file 1\n"
CREATED = 1795510920000
PART = bytes(range(32))
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032
SEED_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
P521_NUMBER = int(  # RFC 6979, A.2.7
    "0FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75C"
    "AA896EB32F1F47C70855836A6D16FCC1466F6D8FBEC67DB89EC0C08B0E996B83538",
    16,
)
P521_X = bytes.fromhex(
    "01894550D0785932E00EAA23B694F213F8C3121F86DC97A04E5A7167DB4E5BCD3711"
    "23D46E45DB6B5D5370A7F20FB633155D38FFA16D2BD761DCAC474B9A2F5023A4"
)
P521_ORDER = int(  # FIPS 186-4, D.1.2.5
    "6864797660130609714981900799081393217269435300143305409394463459"
    "18554318339765539424505774633321719753296399637136332111386476861"
    "2440380340372808892707005449"
)


# --- msgpack, canonical ---------------------------------------------------------------------------


def pack(value: Any) -> bytes:
    if value is None:
        return b"\xc0"
    if value is False:
        return b"\xc2"
    if value is True:
        return b"\xc3"
    if isinstance(value, int):
        for top, code, shape in (
            (0x80, b"", "B"),
            (1 << 8, b"\xcc", "B"),
            (1 << 16, b"\xcd", ">H"),
        ):
            if 0 <= value < top:
                return code + struct.pack(shape, value)
        return (
            b"\xce" + struct.pack(">I", value)
            if value < 1 << 32
            else b"\xcf" + struct.pack(">Q", value)
        )
    if isinstance(value, str):
        text = value.encode()
        if len(text) < 32:
            return bytes([0xA0 | len(text)]) + text
        return b"\xd9" + bytes([len(text)]) + text
    if isinstance(value, bytes):
        if len(value) < 256:
            return b"\xc4" + bytes([len(value)]) + value
        return b"\xc5" + struct.pack(">H", len(value)) + value
    assert isinstance(value, dict) and len(value) < 16
    pairs = sorted(value.items(), key=lambda pair: pair[0].encode())
    return bytes([0x80 | len(pairs)]) + b"".join(pack(k) + pack(v) for k, v in pairs)


# --- the format -----------------------------------------------------------------------------------


def noise(of: str, length: int) -> bytes:
    return hashlib.shake_128(b"quorate key file vector, " + of.encode()).digest(length)


def lock(case: str, opslimit: int = 1, memlimit: int = 8192) -> dict[str, Any]:
    return {
        "cost": {"opslimit": opslimit, "memlimit": memlimit},
        "salt": noise(case + " salt", 16),
        "nonce": noise(case + " nonce", 24),
    }


def preamble(header: bytes, magic: bytes = MAGIC) -> bytes:
    return magic + struct.pack(">H", len(header)) + header


def checksummed(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


def argon2id(password: str, how: dict[str, Any]) -> bytes:
    return hash_secret_raw(
        password.encode(),
        how["salt"],
        time_cost=how["cost"]["opslimit"],
        memory_cost=how["cost"]["memlimit"] // 1024,
        parallelism=1,
        hash_len=32,
        type=Type.ID,
        version=19,
    )


def seal(how: dict[str, Any], password: str, secret: bytes, associated: bytes) -> bytes:
    cipher = ChaCha20_Poly1305.new(key=argon2id(password, how), nonce=how["nonce"])
    cipher.update(associated)
    sealed, tag = cipher.encrypt_and_digest(secret)
    return sealed + tag


def locked_file(header: dict[str, Any], password: str, secret: bytes) -> bytes:
    before = preamble(pack(header))
    return checksummed(before + seal(header["lock"], password, secret, before))


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def signature_header(
    name: str, algorithm: str, public_key: bytes, how: dict[str, Any]
) -> dict[str, Any]:
    return {
        "kind": "signature-key",
        "name": name,
        "algorithm": algorithm,
        "public_key": public_key,
        "ski": sha256(public_key),
        "created": CREATED,
        "practice": True,
        "lock": how,
    }


def part_header(
    name: str, part: bytes, how: dict[str, Any], practice: bool = True
) -> dict[str, Any]:
    return {
        "kind": "key-part",
        "name": name,
        "vp": sha256(part),
        "created": CREATED,
        "practice": practice,
        "lock": how,
    }


# --- files that open ------------------------------------------------------------------------------

GOOD: list[dict[str, Any]] = []
BAD: list[dict[str, str]] = []


def hexed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: hexed(inner) for key, inner in value.items()}
    return value.hex() if isinstance(value, bytes) else value


def good(
    case: str, header: dict[str, Any], password: str | None, secret: bytes, data: bytes
) -> None:
    GOOD.append(
        {
            "case": case,
            "password": password,
            "header": hexed(header),
            "secret": secret.hex(),
            "file": data.hex(),
        }
    )


def bad(case: str, error: str, data: bytes, password: str = "correct horse") -> None:
    BAD.append({"case": case, "error": error, "password": password, "file": data.hex()})


part = part_header("alice part", PART, lock("part"))
part_file = locked_file(part, "correct horse", PART)
good("practice key part", part, "correct horse", PART, part_file)

real = part_header("real part", PART, lock("real", 3, 256 * 1024 * 1024), practice=False)
good("real key part", real, "correct horse", PART, locked_file(real, "correct horse", PART))

umlaut = part_header("p", PART, lock("umlaut"))
composed = "p\u00e4ssw\u00f6rd \u00c5 \u2713"
good("password beyond ASCII", umlaut, composed, PART, locked_file(umlaut, composed, PART))

ed_key = ECC.construct(curve="Ed25519", seed=SEED).public_key().export_key(format="raw")
assert ed_key == SEED_KEY
ed = signature_header("alice", "ed25519", ed_key, lock("ed25519"))
ed_file = locked_file(ed, "correct horse", SEED)
good("ed25519 signature key", ed, "correct horse", SEED, ed_file)

p521_secret = P521_NUMBER.to_bytes(66, "big")
p521_key = ECC.construct(curve="P-521", d=P521_NUMBER).public_key().export_key(format="SEC1")
assert p521_key[:67] == b"\x04" + P521_X
p521 = signature_header(
    "(Bob's) key no. 2, a/b:c=d?+-", "ecdsa-p521-sha512", p521_key, lock("p521")
)
p521_file = locked_file(p521, "correct horse", p521_secret)
good("P-521 signature key", p521, "correct horse", p521_secret, p521_file)

ml_dsa_seed = noise("ml-dsa seed", 32)
ml_dsa_key, _ = ML_DSA_65.key_derive(ml_dsa_seed)
hybrid = signature_header("carol", "ed25519+ml-dsa-65", ed_key + ml_dsa_key, lock("hybrid"))
hybrid_file = locked_file(hybrid, "correct horse", SEED + ml_dsa_seed)
good("hybrid signature key", hybrid, "correct horse", SEED + ml_dsa_seed, hybrid_file)

identity = {"kind": "agent-identity", "name": "alice", "key": ed_key, "created": CREATED}
identity_file = checksummed(preamble(pack(identity)) + SEED)
good("agent identity", identity, None, SEED, identity_file)


# --- files that don't -----------------------------------------------------------------------------

bad("another password", "WrongPassword", part_file, "correct horsf")
bad("empty password", "WrongPassword", part_file, "")
bad("empty file", "Damaged", b"")
bad("nothing but a checksum", "Damaged", part_file[-32:])
bad("nothing but the right checksum of nothing", "Damaged", sha256(b""))
for length in (
    1,
    18,
    19,
    20,
    21,
    100,
    len(part_file) - 33,
    len(part_file) - 32,
    len(part_file) - 1,
):
    bad(f"cut after {length} bytes", "Damaged", part_file[:length])
bad("a byte more at the end", "Damaged", part_file + b"\0")
bad("a byte more at the beginning", "Damaged", b"\0" + part_file)
bad(
    "line feeds became carriage returns and line feeds",
    "Damaged",
    part_file.replace(b"\n", b"\r\n"),
)
bad("the first half twice", "Damaged", part_file[:100] + part_file)
bad("a text file", "Damaged", b'{"keyType": "p521ec", "seaSalt": "", "enckey": "00"}\n')

# From here on every checksum is right: the work of somebody who knows the format.
content = part_file[:-32]
body = content[-48:]


def remade(header: dict[str, Any], body: bytes = body) -> bytes:
    """Another header before the same body, with the right checksum."""
    return checksummed(preamble(pack(header)) + body)


def spelt(header: bytes) -> bytes:
    return checksummed(preamble(header) + body)


def changed(base: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    copy = {key: dict(value) if isinstance(value, dict) else value for key, value in base.items()}
    copy["lock"]["cost"] = dict(copy["lock"]["cost"])
    change(copy)
    return copy


def flipped(data: bytes, at: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


for version in (b"0", b"2", b"01", b"10", b"", b"a"):
    magic = b"quorate key file " + version + b"\n"
    before = preamble(pack(part), magic)
    sealed = before + seal(part["lock"], "correct horse", PART, before)
    bad(f"version {version.decode()!r}", "Unsupported", checksummed(sealed))
bad("another magic line", "Unsupported", checksummed(b"quorate kez file 1\n" + content[19:]))
bad("magic line without its end", "Unsupported", checksummed(MAGIC[:-1] + content[19:]))
bad("only a magic line", "Unsupported", checksummed(MAGIC))
bad("no header", "Unsupported", checksummed(MAGIC + b"\0\0" + body))
bad(
    "header's length one short",
    "Unsupported",
    checksummed(MAGIC + struct.pack(">H", len(pack(part)) - 1) + content[21:]),
)
bad(
    "header's length one more",
    "Unsupported",
    checksummed(MAGIC + struct.pack(">H", len(pack(part)) + 1) + content[21:]),
)
bad(
    "header's length beyond the file",
    "Unsupported",
    checksummed(MAGIC + b"\xff\xff" + content[21:]),
)
bad("body a byte short", "Unsupported", checksummed(content[:-1]))
bad("body a byte longer", "Unsupported", checksummed(content + b"\0"))
bad("no body", "Unsupported", checksummed(content[:-48]))
bad("longer than 8192 bytes", "Unsupported", checksummed(content + bytes(8192)))

for name, spelling in {
    "keys not in order": bytes([0x86])
    + b"".join(pack(k) + pack(part[k]) for k in sorted(part, reverse=True)),
    "a key twice": bytes([0x87]) + pack(part)[1:] + pack("vp") + pack(part["vp"]),
    "an integer in a longer form": pack(part).replace(b"\xa8opslimit\x01", b"\xa8opslimit\xcc\x01"),
    "text in a longer form": pack(part).replace(b"\xa4name", b"\xd9\x04name"),
    "bytes as text": pack(part).replace(
        b"\xa4salt\xc4\x10" + part["lock"]["salt"], b"\xa4salt\xb0abcdefghijklmnop"
    ),
    "an integer as a float": pack(part).replace(
        b"\xa8opslimit\x01", b"\xa8opslimit\xcb" + struct.pack(">d", 1.0)
    ),
    "an array": b"\x90",
    "a number": b"\x01",
    "nothing": b"\xc0",
    "no msgpack": b"\xc1",
    "more than one value": pack(part) + b"\xc0",
}.items():
    bad(f"header: {name}", "Unsupported", spelt(spelling))

unsupported: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an unknown field": lambda h: h.update(note="x"),
    "an unknown field in the lock": lambda h: h["lock"].update(lanes=1),
    "an unknown kind": lambda h: h.update(kind="seed"),
    "no kind": lambda h: h.pop("kind"),
    "no name": lambda h: h.pop("name"),
    "no practice": lambda h: h.pop("practice"),
    "no lock": lambda h: h.update(lock=None),
    "practice as a number": lambda h: h.update(practice=1),
    "an empty name": lambda h: h.update(name=""),
    "a name of 31 characters": lambda h: h.update(name="a" * 31),
    "a name with a line feed": lambda h: h.update(name="alice\n"),
    "a name with an escape": lambda h: h.update(name="\x1b[2J"),
    "a name beyond PrintableString": lambda h: h.update(name="\u00e4"),
    "a VP of 31 bytes": lambda h: h.update(vp=h["vp"][:31]),
    "a salt of 15 bytes": lambda h: h["lock"].update(salt=h["lock"]["salt"][:15]),
    "a nonce of 12 bytes": lambda h: h["lock"].update(nonce=h["lock"]["nonce"][:12]),
    "created before 1970": lambda h: h.update(created=None),
    "opslimit 0": lambda h: h["lock"]["cost"].update(opslimit=0),
    "opslimit above the most": lambda h: h["lock"]["cost"].update(opslimit=11),
    "opslimit of 2^32": lambda h: h["lock"]["cost"].update(opslimit=1 << 32),
    "memlimit below the least": lambda h: h["lock"]["cost"].update(memlimit=7168),
    "memlimit not whole KiB": lambda h: h["lock"]["cost"].update(memlimit=8193),
    "memlimit above the most": lambda h: h["lock"]["cost"].update(memlimit=(1 << 30) + 1024),
    "memlimit of 1 TiB": lambda h: h["lock"]["cost"].update(memlimit=1 << 40),
    "memlimit of 2^63": lambda h: h["lock"]["cost"].update(memlimit=1 << 63),
}
for name, change in unsupported.items():
    bad(f"header: {name}", "Unsupported", remade(changed(part, change)))

wrong: dict[str, Callable[[dict[str, Any]], Any]] = {
    "name": lambda h: h.update(name="bob part"),
    "created": lambda h: h.update(created=CREATED + 1),
    "practice": lambda h: h.update(practice=False),
    "VP": lambda h: h.update(vp=flipped(h["vp"])),
    "salt": lambda h: h["lock"].update(salt=flipped(h["lock"]["salt"])),
    "nonce": lambda h: h["lock"].update(nonce=flipped(h["lock"]["nonce"], 23)),
    "opslimit": lambda h: h["lock"]["cost"].update(opslimit=2),
    "memlimit": lambda h: h["lock"]["cost"].update(memlimit=9216),
}
for name, change in wrong.items():
    bad(f"header: another {name}", "WrongPassword", remade(changed(part, change)))
for at in (0, 31, 32, 47):
    bad(f"body: byte {at} changed", "WrongPassword", checksummed(content[:-48] + flipped(body, at)))
bad(
    "header of one file, body of another",
    "WrongPassword",
    remade(part, locked_file(umlaut, "correct horse", PART)[-80:-32]),
)

ed_body = ed_file[:-32][-48:]
bad(
    "signature key: another SKI",
    "Unsupported",
    remade(changed(ed, lambda h: h.update(ski=flipped(h["ski"]))), ed_body),
)
bad(
    "signature key: another public key",
    "Unsupported",
    remade(changed(ed, lambda h: h.update(public_key=flipped(h["public_key"]))), ed_body),
)
other = ECC.construct(curve="Ed25519", seed=PART).public_key().export_key(format="raw")
swapped = changed(ed, lambda h: h.update(public_key=other, ski=sha256(other)))
bad("signature key: public key and SKI of another", "WrongPassword", remade(swapped, ed_body))
bad(
    "signature key: another algorithm",
    "Unsupported",
    remade(changed(ed, lambda h: h.update(algorithm="ecdsa-p521-sha512")), ed_body),
)
bad(
    "signature key: an unknown algorithm",
    "Unsupported",
    remade(changed(ed, lambda h: h.update(algorithm="rsa-2048")), ed_body),
)
bad(
    "signature key: P-521 key off the curve",
    "Unsupported",
    remade(
        changed(
            p521,
            lambda h: h.update(public_key=b"\x04" + bytes(132), ski=sha256(b"\x04" + bytes(132))),
        ),
        p521_file[:-32][-82:],
    ),
)
bad(
    "signature key: a name with a line feed",
    "Unsupported",
    remade(changed(ed, lambda h: h.update(name="alice\n")), ed_body),
)
bad(
    "signature key turned into a key part",
    "WrongPassword",
    remade({**part, "lock": ed["lock"]}, ed_body),
)
bad("key part turned into an identity", "Unsupported", remade(identity, body))
bad("signature key in the clear", "Unsupported", remade(ed, SEED))

# Locked with the right password, but not what the header says: by a faulty or a lying writer.
bad("another part than the VP's", "Damaged", locked_file(part, "correct horse", SEED))
bad("another seed than the public key's", "Damaged", locked_file(ed, "correct horse", PART))
bad(
    "another number than the public key's",
    "Damaged",
    locked_file(p521, "correct horse", flipped(p521_secret, 65)),
)
bad("P-521 number 0", "Damaged", locked_file(p521, "correct horse", bytes(66)))
bad("P-521 number n", "Damaged", locked_file(p521, "correct horse", P521_ORDER.to_bytes(66, "big")))
over = (P521_NUMBER + P521_ORDER).to_bytes(66, "big")
bad("P-521 number plus n", "Damaged", locked_file(p521, "correct horse", over))
bad("ML-DSA seed of another", "Damaged", locked_file(hybrid, "correct horse", SEED + PART))
bad("identity: another seed", "Damaged", checksummed(preamble(pack(identity)) + PART))

json.dump({"good": GOOD, "bad": BAD}, sys.stdout, indent=1)
sys.stdout.write("\n")
