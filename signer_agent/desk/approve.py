"""Signing: from a review to one key's signatures, over bytes that were built here.

The signing bytes come from the commands of the review, which come from what was shown. Nothing that
was received is ever signed as it came.
"""

from dataclasses import dataclass

from protocol.commands.command import Approval
from protocol.identifiers import SKI, Instant, Signature, short
from protocol.refusals import Rule, refuse
from protocol.session.messages import Approve, UnitApproval
from protocol.signing.statements import Sign
from protocol.standing import counted
from quorate import times
from signer_agent.desk.layout import TAKES_ANSWERS
from signer_agent.desk.review import Review
from signer_agent.desk.reviewed import own_keys
from signer_agent.desk.seat import Seat
from signer_agent.objections import Objection, refused
from signer_agent.trust.memory import GivenSignature

_UNTOUCHED = "nothing was signed"


@dataclass(frozen=True)
class Signing:
    """What is sent, and what must be remembered before it is."""

    publication: Approve
    given: tuple[GivenSignature, ...]


def approve(review: Review, seat: Seat, ski: SKI, sign: Sign, *, at: Instant) -> Signing:
    """One key's signatures for every target where they count.

    `sign` signs with the key `ski`, which `signature_wanted` allowed; ValueError otherwise.
    """
    if signature_wanted(review, seat, ski) is not None:
        raise ValueError("this key's signature isn't wanted")
    approvals: list[UnitApproval] = []
    given: list[GivenSignature] = []
    for target in review.targets:
        if ski not in own_keys(seat, review.charter, target):
            continue
        command = target.command
        signature = Signature(sign(command.signing_bytes()))
        approval = Approval(ski=ski, signature=signature)
        approvals.append(UnitApproval(unit=command.unit, approval=approval))
        given.append(
            GivenSignature(
                unit=command.unit,
                state=command.state,
                command=command.id,
                request=command.request,
                number=review.request.id,
                ski=ski,
                at=at,
                until=command.not_after,
            )
        )
    publication = Approve(request=review.screen.digest, ski=ski, approvals=tuple(approvals))
    return Signing(publication=publication, given=tuple(given))


def signature_wanted(review: Review, seat: Seat, ski: SKI) -> Objection | None:
    """Why this key's signature isn't wanted now; None when it is."""
    return (
        _takes_answers(review)
        or signed_before(review, seat, ski)
        or enough(review)
        or _would_count(review, seat, ski)
    )


def any_wanted(review: Review, seat: Seat) -> Objection | None:
    """Why no signature of this person is wanted now; None when one is."""
    if review.screen.keys:
        return None
    mine = [key for key in seat.keys if seat.mine(key.ski, review.charter)]
    objection = _takes_answers(review)
    for key in mine:
        objection = objection or signed_before(review, seat, key.ski)
    return objection or enough(review) or _no_key(review, bool(mine))


def lacks_key_file(review: Review, seat: Seat) -> bool:
    """Whether signatures are wanted, and no key file of this person's is at hand."""
    here = any(seat.mine(key.ski, review.charter) for key in seat.keys)
    return not here and _takes_answers(review) is None and enough(review) is None


def signed_before(review: Review, seat: Seat, ski: SKI) -> Objection | None:
    """SIGNED_BEFORE: one key counts once."""
    there = all(ski in target.signatures.skis for target in review.targets)
    if not review.targets or not there:
        return None
    first = seat.memory.earlier(review.screen.digest, ski)
    when = "elsewhere" if first is None else f"first {times.moment(first.at, now=review.at)}"
    screen = review.screen
    return refused(
        refuse(
            Rule.SIGNED_BEFORE,
            expected=f"a key of {' or '.join(screen.waiting_for) or 'nobody'}",
            found=f"{short(ski)} again, {when}",
        ),
        untouched=_UNTOUCHED,
    ).but(
        next=f"nothing: still {screen.have} of {screen.needed}. If that first one wasn't you, call "
        "the others now"
    )


def enough(review: Review) -> Objection | None:
    """SIGNATURE_NOT_WANTED: as many have signed as are needed."""
    missing = [
        target
        for target in review.targets
        if counted(review.charter, target.signatures.skis) < target.needed
    ]
    if missing:
        return None
    screen = review.screen
    return refused(
        refuse(
            Rule.SIGNATURE_NOT_WANTED,
            expected="a request that lacks signatures",
            found=f"{screen.have} of {screen.needed}",
        ),
        untouched=_UNTOUCHED,
    )


def _takes_answers(review: Review) -> Objection | None:
    if review.request.state in TAKES_ANSWERS:
        return None
    return refused(
        refuse(Rule.REQUEST_ENDED, expected="a request that collects", found=review.request.state),
        untouched=_UNTOUCHED,
    )


def _would_count(review: Review, seat: Seat, ski: SKI) -> Objection | None:
    if any(ski in own_keys(seat, review.charter, target) for target in review.targets):
        return None
    return _no_key(review, seat.mine(ski, review.charter))


def _no_key(review: Review, mine: bool) -> Objection:
    found = "keys of yours that aren't, or that count with one that has signed"
    return refused(
        refuse(
            Rule.SIGNATURE_NOT_WANTED,
            expected="a key of yours that is installed in a target",
            found=found if mine else "none of yours here",
        ),
        untouched=_UNTOUCHED,
    )
