"""Which agent a command talks to: `--agent DIR`, QUORATE_AGENT_DIRECTORY, or the usual place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from signer_agent.client.agent_client import AgentClient
from signer_agent.directory import AgentDirectory, usual_directory

F = TypeVar("F", bound=Callable[..., object])


def _client(_: click.Context, __: click.Parameter, given: Path | None) -> AgentClient:
    return AgentClient(AgentDirectory(given or usual_directory()))


def agent_option(command: F) -> F:
    """Gives a command `--agent DIR` and the argument `client`."""
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
