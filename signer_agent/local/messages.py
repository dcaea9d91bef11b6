"""The messages of the local socket: one question a connection, then its answers.

Each message is four bytes of length, big-endian, and canonical bytes. Passwords travel here and
nowhere else; the socket lies in a directory of its user's alone, and both ends check who the other
is.
"""

from typing import Annotated

import msgspec

from protocol.charter import Charter
from protocol.claims import ProvenKey
from protocol.displayable import InstanceName, PersonName, Reason
from protocol.identifiers import (
    SKI,
    VP,
    Digest,
    Duration,
    IdentityKey,
    Instant,
    UnitId,
)
from protocol.live import NotRecalled
from protocol.report.evidence import SealedEvidence
from protocol.request import Announcement, Request
from protocol.schema import Struct, Variant
from protocol.session.messages import AgentNews, IdempotencyKey
from protocol.signing.statements import Signed
from protocol.unit_state import UnitState
from signer_agent.desk.filing import Wish
from signer_agent.desk.receipts import UnitResult
from signer_agent.desk.screen import Screen, UnitLine
from signer_agent.objections import Objection

MAX_BYTES = 64 * 1024 * 1024


# questions


class GetStatus(Variant, tag="status"):
    """How the agent is."""


class GetCharters(Variant, tag="charters"):
    """Charter versions, and what a new one could be made from."""


class AcceptCharter(Variant, tag="accept-charter"):
    """The person compared this version with the others, and says Yes."""

    charter: Digest


class HearCharter(Variant, tag="hear-charter"):
    """Charter versions from a file, oldest first, and acceptances that it holds."""

    versions: tuple[Charter, ...]
    acceptances: tuple[Signed, ...]


class ProposeCharter(Variant, tag="propose-charter"):
    """A new version for all to accept."""

    charter: Charter


class OfferKey(Variant, tag="offer-key"):
    """A signature key for the next charter version."""

    key: ProvenKey


class SelectKeys(Variant, tag="select-keys"):
    """Which signature keys may sign from here; none means all."""

    skis: tuple[SKI, ...]


class AnnouncePart(Variant, tag="announce-part"):
    """A key part that this person can give, or no longer can."""

    vp: VP
    description: Annotated[str, msgspec.Meta(max_length=64)]
    offered: bool


class FileWish(Variant, tag="file"):
    """A command to ask for."""

    wish: Wish


class GetFiled(Variant, tag="filed"):
    """The request that was filed here before under an idempotency key, if any."""

    idempotency_key: IdempotencyKey


class GetRequests(Variant, tag="requests"):
    """All requests that the agent knows."""


class ShowRequest(Variant, tag="show"):
    """Review a request."""

    number: int


class FilePassword(Struct):
    """The password of a key file."""

    file: str
    password: bytes

    def __repr__(self) -> str:
        return f"<password of {self.file}>"


class ApproveRequest(Variant, tag="approve"):
    """Give what is wanted, having seen `screen`: by the key files whose passwords are here."""

    screen: Screen
    signature: FilePassword | None
    part: FilePassword | None


class RejectRequest(Variant, tag="reject"):
    """Say No to a request."""

    number: int
    reason: Reason


class CancelRequest(Variant, tag="cancel"):
    """Stop asking for a request that this person filed."""

    number: int
    reason: Reason


class ProceedRequest(Variant, tag="proceed"):
    """Run a request that this person filed without the units that hold it."""

    number: int


class VoidRequest(Variant, tag="void"):
    """File what makes the signed copies of an ended request harmless."""

    number: int


class RefileRequest(Variant, tag="refile"):
    """File the command of an ended request again."""

    number: int


class GetResults(Variant, tag="results"):
    """What verified receipts prove of a request."""

    number: int


class WatchRequest(Variant, tag="watch"):
    """Follow a request, or all of them: its news now, then every change, until the end."""

    number: int | None


class GetUnits(Variant, tag="units"):
    """The units' states, fetched and verified now."""


class GatherReport(Variant, tag="report"):
    """The evidence of a ceremony report."""


