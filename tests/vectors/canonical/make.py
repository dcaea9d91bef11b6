# mypy: ignore-errors
"""Makes canonical.json: good bytes by u-msgpack, bad bytes by the msgpack specification.

See README.md. It needs a library that the project doesn't, so types aren't checked here.
"""

import json
import struct
import sys
from itertools import groupby, pairwise

import umsgpack

GOOD, BAD = [], []


def spelt(data):
    """Hex; where a byte is repeated often, a list of hex and [hex, count]."""
    if len(data) < 64:
        return data.hex()
    runs = [(byte, len(list(run))) for byte, run in groupby(data)]
    pieces, plain = [], ""
    for byte, count in runs:
        if count < 16:
            plain += f"{byte:02x}" * count
            continue
        pieces += [plain, [f"{byte:02x}", count]]
        plain = ""
    return [*pieces, plain]


def shown(value):
    """JSON for a value: bytes are {"bytes": ...}, text {"text": ...}, maps {"map": pairs}."""
    match value:
        case bytes():
            return {"bytes": spelt(value)}
        case str():
            return {"text": spelt(value.encode())}
        case list():
            return [shown(one) for one in value]
        case dict():
            return {"map": [[shown(key), shown(one)] for key, one in value.items()]}
    return value


def pack(value):
    """By the other implementation, whose maps stay in the order in which they are given."""
    return umsgpack.packb(value)


def sort(value):
    match value:
        case list():
            return [sort(one) for one in value]
        case dict():
            return {key: sort(value[key]) for key in sorted(value, key=str.encode)}
    return value


def good(title, value):
    data = pack(sort(value))
    GOOD.append({"title": title, "value": shown(value), "bytes": spelt(data)})
    return data


def bad(title, data):
    BAD.append({"title": title, "bytes": spelt(data)})


def string(text):
    return pack(text)


def mapping(*pairs):
    """A map with these encoded keys and values as they stand, in this order."""
    return bytes([0x80 | len(pairs)]) + b"".join(key + value for key, value in pairs)


# --- integers: the shortest, and no other ---------------------------------------------------------

UNSIGNED = [(0xCC, ">B", 8), (0xCD, ">H", 16), (0xCE, ">I", 32), (0xCF, ">Q", 64)]
SIGNED = [(0xD0, ">b", 7), (0xD1, ">h", 15), (0xD2, ">i", 31), (0xD3, ">q", 63)]
EDGES = [0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
EDGES += [-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63)]
for number in EDGES:
    shortest = good(f"{number}", number)
    for code, form, bits in UNSIGNED:
        if 0 <= number < 2**bits and bytes([code]) + struct.pack(form, number) != shortest:
            bad(f"{number} as {bits} bits", bytes([code]) + struct.pack(form, number))
    for code, form, bits in SIGNED:
        if -(2**bits) <= number < 2**bits:
            data = bytes([code]) + struct.pack(form, number)
            if data != shortest:
                bad(f"{number} as {bits + 1} bits, signed", data)

# --- lengths: the shortest, and no other ----------------------------------------------------------

FORMS = [(">B", 8), (">H", 16), (">I", 32)]


def lengths(what, count, shortest, codes, content):
    for code, (form, bits) in zip(codes, FORMS[-len(codes) :], strict=True):
        if count < 2**bits:
            data = bytes([code]) + struct.pack(form, count) + content
            if data != shortest:
                bad(f"{what} of {count} with a length of {bits} bits", data)


for count in (0, 1, 31, 32, 255, 256, 65535, 65536):
    data = good(f"text of {count}", "a" * count)
    lengths("text", count, data, (0xD9, 0xDA, 0xDB), b"a" * count)
    data = good(f"bytes, {count}", bytes(count))
    lengths("bytes", count, data, (0xC4, 0xC5, 0xC6), bytes(count))
for count in (0, 1, 15, 16, 255):
    data = good(f"a list of {count}", [None] * count)
    lengths("a list", count, data, (0xDC, 0xDD), b"\xc0" * count)
    keys = [f"{number:03}" for number in range(count)]
    data = good(f"a map of {count}", dict.fromkeys(reversed(keys)))
    content = b"".join(string(key) + b"\xc0" for key in keys)
    lengths("a map", count, data, (0xDE, 0xDF), content)

# --- maps -----------------------------------------------------------------------------------------

ONE, NIL = pack(1), pack(None)
ORDERED = ["", "A", "Z", "a", "a ", "aa", "ab", "b", "z", "é", "ｚ", "𐀀"]  # noqa: RUF001
good("keys in the order of their bytes", dict.fromkeys(reversed(ORDERED)))
for first, second in pairwise(ORDERED):
    bad(f"{second!r} before {first!r}", mapping((string(second), NIL), (string(first), NIL)))
bad("keys as UTF-16 orders them", mapping((string("𐀀"), NIL), (string("ｚ"), NIL)))  # noqa: RUF001
bad("shorter keys first", mapping((string("b"), NIL), (string("aa"), NIL)))
for key in ORDERED:
    bad(f"{key!r} twice", mapping((string(key), NIL), (string(key), NIL)))
    bad(f"{key!r} twice, other values", mapping((string(key), ONE), (string(key), NIL)))
