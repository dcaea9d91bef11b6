"""TLS between our own processes: one certificate is trusted, by its fingerprint."""

import asyncio
import contextlib
import socket
import ssl
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509

from quorate import clock, https, tls
from quorate.exits import Exit, Trouble
from quorate.tls import Fingerprint


def _made(place: Path, name: str = "server") -> tuple[Path, Path, Fingerprint]:
    certificate, key = place / f"{name}.crt", place / f"{name}.key"
    names = ["localhost", "127.0.0.1", "::1"]
    return certificate, key, tls.write_certificate(certificate, key, names, at=clock.now())


@contextlib.asynccontextmanager
async def _server(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            writer.write(await reader.readline())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _asked(port: int, context: ssl.SSLContext) -> tuple[bytes, str | None]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"hello\n")
    line = await reader.readline()
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    await writer.wait_closed()
    return line, version


async def test_the_pinned_certificate_is_accepted_with_tls_1_3(tmp_path: Path):
    certificate, key, pinned = _made(tmp_path)
    async with _server(tls.server_context(certificate, key)) as port:
        assert await _asked(port, tls.client_context(pinned)) == (b"hello\n", "TLSv1.3")


async def test_another_certificate_ends_the_handshake(tmp_path: Path):
    certificate, key, _ = _made(tmp_path)
    _, _, other = _made(tmp_path, "other")
    async with _server(tls.server_context(certificate, key)) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match=other.hex()):
            await _asked(port, tls.client_context(other))


async def test_a_client_of_an_older_tls_is_refused(tmp_path: Path):
    certificate, key, pinned = _made(tmp_path)
    context = tls.client_context(pinned)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with _server(tls.server_context(certificate, key)) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await _asked(port, context)


async def test_a_server_of_an_older_tls_is_refused(tmp_path: Path):
    certificate, key, pinned = _made(tmp_path)
    context = tls.server_context(certificate, key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with _server(context) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await _asked(port, tls.client_context(pinned))


async def test_the_pin_holds_in_aiohttp(tmp_path: Path):
    certificate, key, pinned = _made(tmp_path)

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server_context(certificate, key))
    await site.start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(url, ssl=tls.client_context(pinned)) as response:
                assert await response.text() == "hello"
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(url, ssl=tls.client_context(Fingerprint(bytes(32))))
    finally:
        await runner.cleanup()


def test_the_pin_holds_for_plain_sockets(tmp_path: Path):
    certificate, key, _ = _made(tmp_path)
    context = tls.server_context(certificate, key)

    def accept(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError), context.wrap_socket(connection, True):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=accept, args=(listening,))
        server.start()
        with (
            socket.create_connection(listening.getsockname()) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            tls.client_context(Fingerprint(bytes(32))).wrap_socket(plain)
        server.join()


def test_the_certificate_says_what_it_is_for(tmp_path: Path):
    certificate, key, pinned = _made(tmp_path)
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert found.not_valid_after_utc.year == 9999
    assert pinned == tls.fingerprint(certificate.read_text())
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(certificate.stat().st_mode) == 0o644


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path):
    certificate, key, _ = _made(tmp_path)
    key.chmod(0o640)
    with pytest.raises(Trouble) as caught:
        tls.server_context(certificate, key)
    assert caught.value.exit is Exit.EXPOSED


def test_files_that_do_not_belong_together_are_damaged(tmp_path: Path):
    certificate, _, _ = _made(tmp_path)
    _, other, _ = _made(tmp_path, "other")
    with pytest.raises(Trouble) as caught:
        tls.server_context(certificate, other)
    assert caught.value.exit is Exit.DAMAGED


def test_a_certificate_is_never_made_in_place_of_another(tmp_path: Path):
    certificate, _, _ = _made(tmp_path)
    before = certificate.read_bytes()
    with pytest.raises(Trouble) as caught:
        _made(tmp_path)
    assert caught.value.exit is Exit.REFUSED
    assert certificate.read_bytes() == before


def test_a_fingerprint_has_32_bytes():
    with pytest.raises(ValueError, match="32 bytes"):
        tls.client_context(Fingerprint(b"short"))


async def test_a_closed_client_leaves_no_connection_to_who_says_no_goodbye(tmp_path: Path):
    """The other side closes nothing; what was answered with `Connection: close` is gone as well."""
    certificate, key, fingerprint = _made(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = asyncio.create_task(
            asyncio.to_thread(_silent_goodbye, listening, tls.server_context(certificate, key))
        )
        pool = https.connector(tls.client_context(fingerprint))
        async with aiohttp.ClientSession(connector=pool) as session:
            url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
            async with session.get(url) as answer:
                assert await answer.text() == "no"
        await server


def _silent_goodbye(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Answers one request, hears the client's goodbye, and waits for the end of the connection."""
    plain, _ = listening.accept()
    with context.wrap_socket(plain, server_side=True) as secured:
        secured.settimeout(10)
        while b"\r\n\r\n" not in secured.recv(4096):
            pass
        secured.sendall(b"HTTP/1.1 400 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        with (
            contextlib.suppress(ConnectionResetError),
            socket.socket(fileno=secured.detach()) as rest,
        ):
            rest.settimeout(10)
            while rest.recv(4096):  # first the goodbye, then the end
                pass
