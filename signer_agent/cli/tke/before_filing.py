"""What is looked at before anything is filed: so that nothing is left behind that nobody wanted."""

import sys
from collections.abc import Sequence

from protocol.commands.bodies import Body
from protocol.commands.effects import after
from protocol.commands.quorum import signatures_needed
from protocol.commands.rules import refusal_of
from protocol.refusals import Refusal
from protocol.unit_state import UnitState
from quorate.exits import Exit, Trouble, refused
from quorate.prompts import PasswordSource
from signer_agent.client.agent_client import AgentClient
from signer_agent.keys import part_files, signature_files
from signer_agent.local.messages import UnitNow

Rows = Sequence[tuple[int, UnitNow]]


def check_all(bodies: Sequence[Body], targets: Rows) -> None:
    """Of several commands: what a unit would refuse after those before, before any is filed."""
    if len(bodies) < 2:
        return
    for _, one in targets:
        state = one.state
        for body in bodies:
            if state is None:
                break
            refusal = _refusal(body, state)
            if refusal is not None:
                raise refused(refusal, untouched="Nothing was filed")
            state = after(state, body)


def _refusal(body: Body, state: UnitState) -> Refusal | None:
    needed = signatures_needed(body, state)
    return refusal_of(body, state) or (needed if isinstance(needed, Refusal) else None)


def most_signatures_needed(body: Body, targets: Rows) -> int:
    """The most that any target needs, as it is now; at least one where that isn't known."""
    most = 0
    for _, one in targets:
        needed = 1 if one.state is None else signatures_needed(body, one.state)
        most = max(most, 1 if isinstance(needed, Refusal) else needed)
    return most


def check_that_it_can_ask(client: AgentClient, source: PasswordSource) -> None:
    """Usage trouble, before anything is filed, where a password would be asked in vain."""
    keys = client.directory.keys
    has_keys = signature_files.list_in(keys).usable or part_files.list_in(keys).usable
    terminal = sys.stdin is not None and sys.stdin.isatty()
    if not has_keys or terminal or source != PasswordSource():
        return
    raise Trouble(
        Exit.USAGE,
        "there is no terminal to ask for your password on; nothing was filed",
        next="give --password-file FILE or --password-fd N, or --unsigned",
    )
