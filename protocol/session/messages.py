"""The messages of a session, after the handshake. One WebSocket message is one canonical structure.

What the agent sends carries a `ref` that the answer repeats. A `Publish` changes something: it is
idempotent, and acknowledged only once durable. The coordinator pushes a feed: of each subject (a
request, a charter version, ...) the newest news, in rising positions, so that an agent resumes
from its cursor and misses nothing.
"""

from typing import Annotated

import msgspec

from protocol.charter import Charter
from protocol.claims import ProvenKey
from protocol.commands.command import Approval, Contribution
from protocol.displayable import PersonName, Reason
from protocol.identifiers import SKI, Digest, IdentityKey, Instant, Nonce, UnitId
from protocol.record.tree import Path
from protocol.refusals import Refusal
from protocol.report.evidence import LogItem
from protocol.request import Request
from protocol.schema import Struct, Variant
from protocol.signing.statements import Signed

CANT_STORE = 4010
"""The WebSocket close code (RFC 6455, 7.4.2: private use) of a coordinator that can't store what
was sent, with the reason; nothing of it was stored, and all of it may be sent again."""
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_MAX_REASON_BYTES = 123
"""What fits beside the code into a close frame (RFC 6455, 5.5)."""
HISTORY_PAGE = 100
LOG_PAGE = 100
_Ref = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


# what is published


IdempotencyKey = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
"""What a script calls a filing, so that it is filed once."""


class FileRequest(Variant, tag="file-request"):
    """A signed `protocol.request.Filing`. With the same key it is filed once."""

    filing: Signed
    idempotency_key: IdempotencyKey | None


class UnitApproval(Struct):
    """A signature for one target."""

    unit: UnitId
    approval: Approval


class Approve(Variant, tag="approve"):
    """One key's signatures for the targets of a request."""

    request: Digest
    ski: SKI
    approvals: Annotated[tuple[UnitApproval, ...], msgspec.Meta(min_length=1, max_length=32)]


class UnitContribution(Struct):
    """A sealed part for one target."""

    unit: UnitId
    contribution: Contribution


class Contribute(Variant, tag="contribute"):
    """One key part, sealed to each target of a load."""

    request: Digest
    contributions: Annotated[
        tuple[UnitContribution, ...], msgspec.Meta(min_length=1, max_length=32)
    ]


class Reject(Variant, tag="reject"):
    """A signed `protocol.request.Rejection`."""

    rejection: Signed


class Cancel(Variant, tag="cancel"):
    """Stops asking for a request that one filed oneself; `filing` is its filing's digest.

    Copies that were signed before aren't recalled. The session proves who says it; nothing is
    signed, because no agent or unit relies on it.
    """

    filing: Digest
    reason: Reason


class Proceed(Variant, tag="proceed"):
    """Runs a request that one filed oneself without the units that hold it.

    Those are out of reach, or their state has changed since it was signed for them.
    """

    filing: Digest


class OfferKey(Variant, tag="offer-key"):
    """A signature key for the next version of the charter."""

    key: ProvenKey


class Announce(Variant, tag="announce"):
    """A signed `protocol.request.Announcement`."""

    announcement: Signed


class ProposeCharter(Variant, tag="propose-charter"):
    """A version of the charter, for the others to accept."""

    charter: Charter


class Accept(Variant, tag="accept"):
    """A signed `protocol.charter.Acceptance`."""

    acceptance: Signed


Publication = (
    FileRequest
    | Approve
    | Contribute
    | Reject
    | Cancel
    | Proceed
    | OfferKey
    | Announce
    | ProposeCharter
    | Accept
)


# agent → coordinator


class Publish(Variant, tag="publish"):
    """Something that is to become durable."""

    ref: _Ref
    publication: Publication


class WantStates(Variant, tag="want-states"):
    """The states of units, signed over the agent's nonce."""

    ref: _Ref
    units: Annotated[tuple[UnitId, ...], msgspec.Meta(min_length=1, max_length=32)]
    nonce: Nonce


class WantHistory(Variant, tag="want-history"):
    """A unit's history entries with versions above `after`, at most a page."""

    ref: _Ref
    unit: UnitId
    after: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class WantConsistency(Variant, tag="want-consistency"):
    """A proof that the log of the newest checkpoint goes on from `size` entries."""

    ref: _Ref
    size: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class WantLog(Variant, tag="want-log"):
    """The log's items from position `start` on, at most a page: one's own instance's opened."""

    ref: _Ref
    start: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


AgentMessage = Publish | WantStates | WantHistory | WantConsistency | WantLog


# coordinator → agent


class Done(Variant, tag="done"):
    """The publication is durable. `request` is the id of a request that it filed or changed."""

    ref: _Ref
    request: int | None


class Refused(Variant, tag="refused"):
    """The publication was refused; nothing changed."""

    ref: _Ref
    refusal: Refusal


class States(Variant, tag="states"):
    """A signed `protocol.receipts.StateAnswer` of each unit in reach."""

    ref: _Ref
    answers: tuple[Signed, ...]


class HistoryPage(Variant, tag="history"):
    """Signed history entries; fewer than a page means that there are no more."""

    ref: _Ref
    entries: Annotated[tuple[Signed, ...], msgspec.Meta(max_length=HISTORY_PAGE)]


class Consistency(Variant, tag="consistency"):
    """The newest checkpoint (a signed note) and the proof (RFC 6962, 2.1.2)."""

    ref: _Ref
    checkpoint: bytes
    proof: Path


class LogPage(Variant, tag="log"):
    """Items of the log; none means that there are no more."""

    ref: _Ref
    items: Annotated[tuple[LogItem, ...], msgspec.Meta(max_length=LOG_PAGE)]


class RequestNews(Variant, tag="request-news"):
    """A request as it is now. `checkpoint` is the signed note that its opening names."""

    request: Request
    checkpoint: bytes | None


class CharterNews(Variant, tag="charter-news"):
    """A version of the charter that was proposed, with the acceptances so far."""

    charter: Charter
    acceptances: tuple[Signed, ...]
    in_force: bool


class KeyNews(Variant, tag="key-news"):
    """A signature key that was offered for the next charter."""

    key: ProvenKey


class PartNews(Variant, tag="part-news"):
    """A key part that was announced, or withdrawn."""

    announcement: Signed


class AgentNews(Variant, tag="agent-news"):
    """An enrolled agent."""

    person: PersonName
    agent: IdentityKey
    enrolled: Instant


News = RequestNews | CharterNews | KeyNews | PartNews | AgentNews


class Feed(Variant, tag="feed"):
    """One piece of news and its position."""

    position: int
    news: News


class FeedPage(Variant, tag="feed-page"):
    """Several pieces of news at once: the bytes of a `Feed` each, in order."""

    feeds: tuple[bytes, ...]


class CaughtUp(Variant, tag="caught-up"):
    """All news up to `position` were sent; what follows happens now."""

    position: int
    now: Instant


CoordinatorMessage = (
    Done | Refused | States | HistoryPage | Consistency | LogPage | Feed | FeedPage | CaughtUp
)


def close_reason(why: object) -> bytes:
    """Why a session is closed, as a close frame can carry it: whole characters of UTF-8."""
    return str(why).encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
