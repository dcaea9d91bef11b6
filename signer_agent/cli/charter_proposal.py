"""The next version of a charter, put together: units, people and the keys that they offered."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from protocol.charter import Charter, CharterUnit, Coordinator, Floor, Person
from protocol.files.coordinator_file import OfferedCoordinator
from protocol.files.takeover_file import TakeOver
from protocol.identifiers import Digest, UnitId
from quorate.exits import Exit, Trouble
from signer_agent.client.agent_client import AgentClient
from signer_agent.local.messages import Charters, GetUnits, Status, Units


async def units_as_they_are(client: AgentClient, known: Charters) -> tuple[CharterUnit, ...]:
    """Those of the newest version, with their newest verified receipts.

    A version that names an older one never comes into force once a unit has left imprint mode.
    """
    if not known.versions:
        raise Trouble(
            Exit.USAGE,
            "a first charter needs the units",
            next="at each unit host: quorate unit show DIR --export FILE; then --units FILE",
        )
    now = {one.unit.unit: one.last_receipt for one in (await client.ask(GetUnits(), Units)).units}
    return tuple(
        unit.but(last_receipt=now.get(unit.id) or unit.last_receipt)
        for unit in known.versions[-1].charter.units
    )


def with_coordinator(
    status: Status,
    known: Charters,
    offered: OfferedCoordinator,
    exported: Sequence[CharterUnit],
    *,
    highest: int,
) -> TakeOver:
    """The version after the newest in force that names another coordinator, as it is handed over.

    `exported` are units as their hosts have exported them just now; `highest` is the highest number
    of a request that is known here.
    """
    expected, found = (status.instance, status.practice), (offered.instance, offered.practice)
    if expected != found:
        raise Trouble(
            Exit.REFUSED,
            "that coordinator was made for another instance; nothing was proposed",
            expected=f"{status.instance}, practice: {status.practice}",
            found=f"{offered.instance}, practice: {offered.practice}",
            next="quorate coordinator init NEWDIR --instance NAME, as the charter has it",
        )
    lines = {one.charter.digest: one for one in known.versions}
    newest = max(
        (one for one in known.versions if one.in_force),
        key=lambda one: one.charter.number,
        default=None,
    )
    if newest is None:
        raise Trouble(
            Exit.REFUSED,
            "no version of the charter is in force yet; nothing was proposed",
            next="begin anew with a fresh coordinator and invitations: no unit is in use yet",
        )
    if not newest.accepted_here:
        raise Trouble(
            Exit.REFUSED,
            f"version {newest.charter.number} is in force, and you haven't accepted it; nothing "
            "was proposed",
            next="quorate charter accept",
        )
    versions = [newest]
    while (previous := versions[0].charter.previous) is not None:
        versions.insert(0, lines[previous])  # what is accepted here is here whole
    before = newest.charter
    receipts = _last_receipts(before, known, exported)
    made = before.but(
        number=before.number + 1,
        previous=before.digest,
        units=tuple(unit.but(last_receipt=receipts[unit.id]) for unit in before.units),
        coordinator=offered.coordinator,
    )
    try:
        return TakeOver(
            versions=(*(one.charter for one in versions), made),
            acceptances=tuple(signed for one in versions for signed in one.acceptances),
            requests=highest,
        )
    except ValueError as error:
        raise Trouble(
            Exit.REFUSED,
            f"that is no other coordinator: {error}; nothing was proposed",
            next="make a fresh one: quorate coordinator init NEWDIR",
        ) from None


def _last_receipts(
    before: Charter, known: Charters, exported: Sequence[CharterUnit]
) -> dict[UnitId, Digest]:
    """The newest that is known of each unit; refused where it may have left imprint mode since.

    A version that names a receipt from before that would never come into force, and whoever has
    accepted it takes no other one in its place.
    """
    receipts = {one.unit: one.last_receipt for one in known.seen if one.now or not one.imprint}
    receipts |= {unit.id: unit.last_receipt for unit in exported}
    unknown = [unit for unit in before.units if unit.id not in receipts]
    if unknown:
        raise Trouble(
            Exit.REFUSED,
            "your agent doesn't know what these units have done since they were in imprint mode; "
            "nothing was proposed",
            expected="what their hosts say now",
            found=", ".join(str(unit.certificate.location) for unit in unknown),
            next="at each of their hosts: quorate unit show DIR --export FILE; then --units FILE",
        )
    return receipts


def units_of(files: Sequence[Path]) -> tuple[CharterUnit, ...]:
    from protocol.receipts import entry_hash, open_entry
    from protocol.schema import from_bytes
    from protocol.unit_identity import OfferedUnits
    from protocol.violations import Violation

    units: list[CharterUnit] = []
    for path in files:
        try:
            offered = from_bytes(OfferedUnits, path.read_bytes())
            for one in offered.units:
                certificate = one.certified.opened()
                open_entry(one.last_entry, certificate.identity)
                units.append(
                    CharterUnit(
                        certificate=certificate,
                        vendor_root=one.certified.vendor_root,
                        vendor_signature=one.certified.certificate.signature,
                        last_receipt=entry_hash(one.last_entry),
                    )
                )
        except Violation as violation:
            raise Trouble(
                Exit.DAMAGED,
                f"{path} isn't what a unit host exported: {violation}",
                next="get it again from the host",
            ) from None
    return tuple(sorted(units, key=lambda unit: unit.id))


def left_out(known: Charters, people: set[str], keys: set[str]) -> set[bytes]:
    """The agents of these people and the keys of these names or SKIs; refused if there are none."""
    agents: dict[str, bytes] = {one.person: one.agent for one in known.agents}
    skis: dict[str, bytes] = {key.claim.administrator: key.ski for key in known.keys}
    skis |= {key.ski.hex(): key.ski for key in known.keys}
    strange = (people - agents.keys()) | (keys - skis.keys())
    if strange:
        raise Trouble(
            Exit.REFUSED,
            "nobody here has that name; nothing was proposed",
            expected=", ".join(sorted({*agents, *(key.claim.administrator for key in known.keys)})),
            found=", ".join(sorted(strange)),
            next="look who is there: quorate charter show",
        )
    return {agents[name] for name in people} | {skis[name] for name in keys}


def _left_out_before(versions: Sequence[Charter]) -> set[bytes]:
    """Agents and keys that a version named and the newest doesn't: they were taken out of it."""
    if not versions:
        return set()
    named = [_named(charter) for charter in versions]
    return set().union(*named) - named[-1]


