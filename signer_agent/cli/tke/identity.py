"""Who a `cryptounit*` command speaks as: this user's agent, or the operator of `quorate login`."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from quorate.console import Console
from quorate.exits import Exit, Trouble
from signer_agent.client.agent_client import AgentClient
from signer_agent.client.party import Party
from signer_agent.directory import AgentDirectory, usual_directory

F = TypeVar("F", bound=Callable[..., object])
_PROFILE = "default"

NOT_VERIFIED = (
    "! not verified: as the coordinator tells. The units' receipts hold under the charter that it",
    "  gave; whether it is the right one, and these the newest, only custodians' agents can tell.",
)
"""Beneath what is shown to somebody without an agent."""


def party_option(command: F) -> F:
    """Gives a command `--agent DIR`, `--profile NAME` and the argument `client`, a `Party`.

    What is given decides. Otherwise it is the agent where this user has one, else who logged in.
    Usage trouble where there is neither. From then on the screen knows whether it is practice.
    """

    @click.pass_context
    async def as_somebody(context: click.Context, /, *args: Any, **arguments: Any) -> None:
        agent, profile = arguments.pop("agent"), arguments.pop("profile")
        async with _party(context, agent, profile) as client:
            found = command(*args, **arguments, client=client)
            if inspect.isawaitable(found):
                await found

    as_somebody.__doc__ = command.__doc__
    as_somebody.__name__ = getattr(command, "__name__", "command")
    as_somebody.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    wrapped: Any = click.option(
        "--profile",
        metavar="NAME",
        envvar="QUORATE_PROFILE",
        help="as the operator who logged in with this profile",
    )(as_somebody)
    wrapped = click.option(
        "--agent",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        envvar="QUORATE_AGENT_DIRECTORY",
        help="the agent's directory, where it isn't the usual one",
    )(wrapped)
    return wrapped  # type: ignore[no-any-return]


def say_whose_word(console: Console, client: Party) -> None:
    """Says beneath a table that it isn't verified, where it isn't."""
    if not client.verified:
        for line in NOT_VERIFIED:
            console.say(line)


@asynccontextmanager
async def _party(
    context: click.Context, agent: Path | None, profile: str | None
) -> AsyncIterator[Party]:
    console = context.find_object(Console)
    if console is None:
        raise AssertionError("our commands are run by quorate.root.run")
    chosen = _directory(context, agent, profile)
    if chosen is not None:
        console.practice = chosen.read().practice
        yield AgentClient(chosen)
        return
    from coordinator.client.session import calls_of
    from signer_agent.client.operator_client import OperatorClient

    async with OperatorClient(*calls_of(profile or _PROFILE, console)) as client:
        yield client


def _directory(
    context: click.Context, agent: Path | None, profile: str | None
) -> AgentDirectory | None:
    """The agent's directory; None for an operator."""
    typed = [
        name
        for name in ("agent", "profile")
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if len(typed) == 2:
        raise click.UsageError("one acts as an agent's custodian or as an operator: give one")
    if typed == ["profile"]:
        return None
    if agent is not None:
        return AgentDirectory(agent)
    if profile is not None:
        return None
    usual = AgentDirectory(usual_directory())
    if usual.settings.exists():
        return usual
    if find_spec("coordinator") is None:
        return usual  # which says what is missing
    from coordinator.client import profile as profiles

    if profiles.load(_PROFILE) is not None:
        return None
    raise Trouble(
        Exit.USAGE,
        f"{usual.path} holds no signer agent, and nobody has logged in here",
        next="custodians: quorate agent init DIR --invitation-file FILE, or --agent DIR; "
        "operators: quorate login https://HOST:PORT --as NAME",
    )
