"""Comes to know a coordinator: its certificate, and the identity key that vouches for it."""

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from coordinator.client.calls import Calls
from protocol.identifiers import Nonce
from protocol.session.introduction import Introduction, open_introduction
from protocol.signing.statements import Signed
from quorate.exits import Exit, Trouble
from quorate.tls import Fingerprint
from quorate.unavailable import Unavailable

CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Met:
    """A coordinator whose key vouches for its certificate; whether it is the right one, people say.

    Nothing that is secret was sent.
    """

    introduction: Introduction
    fingerprint: Fingerprint


async def meet(url: str, nonce: Nonce) -> Met:
    """Asks the coordinator at `url` who it is. Violation when its key vouches for another."""
    host, port = address_of(url)
    fingerprint = await _certificate(host, port)
    async with Calls(url, fingerprint, None) as calls:
        view = await calls.introduction(nonce)
    signed = Signed(statement=view.statement, signature=view.signature)  # type: ignore[arg-type]
    introduction = open_introduction(signed, certificate=fingerprint, nonce=nonce)
    return Met(introduction, fingerprint)


def address_of(url: str) -> tuple[str, int]:
    """Host and port; usage trouble when it is no https:// address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or parts.scheme != "https" or parts.path.strip("/") or parts.query:
        raise Trouble(
            Exit.USAGE,
            "a coordinator's address is https://HOST:PORT",
            found=url,
            next="give the one on your invitation",
        )
    return host, port or 443


async def _certificate(host: str, port: int) -> Fingerprint:
    """The fingerprint of whatever certificate is shown there; nothing else is read or sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError) as error:
        why = "doesn't answer" if isinstance(error, TimeoutError) else "refuses connections"
        raise Unavailable(f"{host}:{port} {why}") from None
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return Fingerprint(hashlib.sha256(found).digest())
