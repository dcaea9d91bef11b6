"""`quorate keys`: root keys, for key users, at the units themselves."""

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from hsm_backend.cli.key_screens import all_there, show_all, trouble_of
from hsm_backend.client.key_client import KeyClient, KeyRefused
from hsm_backend.client.key_files import load_key, load_units, make_key
from protocol.displayable import shown
from protocol.identifiers import grouped
from protocol.keys.operations import KeyId
from quorate import clock, private_files, settings
from quorate.commands import Group, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)
_MOST_DATA = 4096 + 128


@click.group(cls=Group)
def keys() -> None:
    """Root keys: make them, and wrap and unwrap data keys with them.

    For key users, whom a quorum let use them (quorate key-user). The units answer themselves; any
    of those that hold the master key will do.
    """


def client_options(command: F) -> F:
    """Gives a command `--units`, `--key` and the argument `client`, a `KeyClient`."""

    @functools.wraps(command)
    async def with_client(*args: Any, **arguments: Any) -> None:
        files = arguments.pop("units") or [settings.config_directory() / "keys.toml"]
        key = arguments.pop("key_file") or settings.config_directory() / "key-user.pem"
        async with KeyClient(load_units(files), load_key(key), clock=clock.now) as client:
            try:
                found = command(*args, **arguments, client=client)
                if inspect.isawaitable(found):
                    await found
            except KeyRefused as error:
                raise trouble_of(error.refusal) from None

    wrapped: Any = click.option(
        "--key",
        "key_file",
        type=_FILE,
        metavar="FILE",
        envvar="QUORATE_KEY_USER",
        help="your private key; ~/.config/quorate/key-user.pem unless you say",
    )(with_client)
    wrapped = click.option(
        "--units",
        type=_FILE,
        metavar="FILE",
        multiple=True,
        envvar="QUORATE_KEY_UNITS",
        help="which units there are; again for each; ~/.config/quorate/keys.toml unless you say",
    )(wrapped)
    return wrapped  # type: ignore[no-any-return]


@keys.command()
@click.argument("file", type=_FILE, required=False)
@pass_console
def identity(console: Console, file: Path | None) -> None:
    """Makes your key in FILE, where there is none yet, and says its public half.

    Tell that to the people who administer the units, so that a quorum installs it.
    """
    if file is None:
        file = private_files.directory(settings.config_directory()) / "key-user.pem"
    made = not file.exists()
    key = make_key(file) if made else load_key(file)
    console.say(f"{'✓ made' if made else 'Your key is in'} {file}. Its public half:")
    console.say(f"  {grouped(key.public_key)}")
    console.object({"file": str(file), "made": made, "public_key": key.public_key.hex()})


@keys.command()
@click.option("--name", "names", metavar="NAME", multiple=True, help="again for each; may be empty")
@client_options
@pass_console
async def create(console: Console, names: Sequence[str], client: KeyClient) -> None:
    """Makes root keys: one for each --name, or one without."""
    show_all(console, await client.create_all(names or [""]))


@keys.command("list")
@client_options
@pass_console
async def list_(console: Console, client: KeyClient) -> None:
    """All keys that can be used or restored, oldest first."""
    show_all(console, [key async for key in client.every()])


@keys.command()
@click.argument("ids", metavar="ID", nargs=-1, required=True)
@client_options
@pass_console
async def show(console: Console, ids: Sequence[str], client: KeyClient) -> None:
    """What is known of keys."""
    show_all(console, await client.show_all([_key(one) for one in ids]))


@keys.command()
@click.argument("ids", metavar="ID", nargs=-1, required=True)
@client_options
@pass_console
async def delete(console: Console, ids: Sequence[str], client: KeyClient) -> None:
    """Deletes keys. For 30 days they can be restored; what they wrapped can't be opened then."""
    seen = await client.show_all([_key(one) for one in ids])
    show_all(console, await client.delete_all(all_there(seen)))


@keys.command()
@click.argument("ids", metavar="ID", nargs=-1, required=True)
@client_options
@pass_console
async def restore(console: Console, ids: Sequence[str], client: KeyClient) -> None:
    """Brings deleted keys back."""
    seen = await client.show_all([_key(one) for one in ids])
    show_all(console, await client.restore_all(all_there(seen)))


def _in_and_out(command: F) -> F:
    """`--in`, `--out` and `--associated`, of wrap and unwrap."""
    wrapped: Any = click.option(
        "--associated",
        metavar="TEXT",
        default="",
        help="what it is bound to, beside the key: the same text opens it again",
    )(command)
    wrapped = click.option("--out", "output", type=_FILE, metavar="FILE", required=True)(wrapped)
    return click.option(  # type: ignore[no-any-return]
        "--in", "source", type=_FILE, metavar="FILE", help="stdin unless you say"
    )(wrapped)


@keys.command()
@click.argument("id_", metavar="ID")
@_in_and_out
@client_options
@pass_console
async def wrap(
    console: Console,
    id_: str,
    source: Path | None,
    output: Path,
    associated: str,
    client: KeyClient,
) -> None:
    """Wraps what is in a file (1 to 4,096 bytes) with the root key ID."""
    blob = await client.wrap(_key(id_), _read(source), associated=associated.encode())
    private_files.write(output, blob, untouched="nothing was written")
    console.say(f"✓ wrapped: {len(blob)} bytes in {output}")
    console.object({"key": id_, "file": str(output), "bytes": len(blob)})


@keys.command()
@_in_and_out
@client_options
@pass_console
async def unwrap(
    console: Console, source: Path | None, output: Path, associated: str, client: KeyClient
) -> None:
    """Opens what wrap has written; it names its root key itself."""
    data = await client.unwrap(_read(source), associated=associated.encode())
    private_files.write(output, data, untouched="nothing was written")
    console.say(f"✓ unwrapped: {len(data)} bytes in {output}")
    console.object({"file": str(output), "bytes": len(data)})


@keys.command()
@client_options
@pass_console
async def stats(console: Console, client: KeyClient) -> None:
    """How much there is, and under which master key."""
    found = await client.stats()
    storage = None if found.storage is None else found.storage.hex()
    rows = [
        ("keys", str(found.active)),
        ("deleted, can be restored", str(found.deleted)),
        ("master key", grouped(found.vp)),
        ("key storage", storage or "none yet"),
        ("inventory version", str(found.version)),
        ("events", str(found.events)),
    ]
    console.table(("WHAT", "IS"), rows)
    console.object(
        {
            "active": found.active,
            "deleted": found.deleted,
            "vp": found.vp.hex(),
            "storage": storage,
            "version": found.version,
            "events": found.events,
        }
    )


def _key(text: str) -> KeyId:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 16:
        raise Trouble(
            Exit.USAGE,
            "that isn't a key's id; nothing was done",
            expected="32 hex digits",
            found=shown(text),
            next="quorate keys list",
        )
    return KeyId(key)


def _read(source: Path | None) -> bytes:
    try:
        if source is None:
            data = sys.stdin.buffer.read(_MOST_DATA + 1)
        else:
            with source.open("rb") as file:
                data = file.read(_MOST_DATA + 1)
    except OSError as error:
        raise Trouble(
            Exit.USAGE, f"{source} can't be read: {error.strerror}", next="name another file"
        ) from None
    if not 0 < len(data) <= _MOST_DATA:
        raise Trouble(
            Exit.USAGE,
            "there is too much or too little to wrap or unwrap; nothing was done",
            expected="1 to 4096 bytes to wrap",
            found=f"{min(len(data), _MOST_DATA)} bytes{' or more' if data else ''}",
            next="wrap a data key, and encrypt with that",
        )
    return data
