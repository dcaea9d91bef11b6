"""`quorate help`: the exit codes, the words, and any command's own help."""

import click

from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, table

_WORDS = {
    "crypto unit": "one domain of a hardware security module, reserved to one owner",
    "service instance": "crypto units that must be configured the same",
    "imprint mode": "the cleared state a unit starts in: thresholds 0, administrators may be "
    "added unsigned",
    "administrator": "a signature key that a unit knows by a name; at most eight",
    "signature key": "what an administrator signs with; it never leaves its owner's machine",
    "SKI": "subject key identifier: SHA-256 of a signature key's public half",
    "threshold": "how many administrators must sign; one for most commands, one for removals",
    "master key part": "32 random bytes in a file; two or three, XORed in the unit, are the key",
    "register": "where a unit holds its new and its current master key",
    "VP": "verification pattern: SHA-256 of a key or part; tells it without revealing it",
    "custodian": "a person with signature keys or key parts, and a signer agent",
    "charter": "who belongs together: units, people, coordinator; compared once by voice",
    "root key": "an AES-256 key in key storage, wrapped by the master key; it wraps data keys",
    "key user": "a public key that a quorum lets use the root keys, with rights",
    "request": "a command in the coordinator's queue, with what it still needs",
    "receipt": "a unit's signed answer to a command; the chain of them is its history",
    "void": "a command that changes nothing and makes older signatures harmless",
}


@click.command("help", cls=Command)
@click.argument("topic", nargs=-1)
@pass_console
@click.pass_context
def help_(context: click.Context, console: Console, topic: tuple[str, ...]) -> None:
    """The exit codes, the words, or the help of a command: quorate help agent approve."""
    match topic:
        case ("exit-codes",):
            for line in table():
                console.say(line)
            console.object({str(int(code)): code.label for code in Exit})
        case ("words",):
            console.table(("WORD", "MEANS"), tuple(_WORDS.items()))
            console.object({"words": dict(_WORDS)})
        case _:
            text = _help_of(context.find_root(), topic)
            console.say(text)
            console.object({"help": text})


def _help_of(context: click.Context, path: tuple[str, ...]) -> str:
    for name in path:
        command = context.command
        found = command.get_command(context, name) if isinstance(command, click.Group) else None
        if found is None:
            raise click.UsageError(f"there is no {name!r} to help with", context)
        context = click.Context(found, parent=context, info_name=name)
    return context.get_help()
