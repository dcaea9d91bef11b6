"""Commands between the API and the protocol: names there, keys here."""

from collections.abc import Sequence

from coordinator.wire import commands as wire
from coordinator.wire.values import instant_of, time_of
from protocol.charter import Charter
from protocol.commands import bodies
from protocol.commands.bodies import Body, NamedPart
from protocol.identifiers import SKI, VP, CommandId, UnitId, short
from protocol.refusals import Refusal, Rule, refuse
from protocol.unit_identity import unit_id


def body_of(command: wire.Command, charter: Charter | None) -> Body | Refusal:
    """The command that is meant, by the newest charter in force."""
    match command:
        case wire.AddAdministrator(ski=text):
            return _added(SKI(bytes.fromhex(text)), charter)
        case wire.RemoveAdministrator(ski=text):
            return bodies.RemoveAdministrator(ski=SKI(bytes.fromhex(text)))
        case wire.SetThresholds(signatures=signatures, revocations=revocations):
            return bodies.SetThresholds(signatures=signatures, revocations=revocations)
        case wire.LoadNewRegister(parts=parts):
            return _load(parts, charter)
        case wire.CommitNewRegister(vp=vp):
            return bodies.CommitNewRegister(vp=VP(bytes.fromhex(vp)))
        case wire.SetImmediate(vp=vp):
            return bodies.SetImmediate(vp=VP(bytes.fromhex(vp)))
        case wire.ClearNewRegister(vp=vp):
            return bodies.ClearNewRegister(vp=VP(bytes.fromhex(vp)))
        case wire.ClearCurrentRegister(vp=vp):
            return bodies.ClearCurrentRegister(vp=VP(bytes.fromhex(vp)))
        case wire.SetClock(to=moment):
            return bodies.SetClock(to=instant_of(moment))
        case wire.SetControlPoint(point=point, on=on):
            return bodies.SetControlPoint(point=point, on=on)
        case wire.SetAttribute(attribute=attribute, on=on):
            return bodies.SetAttribute(attribute=attribute, on=on)
        case wire.GenerateRandom():
            return bodies.GenerateRandom()
        case wire.ExportKey():
            return _export(command, charter)
        case wire.ImportKey(export=export, source=source, vp=vp):
            return _import(CommandId(bytes.fromhex(export)), source, VP(bytes.fromhex(vp)), charter)
        case wire.AddKeyUser(name=name, public_key=public_key, rights=rights):
            key = bytes.fromhex(public_key)
            return bodies.AddKeyUser(name=name, public_key=key, rights=rights)
        case wire.RemoveKeyUser(public_key=public_key):
            return bodies.RemoveKeyUser(public_key=bytes.fromhex(public_key))
        case wire.Zeroize():
            return bodies.Zeroize()


def shown(body: Body, charters: Sequence[Charter]) -> wire.ShownCommand:
    """The command as the API says it; people by the first of these charters that knows them."""
    match body:
        case bodies.AddAdministrator(key=key):
            return wire.AddAdministrator(ski=key.ski.hex())
        case bodies.RemoveAdministrator(ski=ski):
            return wire.RemoveAdministrator(ski=ski.hex())
        case bodies.SetThresholds(signatures=signatures, revocations=revocations):
            return wire.SetThresholds(signatures=signatures, revocations=revocations)
        case bodies.LoadNewRegister(parts=parts):
            return wire.LoadNewRegister(parts=tuple(_part(part, charters) for part in parts))
        case bodies.CommitNewRegister(vp=vp):
            return wire.CommitNewRegister(vp=vp.hex())
        case bodies.SetImmediate(vp=vp):
            return wire.SetImmediate(vp=vp.hex())
        case bodies.ClearNewRegister(vp=vp):
            return wire.ClearNewRegister(vp=vp.hex())
        case bodies.ClearCurrentRegister(vp=vp):
            return wire.ClearCurrentRegister(vp=vp.hex())
        case bodies.Void():
            return wire.Void()
        case bodies.SetClock(to=to):
            return wire.SetClock(to=time_of(to))
        case bodies.SetControlPoint(point=point, on=on):
            return wire.SetControlPoint(point=point, on=on)
        case bodies.SetAttribute(attribute=attribute, on=on):
            return wire.SetAttribute(attribute=attribute, on=on)
        case bodies.GenerateRandom():
            return wire.GenerateRandom()
        case bodies.ExportKey(register=register, vp=vp, receivers=receivers):
            return wire.ExportKey(
                register=register.value,
                vp=vp.hex(),
                receivers=tuple(one.hex() for one in receivers),
            )
        case bodies.ImportKey(export=export, source=source, vp=vp):
            return wire.ImportKey(export=export.hex(), source=unit_id(source).hex(), vp=vp.hex())
        case bodies.AddKeyUser(name=name, public_key=key, rights=rights):
            return wire.AddKeyUser(name=name, public_key=key.hex(), rights=rights)
        case bodies.RemoveKeyUser(public_key=key):
            return wire.RemoveKeyUser(public_key=key.hex())
        case bodies.Zeroize():
            return wire.Zeroize()


def person_of(agent: bytes, charters: Sequence[Charter]) -> str | None:
    """Whose agent has this identity key."""
    for charter in charters:
        for person in charter.people:
            if person.agent == agent:
                return person.name
    return None


def owner_of(ski: SKI, charters: Sequence[Charter]) -> str | None:
    """Whose signature key this is."""
    found = (charter.owner_of(ski) for charter in charters)
    return next((person.name for person in found if person is not None), None)


def _added(ski: SKI, charter: Charter | None) -> Body | Refusal:
    person = None if charter is None else charter.owner_of(ski)
    if person is None:
        return _not_in_charter(charter, f"key {short(ski)}")
    return bodies.AddAdministrator(key=next(key for key in person.keys if key.ski == ski))


def _load(parts: tuple[wire.Part, ...], charter: Charter | None) -> Body | Refusal:
    named: list[NamedPart] = []
    for part in parts:
        person = None if charter is None else charter.person(part.custodian)
        if person is None:
            return _not_in_charter(charter, part.custodian)
        named.append(NamedPart(vp=VP(bytes.fromhex(part.vp)), custodian=person.agent))
    return bodies.LoadNewRegister(parts=tuple(named))


def _export(command: wire.ExportKey, charter: Charter | None) -> Body | Refusal:
    if charter is None:
        return _not_in_charter(charter, "none")
    return bodies.ExportKey(
        register=bodies.Held(command.register),
        vp=VP(bytes.fromhex(command.vp)),
        receivers=tuple(sorted({UnitId(bytes.fromhex(one)) for one in command.receivers})),
        vendor_roots=charter.vendor_roots,
    )


def _import(export: CommandId, source: str, vp: VP, charter: Charter | None) -> Body | Refusal:
    unit = None if charter is None else charter.unit(UnitId(bytes.fromhex(source)))
    if unit is None:
        return _not_in_charter(charter, f"crypto unit {source[:8]}")
    return bodies.ImportKey(export=export, source=unit.certificate.identity, vp=vp)


def _not_in_charter(charter: Charter | None, found: str) -> Refusal:
    if charter is None:
        return refuse(Rule.CHARTER_NOT_IN_FORCE, expected="a charter in force", found="none")
    expected = f"people and keys of charter version {charter.number}"
    return refuse(Rule.NOT_IN_CHARTER, expected=expected, found=found)


def _part(part: NamedPart, charters: Sequence[Charter]) -> wire.Part:
    name = person_of(part.custodian, charters)
    return wire.Part(vp=part.vp.hex(), custodian=name or short(part.custodian))
