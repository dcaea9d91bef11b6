"""Key files on this machine: another password, a copy."""

from pathlib import Path

from protocol.files.keyfile import KeyFileError, WrongPassword
from protocol.secrets import Secret
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.prompts import Passwords, PasswordSource
from signer_agent.client.agent_client import AgentClient
from signer_agent.keys import part_files, signature_files
from signer_agent.keys.part_files import PartFile
from signer_agent.keys.signature_files import SignatureKeyFile
from signer_agent.keys.troubles import as_trouble


def change_password(
    client: AgentClient, console: Console, name: str, source: PasswordSource
) -> None:
    """Locks a key file with another password: the present one is asked first."""
    untouched = "it has its old password"
    file = _named(client, name, untouched=untouched)
    passwords = source.passwords(console)
    old = _present(file, console, passwords, untouched)
    try:
        file.change_password(old, passwords.choose())
    except KeyFileError as error:
        raise _trouble(error, file, untouched, 1) from None
    console.say(f"✓ {file.path.name} has the new password. Copies still open with the old one.")
    console.object({"file": str(file.path)})


def _present(
    file: SignatureKeyFile | PartFile, console: Console, passwords: Passwords, untouched: str
) -> Secret:
    """The present password, tried before a new one is chosen."""
    for left in reversed(range(passwords.tries)):
        typed = passwords.ask(f"Present password for {file.path.name}:")
        try:
            file.unlock(typed, practice=file.practice).wipe()
        except WrongPassword as error:
            if left == 0:
                raise _trouble(error, file, untouched, passwords.tries) from None
            tries = "1 try" if left == 1 else f"{left} tries"
            console.progress(f"✗ wrong password. {file.path.name} is undamaged. {tries} left.")
        except KeyFileError as error:
            raise _trouble(error, file, untouched, 1) from None
        else:
            return typed
    raise AssertionError("the last try raises or returns")


def copy(client: AgentClient, console: Console, name: str, destination: Path) -> None:
    """Copies a key file as it is, and reads the copy again."""
    untouched = "nothing was copied"
    file = _named(client, name, untouched=untouched)
    try:
        made = file.copy_to(destination)
    except KeyFileError as error:
        raise _trouble(error, file, untouched, 1) from None
    console.say(f"✓ {file.path.name} copied to {made.path}, read again and whole.")
    console.say("  It opens with the same password, and only with it.")
    if made.exposed:
        console.say("! Others can read the copy there; only the password guards it.")
    console.object({"file": str(file.path), "copy": str(made.path), "exposed": made.exposed})


def _named(client: AgentClient, name: str, *, untouched: str) -> SignatureKeyFile | PartFile:
    """The key file of this name among the agent's, or at this path."""
    path = Path(name) if "/" in name else client.directory.keys / name
    if not path.exists():
        keys = client.directory.keys
        there = sorted(one.name for one in keys.glob("*.*")) if keys.is_dir() else []
        raise Trouble(
            Exit.REFUSED,
            f"there is no key file {name}; nothing was done",
            expected=", ".join(there) or f"a file in {keys}",
            found=name,
            next="quorate tke sigkeys, quorate tke mks",
        )
    try:
        if path.suffix == part_files.SUFFIX:
            return part_files.open_file(path)
        return signature_files.open_file(path)
    except KeyFileError as error:
        raise as_trouble(error, path.name, untouched=untouched, again="try again") from None


def _trouble(
    error: KeyFileError, file: SignatureKeyFile | PartFile, untouched: str, tries: int
) -> Trouble:
    return as_trouble(error, file.path.name, untouched=untouched, again="try again", tries=tries)