Question = (
    GetStatus
    | GetCharters
    | AcceptCharter
    | HearCharter
    | ProposeCharter
    | OfferKey
    | SelectKeys
    | AnnouncePart
    | FileWish
    | GetFiled
    | GetRequests
    | ShowRequest
    | ApproveRequest
    | RejectRequest
    | CancelRequest
    | ProceedRequest
    | VoidRequest
    | RefileRequest
    | GetResults
    | WatchRequest
    | GetUnits
    | GatherReport
)


# answers


class Failed(Variant, tag="failed"):
    """Why not."""

    objection: Objection


class Ok(Variant, tag="ok"):
    """Done. `request` is the id of the request that was filed, changed or found, if any."""

    request: int | None


class Refiled(Variant, tag="refiled"):
    """The request that was filed for another one; `before` when it was there already."""

    request: int
    before: bool


class PolicyLine(Struct):
    """The policy that answers for the person: its name, how often it still may, until when."""

    name: str
    left: int
    until: Instant


class Status(Variant, tag="status"):
    """How the agent is. `skew` is how far the coordinator's clock was ahead at hello."""

    person: PersonName
    instance: InstanceName
    practice: bool
    agent: IdentityKey
    coordinator: IdentityKey
    url: str
    connected: bool
    since: Instant
    why: str
    skew_forward: Duration
    skew_back: Duration
    log_size: int
    charter: int | None
    accepted: int | None
    keys: str
    selected: tuple[SKI, ...]
    offered_keys: int
    agents: int
    waiting: tuple[int, ...]
    policy: PolicyLine | None
    alarm: Objection | None


class CharterLine(Struct):
    """A version that the agent knows. `missing` names who could still accept it.

    `acceptances` are those of `accepted_by`, in that order.
    """

    charter: Charter
    accepted_here: bool
    in_force: bool
    accepted_by: tuple[PersonName, ...]
    acceptances: tuple[Signed, ...]
    needed: int
    missing: tuple[PersonName, ...]


class SeenUnit(Struct):
    """A unit, the last receipt that was seen of it, and whether that left it in imprint mode.

    `now` says that the unit itself has just signed that it is the last one.
    """

    unit: UnitId
    last_receipt: Digest
    imprint: bool
    now: bool


class Charters(Variant, tag="charters"):
    """All versions by number, and what a new one could be made from.

    `seen` are the units that this agent has seen, with their last verified receipts.
    """

    versions: tuple[CharterLine, ...]
    keys: tuple[ProvenKey, ...]
    parts: tuple[Announcement, ...]
    agents: tuple[AgentNews, ...]
    coordinator: IdentityKey
    log: IdentityKey
    seen: tuple[SeenUnit, ...]


class Requests(Variant, tag="requests"):
    """Requests, by id; the coordinator's word until reviewed."""

    requests: tuple[Request, ...]


class Shown(Variant, tag="shown"):
    """A reviewed request."""

    screen: Screen


class Given(Variant, tag="given"):
    """What was given and is stored by the coordinator."""

    request: int
    signed_units: int
    sealed_units: int


class Results(Variant, tag="results"):
    """A request with what receipts prove of it, and what can still run of one that has ended."""

    request: Request
    units: tuple[UnitResult, ...]
    live: NotRecalled | None


class UnitNow(Struct):
    """A unit's verified state; `in_reach` when it was signed just now. `problem` is what is wrong.

    `last_receipt` names the newest entry of its verified history.
    """

    unit: UnitLine
    state: UnitState | None
    version: int
    last_receipt: Digest | None
    in_reach: bool
    problem: str | None


class Units(Variant, tag="units"):
    """The charter's units, in the charter's order by type and location."""

    instance: InstanceName
    units: tuple[UnitNow, ...]


class Gathered(Variant, tag="gathered"):
    """A report's evidence, and the charter versions that it is judged by."""

    evidence: SealedEvidence
    charters: tuple[Charter, ...]


Answer = (
    Failed
    | Ok
    | Status
    | Charters
    | Requests
    | Shown
    | Given
    | Refiled
    | Results
    | Units
    | Gathered
)
