"""A void is for signed copies that can still run, and lives as long as they do."""

from collections.abc import Mapping

from protocol.identifiers import Digest, Instant, UnitId
from protocol.live import live_copies
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import Filing, Request


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


def expires(request: Request, opened: Instant) -> Instant:
    """Not-after of a request that is opened now: a void expires with the copies that it is for."""
    since = opened if request.filing.voids is None else request.filed
    return Instant(since + request.filing.valid_for)
