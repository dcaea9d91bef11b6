"""How crypto units look to whoever stands at their host: in words, and as JSON."""

from collections.abc import Sequence
from pathlib import Path

from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.store import SeenUnit
from protocol.displayable import shown
from protocol.identifiers import Digest, grouped
from protocol.location import UnitType
from protocol.unit_identity import OfferedUnit, OfferedUnits, UnitCertificate, fingerprint_of_units
from protocol.unit_state import Register
from quorate import tls
from quorate.exits import Exit, Json, Trouble

_LABEL = 18


def title(certificate: UnitCertificate) -> str:
    """`FAILOVER [eu-gb].[AZ1-CS1].[03].[04]`."""
    return f"{certificate.type.value.upper()} {certificate.location}"


def host_in_words(directory: StateDirectory, units: Sequence[SeenUnit]) -> str:
    """The units, how they are reached, and what custodians compare."""
    lines = [line for unit in units for line in _unit_in_words(unit)]
    lines += [
        "This host",
        _line("Vendor root", grouped(units[0].certified.vendor_root)),
        _line("TLS certificate", grouped(_tls_certificate(directory))),
        _line("Address", _address(directory.address) or "not served yet"),
        _line("For key users", _address(directory.keys_address) or "not served yet"),
        "Fingerprint of this unit, to be read to custodians:"
        if len(units) == 1
        else f"Fingerprint of these {len(units)} units, to be read to custodians:",
        f"  {grouped(_fingerprint(units))}",
    ]
    return "\n".join(lines)


def host_as_json(directory: StateDirectory, units: Sequence[SeenUnit]) -> dict[str, Json]:
    """The same for scripts."""
    return {
        "units": [_unit_as_json(unit) for unit in units],
        "vendor_root": units[0].certified.vendor_root.hex(),
        "fingerprint": _fingerprint(units).hex(),
        "tls_certificate": _tls_certificate(directory).hex(),
        "address": _address(directory.address),
        "keys_address": _address(directory.keys_address),
    }


def offered(units: Sequence[SeenUnit]) -> OfferedUnits:
    """What the people who make a charter need of the units."""
    return OfferedUnits(
        units=tuple(
            OfferedUnit(certified=one.certified, last_entry=one.last_entry) for one in units
        )
    )


def _unit_in_words(unit: SeenUnit) -> list[str]:
    certificate, memory = unit.certified.opened(), unit.memory
    state = memory.state
    thresholds = f"{state.signature_threshold} / {state.revocation_threshold}"
    if state.imprint:
        thresholds += ", imprint mode: administrators may be added unsigned"
    names = ", ".join(shown(one.name) for one in state.administrators)
    return [
        f"{title(certificate)}  serial {certificate.serial}",
        _line("Identity key", grouped(certificate.identity)),
        _line("Id", grouped(certificate.unit)),
        _line("Incarnation", f"{memory.incarnation.number}, {memory.incarnation.id.hex()}"),
        _line("Thresholds", thresholds),
        _line("Administrators", names or "none"),
        *_register_in_words("New register", state.new),
        *_register_in_words("Current register", state.current),
        _line("State version", str(memory.version)),
        _line("Last receipt", grouped(memory.last_receipt)),
    ]


def _unit_as_json(unit: SeenUnit) -> dict[str, Json]:
    certificate, memory = unit.certified.opened(), unit.memory
    state = memory.state
    return {
        "id": certificate.unit.hex(),
        "type": certificate.type.value,
        "location": str(certificate.location),
        "serial": certificate.serial,
        "identity": certificate.identity.hex(),
        "incarnation": {"number": memory.incarnation.number, "id": memory.incarnation.id.hex()},
        "version": memory.version,
        "imprint": state.imprint,
        "signature_threshold": state.signature_threshold,
        "revocation_threshold": state.revocation_threshold,
        "administrators": [
            {"name": one.name, "ski": one.ski.hex()} for one in state.administrators
        ],
        "new": _register_as_json(state.new),
        "current": _register_as_json(state.current),
        "last_receipt": memory.last_receipt.hex(),
    }


def _register_in_words(label: str, register: Register) -> list[str]:
    lines = [_line(label, register.state.value)]
    return lines if register.vp is None else [*lines, _line("", grouped(register.vp))]


def _register_as_json(register: Register) -> dict[str, Json]:
    vp = register.vp.hex() if register.vp is not None else None
    return {"state": register.state.value, "vp": vp}


def _fingerprint(units: Sequence[SeenUnit]) -> Digest:
    certified = [unit.certified for unit in units]
    return fingerprint_of_units(
        [one.vendor_root for one in certified], [one.opened().identity for one in certified]
    )


def _tls_certificate(directory: StateDirectory) -> tls.Fingerprint:
    return tls.fingerprint(directory.tls_certificate.read_text())


def key_units(directory: StateDirectory, units: Sequence[SeenUnit]) -> str:
    """How key users reach the units: usage trouble where the host was never served."""
    from hsm_backend.client.key_files import units_as_text
    from hsm_backend.client.key_units import KeyUnit

    address = _address(directory.keys_address)
    if address is None:
        raise Trouble(
            Exit.USAGE,
            "the host was never served, so it has no address for key users yet",
            next=f"quorate unit serve {directory.path}, then this again",
        )
    certificates = [unit.certified.opened() for unit in units]
    return units_as_text(
        KeyUnit(
            name=title(one),
            address=address,
            pinned=_tls_certificate(directory),
            identity=one.identity,
            failover=one.type is UnitType.FAILOVER,
        )
        for one in certificates
        if one.type is not UnitType.RECOVERY
    )


def _address(file: Path) -> str | None:
    return file.read_text().strip() if file.exists() else None


def _line(label: str, value: str) -> str:
    return f"  {label:<{_LABEL}}{value}"
