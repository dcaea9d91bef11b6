"""Commands as bytes: every kind, every field bound, nothing else accepted."""

from typing import Any

import pytest

from protocol import canonical
from protocol.commands import bodies
from protocol.commands.bodies import KINDS, Body, kind_of
from protocol.commands.command import (
    MAX_COMMAND_BYTES,
    Approval,
    Command,
    SignedCommand,
    distinct,
    parse_command,
    signed_command,
)
from protocol.identifiers import (
    SKI,
    VP,
    CommandId,
    Digest,
    Incarnation,
    IncarnationId,
    Instant,
    Signature,
    StateVersion,
)
from protocol.schema import from_bytes, from_plain, to_bytes, to_plain
from protocol.violations import Violation
from tests.cast.commands import load_of
from tests.cast.keys import noise, signature_key
from tests.cast.people import ALICE, BOB
from tests.cast.units import CastUnit

VP_A = VP(noise("vp a"))
KEY = signature_key("payroll").identity
EXAMPLES: list[Body] = [
    bodies.AddAdministrator(key=ALICE.proven()),
    bodies.RemoveAdministrator(ski=ALICE.key.ski),
    bodies.SetThresholds(signatures=2, revocations=3),
    load_of([(ALICE, ALICE.part()), (BOB, BOB.part())]),
    load_of([]),
    bodies.CommitNewRegister(vp=VP_A),
    bodies.SetImmediate(vp=VP_A),
    bodies.ClearNewRegister(vp=VP_A),
    bodies.ClearCurrentRegister(vp=VP_A),
    bodies.Void(),
    bodies.SetClock(to=Instant(1)),
    bodies.SetControlPoint(point=55, on=True),
    bodies.SetAttribute(attribute="zeroize-one", on=False),
    bodies.GenerateRandom(),
    bodies.ExportKey(
        register=bodies.Held.NEW,
        vp=VP_A,
        receivers=(CastUnit().id,),
        vendor_roots=(CastUnit().vendor.root,),
    ),
    bodies.ImportKey(export=CommandId(noise("export")), source=CastUnit().key.identity, vp=VP_A),
    bodies.AddKeyUser(name="payroll", public_key=KEY, rights=("unwrap", "wrap")),
    bodies.AddKeyUser(name="", public_key=KEY, rights=()),
    bodies.RemoveKeyUser(public_key=KEY),
    bodies.Zeroize(),
]
COMMAND = Command(
    charter=Digest(noise("charter")),
    practice=False,
    request=Digest(noise("request")),
    unit=CastUnit().id,
    incarnation=Incarnation(number=1, id=IncarnationId(noise("life", 16))),
    version=StateVersion(7),
    state=Digest(noise("state")),
    not_before=Instant(1_000),
    not_after=Instant(2_000),
    importer=None,
    body=bodies.SetThresholds(signatures=2, revocations=3),
)


def test_there_is_an_example_of_every_kind() -> None:
    assert {type(body) for body in EXAMPLES} == set(KINDS)


@pytest.mark.parametrize("body", EXAMPLES, ids=kind_of)
def test_a_body_survives_the_wire(body: Body) -> None:
    plain = canonical.decode(to_bytes(body))
    assert plain["kind"] == kind_of(body)
    assert from_plain(Body, plain) == body  # type: ignore[arg-type]


@pytest.mark.parametrize("body", EXAMPLES, ids=kind_of)
def test_a_command_survives_the_wire(body: Body) -> None:
    sealed = isinstance(body, bodies.LoadNewRegister | bodies.ExportKey)
    importer = Digest(noise("importer")) if sealed else None
    command = COMMAND.but(body=body, importer=importer)
    assert parse_command(to_bytes(command)) == command


