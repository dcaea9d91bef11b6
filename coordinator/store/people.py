"""Charters with their acceptances, enrolled agents, invitations."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, or_, select, update

from coordinator.store.connection import Connection
from coordinator.store.parsed import Parsed
from coordinator.store.tables import acceptances, agents, charters, invitations
from protocol.charter import Charter
from protocol.displayable import InstanceName, PersonName
from protocol.identifiers import Digest, IdentityKey, Instant
from protocol.schema import from_bytes, to_bytes
from protocol.signing.statements import Signed

_parsed = Parsed(Charter)
_ALL_CHARTERS = (
    select(charters.c.digest, charters.c.body, charters.c.in_force)
    .where(charters.c.instance == bindparam("instance"))
    .order_by(charters.c.number)
)


@dataclass(frozen=True)
class KnownCharter:
    """A version that was proposed, its digest, and whether it has come into force."""

    digest: Digest
    charter: Charter
    in_force: bool


async def add_charter(connection: Connection, charter: Charter) -> bool:
    """Stores a proposed version; False when it was there."""
    digest = charter.digest
    there = await connection.execute(select(charters.c.number).where(charters.c.digest == digest))
    if there.scalar() is not None:
        return False
    await connection.execute(
        insert(charters).values(
            digest=digest,
            instance=charter.instance,
            number=charter.number,
            in_force=False,
            body=to_bytes(charter),
        )
    )
    return True


async def all_charters(connection: Connection, instance: InstanceName) -> Sequence[KnownCharter]:
    """Every version that was proposed, by number."""
    rows = await connection.execute(_ALL_CHARTERS, {"instance": instance})
    return [KnownCharter(Digest(digest), _parsed(body), is_so) for digest, body, is_so in rows]


async def set_in_force(connection: Connection, charter: Digest) -> None:
    """The version has come into force."""
    await connection.execute(
        update(charters).where(charters.c.digest == charter).values(in_force=True)
    )


async def add_acceptance(
    connection: Connection, charter: Digest, person: PersonName, signed: Signed
) -> bool:
    """Stores an acceptance; False when that person had accepted before."""
    if any(name == person for name, _ in await accepted(connection, charter)):
        return False
    await connection.execute(
        insert(acceptances).values(charter=charter, person=person, body=to_bytes(signed))
    )
    return True


async def accepted(connection: Connection, charter: Digest) -> Sequence[tuple[PersonName, Signed]]:
    """Who has accepted a version, with the signed acceptances."""
    rows = await connection.execute(
        select(acceptances.c.person, acceptances.c.body)
        .where(acceptances.c.charter == charter)
        .order_by(acceptances.c.person)
    )
    return [(PersonName(person), from_bytes(Signed, body)) for person, body in rows]


async def agent(connection: Connection, identity: IdentityKey) -> PersonName | None:
    """Whose agent this is, if it is enrolled."""
    found = await connection.execute(select(agents.c.person).where(agents.c.identity == identity))
    person = found.scalar()
    return None if person is None else PersonName(person)


async def invite(
    connection: Connection,
    instance: InstanceName,
    person: PersonName,
    token: bytes,
    expires: Instant,
) -> None:
    """Keeps an invitation, by the hash of its token."""
    await connection.execute(
        insert(invitations).values(
            token=hashlib.sha256(token).digest(),
            instance=instance,
            person=person,
            expires=expires,
            used=False,
        )
    )


async def enrol(
    connection: Connection,
    identity: IdentityKey,
    person: PersonName,
    token: bytes,
    at: Instant,
) -> bool:
    """Makes an agent known, if the invitation is for that person, unused and not expired.

    A person's new agent takes the place of the old one.
    """
    hashed = hashlib.sha256(token).digest()
    used = await connection.execute(
        update(invitations)
        .where(
            invitations.c.token == hashed,
            invitations.c.person == person,
            invitations.c.used.is_(False),
            invitations.c.expires > at,
        )
        .values(used=True)
        .returning(invitations.c.instance)
    )
    instance = used.scalar()
    if instance is None:
        return False
    await enrol_named(connection, InstanceName(instance), identity, person, at)
    return True


async def enrol_named(
    connection: Connection,
    instance: InstanceName,
    identity: IdentityKey,
    person: PersonName,
    at: Instant,
) -> None:
    """Makes an agent known without an invitation; it takes the place of the person's old one."""
    await connection.execute(
        delete(agents).where(
            agents.c.instance == instance,
            or_(agents.c.person == person, agents.c.identity == identity),
        )
    )
    await connection.execute(
        insert(agents).values(identity=identity, instance=instance, person=person, enrolled=at)
    )


@dataclass(frozen=True)
class Invited:
    """An invitation without its token; `hashed` is what is stored of that."""

    hashed: bytes
    person: PersonName
    expires: Instant
    used: bool


async def invited(connection: Connection, instance: InstanceName, at: Instant) -> Sequence[Invited]:
    """All invitations that haven't expired."""
    rows = await connection.execute(
        select(invitations.c.token, invitations.c.person, invitations.c.expires, invitations.c.used)
        .where(invitations.c.instance == instance, invitations.c.expires > at)
        .order_by(invitations.c.expires, invitations.c.token)
    )
    return [Invited(row[0], PersonName(row[1]), Instant(row[2]), row[3]) for row in rows]


async def withdraw(connection: Connection, hashed: bytes) -> bool:
    """Takes an invitation back; False when it was used or isn't there."""
    done = await connection.changed(
        delete(invitations).where(invitations.c.token == hashed, invitations.c.used.is_(False))
    )
    return bool(done)
