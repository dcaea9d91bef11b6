"""Asking for a command as an account: by what the charter calls people and keys."""

from collections.abc import Sequence

from coordinator.client.calls import Calls
from coordinator.wire import commands as wire
from coordinator.wire.command_bodies import shown
from coordinator.wire.requests import Asked
from protocol.charter import Charter
from protocol.commands.bodies import Body
from protocol.displayable import Purpose
from protocol.identifiers import SECOND, Duration, UnitId
from quorate.exits import Exit, Trouble


async def ask_for(
    calls: Calls,
    body: Body,
    units: Sequence[UnitId],
    charters: Sequence[Charter],
    *,
    purpose: Purpose,
    valid_for: Duration,
    leave_out: bool,
    idempotency_key: str | None,
) -> int:
    """Files it in the account's name, which nobody signs; gives the request's id.

    `charters` are all versions, newest first.
    """
    command = shown(body, charters)
    if isinstance(command, wire.Void):
        raise ValueError("a void is asked for by the request that it is for")
    asked = Asked(
        command=command,
        units=tuple(unit.hex() for unit in units),
        purpose=purpose,
        valid_for=valid_for // SECOND,
        leave_out=leave_out,
        idempotency_key=idempotency_key,
    )
    try:
        return (await calls.file(asked)).request.id
    except Trouble as trouble:
        if trouble.exit is Exit.REFUSED:
            trouble.what += "; nothing was filed"
        raise
