"""The coordinator's API, typed. A refusal is Trouble with the coordinator's own words."""

from coordinator.accounts.roles import Role
from coordinator.client.transport import Transport
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
from coordinator.wire.errors import Nothing
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
from protocol.identifiers import Nonce, UnitId
from protocol.secrets import Secret


class Calls(Transport):
    """The API of a coordinator. Unavailable where a later attempt may do."""

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
