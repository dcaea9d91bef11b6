"""Which agent a command talks to: `--agent DIR`, QUORATE_AGENT_DIRECTORY, or the usual place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from quorate.console import Console
from signer_agent.client.agent_client import AgentClient
from signer_agent.directory import AgentDirectory, usual_directory

F = TypeVar("F", bound=Callable[..., object])


def _client(context: click.Context, _: click.Parameter, given: Path | None) -> AgentClient:
    directory = AgentDirectory(given or usual_directory())
    settings = directory.read()
    console = context.find_object(Console)
    if console is not None:
        console.practice = settings.practice
    return AgentClient(directory)


def agent_option(command: F) -> F:
    """Gives a command `--agent DIR` and the argument `client`.

    Usage trouble where there is no agent. From here on the screen knows whether it is practice.
    """
    option: Any = click.option(
        "--agent",
        "client",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        envvar="QUORATE_AGENT_DIRECTORY",
        callback=_client,
        help="the agent's directory, where it isn't the usual one",
    )
    return option(command)  # type: ignore[no-any-return]
