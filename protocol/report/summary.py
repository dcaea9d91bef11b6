"""What a report says in words: a pure function of what was proven, as plain JSON values.

Digests are lower-case hex, times are UTC in ISO 8601 with milliseconds.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from protocol.charter import Charter
from protocol.commands.bodies import Body, LoadNewRegister, tke_name_of
from protocol.commands.quorum import TABLE, Need
from protocol.commands.wording import title
from protocol.identifiers import SKI, Instant, UnitId, short
from protocol.receipts import Receipt
from protocol.record.checkpoints import log_origin
from protocol.report.proof import Proven, ProvenRequest
from protocol.schema import to_plain
from protocol.standing import people_of
from protocol.unit_state import Register

Json = Any


def summarise(proven: Proven) -> dict[str, Json]:
    """The report's summary. `earlier_logs` is there only where the charter has named others."""
    charter = proven.charter
    summary: dict[str, Json] = {
        "instance": charter.instance,
        "practice": charter.practice,
        "as_of": None if proven.as_of is None else _time(proven.as_of),
        "made_by": proven.maker.name,
        "made_at": _time(proven.made),
        "charter": _charter(proven),
        "units": [_unit(proven, unit.id) for unit in charter.units],
        "requests": [_request(proven, request) for request in proven.requests],
        "alone": alone(proven),
        "two_roles": two_roles(proven),
        "log": {
            "origin": proven.checkpoint.origin,
            "size": proven.checkpoint.size,
            "of_other_instances": proven.others,
            "root": proven.checkpoint.root.hex(),
        },
    }
    if proven.earlier:
        summary["earlier_logs"] = _earlier_logs(proven)
    return summary


@dataclass(frozen=True)
class _Ran:
    """A command that ran, on whichever units; `what` names it."""

    what: str
    body: Body
    charter: Charter
    receipts: tuple[Receipt, ...]


def _commands(proven: Proven) -> Iterator[_Ran]:
    """Everything that ran, in this log or before it."""
    for _, receipt in proven.before:
        command = receipt.parsed()
        charter = proven.chain.get(command.charter)
        if charter is not None:
            what = f"request {short(command.request)} of an earlier log"
            yield _Ran(what, command.body, charter, (receipt,))
    for request in proven.requests:
        charter = _charter_of(proven, request)
        if charter is not None and request.receipts:
            what = f"request {request.number}"
            yield _Ran(what, request.filing.body, charter, tuple(request.receipts.values()))


def alone(proven: Proven) -> list[str]:
    """Every way in which one person was alone, in words; empty where nobody ever was."""
    found: list[str] = []
    if proven.charter.alone:
        found.append("the charter says that one person may be alone")
    for ran in _commands(proven):
        charter = ran.charter
        what = f"{ran.what} ({tke_name_of(ran.body)})"
        for receipt in _different(ran.receipts):
            signers = people_of(charter, _skis(receipt))
            thresholds = receipt.after.signature_threshold
            leaves = receipt.before.imprint and not receipt.after.imprint
            if len(signers) == 1 and (leaves or _by_threshold(receipt)):
                found.append(f"{what}: signed by {min(signers)} alone")
            elif not leaves and not receipt.after.imprint and thresholds == 1:
                found.append(f"{what}: a signature threshold of 1")
        if isinstance(ran.body, LoadNewRegister):
            givers = {part.custodian for part in ran.body.parts}
            if len(givers) == 1:
                person = charter.custodian(next(iter(givers)))
                name = person.name if person is not None else "a stranger"
                found.append(f"{what}: every key part is {name}'s, who so knows the whole key")
    for unit, findings in proven.findings.items():
        found += [f"unit {unit.hex()}: {finding.ground}" for finding in findings]
    return sorted(set(found), key=found.index)


def two_roles(proven: Proven) -> list[str]:
    """Where one person both gave a key part and signed what was done with the key."""
    found: list[str] = []
    givers: dict[str, str] = {}
    for ran in _commands(proven):
        if isinstance(ran.body, LoadNewRegister):
            for part in ran.body.parts:
                person = ran.charter.custodian(part.custodian)
                if person is not None:
                    givers[person.name] = ran.what
        signers: set[str] = set()
        for receipt in ran.receipts:
            signers |= people_of(ran.charter, _skis(receipt))
        for name in sorted(signers & givers.keys()):
            line = f"{name} gave a part ({givers[name]}) and signed {ran.what}"
            found.append(f"{line} ({tke_name_of(ran.body)})")
    return sorted(set(found), key=found.index)


def _earlier_logs(proven: Proven) -> Json:
    """What ran under versions that name older logs: by the units' word, and no log's."""
    origins = dict.fromkeys(log_origin(one.coordinator.log) for one in proven.earlier)
    return {
        "logs": [
            {
                "origin": origin,
                "charter_versions": [
                    one.number
                    for one in proven.earlier
                    if log_origin(one.coordinator.log) == origin
                ],
            }
            for origin in origins
        ],
        "commands": [_command_before(proven, unit, receipt) for unit, receipt in proven.before],
    }


def _command_before(proven: Proven, unit: UnitId, receipt: Receipt) -> Json:
    command = receipt.parsed()
    charter = proven.chain.get(command.charter)
    assert charter is not None, "only commands of the chain's versions are told apart"
    return {
        "command": tke_name_of(command.body),
        "what": title(command.body, partial(_name_of, proven)),
        "parameters": _hex(to_plain(command.body)),
        "charter_version": charter.number,
        "request": command.request.hex(),
        "signed_by": sorted(people_of(charter, _skis(receipt))),
        "parts": _parts(charter, command.body),
        "unit": unit.hex(),
        **_receipt(receipt),
    }


