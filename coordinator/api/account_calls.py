"""Calls about accounts: logging in and out, accounts, tokens, invitations."""

import unicodedata
from typing import TYPE_CHECKING

from coordinator.accounts import changes, logins, tokens
from coordinator.accounts.changes import Issued
from coordinator.accounts.logins import LoggedIn, Principal, Throttled, log
from coordinator.api.routes import Answer, Call
from coordinator.engine.change import Change
from coordinator.store import accounts as store
from coordinator.store import people
from coordinator.store.accounts import Account, Token
from coordinator.store.connection import Connection
from coordinator.wire import accounts as wire
from coordinator.wire.errors import Nothing
from coordinator.wire.values import time_of
from protocol.displayable import AccountName
from protocol.identifiers import DAY, Duration, Instant, Nonce
from protocol.record.operations import AccountChange
from protocol.refusals import Refusal, Rule, refuse
from protocol.secrets import Secret
from protocol.session.introduction import Introduction, introduce
from protocol.session.invitation import Invitation, write_invitation

if TYPE_CHECKING:
    from coordinator.api.dispatch import Api


# who one is


async def introduction(api: "Api", call: Call) -> Answer:
    """The coordinator's word on its certificate."""
    asked: wire.IntroductionFor = call.query
    keys = api.ledger.keys
    signed = introduce(
        Introduction(
            coordinator=keys.identity,
            instance=api.ledger.instance,
            practice=api.practice,
            certificate=api.certificate,
            nonce=Nonce(bytes.fromhex(asked.nonce)),
        ),
        keys.sign,
    )
    return wire.IntroductionView(statement=signed.statement, signature=signed.signature)


async def log_in(api: "Api", call: Call) -> Answer:
    """By name and password."""
    asked: wire.ByPassword = call.body
    with _secret(asked.password) as password:
        done = await logins.log_in(api.ledger, api.hasher, asked.account, password, call.address)
    return _begun(api, done)


async def log_in_once(api: "Api", call: Call) -> Answer:
    """By a token that works once."""
    asked: wire.ByToken = call.body
    done = await logins.log_in_once(api.ledger, tokens.read(asked.token), call.address)
    return _begun(api, done)


async def set_up(api: "Api", call: Call) -> Answer:
    """Makes a manager."""
    asked: wire.SetUp = call.body
    with _secret(asked.password) as password:
        done = await logins.set_up(
            api.ledger,
            api.hasher,
            tokens.read(asked.token),
            asked.account,
            password,
            call.address,
        )
    return _begun(api, done)


async def log_out(api: "Api", call: Call) -> Answer:
    """Ends the session."""

    async def work(change: Change) -> Nothing:
        await logins.log_out(change, call.by)
        return Nothing()

    return await api.ledger.change(work)


async def who_am_i(api: "Api", call: Call) -> Answer:
    """The account and its session."""
    return _session(api, call.by)


async def choose_password(api: "Api", call: Call) -> Answer:
    """One's own; other sessions end."""
    asked: wire.NewPassword = call.body
    old = None if asked.old is None else _secret(asked.old)
    with _secret(asked.new) as new:
        refusal = await changes.choose_password(api.ledger, api.hasher, call.by, old, new)
    return Nothing() if refusal is None else refusal


# accounts


async def accounts(api: "Api", _: Call) -> Answer:
    """All accounts."""
    found = await api.ledger.database.read(store.all_accounts)
    return wire.Accounts(accounts=tuple(_account(one) for one in found))


async def add_account(api: "Api", call: Call) -> Answer:
    """Makes one, and a one-time login for its owner."""
    asked: wire.NewAccount = call.body

    async def work(change: Change) -> Answer:
        made = await changes.add(change, call.by, asked.name, asked.role, api.ledger.entropy)
        if isinstance(made, Refusal):
            return made
        account, issued = made
        return wire.AccountMade(account=_account(account), login=_made(issued))

    return await api.ledger.change(work)


async def remove_account(api: "Api", call: Call) -> Answer:
    """Deletes one; its sessions end."""

    async def work(change: Change) -> Answer:
        done = await changes.remove(change, call.by, AccountName(call.path["name"]))
        return done if isinstance(done, Refusal) else _account(done)

    return await api.ledger.change(work)


async def set_role(api: "Api", call: Call) -> Answer:
    """Gives one another role."""
    asked: wire.RoleOf = call.body

    async def work(change: Change) -> Answer:
        name = AccountName(call.path["name"])
        done = await changes.set_role(change, call.by, name, asked.role)
        return done if isinstance(done, Refusal) else _account(done)

    return await api.ledger.change(work)


async def one_time_login(api: "Api", call: Call) -> Answer:
    """A token with which its owner logs in once."""

    async def work(change: Change) -> Answer:
        name = AccountName(call.path["name"])
        issued = await changes.one_time_login(change, call.by, name, api.ledger.entropy)
        return issued if isinstance(issued, Refusal) else _made(issued)

    return await api.ledger.change(work)


