"""The group: which command is in which file, loaded when it is asked for."""

from copy import copy
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
    "cryptounit-mk-clrcur": "master_key",
    "cryptounit-cp": "control_points",
    "cryptounit-cp-btc": "control_points",
    "cryptounit-cp-eddsa": "control_points",
    "cryptounit-cp-sig-other": "control_points",
    "cryptounit-zeroize": "zeroize",
    "failover-enable": "failover",
    "auto-init": "auto",
    "auto-mk-recover": "auto",
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

ALIASES = {
    "cryptounit-exit-impr": "cryptounit-thrhld-set",
    "cryptounit-mks": "cryptounit-mk",
    "auto-recover": "auto-mk-recover",
}
"""Other names that TKE has for some of them."""


class TkeGroup(Group):
    """Finds a command by TKE's name; in its file it is a function of that name with `_` for `-`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *ALIASES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ALIASES:
            return self._other_name(ctx, ALIASES[cmd_name])
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"{_HERE}.{COMMANDS[cmd_name]}")
        name = "help_" if cmd_name == "help" else cmd_name.replace("-", "_")
        command: click.Command = getattr(module, name)
        return command

    def _other_name(self, ctx: click.Context, name: str) -> click.Command | None:
        """The very command, but its help says whose other name this is."""
        command = copy(self.get_command(ctx, name))
        if command is not None:
            command.help = f"Another name of {name}.\n\n{command.help}"
        return command


@click.group(cls=TkeGroup)
def tke() -> None:
    """Every command of the TKE plug-in by its own name."""
