"""`quorate tke help`: the commands by what they are about, or the help of one."""

import click

from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.layout import WIDTH, wrapped

_SUBJECTS = (
    ("Which crypto units", ("cryptounits", "cryptounit-add", "cryptounit-rm")),
    ("How they are", ("cryptounit-admins", "cryptounit-thrhlds", "cryptounit-mk")),
    ("", ("cryptounit-mks", "cryptounit-cp", "cryptounit-compare")),
    ("Signature keys", ("sigkeys", "sigkey-add", "sigkey-rm", "sigkey-sel")),
    ("Administrators", ("cryptounit-admin-add", "cryptounit-admin-rm", "cryptounit-thrhld-set")),
    ("", ("cryptounit-exit-impr",)),
    ("Key parts", ("mks", "mk-add", "mk-rm")),
    ("Master key", ("cryptounit-mk-load", "cryptounit-mk-commit", "cryptounit-mk-setimm")),
    ("", ("cryptounit-mk-clrnew", "cryptounit-mk-clrcur")),
    ("Control points", ("cryptounit-cp-btc", "cryptounit-cp-eddsa", "cryptounit-cp-sig-other")),
    ("Everything", ("cryptounit-zeroize",)),
    ("Failover", ("failover-enable",)),
    ("Guided runs", ("auto-init", "auto-mk-recover", "auto-recover")),
)
_WIDE = 20
_NAME = 25
_LONG = 200


@click.command(cls=Command)
@click.argument("command", required=False)
@pass_console
@click.pass_context
def help_(context: click.Context, console: Console, command: str | None) -> None:
    """All commands by what they are about; or one of them."""
    group = context.parent
    if group is None or not isinstance(group.command, click.Group):
        raise AssertionError("help is a command of the group")
    if command is not None:
        found = group.command.get_command(group, command)
        if found is None:
            raise click.UsageError(f"there is no {command!r} to help with", group)
        text = click.Context(found, parent=group, info_name=command).get_help()
    else:
        text = "\n".join(_lines(group, group.command))
    console.say(text)
    console.object({"help": text})


def _lines(context: click.Context, group: click.Group) -> list[str]:
    lines = [
        "Usage: quorate tke COMMAND ...",
        "Those that change units file a request, which runs once a quorum has signed it; --wait",
        "shows it until then. The others only show, or work on files of this machine. cryptounit*",
        "go by your signer agent; without one, as the operator who logged in: quorate login.",
        "",
    ]
    for subject, names in _SUBJECTS:
        for place, name in enumerate(names):
            command = group.get_command(context, name)
            if command is None:
                raise AssertionError(f"{name} is a command of the group")
            begin = f"{'' if place else subject:<{_WIDE}}{name:<{_NAME}}"
            for text in wrapped(command.get_short_help_str(_LONG), WIDTH - len(begin)):
                lines.append(begin + text)
                begin = " " * len(begin)
    return [*lines, "", "quorate tke help COMMAND, or quorate tke COMMAND --help, says more."]