@pytest.mark.parametrize("body", EXAMPLES, ids=kind_of)
def test_a_body_with_another_set_of_fields_is_refused(body: Body) -> None:
    plain = to_plain(body)
    for field in plain:
        less = {name: value for name, value in plain.items() if name != field}
        with pytest.raises(Violation):
            from_plain(Body, less)  # type: ignore[arg-type]
        with pytest.raises(Violation):
            from_plain(Body, plain | {field: None})  # type: ignore[arg-type]
    with pytest.raises(Violation):
        from_plain(Body, plain | {"more": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "plain",
    [
        {"kind": "zeroise"},
        {"kind": "Void"},
        {"kind": "void "},
        {"kind": ""},
        {"kind": "rotate"},
        {"kind": "remove-administrator", "ski": bytes(31)},
        {"kind": "remove-administrator", "ski": bytes(33)},
        {"kind": "set-thresholds", "signatures": -1, "revocations": 1},
        {"kind": "set-thresholds", "signatures": 256, "revocations": 1},
        {"kind": "set-control-point", "point": 256, "on": True},
        {"kind": "set-attribute", "attribute": "x" * 41, "on": True},
        {"kind": "add-key-user", "name": "x" * 201, "public_key": bytes(32), "rights": []},
        {"kind": "add-key-user", "name": "x", "public_key": bytes(31), "rights": []},
        {"kind": "add-key-user", "name": "x", "public_key": bytes(32), "rights": ["wrap"] * 9},
        {"kind": "add-key-user", "name": "x", "public_key": bytes(32), "rights": "wrap"},
        {"kind": "remove-key-user", "public_key": bytes(33)},
        {"kind": "set-clock", "to": -1},
        {"kind": "set-clock", "to": 1 << 53},
        {"kind": "commit-new-register", "vp": "00" * 32},
        {"kind": "load-new-register", "parts": [{"vp": bytes(32), "custodian": bytes(32)}] * 9},
        {"kind": "load-new-register", "parts": [{"vp": bytes(32)}]},
    ],
    ids=repr,
)
def test_what_is_no_body(plain: Any) -> None:
    with pytest.raises(Violation):
        from_plain(Body, plain)  # type: ignore[arg-type]


CHANGES: dict[str, Any] = {
    "charter": Digest(noise("another charter")),
    "practice": True,
    "request": Digest(noise("another request")),
    "unit": CastUnit(2).id,
    "incarnation": Incarnation(number=2, id=IncarnationId(noise("life", 16))),
    "version": 8,
    "state": Digest(noise("another state")),
    "not_before": 1_001,
    "not_after": 2_001,
    "body": bodies.SetThresholds(signatures=2, revocations=2),
}


@pytest.mark.parametrize("field", [*CHANGES, "incarnation id", "kind", "importer"])
def test_every_field_is_signed(field: str) -> None:
    before = COMMAND
    match field:
        case "incarnation id":
            other = COMMAND.but(incarnation=COMMAND.incarnation.but(id=bytes(16)))
        case "kind":
            before = COMMAND.but(body=bodies.ClearNewRegister(vp=VP_A))
            other = COMMAND.but(body=bodies.ClearCurrentRegister(vp=VP_A))
        case "importer":
            before = COMMAND.but(body=load_of([]), importer=Digest(bytes(32)))
            other = COMMAND.but(body=load_of([]), importer=Digest(noise("another")))
        case _:
            other = COMMAND.but(**{field: CHANGES[field]})
    assert other.signing_bytes() != before.signing_bytes()
    assert other.id != before.id


def test_no_field_was_forgotten() -> None:
    assert {*CHANGES, "importer"} == set(Command.__struct_fields__)


def test_signing_bytes_are_a_label_a_zero_byte_and_canonical_bytes() -> None:
    assert COMMAND.signing_bytes() == b"quorate command v1\0" + canonical.encode(to_plain(COMMAND))


@pytest.mark.parametrize(
    "wrong",
    [
        {"importer": Digest(bytes(32))},
        {"body": load_of([])},
        {"not_after": COMMAND.not_before},
        {"not_before": COMMAND.not_after + 1},
    ],
    ids=repr,
)
def test_fields_that_do_not_agree(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="importer key|begin before it ends"):
        COMMAND.but(**wrong)
    with pytest.raises(Violation):
        from_plain(
            Command, to_plain(COMMAND) | {name: to_plain(one) for name, one in wrong.items()}
        )


def test_command_bytes_are_bounded() -> None:
    with pytest.raises(Violation, match="at most"):
        parse_command(bytes(MAX_COMMAND_BYTES + 1))


def test_a_signed_command_is_bounded() -> None:
    one = Approval(ski=ALICE.key.ski, signature=Signature(bytes(64)))
    sent = signed_command(command=b"", approvals=(one,) * 16, contributions=())
    assert from_bytes(SignedCommand, to_bytes(sent)) == sent
    with pytest.raises(Violation):
        from_bytes(SignedCommand, to_bytes(sent.but(approvals=(one,) * 17)))


def test_one_key_counts_once_and_its_first_signature_stands() -> None:
    first, second = sorted((ALICE.key.ski, BOB.key.ski))
    given = [(second, b"1" * 64), (first, b"2" * 64), (second, b"3" * 64)]
    approvals = [Approval(ski=SKI(ski), signature=Signature(data)) for ski, data in given]
    assert distinct(approvals) == (approvals[1], approvals[0])
    assert distinct([]) == ()
