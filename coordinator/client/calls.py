"""The coordinator's API, typed. A refusal is Trouble with the coordinator's own words."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from coordinator.accounts.roles import Role
from coordinator.wire.accounts import (
    AccountMade,
    Accounts,
    AccountView,
    IntroductionView,
    InvitationMade,
    Invitations,
    InvitationView,
    SessionBegun,
    SessionView,
    TokenMade,
    Tokens,
    TokenView,
)
from coordinator.wire.errors import Error, Nothing
from coordinator.wire.instance import (
    Charters,
    History,
    InstanceView,
)
from coordinator.wire.log import (
    CheckpointView,
    LogPage,
    ProofView,
)
from coordinator.wire.requests import (
    Asked,
    Evidence,
    FiledRequest,
    RequestPage,
    RequestView,
)
from coordinator.wire.values import Json
from protocol.identifiers import Nonce, UnitId
from protocol.refusals import FACTS, Rule
from protocol.secrets import Secret
from protocol.violations import Violation
from quorate import tls
from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable

T = TypeVar("T")
MAX_ANSWER_BYTES = 64 * 1024 * 1024
PAUSES = (1.0, 2.0)
"""Seconds between tries to connect."""
SILENCE_SECONDS = 60.0
"""A stream of events that says nothing for so long is dead."""
_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10)


@dataclass(frozen=True)
class Event:
    """Something that was pushed. `id` is what to go on from."""

    id: str
    name: str
    data: bytes

    def request(self) -> RequestView | None:
        """The request that has changed, if it is about one."""
        if self.name != "request":
            return None
        return _parsed(self.data, RequestView)


class Calls:
    """The API of the coordinator at `url`, which shows the `pinned` certificate.

    An asynchronous context manager. Unavailable where a later attempt may do.
    """

    def __init__(self, url: str, pinned: tls.Fingerprint, token: Secret | None) -> None:
        self._url = url.rstrip("/")
        self._context = tls.client_context(pinned)
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- who one is -----------------------------------------------------------------------------

    async def introduction(self, nonce: Nonce) -> IntroductionView:
        """The coordinator's word on its certificate."""
        query = {"nonce": nonce.hex()}
        return await self._get("/v1/introduction", IntroductionView, query)

    async def log_in(self, account: str, password: Secret) -> SessionBegun:
        """By name and password."""
        body = {"account": account, "password": password.reveal().decode()}
        return await self._post("/v1/login", SessionBegun, body)

    async def log_in_once(self, token: Secret) -> SessionBegun:
        """By a token that works once."""
        body = {"token": token.reveal().decode()}
        return await self._post("/v1/login/once", SessionBegun, body)

    async def set_up(self, token: Secret, account: str, password: Secret) -> SessionBegun:
        """Makes a manager, and logs in as that."""
        body = {
            "token": token.reveal().decode(),
            "account": account,
            "password": password.reveal().decode(),
        }
        return await self._post("/v1/setup", SessionBegun, body)

    async def log_out(self) -> None:
        """Ends the session."""
        await self._post("/v1/logout", Nothing)

    async def who_am_i(self) -> SessionView:
        """The account and its session."""
        return await self._get("/v1/whoami", SessionView)

    async def choose_password(self, old: Secret | None, new: Secret) -> None:
        """Gives one's own account another password."""
        body = {
            "old": None if old is None else old.reveal().decode(),
            "new": new.reveal().decode(),
        }
        await self._post("/v1/password", Nothing, body)

    # --- the instance ---------------------------------------------------------------------------

    async def instance(self) -> InstanceView:
        """Units, agents, keys and parts."""
        return await self._get("/v1/instance", InstanceView)

    async def charter(self) -> Charters:
        """Every version of the charter."""
        return await self._get("/v1/charter", Charters)

    async def unit_history(self, unit: UnitId, after: int = 0) -> History:
        """A page of a unit's history."""
        query = {"after": str(after)}
        return await self._get(f"/v1/units/{unit.hex()}/history", History, query)

    # --- requests -------------------------------------------------------------------------------

    async def requests(self, **wanted: str) -> RequestPage:
        """A page of requests (`coordinator.wire.requests.RequestFilter`)."""
        return await self._get("/v1/requests", RequestPage, wanted)

    async def request(self, number: int) -> RequestView:
        """One request."""
        return await self._get(f"/v1/requests/{number}", RequestView)

    async def evidence(self, number: int) -> Evidence:
        """One request with everything that is signed."""
        return await self._get(f"/v1/requests/{number}/evidence", Evidence)

    async def file(self, asked: Asked) -> FiledRequest:
        """Files a command."""
        return await self._post("/v1/requests", FiledRequest, asked)

    async def cancel(self, number: int, reason: str = "") -> RequestView:
        """Stops asking for a request."""
        body = {"reason": reason}
        return await self._post(f"/v1/requests/{number}/cancel", RequestView, body)

    async def proceed(self, number: int) -> RequestView:
        """Runs it without the units that hold it."""
        return await self._post(f"/v1/requests/{number}/proceed", RequestView)

    async def void(self, number: int) -> FiledRequest:
        """Makes its signed copies harmless."""
        return await self._post(f"/v1/requests/{number}/void", FiledRequest)

    async def refile(self, number: int) -> FiledRequest:
        """Files the same command again."""
        return await self._post(f"/v1/requests/{number}/refile", FiledRequest)

    # --- the log --------------------------------------------------------------------------------

    async def log(self, start: int = 0) -> LogPage:
        """A page of the log."""
        return await self._get("/v1/log", LogPage, {"start": str(start)})

    async def checkpoint(self) -> CheckpointView:
        """The newest checkpoint."""
        return await self._get("/v1/log/checkpoint", CheckpointView)

    async def consistency(self, old: int, new: int) -> ProofView:
        """Proof that the log only grew."""
        query = {"old": str(old), "new": str(new)}
        return await self._get("/v1/log/consistency", ProofView, query)

    async def inclusion(self, position: int, size: int) -> ProofView:
        """Proof that the log holds a leaf."""
        query = {"position": str(position), "size": str(size)}
        return await self._get("/v1/log/inclusion", ProofView, query)

    # --- accounts -------------------------------------------------------------------------------

    async def accounts(self) -> Accounts:
        """All accounts."""
        return await self._get("/v1/accounts", Accounts)

    async def add_account(self, name: str, role: Role) -> AccountMade:
        """Makes one, with a one-time login for its owner."""
        body = {"name": name, "role": role.value}
        return await self._post("/v1/accounts", AccountMade, body)

    async def remove_account(self, name: str) -> AccountView:
        """Deletes one."""
        return await self._call("DELETE", f"/v1/accounts/{name}", AccountView)

    async def set_role(self, name: str, role: Role) -> AccountView:
        """Gives one another role."""
        body = {"role": role.value}
        return await self._post(f"/v1/accounts/{name}/role", AccountView, body)

    async def one_time_login(self, name: str) -> TokenMade:
        """A token with which its owner logs in once."""
        return await self._post(f"/v1/accounts/{name}/login", TokenMade)

    async def tokens(self, account: str | None = None) -> Tokens:
        """An account's tokens; one's own unless said."""
        query = {} if account is None else {"account": account}
        return await self._get("/v1/tokens", Tokens, query)

    async def make_token(self, label: str, days: int) -> TokenMade:
        """A lasting token of one's own."""
        return await self._post("/v1/tokens", TokenMade, {"label": label, "days": days})

    async def revoke_token(self, token_id: str) -> TokenView:
        """Revokes a token."""
        return await self._call("DELETE", f"/v1/tokens/{token_id}", TokenView)

    async def invitations(self) -> Invitations:
        """Those that haven't expired."""
        return await self._get("/v1/invitations", Invitations)

    async def invite(self, person: str, days: int, url: str | None) -> InvitationMade:
        """An invitation for a custodian's agent, by default to the address we use ourselves."""
        body = {"person": person, "days": days, "url": url or self._url}
        return await self._post("/v1/invitations", InvitationMade, body)

    async def withdraw_invitation(self, invitation: str) -> InvitationView:
        """Takes one back."""
        path = f"/v1/invitations/{invitation}"
        return await self._call("DELETE", path, InvitationView)

    # --- events ---------------------------------------------------------------------------------

    async def events(self, since: str | None = None) -> AsyncGenerator[Event, None]:
        """What changes, from now on or since an event's id. Goes on after a lost connection.

        Unavailable when the coordinator stays away.
        """
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                async for event in self._stream(since):
                    since = event.id
                    yield event
            await asyncio.sleep(PAUSES[0])

    async def _stream(self, since: str | None) -> AsyncIterator[Event]:
        headers = {} if since is None else {"Last-Event-ID": since}
        patience = aiohttp.ClientTimeout(total=None, connect=10, sock_read=SILENCE_SECONDS)
        response = await self._reach("GET", "/v1/events", None, {}, headers, patience)
        async with response:
            if response.status != 200:
                await _refused(response)
            fields: dict[str, str] = {}
            async for raw in response.content:
                line = raw.decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if "data" in fields:
                    yield Event(
                        id=fields.get("id", ""),
                        name=fields.get("event", "message"),
                        data=fields["data"].encode(),
                    )
                fields = {}

    # --- one call -------------------------------------------------------------------------------

    async def _get(self, path: str, answer: type[T], query: dict[str, str] | None = None) -> T:
        return await self._call("GET", path, answer, query=query)

    async def _post(
        self, path: str, answer: type[T], body: Json | dict[str, Any] | None = None
    ) -> T:
        return await self._call("POST", path, answer, body=body)

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: dict[str, str] | None = None,
        body: Json | dict[str, Any] | None = None,
    ) -> T:
        data = None if body is None else msgspec.json.encode(body)
        try:
            response = await self._reach(method, path, data, query or {}, {}, _TIMEOUT)
            async with response:
                if response.status != 200:
                    await _refused(response)
                return _parsed(await _bounded(response), answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{self._host} closes the connection: {error}") from None

    async def _reach(
        self,
        method: str,
        path: str,
        data: bytes | None,
        query: dict[str, str],
        headers: dict[str, str],
        patience: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Sends a call; where nobody can be connected to, it is tried again."""
        if data is not None:
            headers = {**headers, "Content-Type": "application/json"}
        if self._token is not None:
            headers = {**headers, "Authorization": f"Bearer {self._token.reveal().decode()}"}
        for pause in (*PAUSES, None):
            try:
                return await self._open().request(
                    method,
                    self._url + path,
                    data=data,
                    params=query,
                    headers=headers,
                    timeout=patience,
                    allow_redirects=False,
                )
            except aiohttp.ClientConnectorCertificateError as error:
                raise _another_certificate(self._host, error) from None
            except aiohttp.ClientConnectorError as error:
                if pause is None:
                    number = error.os_error.errno
                    why = os.strerror(number) if number else str(error.os_error)
                    raise Unavailable(
                        f"{self._host} can't be reached ({len(PAUSES) + 1} tries in "
                        f"{sum(PAUSES):.0f} s): {why}"
                    ) from None
                await asyncio.sleep(pause)
        raise AssertionError("the last try answers or raises")

    @property
    def _host(self) -> str:
        return self._url.removeprefix("https://")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._context),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _refused(response: aiohttp.ClientResponse) -> None:
    error = _parsed(await _bounded(response), Error)
    exit_code = next((one for one in Exit if one == error.code), None)
    if exit_code is None:
        raise Violation(f"the coordinator answers with an exit code that isn't one: {error.code}")
    facts = next((FACTS[rule] for rule in Rule if rule.value == error.rule), None)
    raise Trouble(
        exit_code,
        error.message,
        expected=error.expected,
        found=error.found,
        rule=error.rule,
        returns=None if facts is None else facts.returns,
        reason=None if facts is None else facts.reason,
        next=error.next,
    )


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise Violation("the coordinator sends an answer without end")
    return bytes(data)


def _parsed(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Violation(f"the coordinator's answer isn't a {kind.__name__}") from None


def _another_certificate(host: str, error: aiohttp.ClientConnectorCertificateError) -> Trouble:
    return Trouble(
        Exit.ALARM,
        f"{host} shows another certificate than the one that you know; nothing was sent",
        found=str(error.certificate_error),
        next="did its people renew it? Then compare the key again: quorate login",
    )
