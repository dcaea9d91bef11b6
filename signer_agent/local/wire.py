"""Framing of the local socket, and who is at its other end."""

import asyncio
import os
import socket
import struct
from typing import Any, TypeVar

from protocol.schema import Struct, from_bytes, to_bytes
from protocol.violations import Violation
from quorate.exits import Exit, Trouble
from signer_agent.local.messages import MAX_BYTES

T = TypeVar("T")
_LENGTH = struct.Struct(">I")
_CREDENTIALS = struct.Struct("3i")


async def receive(reader: asyncio.StreamReader, kind: Any) -> Any:
    """The next message; EOFError when the other end has closed."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_BYTES:
            raise Violation(f"a message of {length} bytes")
        return from_bytes(kind, await reader.readexactly(length), limit=MAX_BYTES)
    except asyncio.IncompleteReadError:
        raise EOFError("the other end has closed") from None


async def send(writer: asyncio.StreamWriter, message: Struct) -> None:
    """Sends a message."""
    data = to_bytes(message)
    writer.write(_LENGTH.pack(len(data)) + data)
    await writer.drain()


def check_peer(writer: asyncio.StreamWriter) -> None:
    """Exposed trouble unless the other end runs as this very user (SO_PEERCRED, unix(7))."""
    connection: socket.socket = writer.get_extra_info("socket")
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(packed)
    if user != os.geteuid():
        raise Trouble(
            Exit.EXPOSED,
            "the other end of the agent's socket is another user's",
            expected=f"user {os.geteuid()}",
            found=f"user {user}",
            next="look who runs there, before anything else",
        )
