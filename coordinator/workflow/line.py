"""The line before each unit: who comes first.

A request is opened when it is first in the line of every unit that it targets. Voids come before
all others that still wait; what has been opened keeps its place until it has ended on that unit.
"""

from collections.abc import Iterable

from protocol.commands.effects import after
from protocol.commands.rules import refusal_of
from protocol.identifiers import VP, UnitId
from protocol.request import Request, RequestState
from protocol.unit_state import UnitState

_UNKNOWN_KEY = VP(bytes(32))


def holds(request: Request) -> frozenset[UnitId]:
    """The units whose line the request stands in."""
    if request.ended:
        return frozenset()
    if request.opening is None:
        return frozenset(request.filing.targets)
    return frozenset(one.unit for one in request.progress if one.open)


def in_order(requests: Iterable[Request]) -> list[Request]:
    """All that have not ended: the opened ones, then waiting voids, then the rest, each by id."""
    standing = [request for request in requests if not request.ended]
    return sorted(
        standing,
        key=lambda one: (one.opening is None, one.filing.voids is None, one.id),
    )


def next_to_open(requests: Iterable[Request]) -> list[Request]:
    """The waiting requests that are first in the line of every one of their targets."""
    taken: set[UnitId] = set()
    first: list[Request] = []
    for request in in_order(requests):
        units = holds(request)
        if request.state is RequestState.WAITING_IN_LINE and not units & taken:
            first.append(request)
        taken |= units
    return first


def behind(request: Request, requests: Iterable[Request]) -> list[int]:
    """The ids of the requests that are before this one in a line."""
    ahead: list[int] = []
    for other in in_order(requests):
        if other.id == request.id:
            break
        if holds(other) & holds(request):
            ahead.append(other.id)
    return ahead


def projected(unit: UnitId, state: UnitState, requests: Iterable[Request]) -> UnitState:
    """The unit's state once all that stand in its line have run.

    What a load ahead will make isn't known: its key is taken as all zero.
    """
    for request in in_order(requests):
        if unit in holds(request) and refusal_of(request.filing.body, state) is None:
            state = after(state, request.filing.body, loaded=_UNKNOWN_KEY)
    return state
