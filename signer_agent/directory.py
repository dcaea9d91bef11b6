"""The agent's directory: which file is which, and what its settings say."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from protocol.displayable import InstanceName, PersonName
from protocol.identifiers import IdentityKey
from quorate import settings
from quorate.exits import Exit, Trouble

KEYS_VARIABLE = "CLOUDTKEFILES"
"""Where TKE users keep their key files; honoured as TKE does."""


@dataclass(frozen=True)
class AgentSettings:
    """What `quorate agent init` wrote down of an invitation."""

    instance: InstanceName
    practice: bool
    person: PersonName
    url: str
    coordinator: IdentityKey
    log: IdentityKey


@dataclass(frozen=True)
class AgentDirectory:
    """A directory of one user's alone that holds all of a signer agent."""

    path: Path

    @property
    def settings(self) -> Path:
        """What `quorate agent run` reads."""
        return self.path / "agent.toml"

    @property
    def store(self) -> Path:
        """What the agent has seen and done."""
        return self.path / "agent.db"

    @property
    def invitation(self) -> Path:
        """The invitation's token, until it was used."""
        return self.path / "invitation"

    @property
    def socket(self) -> Path:
        """Where the daemon listens for its own user."""
        return self.path / "agent.socket"

    @contextmanager
    def reachable_socket(self) -> Iterator[str]:
        """A name of the socket that is short enough for unix(7), however deep the directory is."""
        descriptor = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}/{self.socket.name}"
        finally:
            os.close(descriptor)

    @property
    def fork(self) -> Path:
        """The evidence, once the log was seen forked: both checkpoints, signed by its key."""
        return self.path / "fork.json"

    @property
    def keys(self) -> Path:
        """Where this user's signature key and key part files are."""
        given = os.environ.get(KEYS_VARIABLE)
        return Path(given) if given else self.path / "keys"

    @property
    def keys_as_said(self) -> str:
        """The directory of the key files, and what named it."""
        named = f" ({KEYS_VARIABLE})" if os.environ.get(KEYS_VARIABLE) else ""
        return f"{self.keys}{named}"

    def read(self) -> AgentSettings:
        """The settings; usage trouble where there are none."""
        try:
            table = tomllib.loads(self.settings.read_text(encoding="utf-8"))
            return AgentSettings(
                instance=InstanceName(table["instance"]),
                practice=bool(table["practice"]),
                person=PersonName(table["person"]),
                url=str(table["url"]),
                coordinator=IdentityKey(bytes.fromhex(table["coordinator"])),
                log=IdentityKey(bytes.fromhex(table["log"])),
            )
        except FileNotFoundError:
            raise Trouble(
                Exit.USAGE,
                f"{self.path} holds no signer agent",
                next="quorate agent init DIR --invitation-file FILE, or --agent DIR",
            ) from None
        except (tomllib.TOMLDecodeError, KeyError, ValueError) as error:
            raise Trouble(
                Exit.USAGE, f"{self.settings} can't be used: {error}", next="mend it"
            ) from None


def usual_directory() -> Path:
    """Where a person's agent is, when nothing else is said."""
    return settings.state_directory() / "agent"