# tokens


async def tokens_of(api: "Api", call: Call) -> Answer:
    """An account's tokens."""
    asked: wire.TokensOf = call.query

    async def work(change: Change) -> Answer:
        found = await changes.tokens_of(change, call.by, asked.account)
        if isinstance(found, Refusal):
            return found
        return wire.Tokens(tokens=tuple(_token(one) for one in found))

    return await api.ledger.change(work)


async def make_token(api: "Api", call: Call) -> Answer:
    """A lasting token of one's own."""
    asked: wire.NewToken = call.body

    async def work(change: Change) -> Answer:
        valid_for = Duration(asked.days * DAY)
        label = unicodedata.normalize("NFC", asked.label)
        issued = await changes.lasting_token(change, call.by, label, valid_for, api.ledger.entropy)
        return issued if isinstance(issued, Refusal) else _made(issued)

    return await api.ledger.change(work)


async def revoke_token(api: "Api", call: Call) -> Answer:
    """It is good for nothing from now on."""

    async def work(change: Change) -> Answer:
        done = await changes.revoke(change, call.by, call.path["token"])
        return done if isinstance(done, Refusal) else _token(done)

    return await api.ledger.change(work)


# invitations


async def invitations(api: "Api", _: Call) -> Answer:
    """Those that haven't expired."""

    async def read(connection: Connection) -> Answer:
        found = await people.invited(connection, api.ledger.instance, api.ledger.now())
        return wire.Invitations(invitations=tuple(_invitation(one) for one in found))

    return await api.ledger.database.read(read)


async def invite(api: "Api", call: Call) -> Answer:
    """An invitation for a custodian's agent."""
    asked: wire.NewInvitation = call.body
    token = Nonce(api.ledger.entropy(32))
    text = write_invitation(
        Invitation(
            practice=api.practice,
            url=asked.url,
            coordinator=api.ledger.keys.identity,
            log=api.ledger.keys.log,
            instance=api.ledger.instance,
            person=asked.person,
            token=token,
        )
    )

    async def work(change: Change) -> Answer:
        expires = Instant(change.at + asked.days * DAY)
        await people.invite(change.connection, change.instance, asked.person, token, expires)
        account = await store.get(change.connection, call.by.account)
        if account is None:
            return refuse(Rule.NOT_LOGGED_IN, expected="an account", found=call.by.account)
        log(change, AccountChange.INVITED, account, by=account.name, detail=asked.person)
        made = people.Invited(store.token_hash(token), asked.person, expires, used=False)
        return wire.InvitationMade(invitation=text, made=_invitation(made))

    return await api.ledger.change(work)


async def withdraw_invitation(api: "Api", call: Call) -> Answer:
    """It is good for nothing from now on."""

    async def work(change: Change) -> Answer:
        wanted: str = call.path["invitation"]
        found = await people.invited(change.connection, change.instance, change.at)
        invited = next((one for one in found if _id(one) == wanted), None)
        account = await store.get(change.connection, call.by.account)
        if (
            invited is None
            or account is None
            or not await people.withdraw(change.connection, invited.hashed)
        ):
            return refuse(Rule.NO_SUCH_INVITATION, expected="an unused invitation", found=wanted)
        log(
            change,
            AccountChange.INVITATION_REVOKED,
            account,
            by=account.name,
            detail=invited.person,
        )
        return _invitation(invited)

    return await api.ledger.change(work)


def _secret(text: str) -> Secret:
    return Secret(unicodedata.normalize("NFC", text).encode())


def _begun(api: "Api", done: LoggedIn | Refusal | Throttled) -> Answer:
    if not isinstance(done, LoggedIn):
        return done
    return wire.SessionBegun(token=tokens.write(done.secret), session=_session(api, done.principal))


def _session(api: "Api", by: Principal) -> wire.SessionView:
    return wire.SessionView(
        account=by.account,
        role=by.role,
        id=by.token.id,
        expires=time_of(by.token.expires),
        fresh=by.token.fresh,
        instance=api.ledger.instance,
        practice=api.practice,
        coordinator=api.ledger.keys.identity.hex(),
    )


def _account(account: Account) -> wire.AccountView:
    return wire.AccountView(
        name=account.name,
        role=account.role,
        password=account.password is not None,
        made=time_of(account.made),
    )


def _token(token: Token) -> wire.TokenView:
    return wire.TokenView(
        id=token.id,
        account=str(token.account),
        kind=token.kind,
        label=token.label,
        made=time_of(token.made),
        expires=time_of(token.expires),
    )


def _made(issued: Issued) -> wire.TokenMade:
    secret, token = issued
    return wire.TokenMade(token=tokens.write(secret), made=_token(token))


def _id(invited: people.Invited) -> str:
    return invited.hashed.hex()[:16]


def _invitation(invited: people.Invited) -> wire.InvitationView:
    return wire.InvitationView(
        id=_id(invited),
        person=invited.person,
        expires=time_of(invited.expires),
        used=invited.used,
    )
