"""What a request must be before anybody looks at its units: rules over filing and opening."""

from protocol.charter import Charter
from protocol.commands.wording import NameOf
from protocol.displayable import PersonName, shown
from protocol.identifiers import SECOND, SKI, Duration, Instant, short
from protocol.refusals import Rule, refuse
from protocol.request import (
    LAST_MINUTE,
    LONGEST_VALIDITY,
    Filing,
    Opening,
    Request,
    RequestState,
)
from protocol.session.messages import RequestNews
from quorate import times
from quorate.exits import Exit
from signer_agent.desk.filed import (
    filer_in_charter,
    filing_unchanged,
    newcomer_in_charter,
    same_instance,
)
from signer_agent.objections import CALL, NOTHING_SIGNED, Objection, alarm, object_to, refused
from signer_agent.trust.charters import CharterBook
from signer_agent.trust.evidence import Evidence
from signer_agent.trust.witness import checkpoint_recent, forked, named_by, rolled_back

WAITS_AT_MOST = LONGEST_VALIDITY
"""What isn't opened within 7 days of its filing expires."""


def objection_to_opening(
    news: RequestNews, book: CharterBook, evidence: Evidence, now: Instant, *, ahead: Duration
) -> Objection | None:
    """The first thing that is wrong with a request, whatever its units say.

    `ahead` is how far the coordinator's clock is ahead of this machine's.
    """
    request = news.request
    return (
        log_goes_on(evidence, book)
        or request_ended(request)
        or request_not_open(request)
        or _of_opened(news, request, book, evidence, now, ahead)
    )


def _of_opened(
    news: RequestNews,
    request: Request,
    book: CharterBook,
    evidence: Evidence,
    now: Instant,
    ahead: Duration,
) -> Objection | None:
    opening, filing = request.opening, request.filing
    assert opening is not None  # request_not_open
    objection = charter_in_force(opening, book)
    charter = book.ruling
    if objection is not None or charter is None:
        return objection
    return (
        log_in_force(charter, evidence)
        or same_instance(filing, opening, charter)
        or filing_unchanged(filing, opening)
        or filer_in_charter(request, charter)
        or targets_of_filing(filing, opening)
        or targets_in_charter(opening, charter)
        or newcomer_in_charter(filing.body, charter)
        or times_of_filing(filing, opening)
        or expired(request, opening, now)
        or checkpoint_in_log(news, opening, evidence, ahead=ahead)
    )


def log_goes_on(evidence: Evidence, book: CharterBook) -> Objection | None:
    """LOG_GOES_ON: while the log is known to be forked or rolled back, nothing is signed."""
    if evidence.shorter is not None:
        return rolled_back(evidence.shorter, book.instance)
    return forked(evidence.witness, book.instance)


def log_in_force(ruling: Charter, evidence: Evidence) -> Objection | None:
    """LOG_IN_FORCE: the log that is followed is that of the version in force.

    Between accepting a version that names another log and its coming into force, nothing is signed:
    some still follow the one, some the other.
    """
    if evidence.witness.log == ruling.coordinator.log:
        return None
    return object_to(
        Exit.REFUSED,
        "you have accepted a version of the charter that names another coordinator and log, and it "
        f"isn't in force yet; {NOTHING_SIGNED}",
        expected="a version in force that names the log which your agent follows",
        found=f"version {ruling.number}",
        next="who hasn't accepted it? quorate charter show",
        rule="LOG_IN_FORCE",
    )


def request_ended(request: Request) -> Objection | None:
    """REQUEST_ENDED: nobody is asked any more."""
    if not request.ended:
        return None
    why = f": {shown(request.why)}" if request.why else ""
    ended = (
        RequestState.CANCELLED,
        RequestState.EXPIRED,
        RequestState.SUPERSEDED,
        RequestState.NEEDLESS,
    )
    if request.state in ended:
        return object_to(
            Exit.ENDED,
            f"request {request.id} is {request.state}{why}; {NOTHING_SIGNED}",
            next=f"quorate agent refile {request.id}      if it is still wanted",
            rule=Rule.REQUEST_ENDED.value,
        )
    return refused(
        refuse(Rule.REQUEST_ENDED, expected="an open request", found=f"{request.state}{why}"),
        untouched=NOTHING_SIGNED,
    )


def request_not_open(request: Request) -> Objection | None:
    """REQUEST_NOT_OPEN: before its opening a request has no commands."""
    if request.opening is not None:
        return None
    return refused(
        refuse(Rule.REQUEST_NOT_OPEN, expected="an opened request", found=request.state),
        untouched=NOTHING_SIGNED,
    )


