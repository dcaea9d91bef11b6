"""The group: which command is in which file, loaded when it is asked for."""

from importlib import import_module

import click

from quorate.commands import Group

_HERE = "signer_agent.cli.tke"
COMMANDS = {
    "cryptounits": "units",
    "cryptounit-add": "units",
    "cryptounit-rm": "units",
    "cryptounit-compare": "compare",
    "cryptounit-admins": "administrators",
    "cryptounit-admin-add": "administrators",
    "cryptounit-admin-rm": "administrators",
    "cryptounit-thrhlds": "thresholds",
    "cryptounit-thrhld-set": "thresholds",
    "cryptounit-mk": "master_key",
    "cryptounit-mk-load": "master_key",
    "cryptounit-mk-commit": "master_key",
    "cryptounit-mk-setimm": "master_key",
    "cryptounit-mk-clrnew": "master_key",
    "cryptounit-zeroize": "zeroize",
    "sigkeys": "sigkeys",
    "sigkey-add": "sigkeys",
    "sigkey-rm": "sigkeys",
    "sigkey-sel": "sigkeys",
    "mks": "mks",
    "mk-add": "mks",
    "mk-rm": "mks",
    "help": "help",
}
"""TKE's names, and the file here that has each."""


class TkeGroup(Group):
    """Finds a command by TKE's name; in its file it is a function of that name with `_` for `-`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"{_HERE}.{COMMANDS[cmd_name]}")
        name = "help_" if cmd_name == "help" else cmd_name.replace("-", "_")
        command: click.Command = getattr(module, name)
        return command


@click.group(cls=TkeGroup)
def tke() -> None:
    """Every command of the TKE plug-in by its own name."""
