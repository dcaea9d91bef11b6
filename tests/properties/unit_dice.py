"""What is sent to the unit: bodies that fit its state more often than not, and what may be wrong.

The choices are made by a `Random` whose seed Hypothesis draws: its own choices crowd into few
corners, and here every kind should meet every rule.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from protocol.commands import bodies
from protocol.commands.bodies import Body
from protocol.commands.command import Approval, Command, Contribution
from protocol.identifiers import DAY, MINUTE, SKI, VP, Digest, Instant, StateVersion
from protocol.location import UnitType
from protocol.receipts import Receipt
from protocol.schema import to_bytes
from protocol.sealing import hpke
from protocol.sealing.contribution import vp_of
from protocol.sealing.copies import SealedCopy, copy_info, receivers_of
from protocol.sealing.importer import ImporterKey
from tests.cast.commands import request_digest
from tests.cast.keys import noise
from tests.cast.people import MALLORY, approval
from tests.cast.units import CastUnit
from tests.properties.unit_driver import BY_SKI, KEY_USERS, NO_KEYS, PARTS, POOL, Driver
from tests.properties.unit_model import NOT_IN_IMPRINT_MODE

KINDS: dict[str, Any] = {str(one.__struct_config__.tag): one for one in bodies.KINDS}
FITTING = {
    "Empty": "load-new-register",
    "Full uncommitted": "commit-new-register",
    "Full committed": "set-immediate",
}
"""What comes next, by the state of the new register."""
NAMES = ["", "x", "x" * 30, "x" * 31, "x" * 31, " x", "x ", "o'hara (2)", "ä", "a\n", "a_b"]
IN_THE_FIELDS = [
    "unit",
    "life number",
    "life id",
    "version",
    "state",
    "early",
    "late",
    "last minute",
    "just in time",
    "a week",
    "over a week",
]
IN_THE_SIGNATURES = ["forged", "stranger", "twice", "another's", "one fewer", "one more"]
WITH_A_PART = ["missing", "unreadable", "mismatch", "forged", "other", "other load"]
OTHER_UNIT = CastUnit(2)


def some_kind(driver: Driver, draw: Random) -> str:
    """Any kind; most often one that fits the unit's state."""
    model = driver.model
    if draw.random() < 0.15:
        return draw.choice(sorted(KINDS))
    unfit = {"zeroize"} | (NOT_IN_IMPRINT_MODE if model.imprint else set())
    unfit |= {kind for state, kind in FITTING.items() if state != model.new[0]}
    if model.new[0] == "Empty":
        unfit.add("clear-new-register")
    else:
        unfit |= {"generate-random", "import-key"}
    if model.current[0] == "Empty":
        unfit.add("clear-current-register")
    if model.new[0] == model.current[0] == "Empty":
        unfit.add("export-key")
    fit = sorted(set(KINDS) - unfit)
    if not model.imprint:
        fit += [FITTING[model.new[0]]] * 2 + ["load-new-register"]
        fit += ["zeroize"] * ("zeroize-one" not in model.attributes)
    if len(model.key_users) >= 64:
        fit += ["add-key-user"] * 3
    if len(model.administrators) >= 8:
        fit += ["add-administrator"] * 3
    return draw.choice(fit)


def ask(driver: Driver, draw: Random, kind: str, wrong: str | None = None) -> None:
    """Makes a command of this kind with this wrong about it, and sends it."""
    match kind:
        case "load-new-register":
            _ask_load(driver, draw, wrong)
            return
        case "export-key":
            _ask_export(driver, draw, wrong)
            return
        case "import-key":
            _ask_import(driver, draw, wrong)
            return
    command = driver.unit.command(_body(driver, draw, kind), **_changes(driver, wrong))
    _send(driver, draw, command, wrong, [])


