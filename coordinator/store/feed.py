"""The feed: of each subject the newest news, in rising positions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.dialects.sqlite import insert

from coordinator.store.connection import Connection
from coordinator.store.tables import feed
from protocol.displayable import InstanceName
from protocol.request import Announcement
from protocol.schema import from_bytes, to_bytes
from protocol.session.messages import (
    AgentNews,
    CharterNews,
    Feed,
    KeyNews,
    News,
    PartNews,
    RequestNews,
)

_END = select(func.max(feed.c.position)).where(feed.c.instance == bindparam("of"))
_ADD = insert(feed)
_PUT = _ADD.on_conflict_do_update(
    index_elements=[feed.c.instance, feed.c.subject],
    set_={"position": _ADD.excluded.position, "body": _ADD.excluded.body},
)


@dataclass(frozen=True)
class Item:
    """A piece of news as it is kept and sent: `message` are the bytes of a `Feed`."""

    position: int
    subject: str
    message: bytes


async def tell(
    connection: Connection, instance: InstanceName, told: int, news: Mapping[str, News]
) -> list[Item]:
    """Puts news, by their subjects, after position `told`, in place of older ones."""
    items = [
        Item(position, subject, to_bytes(Feed(position=position, news=one)))
        for position, (subject, one) in enumerate(news.items(), start=told + 1)
    ]
    await connection.execute_each(
        _PUT,
        [
            {
                "instance": instance,
                "subject": item.subject,
                "position": item.position,
                "body": item.message,
            }
            for item in items
        ],
    )
    return items


async def end(connection: Connection, instance: InstanceName) -> int:
    """The position of the newest news; 0 when there is none."""
    return (await connection.execute(_END, {"of": instance})).scalar() or 0


async def count(connection: Connection, instance: InstanceName, beginning: str) -> int:
    """How many subjects begin so."""
    found = await connection.execute(
        select(func.count())
        .select_from(feed)
        .where(feed.c.instance == instance, feed.c.subject.startswith(beginning, autoescape=True))
    )
    return found.scalar() or 0


async def since(connection: Connection, instance: InstanceName, position: int) -> Sequence[Item]:
    """All news after `position`, in order."""
    rows = await connection.execute(
        select(feed.c.position, feed.c.subject, feed.c.body)
        .where(feed.c.instance == instance, feed.c.position > position)
        .order_by(feed.c.position)
    )
    return [Item(position, subject, body) for position, subject, body in rows]


async def about(connection: Connection, instance: InstanceName, *subjects: str) -> Sequence[News]:
    """The newest news of every subject of these sorts: `agent`, `key`, `part`."""
    rows = await connection.execute(
        select(feed.c.body)
        .where(
            feed.c.instance == instance,
            or_(*(feed.c.subject.startswith(f"{subject} ") for subject in subjects)),
        )
        .order_by(feed.c.position)
    )
    return [from_bytes(Feed, body).news for body in rows.scalars()]


def subject_of(news: News) -> str:
    """What the news is about: newer news of the same subject replace it."""
    match news:
        case RequestNews(request=request):
            return f"request {request.id}"
        case CharterNews(charter=charter):
            return f"charter {charter.digest.hex()}"
        case KeyNews(key=key):
            return f"key {key.claim.agent.hex()} {key.ski.hex()}"
        case PartNews(announcement=signed):
            announcement = from_bytes(Announcement, signed.statement)
            return f"part {announcement.custodian.hex()} {announcement.vp.hex()}"
        case AgentNews(agent=agent):
            return f"agent {agent.hex()}"