def _charter(proven: Proven) -> dict[str, Json]:
    charter = proven.charter
    return {
        "version": charter.number,
        "digest": charter.digest.hex(),
        "floor": to_plain(charter.floor),
        "one_person_may_be_alone": charter.alone,
        "coordinator": charter.coordinator.identity.hex(),
        "accepted_by": sorted(
            one.person for one in proven.acceptances if one.charter == charter.digest
        ),
        "people": [
            {
                "name": person.name,
                "agent": person.agent.hex(),
                "keys": [
                    {
                        "administrator": key.claim.administrator,
                        "algorithm": key.claim.algorithm.value,
                        "ski": key.ski.hex(),
                    }
                    for key in person.keys
                ],
            }
            for person in charter.people
        ],
    }


def _unit(proven: Proven, unit: UnitId) -> dict[str, Json]:
    named = proven.charter.unit(unit)
    assert named is not None, "only units of the charter are summarised"
    certificate, history = named.certificate, proven.histories[unit]
    state = history.state
    answer = proven.states.get(unit)
    return {
        "id": unit.hex(),
        "type": certificate.type.value,
        "location": str(certificate.location),
        "serial": certificate.serial,
        "identity": certificate.identity.hex(),
        "signature_threshold": state.signature_threshold,
        "revocation_threshold": state.revocation_threshold,
        "administrators": [
            {"name": one.name, "ski": one.ski.hex()} for one in state.administrators
        ],
        "new": _register(state.new),
        "current": _register(state.current),
        "state_version": len(history.entries),
        "incarnation": history.incarnation.number,
        "last_receipt": history.last_receipt.hex(),
        "state_signed_at": None if answer is None else _time(answer.clock),
    }


def _request(proven: Proven, request: ProvenRequest) -> dict[str, Json]:
    filing, opening = request.filing, request.opening
    charter = _charter_of(proven, request)
    return {
        "number": request.number,
        "command": tke_name_of(filing.body),
        "what": title(filing.body, partial(_name_of, proven)),
        "parameters": _hex(to_plain(filing.body)),
        "purpose": filing.purpose,
        "filed_by": _filer(charter, request),
        "filed_at": _time(filing.at),
        "targets": [unit.hex() for unit in filing.targets],
        "digest": None if opening is None else opening.digest.hex(),
        "charter": None if opening is None else opening.charter.hex(),
        "not_after": None if opening is None else _time(opening.not_after),
        "result": _result(request),
        "signed_by": sorted(
            {
                name
                for receipt in request.receipts.values()
                if charter is not None
                for name in people_of(charter, _skis(receipt))
            }
        ),
        "parts": _parts(charter, filing.body),
        "receipts": [
            {"unit": unit.hex(), **_receipt(receipt)}
            for unit, receipt in sorted(request.receipts.items())
        ],
    }


def _receipt(receipt: Receipt) -> dict[str, Json]:
    return {
        "state_version": receipt.version,
        "at": _time(receipt.at),
        "approvals": [approval.ski.hex() for approval in receipt.approvals],
        "new": _register(receipt.after.new),
        "current": _register(receipt.after.current),
    }


def _name_of(proven: Proven, ski: SKI) -> str | None:
    owner = proven.chain.owner_of(ski)
    return None if owner is None else owner[0].name


def _result(request: ProvenRequest) -> str:
    if request.opening is None:
        return "never opened"
    ran, targets = len(request.receipts), len(request.opening.targets)
    if ran == 0:
        return "not executed"
    return "executed" if ran == targets else f"executed on {ran} of {targets} units"


def _parts(charter: Charter | None, body: Body) -> list[dict[str, str]]:
    if not isinstance(body, LoadNewRegister):
        return []
    parts = []
    for part in body.parts:
        person = None if charter is None else charter.custodian(part.custodian)
        name = part.custodian.hex() if person is None else person.name
        parts.append({"vp": part.vp.hex(), "custodian": name})
    return parts


def _filer(charter: Charter | None, request: ProvenRequest) -> str:
    filing = request.filing
    if filing.custodian is None:
        return f"account {filing.account}, not verified"
    person = None if charter is None else charter.custodian(filing.custodian)
    name = filing.custodian.hex() if person is None else person.name
    return f"{name}, verified" if request.signed else f"{name}, not verified"


def _charter_of(proven: Proven, request: ProvenRequest) -> Charter | None:
    return None if request.opening is None else proven.chain.get(request.opening.charter)


def _by_threshold(receipt: Receipt) -> bool:
    """Whether the signature table asks for a threshold here, rather than for one or none."""
    _, afterwards = TABLE[type(receipt.parsed().body)]
    return not receipt.before.imprint and afterwards not in (Need.ONE, Need.ZEROIZE)


def _different(receipts: Collection[Receipt]) -> list[Receipt]:
    by_signers: dict[tuple[SKI, ...], Receipt] = {}
    for receipt in receipts:
        by_signers.setdefault(tuple(_skis(receipt)), receipt)
    return list(by_signers.values())


def _skis(receipt: Receipt) -> list[SKI]:
    return [approval.ski for approval in receipt.approvals]


def _register(register: Register) -> dict[str, Json]:
    return {
        "state": register.state.value,
        "vp": None if register.vp is None else register.vp.hex(),
    }


def _hex(plain: Json) -> Json:
    match plain:
        case bytes():
            return plain.hex()
        case dict():
            return {key: _hex(value) for key, value in plain.items()}
        case list() | tuple():
            return [_hex(value) for value in plain]
        case _:
            return plain


def _time(at: Instant) -> str:
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
