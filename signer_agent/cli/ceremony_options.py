"""How a ceremony is run: what a script says beforehand instead of being asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from quorate.prompts import PasswordSource, password_options

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class Manner:
    """`confirmed` are people who have done what the plan wants of them; `seconds` a step's time."""

    confirmed: tuple[str, ...]
    yes_destroy: str | None
    seconds: float | None
    sign: bool
    passwords: PasswordSource


def running_options(command: F) -> F:
    """Gives a command these options and the argument `manner`."""

    def gathered(**arguments: Any) -> Any:
        names = ("confirmed", "yes_destroy", "seconds", "sign")
        given = {name: arguments.pop(name) for name in names}
        manner = Manner(**given, passwords=arguments.pop("password_source"))
        return command(**arguments, manner=manner)

    gathered.__doc__ = command.__doc__
    gathered.__name__ = getattr(command, "__name__", "command")
    gathered.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    found: Any = password_options(gathered)
    for option in (
        click.option("--unsigned", "sign", flag_value=False, default=True, help="only file"),
        click.option("--timeout", "seconds", type=float, metavar="S", help="what a step may take"),
        click.option(
            "--yes-destroy", metavar="INSTANCE", help="for scripts: keys may be lost, not asked"
        ),
        click.option(
            "--confirmed",
            multiple=True,
            metavar="NAME",
            help="for scripts: what the plan wants of NAME is done",
        ),
    ):
        found = option(found)
    wrapped: F = found
    return wrapped