def _named(charter: Charter) -> set[bytes]:
    agents: set[bytes] = {person.agent for person in charter.people}
    return agents | {key.ski for person in charter.people for key in person.keys}


def next_version(
    status: Status,
    known: Charters,
    units: tuple[CharterUnit, ...],
    floor: Mapping[str, int | None],
    alone: bool | None,
    without: set[bytes],
) -> Charter:
    """`without` are the agents and keys that are left out; None is as in the version before."""
    before = [one.charter for one in known.versions if one.in_force]
    previous = before[-1] if before else None
    without = without | _left_out_before(before)
    least = (
        Floor(signatures=2, revocations=2, exit_people=2) if previous is None else previous.floor
    )
    people = []
    for one in sorted(known.agents, key=lambda it: it.person):
        if one.agent in without:
            continue
        offered = [key for key in known.keys if key.claim.agent == one.agent]
        keys = sorted((key for key in offered if key.ski not in without), key=lambda key: key.ski)
        people.append(Person(name=one.person, agent=one.agent, keys=tuple(keys)))
    if previous is not None:
        coordinator = previous.coordinator
    else:
        coordinator = Coordinator(url=status.url, identity=known.coordinator, log=known.log)
    try:
        return Charter(
            instance=status.instance,
            number=1 if previous is None else previous.number + 1,
            previous=None if previous is None else previous.digest,
            practice=status.practice,
            vendor_roots=tuple(sorted({unit.vendor_root for unit in units})),
            units=units,
            people=tuple(people),
            coordinator=coordinator,
            floor=least.but(**{name: count for name, count in floor.items() if count is not None}),
            alone=previous is not None and previous.alone if alone is None else alone,
        )
    except ValueError as error:
        raise Trouble(
            Exit.REFUSED, f"that charter isn't possible: {error}", next="change what it says"
        ) from None