def _ask_load(driver: Driver, draw: Random, wrong: str | None) -> None:
    """A load, with parts named, given, swapped, forged or left out."""
    few, known = draw.choice((2, 2, 3)), sorted(PARTS)
    vps = draw.sample(known, few) if draw.random() < 0.4 else known[:few]
    if draw.random() < 0.25:
        vps = draw.choices(known[:3], k=draw.randint(0, 4))
    named = [(vp, PARTS[vp][0]) for vp in vps]
    odd = draw.choice([*[None] * 8, "named for another", "another's importer", "no importer"])
    if odd == "named for another" and named:
        named[0] = (named[0][0], MALLORY)
    load, importer = driver.load_command(named, **_changes(driver, wrong))
    if odd == "another's importer":
        importer = driver.importer_for(request_digest("another request"))
        load = load.but(importer=importer.digest)
    elif odd == "no importer":
        load = load.but(importer=Digest(noise("an importer key of nobody")))
    given = [one for vp in vps for one in _given(driver, draw, load, importer, vp, odd)]
    given = draw.sample(given, len(given))
    _send(driver, draw, load, wrong, given)


def _send(
    driver: Driver,
    draw: Random,
    command: Command,
    wrong: str | None,
    given: Sequence[Contribution],
    **besides: Any,
) -> None:
    """Sends the command; where it has all it needs, first with one signature less."""
    approvals = _signatures(driver, draw, command, wrong)
    if wrong is None and approvals and draw.random() < 0.7:
        driver.send(command, approvals[1:], given, **besides)
    driver.send(command, approvals, given, **besides)


def _fellow(driver: Driver, draw: Random, number: int, **changes: Any) -> CastUnit:
    """Another recovery unit, governed as the unit is now but for these changes."""
    fellow, state = CastUnit(number, kind=UnitType.RECOVERY), driver.unit.state
    fellow.now = driver.unit.now
    like = {
        "administrators": state.administrators,
        "signature_threshold": state.signature_threshold,
        "revocation_threshold": state.revocation_threshold,
    }
    fellow.memory = fellow.memory.but(state=fellow.state.but(**(like | changes)))
    return fellow


def _ask_export(driver: Driver, draw: Random, wrong: str | None) -> None:
    """An export, to receivers that are proven and alike, or something else."""
    state, request = driver.unit.state, request_digest(f"export {draw.randint(0, 1 << 30)}")
    odd = draw.choice([*[None] * 8, "unlike", "unproven", "unsaid", "twice", "nobody", "vendor"])
    odd = odd if wrong is None else None
    fellows = [_fellow(driver, draw, number) for number in draw.sample(range(20, 30), 2)]
    if odd == "unlike" and state.administrators:
        fellows[0] = _fellow(driver, draw, 31, administrators=state.administrators[1:])
    fellows.sort(key=lambda one: one.id)
    proofs = [
        driver.proof(one, request, genuine=odd != "unproven" or one is not fellows[0])
        for one in fellows
    ]
    named = [one.id for one in fellows]
    roots = [fellows[0].vendor.root]
    match odd:
        case "twice":
            named = [named[0], named[0]]
        case "nobody":
            named, proofs = [], []
        case "vendor":
            roots = [MALLORY.key.identity]
    register = bodies.Held.NEW if state.new.vp or draw.random() < 0.1 else bodies.Held.CURRENT
    held = state.new if register is bodies.Held.NEW else state.current
    body = bodies.ExportKey(
        register=register,
        vp=(held.vp or vp_of(b"none")) if draw.random() < 0.95 else vp_of(b"some"),
        receivers=tuple(named),
        vendor_roots=tuple(roots),
    )
    importer = driver.name_receivers(proofs)
    fields = {"request": request, "importer": importer} | _changes(driver, wrong)
    if odd == "unsaid":
        proofs = [driver.proof(one, request) for one in (_fellow(driver, draw, 32), fellows[1])]
    _send(driver, draw, driver.unit.command(body, **fields), wrong, [], receivers=proofs)


