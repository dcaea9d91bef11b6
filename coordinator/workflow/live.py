"""Signed copies that are out: what cancelling doesn't recall, and what a void makes harmless.

Whoever saw a signed command can bring it to its unit until it expires, or until the unit runs
anything else. So a request that has ended may still run where its signatures are good.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from protocol.identifiers import SKI, Digest, Duration, Instant, UnitId
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import LAST_MINUTE, LONGEST_VALIDITY, Filing, Outcome, Request

_DEAD = (Outcome.EXECUTED, Outcome.REFUSED, Outcome.EXPIRED)
SHORTEST_VALIDITY = Duration(2 * LAST_MINUTE)


@dataclass(frozen=True)
class LiveCopy:
    """A command that was signed for a unit and may still run there.

    `signed_by` are the keys that have signed, `needed` how many must, `until` when it expires.
    """

    unit: UnitId
    signed_by: tuple[SKI, ...]
    needed: int
    until: Instant


def live_copies(
    request: Request, states: Mapping[UnitId, Digest], at: Instant
) -> tuple[LiveCopy, ...]:
    """The signed copies of a request that may still run.

    `states` are the digests of the units' last known states; of a unit that isn't there, it is
    taken that its state is still the one that was signed for.
    """
    opening = request.opening
    if opening is None or at >= opening.not_after - LAST_MINUTE:
        return ()
    return tuple(
        LiveCopy(
            unit=one.unit,
            signed_by=tuple(approval.ski for approval in one.approvals),
            needed=one.needed,
            until=opening.not_after,
        )
        for one in request.progress
        if one.approvals
        and one.outcome not in _DEAD
        and states.get(one.unit, one.target.state) == one.target.state
    )


def nothing_live(
    filing: Filing, voided: Request | None, states: Mapping[UnitId, Digest], at: Instant
) -> Refusal | None:
    """VOID_ORIGIN: a void is for copies that may still run on each of its units."""
    if filing.voids is None or voided is None:
        return None
    live = {copy.unit for copy in live_copies(voided, states, at)}
    if live >= set(filing.targets):
        return None
    return refuse(
        Rule.VOID_ORIGIN,
        expected="units on which signed copies can still run",
        found=f"request {voided.id}: {len(live)} of {len(filing.targets)} units",
    )


def void_validity(copies: tuple[LiveCopy, ...], at: Instant) -> Duration:
    """How long a void of these copies is of use: until the last of them expires."""
    longest = max(copy.until - at for copy in copies)
    return Duration(min(max(longest, SHORTEST_VALIDITY), LONGEST_VALIDITY))


def expires(request: Request, opened: Instant) -> Instant:
    """Not-after of a request that is opened now: a void expires with the copies that it is for."""
    since = opened if request.filing.voids is None else request.filed
    return Instant(since + request.filing.valid_for)
