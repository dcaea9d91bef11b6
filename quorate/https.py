"""How our clients keep connections: nothing of them is left once they are closed."""

import ssl
import sys

import aiohttp

_CLOSES_LATE = sys.version_info < (3, 12, 7)
"""Before, asyncio waits 30 s for the other side to say goodbye in TLS, too, and nobody for that."""


def connector(context: ssl.SSLContext, *, limit: int = 100) -> aiohttp.TCPConnector:
    """A pool of at most `limit` connections."""
    if _CLOSES_LATE:
        return aiohttp.TCPConnector(ssl=context, limit=limit, enable_cleanup_closed=True)
    return aiohttp.TCPConnector(ssl=context, limit=limit)