def _ask_import(driver: Driver, draw: Random, wrong: str | None) -> None:
    """An import of what another recovery unit exported, to this unit or not, spoilt or not."""
    odd = draw.choice([*[None] * 8, "no export", "another's", "another key", "old", "spoilt"])
    odd = odd if wrong is None else None
    source = _fellow(driver, draw, 40)
    request = request_digest(f"import {draw.randint(0, 1 << 30)}")
    importer = driver.importer_for(request)
    if odd == "old":
        driver.unit.pass_time(8 * DAY)
    value = noise(f"exported {draw.randint(0, 3)}")
    export = bodies.ExportKey(
        register=bodies.Held.NEW,
        vp=vp_of(value),
        receivers=(driver.unit.id,),
        vendor_roots=(driver.unit.vendor.root,),
    )
    command = source.command(export, request=request, importer=receivers_of((importer,)).digest)
    inside = noise("another value") if odd == "spoilt" else value
    info = copy_info(command, export.vp, driver.unit.id)
    copy = SealedCopy(
        receiver=driver.unit.id, sealed=hpke.seal(inside, importer.public_key, info=info)
    )
    receipt = Receipt(
        unit=source.id,
        incarnation=source.memory.incarnation,
        version=StateVersion(source.memory.version + 1),
        previous=source.last_receipt,
        command=to_bytes(command),
        approvals=(),
        before=source.state,
        after=source.state,
        copies=(copy,),
        at=source.now,
    )
    made = driver.exported(source, receipt, [importer], inside)
    body = bodies.ImportKey(
        export=command.id,
        source=CastUnit(41).key.identity if odd == "another's" else source.key.identity,
        vp=vp_of(b"some") if odd == "another key" else export.vp,
    )
    given = None if odd == "no export" else made
    _send(
        driver,
        draw,
        driver.unit.command(body, **_changes(driver, wrong)),
        wrong,
        [],
        export=given,
    )


def _given(
    driver: Driver, draw: Random, load: Command, importer: ImporterKey, vp: VP, odd: str | None
) -> list[Contribution]:
    """A part; most often as it should be, always so where something else is odd already."""
    match draw.choice(["nothing"] * 12 + WITH_A_PART) if odd is None else "nothing":
        case "missing":
            return []
        case "unreadable":
            other = driver.importer_for(request_digest("yet another request"))
            return [driver.give(load, other, vp)]
        case "mismatch":
            return [driver.give(load, importer, vp, value=noise("another value"))]
        case "forged":
            return [driver.give(load, importer, vp, signer=MALLORY)]
        case "other":
            return [driver.give(load, importer, vp, who=MALLORY)]
        case "other load":
            later = Instant(load.not_after + 1)
            return [driver.give(load.but(not_after=later), importer, vp)]
    return [driver.give(load, importer, vp)]


