"""Which coordinator a command talks to, and as whom: `--profile NAME` and its session."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from quorate.console import Console

if TYPE_CHECKING:
    from coordinator.client.calls import Calls
    from coordinator.client.profile import Profile

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class Session:
    """The profile that a command was given; read when it is needed."""

    name: str

    def profile(self) -> "Profile":
        """What is known of the coordinator; trouble where nobody ever logged in."""
        from coordinator.client import profile
        from coordinator.client.session import not_logged_in

        found = profile.load(self.name)
        if found is None:
            raise not_logged_in()
        return found

    def calls(self, console: Console) -> "Calls":
        """The coordinator's API, as who logged in last."""
        from coordinator.client.session import calls_of

        return calls_of(self.name, console)[1]


def profile_option(command: F) -> F:
    """Gives a command `--profile NAME` and the argument `session`."""
    option: Any = click.option(
        "--profile",
        "session",
        metavar="NAME",
        envvar="QUORATE_PROFILE",
        default="default",
        callback=lambda _, __, name: Session(name),
        help="where several coordinators are known: which",
    )
    wrapped: F = option(command)
    return wrapped
