"""Signature key files on this machine: listed, made, removed, chosen."""

from collections.abc import Sequence

import click

from protocol.claims import KeyClaim, ProvenKey
from protocol.displayable import AdministratorName, is_printable_string, shown
from protocol.files.keyfile import KeyFileError
from protocol.identifiers import IdentityKey, Signature
from protocol.signing.algorithms import Algorithm
from protocol.signing.labels import Label, labelled
from quorate import clock
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import PasswordSource, answer, confirmed, password_options
from signer_agent.cli.place import agent_option
from signer_agent.client.agent_client import AgentClient
from signer_agent.directory import AgentSettings
from signer_agent.keys import signature_files
from signer_agent.keys.signature_files import SignatureKeyFile, UnlockedKey
from signer_agent.keys.troubles import as_trouble
from signer_agent.local.messages import GetStatus, OfferKey, Ok, Question, SelectKeys, Status


def _files(client: AgentClient) -> list[tuple[int, SignatureKeyFile]]:
    listing = signature_files.list_in(client.directory.keys)
    return list(enumerate(listing.usable, start=1))


def _table(console: Console, client: AgentClient) -> list[tuple[int, SignatureKeyFile]]:
    files = _files(client)
    if not files:
        console.say(f"No signature keys in {client.directory.keys_as_said}.")
        return files
    console.table(
        ("KEYNUM", "DESCRIPTION", "SUBJECT KEY IDENTIFIER"),
        [(str(number), key.name, key.ski.hex()) for number, key in files],
    )
    return files


def _objects(files: Sequence[tuple[int, SignatureKeyFile]]) -> list[Json]:
    return [
        {"number": number, "name": key.name, "ski": key.ski.hex(), "file": key.path.name}
        for number, key in files
    ]


@click.command(cls=Command)
@agent_option
@pass_console
def sigkeys(console: Console, client: AgentClient) -> None:
    """Lists the signature key files on this machine."""
    files = _table(console, client)
    console.object({"keys": _objects(files), "directory": str(client.directory.keys)})


@click.command(cls=Command)
@click.option("--name", help="the administrator's name: 1 to 30 characters")
@click.option(
    "--algorithm",
    type=click.Choice(["ed25519", "ecdsa-p521-sha512"]),
    default="ed25519",
    show_default=True,
)
@password_options
@agent_option
@pass_console
async def sigkey_add(
    console: Console,
    name: str | None,
    algorithm: str,
    password_source: PasswordSource,
    client: AgentClient,
) -> None:
    """Makes a signature key, and offers its public half to the next version of the charter."""
    settings = client.directory.read()
    if name is None:
        name = answer(console, "Administrator name (1 to 30 characters):", instead="--name NAME")
    if not (1 <= len(name) <= 30 and is_printable_string(name) and name == name.strip()):
        raise Trouble(
            Exit.REFUSED,
            "an administrator's name has 1 to 30 letters, digits, blanks or any of '()+,-./:=?; "
            "no key was made",
            found=shown(name) if len(name) <= 30 else f"{len(name)} characters",
            next="choose another name",
            rule="ADMINISTRATOR_NAME",
            returns=7,
        )
    status = await client.ask(GetStatus(), Status)
    password = password_source.passwords(console).choose()
    made = signature_files.generate(
        client.directory.keys,
        password,
        name=AdministratorName(name),
        algorithm=Algorithm(algorithm),
        practice=settings.practice,
        at=clock.now(),
        offer=lambda key: _proven(key, settings, status.agent),
    )
    console.say(
        f"✓ {made.path.name} made, mode 0600. Only this password opens it; nobody can restore it."
    )
    offer = signature_files.offer_of(made)
    if offer is None or not await sent_or_kept(client, OfferKey(key=offer)):
        console.say("! Not offered yet: your agent does it once it has its coordinator.")
    console.say(
        "! not in a charter yet; no unit may take it before all have accepted one.  "
        "Next: quorate charter new"
    )
    console.object({"name": name, "ski": made.ski.hex(), "file": str(made.path)})


@click.command(cls=Command)
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.option("--yes", is_flag=True, help="for scripts: don't ask")
@agent_option
@pass_console
def sigkey_rm(console: Console, number: int | None, yes: bool, client: AgentClient) -> None:
    """Removes a signature key file from this machine. Units keep its public half."""
    files = dict(_table(console, client))
    if number is None:
        number = _number(answer(console, "Key number to remove:", instead="the number"))
    key = _chosen(files, [number])[0]
    question = f"Remove {key.path.name}? Without a copy nobody can sign with it again."
    if not yes and not confirmed(console, question, instead="--yes"):
        raise Trouble(Exit.REFUSED, f"{key.path.name} is still there", next="nothing")
    key.remove()
    console.say(f"✓ {key.path.name} removed")
    console.object({"removed": key.path.name})


@click.command(cls=Command)
@click.argument("numbers", nargs=-1, type=click.IntRange(min=1))
@password_options
@agent_option
@pass_console
async def sigkey_sel(
    console: Console,
    numbers: Sequence[int],
    password_source: PasswordSource,
    client: AgentClient,
) -> None:
    """Chooses which signature keys may sign from here. None chosen: all may."""
    settings = client.directory.read()
    files = dict(_table(console, client))
    if not numbers:
        text = answer(console, "Key numbers that may sign from here:", instead="the numbers")
        numbers = [_number(word) for word in text.split()]
    keys = _chosen(files, numbers)
    passwords = password_source.passwords(console)
    for key in keys:
        password = passwords.ask(f"Password for {key.path.name}:")
        try:
            key.unlock(password, practice=settings.practice).wipe()
        except KeyFileError as error:
            raise as_trouble(
                error, key.path.name, untouched="the choice is as it was", again="choose again"
            ) from None
    await client.ask(SelectKeys(skis=tuple(key.ski for key in keys)), Ok)
    names = ", ".join(key.name for key in keys)
    console.say(
        f"✓ {names} may sign. The password was right and isn't kept: each approval asks again."
    )
    console.object({"selected": [key.ski.hex() for key in keys]})


def _proven(key: UnlockedKey, settings: AgentSettings, agent: IdentityKey) -> ProvenKey:
    """The key's own word that it is this person's."""
    claim = KeyClaim(
        instance=settings.instance,
        practice=settings.practice,
        person=settings.person,
        agent=agent,
        administrator=key.name,
        algorithm=key.algorithm,
        public_key=key.public_key,
    )
    return ProvenKey(claim=claim, proof=Signature(key.sign(labelled(Label.PERSON, claim))))


async def sent_or_kept(client: AgentClient, question: Question) -> bool:
    """Whether the coordinator has it now. Otherwise the agent sends it later.

    Even if it isn't running now: when it starts, it looks which key files nobody was told of.
    """
    try:
        await client.ask(question, Ok)
    except Trouble as trouble:
        if trouble.exit is not Exit.UNREACHABLE:
            raise
        return False
    return True


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Trouble(Exit.USAGE, "a number was expected", found=text) from None


def _chosen(files: dict[int, SignatureKeyFile], numbers: Sequence[int]) -> list[SignatureKeyFile]:
    strange = [number for number in numbers if number not in files]
    if strange:
        raise Trouble(
            Exit.REFUSED,
            "there is no such key number",
            expected=f"1 to {len(files)}",
            found=", ".join(map(str, strange)),
            next="quorate tke sigkeys",
        )
    return [files[number] for number in numbers]
