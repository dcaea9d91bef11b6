"""A profile: which coordinator, as whom, and which units; with the session's token beside it.

It lies in a private directory of its person's, `~/.config/quorate/profiles/NAME`.
"""

import contextlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from protocol.identifiers import IdentityKey, UnitId
from protocol.secrets import Secret
from quorate import private_files, settings
from quorate.exits import Exit, Trouble
from quorate.tls import Fingerprint

DEFAULT = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9.\-]{0,63}")
_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Profile:
    """What a person's programs know of a coordinator.

    `coordinator` is its identity key, which the person has compared; `fingerprint` is that of the
    certificate that this key vouched for. `selected` are the units that commands are for.
    """

    name: str
    url: str
    account: str
    instance: str
    practice: bool
    coordinator: IdentityKey
    fingerprint: Fingerprint
    selected: tuple[UnitId, ...] = ()


def load(name: str) -> Profile | None:
    """The profile of this name, if there is one."""
    path = _place(name) / "profile.toml"
    try:
        table = tomllib.loads(private_files.read(path, limit=_LIMIT).decode())
        return Profile(
            name=name,
            url=str(table["url"]),
            account=str(table["account"]),
            instance=str(table["instance"]),
            practice=bool(table["practice"]),
            coordinator=IdentityKey(_digest(table["coordinator"])),
            fingerprint=Fingerprint(_digest(table["fingerprint"])),
            selected=tuple(UnitId(_digest(unit)) for unit in table["selected"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise Trouble(
            Exit.DAMAGED,
            f"the profile in {path} isn't as it was written",
            next="delete it, then log in again: quorate login URL --as NAME",
        ) from None


def save(profile: Profile) -> None:
    """Keeps a profile, in place of the one of its name."""
    text = settings.render(
        [
            settings.Setting("url", profile.url, "the coordinator"),
            settings.Setting("account", profile.account),
            settings.Setting("instance", profile.instance, "the service instance"),
            settings.Setting("practice", profile.practice),
            settings.Setting("coordinator", profile.coordinator.hex(), "its identity key"),
            settings.Setting("fingerprint", profile.fingerprint.hex(), "its TLS certificate"),
            settings.Setting(
                "selected", [unit.hex() for unit in profile.selected], "the units chosen"
            ),
        ],
        heading="What quorate knows of a coordinator; written by quorate login.",
    )
    path = private_files.directory(_place(profile.name)) / "profile.toml"
    private_files.write(path, text.encode(), untouched="the profile is as it was")


def token(name: str) -> Secret | None:
    """The token of the profile's session, if there is one."""
    try:
        return Secret(private_files.read(_place(name) / "token", limit=200).strip())
    except FileNotFoundError:
        return None


def keep_token(name: str, secret: Secret) -> None:
    """Keeps a session's token, for this user alone."""
    path = private_files.directory(_place(name)) / "token"
    private_files.write(path, secret.reveal() + b"\n", untouched="you aren't logged in")


def forget_token(name: str) -> None:
    """The session has ended."""
    with contextlib.suppress(FileNotFoundError):
        private_files.remove(_place(name) / "token", untouched="the token is still there")


def _place(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise Trouble(
            Exit.USAGE,
            "a profile's name has 1 to 64 small letters, digits, dots and dashes",
            found=name,
            next="choose another: --profile NAME",
        )
    return settings.config_directory() / "profiles" / name


def _digest(text: object) -> bytes:
    value = bytes.fromhex(str(text))
    if len(value) != 32:
        raise ValueError("32 bytes")
    return value
