"""Reaches the crypto units of one unit host, over one pool of pinned TLS connections."""

from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import aiohttp

from hsm_backend.wire import (
    CONTENT_TYPE,
    MAX_ANSWER_BYTES,
    HistoryPage,
    HistoryRequest,
    ImporterKeyRequest,
    Outcome,
    Prepared,
    StateRequest,
    Units,
)
from protocol.commands.command import SignedCommand
from protocol.displayable import shown
from protocol.identifiers import Digest, Nonce, StateVersion, UnitId
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.signing.statements import Signed
from protocol.unit_identity import CertifiedUnit
from protocol.violations import Violation
from quorate import https, tls
from quorate.unavailable import Unavailable

A = TypeVar("A")
MAX_HISTORY_ENTRIES = 1 << 16
_CONNECTIONS = 16
_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)
_REASON_BYTES = 400


class HostClient:
    """A `hsm_backend.client.driver.UnitDriver` for one unit host.

    `address` is HOST:PORT, `pinned` the fingerprint of the host's TLS certificate (`quorate unit
    show` prints both); `certificate` and `key` are the client's own, whose certificate lies in the
    host's `clients` directory. An asynchronous context manager.
    """

    def __init__(
        self, address: str, *, pinned: tls.Fingerprint, certificate: Path, key: Path
    ) -> None:
        self._address = address
        context = tls.client_context(pinned)
        context.load_cert_chain(certificate, key)
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def certificates(self) -> tuple[CertifiedUnit, ...]:
        units = await self._ask("GET", "/v1/units", None, Units)
        return units.units

    async def state(self, unit: UnitId, nonces: tuple[Nonce, ...]) -> Signed:
        return await self._ask_unit(unit, "state", StateRequest(nonces=nonces), Signed)

    async def importer_key(self, unit: UnitId, request: Digest) -> Signed:
        asked = ImporterKeyRequest(request=request)
        return await self._ask_unit(unit, "importer-key", asked, Signed)

    async def prepare(self, unit: UnitId, command: SignedCommand) -> Signed | None:
        prepared = await self._ask_unit(unit, "prepare", command, Prepared)
        return prepared.refusal

    async def execute(self, unit: UnitId, command: SignedCommand) -> Outcome:
        outcome: Outcome = await self._ask_unit(unit, "execute", command, Outcome)  # type: ignore[arg-type]
        return outcome

    async def history(self, unit: UnitId, after: StateVersion) -> tuple[Signed, ...]:
        entries: list[Signed] = []
        while True:
            # State versions of a history have no gaps.
            asked = HistoryRequest(after=after + len(entries))
            page = await self._ask_unit(unit, "history", asked, HistoryPage)
            entries += page.entries
            if not page.more:
                return tuple(entries)
            if not page.entries or len(entries) > MAX_HISTORY_ENTRIES:
                raise Violation(f"{self._address} sends a history without end")

    async def _ask_unit(self, unit: UnitId, verb: str, asked: Struct, answer: type[A]) -> A:
        return await self._ask("POST", f"/v1/units/{unit.hex()}/{verb}", to_bytes(asked), answer)

    async def _ask(self, method: str, path: str, body: bytes | None, answer: type[A]) -> A:
        try:
            try:
                data = await self._exchange(method, path, body)
            except aiohttp.ServerDisconnectedError:
                # A kept connection may have been closed as we wrote; all may be asked again.
                data = await self._exchange(method, path, body)
        except aiohttp.ClientConnectorCertificateError as error:
            raise Violation(f"unit host {self._address}: {error.certificate_error}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(error) from None
        return from_bytes(answer, data, limit=MAX_ANSWER_BYTES)

    async def _exchange(self, method: str, path: str, body: bytes | None) -> bytes:
        headers = {"Content-Type": CONTENT_TYPE} if body is not None else {}
        async with self._open().request(method, path, data=body, headers=headers) as response:
            if response.status != 200:
                reason = (await response.content.read(_REASON_BYTES)).decode("utf-8", "replace")
                said = f"unit host {self._address} answers {response.status}: {shown(reason)}"
                raise Unavailable(said) if response.status >= 500 else Violation(said)
            if (response.content_length or MAX_ANSWER_BYTES + 1) > MAX_ANSWER_BYTES:
                raise Violation(f"unit host {self._address} sends an answer of unbounded length")
            return await response.read()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                f"https://{self._address}",
                connector=https.connector(self._context, limit=_CONNECTIONS),
                timeout=_TIMEOUT,
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _unavailable(self, error: Exception) -> Unavailable:
        match error:
            case TimeoutError():
                why = "doesn't answer in time"
            case aiohttp.ClientConnectorError():
                why = f"can't be reached: {error.os_error.strerror or error.os_error}"
            case _:
                why = "closes the connection; is our certificate among its clients?"
        return Unavailable(f"unit host {self._address} {why}")