def _body(driver: Driver, draw: Random, kind: str) -> Body:
    state, installed = driver.unit.state, sorted(driver.model.administrators)
    match kind:
        case "add-administrator":
            new = [who for who in POOL if who.key.ski not in installed]
            who = draw.choice(new if draw.random() < 0.8 else POOL)
            title = draw.choice(NAMES) if draw.random() < 0.3 else None
            proven = who.proven(title=title)
            if draw.random() < 0.1:
                proven = proven.but(proof=MALLORY.proven(title=title).proof)
            return bodies.AddAdministrator(key=proven)
        case "remove-administrator":
            skis = installed * 3 + [POOL[0].key.ski, MALLORY.key.ski]
            return bodies.RemoveAdministrator(ski=SKI(draw.choice(skis)))
        case "set-thresholds":
            least, most = (1, max(1, len(installed))) if draw.random() < 0.7 else (0, 9)
            signatures, revocations = (draw.randint(least, most) for _ in range(2))
            return bodies.SetThresholds(signatures=signatures, revocations=revocations)
        case "set-clock":
            to = driver.unit.now + draw.choice([-DAY, -MINUTE, 0, MINUTE, DAY])
            return bodies.SetClock(to=Instant(to))
        case "set-control-point":
            point = draw.choice([0, 55, 66, 67, 127, 128, 255])
            return bodies.SetControlPoint(point=point, on=draw.random() < 0.7)
        case "set-attribute":
            name = draw.choice(["zeroize-one"] * 4 + ["zeroize-two", ""])
            return bodies.SetAttribute(attribute=name, on=draw.random() < 0.5)
        case "add-key-user":
            others = [key for key in KEY_USERS if key not in driver.model.key_users]
            key: bytes = draw.choice(others if draw.random() < 0.8 else KEY_USERS)
            if draw.random() < 0.08:
                key = draw.choice(NO_KEYS)
            name = f"user {KEY_USERS.index(key)}" if key in KEY_USERS else "nobody"
            if draw.random() < 0.25:
                name = draw.choice([*NAMES, "x" * 64, "x" * 65, "user 1", "user 2"])
            most = draw.choice([1, 2, 4])
            rights = draw.sample(["create", "delete", "unwrap", "wrap"], most)
            if draw.random() < 0.1:
                rights = draw.choice([[], [*rights, rights[0]], [*rights, "rotate"], [""]])
            return bodies.AddKeyUser(name=name, public_key=key, rights=tuple(rights))
        case "remove-key-user":
            keys = [*driver.model.key_users] * 3 + [KEY_USERS[0], NO_KEYS[0]]
            return bodies.RemoveKeyUser(public_key=draw.choice(keys))
        case "void":
            return bodies.Void()
        case "generate-random":
            return bodies.GenerateRandom()
        case "zeroize":
            return bodies.Zeroize()
    register = state.current if kind == "clear-current-register" else state.new
    vps = [register.vp or vp_of(b"none")] * 9 + [state.current.vp or vp_of(b"none")]
    body: Body = KINDS[kind](vp=draw.choice(vps) if draw.random() < 0.9 else vp_of(b"some"))
    return body


def _changes(driver: Driver, wrong: str | None) -> dict[str, Any]:
    """Fields of the command that aren't as they should be."""
    seen = driver.unit.seen()
    now, life = seen.clock, seen.incarnation
    match wrong:
        case "unit":
            return {"unit": OTHER_UNIT.id}
        case "life number":
            return {"incarnation": life.but(number=life.number + 1)}
        case "life id":
            return {"incarnation": life.but(id=bytes(16))}
        case "version":
            return {"version": seen.version - 1}
        case "state":
            return {"state": driver.states.get(seen.version - 1, Digest(bytes(32)))}
        case "early":
            return {"not_before": now + 1}
        case "late":
            return {"not_before": now - 2 * DAY, "not_after": now - DAY}
        case "last minute":
            return {"not_after": now + MINUTE}
        case "just in time":
            return {"not_after": now + MINUTE + 1}
        case "a week":
            return {"not_after": now + 7 * DAY}
        case "over a week":
            return {"not_after": now + 7 * DAY + 1}
    return {}


def _signatures(
    driver: Driver, draw: Random, command: Command, wrong: str | None
) -> list[Approval]:
    approvals = driver.signed_by(command, driver.enough(command.body))
    installed = [BY_SKI[ski] for ski in sorted(driver.model.administrators)]
    match wrong:
        case "one fewer":
            approvals = approvals[1:]
        case "one more":
            approvals = driver.signed_by(command, installed)
        case "stranger":
            approvals = [*approvals[1:], *driver.signed_by(command, [MALLORY])]
        case "twice":
            approvals = [*approvals[1:], *approvals[1:2] * 2]
        case "forged" if installed:
            forged = approval(MALLORY.key, command).but(ski=installed[0].key.ski)
            approvals = [*approvals[:-1], forged]
        case "another's" if installed:
            other = command.but(practice=not command.practice)
            approvals = [*approvals[:-1], *driver.signed_by(other, installed[-1:])]
    return draw.sample(approvals, len(approvals))
