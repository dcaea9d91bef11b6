"""Settings: a flag over the environment over the file over the default.

A process's file is TOML and names options as the command line does, without the dashes:

    listen = "127.0.0.1:7443"
    state-dir = "/var/lib/quorate"

The environment has them as `QUORATE_<COMMAND>_<OPTION>`: `QUORATE_UNIT_SERVE_STATE_DIR`.
"""

import json
import tomllib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from quorate.exits import Exit, Trouble

Value = str | int | bool | Sequence[str]
F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class Setting:
    """A line of a settings file with the comment that stands above it."""

    name: str
    value: Value
    comment: str = ""


def config_directory() -> Path:
    """Where a person's settings are looked for: `~/.config/quorate`."""
    from platformdirs import user_config_path

    return user_config_path("quorate", appauthor=False)


def state_directory() -> Path:
    """Where a person's processes keep what they know: `~/.local/state/quorate`."""
    from platformdirs import user_state_path

    return user_state_path("quorate", appauthor=False)


def config_option(default: Callable[[], Path] | None = None) -> Callable[[F], F]:
    """Gives a command `--config FILE`: its own options' values, where no flag or variable says.

    A file given by name must be there; the one at `default` may be missing.
    """

    def read_into(context: click.Context, _: click.Parameter, given: Path | None) -> None:
        path = given or (default() if default is not None else None)
        if path is None or (given is None and not path.exists()):
            return
        context.default_map = load(path, context.command)

    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=read_into,
        help="settings (TOML); flags and environment override it",
    )


def load(path: Path, command: click.Command, *, besides: Collection[str] = ()) -> dict[str, object]:
    """The file's values by parameter, for `command`; a name that it doesn't have is trouble.

    `besides` are names that stand in the file and aren't options.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unusable(path, error.strerror or "can't be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _unusable(path, str(error)) from None
    names = {
        option.lstrip("-"): parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.expose_value and parameter.name
        for option in parameter.opts
        if option.startswith("--")
    }
    unknown = sorted(set(table) - set(names) - set(besides))
    if unknown:
        raise Trouble(
            Exit.USAGE,
            f"{path} has settings that this command doesn't know",
            expected=", ".join(sorted({*names, *besides})),
            found=", ".join(unknown),
            next="mend or remove them",
        )
    return {str(names[name]): value for name, value in table.items() if name in names}


def render(settings: Sequence[Setting], *, heading: str) -> str:
    """The text of a settings file that `load` reads back."""
    lines = [f"# {line}" for line in heading.splitlines()]
    for setting in settings:
        lines.append("")
        lines += [f"# {line}" for line in setting.comment.splitlines()]
        lines.append(f"{setting.name} = {_toml(setting.value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            # A TOML basic string is a JSON string but for the delete character.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case _:
            return "[" + ", ".join(_toml(item) for item in value) + "]"


def _unusable(path: Path, why: str) -> Trouble:
    return Trouble(
        Exit.USAGE,
        f"the settings in {path} can't be used: {why}",
        next="mend the file, or name another: --config FILE",
    )
