"""The session of somebody who has logged in: a profile, and the API as whom it names."""

from coordinator.client import profile
from coordinator.client.calls import Calls
from quorate.console import Console
from quorate.exits import Exit, Trouble


def calls_of(name: str, console: Console) -> tuple[profile.Profile, Calls]:
    """The profile of this name and its coordinator's API; refused trouble when not logged in.

    From here on the screen knows whether it is practice.
    """
    known = profile.load(name)
    if known is None:
        raise not_logged_in()
    console.practice = known.practice or None
    token = profile.token(name)
    if token is None:
        raise not_logged_in(known)
    return known, Calls(known.url, known.fingerprint, token)


def not_logged_in(known: profile.Profile | None = None) -> Trouble:
    """NOT_LOGGED_IN, with the line to type."""
    url = "https://HOST:PORT" if known is None else known.url
    name = "NAME" if known is None else known.account
    return Trouble(
        Exit.REFUSED,
        "you aren't logged in to a coordinator",
        rule="NOT_LOGGED_IN",
        next=f"quorate login {url} --as {name}",
    )