def charter_in_force(opening: Opening, book: CharterBook) -> Objection | None:
    """CHARTER_IN_FORCE: opened under the newest version in force, which the person accepted."""
    ruling, overtaking = book.ruling, book.overtaking
    if overtaking is not None:
        return object_to(
            Exit.REFUSED,
            f"version {overtaking.number} of the charter is in force, and you haven't accepted it; "
            f"{NOTHING_SIGNED}",
            expected="the version in force, accepted here",
            found="none accepted" if ruling is None else f"version {ruling.number}",
            next="quorate charter accept",
            rule=Rule.CHARTER_NOT_IN_FORCE.value,
        )
    if ruling is None:
        return object_to(
            Exit.REFUSED,
            f"no version of the charter that you accepted is in force yet; {NOTHING_SIGNED}",
            next="have all accept it: quorate charter accept",
            rule=Rule.CHARTER_NOT_IN_FORCE.value,
        )
    if opening.charter == ruling.digest:
        return None
    trusted = book.trusted
    older = None if trusted is None else trusted.get(opening.charter)
    if older is not None and older.number < ruling.number:
        return object_to(
            Exit.ENDED,
            f"the request was opened under version {older.number} of the charter, and version "
            f"{ruling.number} is in force since; {NOTHING_SIGNED}",
            expected=f"version {ruling.number}",
            found=f"version {older.number}",
            next="refile it if it is still wanted",
            rule=Rule.CHARTER_NOT_IN_FORCE.value,
        )
    known = book.known.get(opening.charter)
    found = short(opening.charter) if known is None else f"version {known.charter.number}"
    return alarm(
        f"the request was opened under a charter that isn't in force; {NOTHING_SIGNED}",
        expected=f"version {ruling.number}, the newest in force that you accepted",
        found=found,
        next="call the others: which version did they accept?",
        rule=Rule.CHARTER_NOT_IN_FORCE.value,
    )


def targets_of_filing(filing: Filing, opening: Opening) -> Objection | None:
    """TARGETS_OF_FILING: those that were filed, less those that the filer allowed to leave out."""
    found = sorted((*opening.targets, *opening.left_out))
    allowed = filing.leave_out or not opening.left_out
    if (
        found == list(filing.targets)
        and allowed
        and list(opening.targets) == sorted(opening.targets)
    ):
        return None
    return alarm(
        f"the request was opened for other units than it was filed for; {NOTHING_SIGNED}",
        expected=f"{len(filing.targets)} units"
        + (", some of which may be left out" if filing.leave_out else ""),
        found=f"{len(opening.targets)} units, {len(opening.left_out)} left out",
        next=CALL,
        rule="TARGETS_OF_FILING",
    )


def targets_in_charter(opening: Opening, charter: Charter) -> Objection | None:
    """UNIT_NOT_IN_CHARTER: only units that the charter names."""
    strange = [unit for unit in opening.targets if charter.unit(unit) is None]
    if not strange:
        return None
    return alarm(
        f"the request is for a unit that your charter doesn't hold; {NOTHING_SIGNED}",
        expected=f"units of charter version {charter.number}",
        found=", ".join(short(unit) for unit in strange),
        next=CALL,
        rule=Rule.UNIT_NOT_IN_CHARTER.value,
    )


def times_of_filing(filing: Filing, opening: Opening) -> Objection | None:
    """TIMES_OF_FILING: valid as long as the filer said, and opened within 7 days of the filing."""
    validity = Duration(opening.not_after - opening.not_before)
    waited = Duration(opening.not_before - filing.at)
    longest = min(filing.valid_for, LONGEST_VALIDITY)
    if 0 < validity <= longest and waited <= WAITS_AT_MOST:
        return None
    return alarm(
        f"the request's times aren't those that were filed; {NOTHING_SIGNED}",
        expected=f"valid for {filing.valid_for // SECOND} s, opened within 7 days of the filing",
        found=f"valid for {validity // SECOND} s, opened {waited // SECOND} s after it",
        next=CALL,
        rule="TIMES_OF_FILING",
    )


def expired(request: Request, opening: Opening, now: Instant) -> Objection | None:
    """EXPIRED: a unit doesn't begin within a minute of not-after."""
    if now < opening.not_after - LAST_MINUTE:
        return None
    return object_to(
        Exit.ENDED,
        f"request {request.id} has expired, or would within a minute; {NOTHING_SIGNED}",
        expected=f"a minute before {times.moment(opening.not_after, now=now)}",
        found=times.moment(now, now=now),
        next=f"quorate agent refile {request.id}      if it is still wanted",
        rule=Rule.EXPIRED.value,
    )


def checkpoint_in_log(
    news: RequestNews, opening: Opening, evidence: Evidence, *, ahead: Duration
) -> Objection | None:
    """CHECKPOINT_IN_LOG, CHECKPOINT_RECENT: all signers of one command share one log, up to its
    opening: the one followed here."""
    if not named_by(opening.checkpoint, news.checkpoint):
        return alarm(
            f"the request doesn't come with the checkpoint that it names; {NOTHING_SIGNED}",
            expected=short(opening.checkpoint),
            found="none" if news.checkpoint is None else "another",
            next=CALL,
            rule="CHECKPOINT_IN_LOG",
        )
    if isinstance(evidence.held, Objection):
        return evidence.held
    if evidence.held is not None and evidence.held.note == opening.checkpoint:
        return checkpoint_recent(evidence.witness, evidence.held, opening.not_before, ahead=ahead)
    return object_to(
        Exit.UNREACHABLE,
        f"the request was opened while the agent looked; {NOTHING_SIGNED}",
        next="try again",
        rule="CHECKPOINT_IN_LOG",
    )


def name_of(book: CharterBook) -> NameOf:
    """Whose key an SKI is, in the newest accepted version that names it."""
    trusted = book.trusted

    def owner(ski: SKI) -> PersonName | None:
        found = None if trusted is None else trusted.owner_of(ski)
        return None if found is None else found[0].name

    return owner
