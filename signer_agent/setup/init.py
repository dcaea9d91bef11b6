"""`quorate agent init`: an identity key, settings, and the invitation kept until it is used."""

from pathlib import Path

from protocol.identifiers import Instant
from protocol.session.invitation import Invitation
from quorate import private_files, settings
from quorate.crash_points import crash_point
from quorate.exits import Exit, Trouble
from signer_agent.directory import AgentDirectory
from signer_agent.keys import identity_file
from signer_agent.keys.identity_file import AgentIdentity
from signer_agent.steps import IDENTITY_MADE


def make_agent(path: Path, invitation: Invitation, *, at: Instant) -> AgentIdentity:
    """Makes the directory of an agent; refused trouble where there is one."""
    directory = AgentDirectory(private_files.directory(path))
    if directory.settings.exists():
        raise Trouble(
            Exit.REFUSED,
            f"{path} holds a signer agent already; it was left as it is",
            next="choose another directory",
        )
    identity = _identity(directory, invitation, at)
    crash_point(IDENTITY_MADE)
    private_files.write(directory.invitation, invitation.token, untouched="no agent was made")
    text = settings.render(
        [
            settings.Setting("instance", invitation.instance, "the service instance"),
            settings.Setting("practice", invitation.practice, "whether it is a rehearsal"),
            settings.Setting("person", invitation.person, "whose agent this is"),
            settings.Setting("url", invitation.url, "where the coordinator is"),
            settings.Setting(
                "coordinator",
                invitation.coordinator.hex(),
                "the coordinator's identity key: the agent talks to no other",
            ),
            settings.Setting("log", invitation.log.hex(), "the key of the coordinator's log"),
        ],
        heading="Settings of `quorate agent run`.",
    )
    private_files.write(directory.settings, text.encode(), untouched="no agent was made")
    return identity


def _identity(directory: AgentDirectory, invitation: Invitation, at: Instant) -> AgentIdentity:
    """A new identity, or the one of an attempt for the same person that was cut short."""
    if (directory.path / identity_file.FILE_NAME).exists():
        left = identity_file.load(directory.path)
        if left.name == invitation.person:
            return left
    return identity_file.create(directory.path, name=invitation.person, at=at)
