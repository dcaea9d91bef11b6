"""What a route is, and how a call's path, query and body become values."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import msgspec

from coordinator.accounts.logins import Principal, Throttled
from coordinator.accounts.roles import Right
from coordinator.wire.values import Hex32, Json
from protocol.displayable import AccountName
from protocol.refusals import Refusal
from protocol.secrets import Secret

if TYPE_CHECKING:
    from aiohttp import web

    from coordinator.api.dispatch import Api

Id16 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]
PARAMETERS: Mapping[str, Any] = {
    "id": Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)],
    "name": AccountName,
    "unit": Hex32,
    "token": Id16,
    "invitation": Id16,
}
"""What stands in a path, by its name there."""


@dataclass(frozen=True)
class Call:
    """One call, checked. `principal` and `secret` are there for routes that need a right."""

    principal: Principal | None
    secret: Secret | None
    path: Mapping[str, Any]
    query: Any
    body: Any
    address: str
    request: "web.Request"

    @property
    def by(self) -> Principal:
        """Who calls."""
        if self.principal is None:
            raise AssertionError("only routes that need a right ask who calls")
        return self.principal


Answer = Json | Refusal | Throttled
Handler = Callable[["Api", Call], Awaitable[Answer]]
Stream = Callable[["Api", Call], Awaitable["web.StreamResponse"]]


@dataclass(frozen=True)
class Route:
    """One operation of the API.

    `right` is None where nobody has to log in. `query` and `body` are the types of what it takes,
    `answer` is the type that it answers with; None for a stream of events.
    """

    method: str
    path: str
    name: str
    says: str
    right: Right | None
    handler: Handler | Stream
    answer: type[Json] | None
    query: type[Json] | None = None
    body: type[Json] | None = None
    refusals: tuple[int, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in its path."""
        return tuple(re.findall(r"{(\w+)}", self.path))


def path_of(route: Route, found: Mapping[str, str]) -> Mapping[str, Any]:
    """The values in a path; msgspec.ValidationError where one can't be what it stands for."""
    return {
        name: msgspec.convert(_lexed(found[name], PARAMETERS[name]), PARAMETERS[name])
        for name in route.parameters
    }


def query_of(route: Route, found: Mapping[str, str]) -> Json | None:
    """The query; msgspec.ValidationError for what is unknown, doubled or of another type."""
    if route.query is None:
        if found:
            raise msgspec.ValidationError("this takes no query")
        return None
    if len(found) != len(set(found)):
        raise msgspec.ValidationError("a name stands in the query twice")
    hints = get_type_hints(route.query, include_extras=True)
    plain = {name: _lexed(value, hints.get(name)) for name, value in found.items()}
    return msgspec.convert(plain, route.query)


def body_of(route: Route, data: bytes) -> Json | None:
    """The body; msgspec.DecodeError where it isn't what the route takes."""
    if route.body is None:
        if data:
            raise msgspec.ValidationError("this takes no body")
        return None
    try:
        return msgspec.convert(_whole(msgspec.json.decode(data)), route.body)
    except (UnicodeDecodeError, RecursionError):
        raise msgspec.DecodeError("not JSON") from None


def _whole(plain: Any) -> Any:
    """JSON has one kind of number: 27.0 is a whole one too."""
    match plain:
        case float() if plain.is_integer():
            return int(plain)
        case dict():
            return {name: _whole(value) for name, value in plain.items()}
        case list():
            return [_whole(value) for value in plain]
        case _:
            return plain


def _lexed(text: str, kind: Any) -> object:
    """A number or a truth value where such a one is meant: in a URL all is text."""
    if _holds(kind, int) and re.fullmatch("0|-?[1-9][0-9]{0,18}", text):
        return int(text)
    if _holds(kind, bool) and text in ("true", "false"):
        return text == "true"
    return text


def _holds(kind: Any, wanted: type) -> bool:
    return kind is wanted or any(_holds(one, wanted) for one in get_args(kind))
