"""The feed: of each subject the newest news, in rising positions."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

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


@dataclass(frozen=True)
class Item:
    """A piece of news as it is kept and sent: `message` are the bytes of a `Feed`."""

    position: int
    subject: str
    message: bytes


async def tell(connection: AsyncConnection, instance: InstanceName, news: News) -> Item:
    """Puts news at the end of the feed, in place of older news of the same subject."""
    item = _item(await end(connection, instance) + 1, news)
    changed = await connection.execute(
        update(feed)
        .where(feed.c.instance == instance, feed.c.subject == item.subject)
        .values(position=item.position, body=item.message)
    )
    if changed.rowcount == 0:
        await connection.execute(
            insert(feed).values(
                instance=instance,
                subject=item.subject,
                position=item.position,
                body=item.message,
            )
        )
    return item


async def end(connection: AsyncConnection, instance: InstanceName) -> int:
    """The position of the newest news."""
    highest = await connection.execute(
        select(func.max(feed.c.position)).where(feed.c.instance == instance)
    )
    return highest.scalar() or 0


async def count(connection: AsyncConnection, instance: InstanceName, beginning: str) -> int:
    """How many subjects begin so."""
    found = await connection.execute(
        select(func.count())
        .select_from(feed)
        .where(feed.c.instance == instance, feed.c.subject.startswith(beginning, autoescape=True))
    )
    return found.scalar() or 0


async def since(
    connection: AsyncConnection, instance: InstanceName, position: int
) -> Sequence[Item]:
    """All news after `position`, in order."""
    rows = await connection.execute(
        select(feed.c.position, feed.c.subject, feed.c.body)
        .where(feed.c.instance == instance, feed.c.position > position)
        .order_by(feed.c.position)
    )
    return [Item(position, subject, body) for position, subject, body in rows]


async def about(
    connection: AsyncConnection, instance: InstanceName, *subjects: str
) -> Sequence[News]:
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


def _item(position: int, news: News) -> Item:
    message = to_bytes(Feed(position=position, news=news))
    return Item(position=position, subject=subject_of(news), message=message)


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