bad("a key twice, apart", mapping(*[(string(key), ONE) for key in "aba"]))
bad("a key twice in an inner map", mapping((string("a"), mapping(*[(string("b"), ONE)] * 2))))
bad("an inner map out of order", pack([{"b": 1, "a": 2}]))
bad("a key with a longer length", mapping((b"\xd9\x01a", ONE)))
bad("a key with a longer length beside the same", mapping((string("a"), ONE), (b"\xd9\x01a", ONE)))
for title, key in {
    "0": b"\x00",
    "-1": b"\xff",
    "nil": b"\xc0",
    "true": b"\xc3",
    "bytes": b"\xc4\x01a",
    "no bytes": b"\xc4\x00",
    "a float": b"\xcb" + bytes(8),
    "a list": b"\x90",
    "a map": b"\x80",
    "a time": b"\xd6\xff" + bytes(4),
}.items():
    bad(f"{title} as a key", mapping((key, ONE)))
    bad(f"{title} as the second key", mapping((string(""), ONE), (key, ONE)))

# --- what has no place at all ---------------------------------------------------------------------

for title, number in {"0.0": 0.0, "-0.0": -0.0, "1.0": 1.0, "0.5": 0.5, "1e300": 1e300}.items():
    for code, form in ((0xCA, ">f"), (0xCB, ">d")):
        if abs(number) < 1e38 or form == ">d":
            bad(f"{title} as a float {form[1]}", bytes([code]) + struct.pack(form, number))
for title, digits in {"infinity": "7ff0", "-infinity": "fff0", "not a number": "7ff8"}.items():
    bad(title, b"\xcb" + bytes.fromhex(digits) + bytes(6))
for kind in (0, 1, 127, 0x80, 0xFE, 0xFF):
    for code, size in ((0xD4, 1), (0xD5, 2), (0xD6, 4), (0xD7, 8), (0xD8, 16)):
        bad(f"extension type {kind}, {size} bytes", bytes([code, kind]) + bytes(size))
    for code, (form, bits) in zip((0xC7, 0xC8, 0xC9), FORMS, strict=True):
        for size in (0, 3, 12):
            length = struct.pack(form, size)
            bad(
                f"extension type {kind}, {size} bytes, a length of {bits} bits",
                bytes([code]) + length + bytes([kind]) + bytes(size),
            )
bad("the code that is never used", b"\xc1")
bad("the code that is never used, in a list", b"\x91\xc1")

# --- text -----------------------------------------------------------------------------------------

for title, data in {
    "not UTF-8": "ff",
    "a lone continuation": "80",
    "a cut sequence": "c3",
    "an overlong slash": "c0af",
    "an overlong zero": "c080",
    "an overlong euro": "f08282ac",
    "a surrogate": "eda080",
    "a surrogate pair (CESU-8)": "eda080edb080",
    "beyond U+10FFFF": "f4908080",
    "five bytes": "f888808080",
}.items():
    raw = bytes.fromhex(data)
    bad(f"text: {title}", bytes([0xA0 | len(raw)]) + raw)
    bad(f"a key: {title}", mapping((bytes([0xA0 | len(raw)]) + raw, ONE)))
NORMAL = {
    "a letter with an accent": "é",
    "Hangul": "각",
    "a ligature stays": "ﬁ",
    "emoji": "🔑",
    "right to left": "שלום",
    "an accent by itself": "\u0301",
    "zero": "\0",
}
for title, text in NORMAL.items():
    good(f"text: {title}", text)
    good(f"a key: {title}", {text: 1})
for title, text in {
    "e and an accent": "e\u0301",
    "Hangul by its letters": "\u1100\u1161\u11a8",
    "Ångström": "\u212b",
    "ohm": "\u2126",
    "accents in another order": "a\u0302\u0323",
    "K for Kelvin": "\u212a",
    "a Hebrew presentation form": "\ufb1d",
    "a compatibility ideograph": "\uf900",
}.items():
    bad(f"text not in normal form C: {title}", string(text))
    bad(f"a key not in normal form C: {title}", mapping((string(text), ONE)))

# --- cut, or with something after -----------------------------------------------------------------

SAMPLES = {
    "a command": {
        "body": {"kind": "set-thresholds", "signatures": 2, "revocations": 2},
        "charter": bytes(range(32)),
        "not_after": 1795694400000,
        "practice": False,
        "importer": None,
    },
    "numbers": [0, 255, 65536, -1, -129, 2**63],
    "pieces": [True, False, None, "", b"", [], {}, "text", b"bytes"],
}
for title, value in SAMPLES.items():
    data = good(title, value)
    for place in range(len(data)):
        bad(f"{title}, cut to {place} bytes", data[:place])
    for more in (b"\x00", b"\xc0", b"\xc1", data):
        bad(f"{title} and {len(more)} bytes more", data + more)
for title, data in {
    "text": "da ffff 61",
    "bytes": "c6 ffffffff 00",
    "a list": "dd ffffffff c0",
    "a map": "df ffffffff a0c0",
    "an extension": "c9 ffffffff 00 00",
}.items():
    bad(f"{title} that promises more than it holds", bytes.fromhex(data.replace(" ", "")))

# --- depth ----------------------------------------------------------------------------------------


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


good("24 lists in each other", nested(24))
bad("25 lists in each other", pack(nested(25)))
bad("24 lists around a number", b"\x91" * 24 + b"\x00")
bad("a thousand lists in each other", b"\x91" * 1000 + b"\x90")
bad("100,000 lists in each other", b"\x91" * 100_000 + b"\x90")
bad("25 maps in each other", mapping((string("a"), NIL))[:-1] * 24 + b"\x80")

json.dump({"good": GOOD, "bad": BAD}, sys.stdout, indent=0, ensure_ascii=True)
print()
