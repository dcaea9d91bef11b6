"""What a person looked at last: so that the next look says what is new."""

from collections.abc import Iterator
from pathlib import Path

from protocol.schema import from_bytes, to_bytes
from protocol.violations import Violation
from quorate import private_files
from quorate.exits import Trouble
from signer_agent.client.agent_client import AgentClient
from signer_agent.desk.screen import Screen, what_changed

_LIMIT = 1024 * 1024
_KEPT = 20


def new_since(client: AgentClient, screen: Screen) -> Iterator[str]:
    """What has changed, of that which people decide on, since this request was last shown."""
    try:
        data = private_files.read(_file(client, screen.request), limit=_LIMIT)
        before = from_bytes(Screen, data, limit=_LIMIT)
    except (FileNotFoundError, Violation, Trouble):
        return
    for what, was, now in what_changed(before, screen):
        yield f"{what}: {was} → {now}"


def remember(client: AgentClient, screen: Screen) -> None:
    """Keeps what is shown, and forgets older requests. Nothing depends on it, so nothing fails."""
    file = _file(client, screen.request)
    try:
        private_files.directory(file.parent)
        private_files.write(file, to_bytes(screen), untouched="nothing")
        for old in sorted(file.parent.iterdir(), key=lambda one: one.name)[:-_KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, Trouble):
        return


def _file(client: AgentClient, request: int) -> Path:
    return client.directory.path / "seen" / f"{request:012}"
