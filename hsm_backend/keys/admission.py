"""Who may call: what every call must pass before anything is looked up for it."""

from collections import deque

from protocol.identifiers import Duration, Instant, Nonce, UnitId
from protocol.keys.operations import CLOCK_WINDOW, RIGHT_OF, KeyCall, name_of
from protocol.refusals import Refusal, Rule, refuse
from protocol.schema import from_bytes
from protocol.signing.algorithms import verify_identity
from protocol.signing.labels import Label, labelled
from protocol.signing.statements import Signed
from protocol.unit_state import UnitState
from protocol.violations import Violation
from quorate.unavailable import Unavailable

MAX_REMEMBERED = 1 << 18
_REMEMBERED_FOR = Duration(2 * CLOCK_WINDOW)
"""A call's time may be a window ahead, and then it is good for a window more."""


def open_call(signed: Signed, unit: UnitId) -> KeyCall:
    """The call, if the key that it names signed it, for this unit; Violation otherwise.

    Whether that key is a key user's is for `key_user_unknown` to say.
    """
    call: KeyCall = from_bytes(KeyCall, signed.statement)
    message = labelled(Label.KEY_REQUEST, signed.statement)
    verify_identity(call.user, message, signed.signature)  # type: ignore[arg-type]
    if call.unit != unit:
        raise Violation("a call for another unit")
    return call


class Heard:
    """The nonces of calls that could still be replayed. A restart forgets them."""

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._nonces: set[Nonce] = set()
        self._order: deque[tuple[Instant, Nonce]] = deque()
        self._most = most

    def key_request_again(self, nonce: Nonce, at: Instant) -> Refusal | None:
        """KEY_REQUEST_AGAIN: each call is taken once. Remembers this one.

        Unavailable when there are too many to remember.
        """
        while self._order and self._order[0][0] + _REMEMBERED_FOR < at:
            self._nonces.discard(self._order.popleft()[1])
        if nonce in self._nonces:
            return refuse(Rule.KEY_REQUEST_AGAIN, expected="a new nonce", found=nonce.hex())
        if len(self._nonces) >= self._most:
            raise Unavailable(f"more than {self._most} calls in two minutes")
        self._nonces.add(nonce)
        self._order.append((at, nonce))
        return None


def admit(call: KeyCall, state: UnitState, heard: Heard, at: Instant) -> Refusal | None:
    """The first rule that refuses the call at `at`, the unit's own time."""
    return (
        key_user_unknown(call, state)
        or key_right(call, state)
        or key_request_time(call, at)
        or heard.key_request_again(call.nonce, at)
    )


def key_user_unknown(call: KeyCall, state: UnitState) -> Refusal | None:
    """KEY_USER_UNKNOWN: the unit knows whom a quorum installed."""
    if state.key_user(call.user) is not None:
        return None
    return refuse(
        Rule.KEY_USER_UNKNOWN,
        expected=f"one of {len(state.key_users)} key users",
        found=call.user.hex(),
    )


def key_right(call: KeyCall, state: UnitState) -> Refusal | None:
    """KEY_RIGHT: a key user does what a quorum allowed."""
    user, needed = state.key_user(call.user), RIGHT_OF[type(call.operation)]
    if user is None or needed is None or needed in user.rights:
        return None
    return refuse(
        Rule.KEY_RIGHT,
        expected=f"{user.name} with the right {needed} for {name_of(call.operation)}",
        found=", ".join(user.rights),
    )


def key_request_time(call: KeyCall, at: Instant) -> Refusal | None:
    """KEY_REQUEST_TIME: at most a minute from the unit's clock."""
    if abs(call.at - at) <= CLOCK_WINDOW:
        return None
    return refuse(
        Rule.KEY_REQUEST_TIME, expected=f"{at}, give or take {CLOCK_WINDOW} ms", found=call.at
    )
