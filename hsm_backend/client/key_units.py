"""A unit that a key user calls: pinned by its host's certificate and by its own identity key."""

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from hsm_backend.wire import CONTENT_TYPE
from protocol.displayable import shown
from protocol.identifiers import Bytes32, IdentityKey, UnitId
from protocol.keys.answers import KeyAnswer, open_answer
from protocol.keys.operations import MAX_CALL_BYTES
from protocol.schema import from_bytes, to_bytes
from protocol.signing.statements import Sign, Signed
from protocol.unit_identity import unit_id
from protocol.violations import Violation
from quorate import https, tls
from quorate.unavailable import Unavailable

_CONNECTIONS = 8
_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
_ASIDE_SECONDS = 5.0
_MAX_ANSWER = 2 * MAX_CALL_BYTES + (1 << 16)
_REASON_BYTES = 400


@dataclass(frozen=True)
class KeyUnit:
    """Where a unit answers key users, HOST:PORT, and how it is known.

    `pinned` is the fingerprint of its host's TLS certificate, `identity` the key that signs what
    the unit says: the charter has it, and `quorate unit show` prints it. `name` is for people.
    """

    name: str
    address: str
    pinned: tls.Fingerprint
    identity: IdentityKey
    failover: bool = False

    @property
    def id(self) -> UnitId:
        """The unit's id."""
        return unit_id(self.identity)


@dataclass(frozen=True)
class KeyUserKey:
    """A key user's own key pair; `sign` is all that is left of the private half."""

    public_key: Bytes32
    sign: Sign = field(repr=False)


class Reached:
    """A unit, the connections to it, and how it is doing."""

    def __init__(self, unit: KeyUnit) -> None:
        self.unit = unit
        self._session: aiohttp.ClientSession | None = None
        self._aside_until = 0.0

    @property
    def aside(self) -> bool:
        """Whether others are asked before it."""
        return self._aside_until > asyncio.get_running_loop().time()

    def leave_aside(self) -> None:
        """It can't do what was asked, and probably not what is asked next."""
        self._aside_until = asyncio.get_running_loop().time() + _ASIDE_SECONDS

    def is_well(self) -> None:
        """It has done what was asked."""
        self._aside_until = 0.0

    async def ask(self, signed: Callable[[], Signed]) -> KeyAnswer:
        """The unit's verified answer. Unavailable where it may answer later, Violation where it
        isn't the unit that was pinned, or says what it can't.

        `signed` makes a new call each time; what is asked must be safe to ask twice.
        """
        call = signed()
        try:
            try:
                data = await self._exchange(call)
            except aiohttp.ServerDisconnectedError:
                # A kept connection may have been closed as we wrote.
                call = signed()
                data = await self._exchange(call)
        except aiohttp.ClientConnectorCertificateError as error:
            raise Violation(f"{self.unit.name}: {error.certificate_error}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{self.unit.name} at {self.unit.address}: {_why(error)}") from None
        return open_answer(from_bytes(Signed, data), self.unit.identity, call)

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(self, call: Signed) -> bytes:
        path = f"/v1/units/{self.unit.id.hex()}/keys"
        headers = {"Content-Type": CONTENT_TYPE}
        body = io.BytesIO(to_bytes(call))
        async with self._open().post(path, data=body, headers=headers) as response:
            if response.status != 200:
                reason = (await response.content.read(_REASON_BYTES)).decode("utf-8", "replace")
                said = f"{self.unit.name} answers {response.status}: {shown(reason)}"
                raise Unavailable(said) if response.status >= 500 else Violation(said)
            if (response.content_length or _MAX_ANSWER + 1) > _MAX_ANSWER:
                raise Violation(f"{self.unit.name} sends an answer of unbounded length")
            return await response.read()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = tls.client_context(self.unit.pinned)
            self._session = aiohttp.ClientSession(
                f"https://{self.unit.address}",
                connector=https.connector(context, limit=_CONNECTIONS),
                timeout=_TIMEOUT,
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _why(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorError():
            return f"can't be reached: {error.os_error.strerror or error.os_error}"
        case _:
            return "closes the connection"
