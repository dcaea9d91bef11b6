"""Signed copies that are out: what cancelling doesn't recall, and what a void makes harmless.

Whoever saw a signed command can bring it to its unit until it expires, or until the unit runs
anything else. So a request that has ended may still run where its signatures are good.
"""

from collections.abc import Mapping

from protocol.charter import Charter
from protocol.displayable import PersonName, Purpose
from protocol.identifiers import SKI, Digest, Duration, Instant, UnitId
from protocol.request import LAST_MINUTE, LONGEST_VALIDITY, Outcome, Request
from protocol.schema import Struct
from protocol.standing import could_still_sign, counted

_DEAD = (Outcome.EXECUTED, Outcome.REFUSED, Outcome.EXPIRED)
SHORTEST_VALIDITY = Duration(2 * LAST_MINUTE)


class LiveCopy(Struct):
    """A command that was signed for a unit and may still run there.

    `signed_by` are the keys that have signed, `needed` how many must, `until` when it expires.
    """

    unit: UnitId
    signed_by: tuple[SKI, ...]
    needed: int
    until: Instant


class NotRecalled(Struct):
    """The live copies of a request that has ended, as people read of them.

    They are for `units`, of `targets` that it had. `have` of `needed` signatures are on the
    fullest; `could_add` are the people whose signature would still count there.
    """

    units: tuple[UnitId, ...]
    targets: int
    signed_by: tuple[PersonName, ...]
    have: int
    needed: int
    could_add: tuple[PersonName, ...]
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


def not_recalled(
    request: Request, charter: Charter, states: Mapping[UnitId, Digest], at: Instant
) -> NotRecalled | None:
    """What can still run of a request, whose charter this is; None if nothing can."""
    copies = live_copies(request, states, at)
    if not copies:
        return None
    fullest = min(copies, key=lambda copy: copy.needed - counted(charter, copy.signed_by))
    owners = (charter.owner_of(ski) for copy in copies for ski in copy.signed_by)
    return NotRecalled(
        units=tuple(copy.unit for copy in copies),
        targets=len(request.progress),
        signed_by=tuple(sorted({owner.name for owner in owners if owner is not None})),
        have=counted(charter, fullest.signed_by),
        needed=fullest.needed,
        could_add=_could_add(request, fullest, charter),
        until=max(copy.until for copy in copies),
    )


def void_validity(copies: tuple[LiveCopy, ...], at: Instant) -> Duration:
    """How long a void of these copies is of use: until the last of them expires."""
    longest = max(copy.until - at for copy in copies)
    return Duration(min(max(longest, SHORTEST_VALIDITY), LONGEST_VALIDITY))


def void_purpose(number: int) -> Purpose:
    """What a void of request `number` says that it is for."""
    return Purpose(f"so that signatures for request {number} can't run any more")


def _could_add(request: Request, copy: LiveCopy, charter: Charter) -> tuple[PersonName, ...]:
    progress = request.progress_on(copy.unit)
    if progress is None or counted(charter, copy.signed_by) >= copy.needed:
        return ()
    found = could_still_sign(progress.state, copy.signed_by, charter)
    return tuple(sorted({name for _, name in found}))
