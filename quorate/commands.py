"""How every command of ours behaves: its help, `--json` and `--plain`, and coroutines.

    @click.group(cls=Group)
    def agent() -> None:
        "A custodian's own signer agent."

    @agent.command()
    @click.argument("id", type=int)
    @pass_console
    async def show(console: Console, id: int) -> None:
        "What request ID would change, and what it wants of you."

A command that ends with another code than 0 raises `quorate.exits.Trouble`.
"""

import inspect
import sys
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from quorate.console import Console
from quorate.layout import WIDTH, room

P = ParamSpec("P")
R = TypeVar("R")


def pass_console(function: Callable[Concatenate[Console, P], R]) -> Callable[P, R]:
    """Gives a command the console as its first argument."""

    @click.pass_context
    def with_console(context: click.Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        console = context.find_object(Console)
        if console is None:
            raise AssertionError("our commands are run by quorate.root.run")
        return function(console, *args, **kwargs)

    with_console.__doc__ = function.__doc__
    with_console.__name__ = getattr(function, "__name__", "command")
    return with_console


def _width() -> int:
    """How wide help may be."""
    return min(WIDTH, room(sys.stdout))


class _Ours(click.Command):
    """What `Command` and `Group` share."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *_EVERYWHERE]

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Arguments first, as people type them; then as many options as the line holds."""
        if isinstance(self, click.Group):
            return ["COMMAND ..."]
        pieces = [piece for piece in super().collect_usage_pieces(ctx) if piece != "[OPTIONS]"]
        left = _width() - len(f"Usage: {ctx.command_path} [--json] ...")
        for option in self._options():
            piece = f"[{option.opts[0]}{'' if option.is_flag else ' ' + option.make_metavar(ctx)}]"
            if len(" ".join([*pieces, piece])) >= left:
                break
            pieces.append(piece)
        return [*pieces, "[--json] ..."]

    def _options(self) -> list[click.Option]:
        return [p for p in self.params if isinstance(p, click.Option) and not p.hidden]

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.width = _width()
        super().format_usage(ctx, formatter)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.help:
            formatter.write_paragraph()
            formatter.write_text(inspect.cleandoc(self.help))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [
            record
            for option in self._options()
            if (record := option.get_help_record(ctx)) is not None
        ]
        if rows:
            formatter.write_paragraph()
            formatter.indent()
            formatter.write_dl(rows)
            formatter.dedent()


class Command(_Ours):
    """A command of ours. Its callback may be a coroutine function."""

    def invoke(self, ctx: click.Context) -> Any:
        result = super().invoke(ctx)
        if inspect.iscoroutine(result):
            import asyncio

            return asyncio.run(result)
        return result


class Group(_Ours, click.Group):
    """A group of our commands, listed in the order in which they were written."""

    command_class = Command
    group_class = type

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        rows = [
            (name, command.get_short_help_str(WIDTH))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None and not command.hidden
        ]
        if rows:
            formatter.write_paragraph()
            formatter.indent()
            formatter.write_dl(rows)
            formatter.dedent()


# What they do is done before parsing, by Console.for_this_process; here they are only accepted.
_EVERYWHERE = [
    click.Option(["--json"], is_flag=True, expose_value=False, hidden=True),
    click.Option(["--plain"], is_flag=True, expose_value=False, hidden=True),
]
