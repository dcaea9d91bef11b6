"""Before a command that loses master keys is filed: what would be lost, and who means it."""

from collections.abc import Callable
from typing import TypeVar

import click

from protocol.commands import wording
from protocol.commands.bodies import Body
from protocol.commands.effects import after
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.layout import WIDTH, wrapped
from quorate.prompts import answer
from signer_agent.cli.screens import counted, place
from signer_agent.cli.tke.before_filing import Rows
from signer_agent.client.party import Party
from signer_agent.local.messages import UnitNow

F = TypeVar("F", bound=Callable[..., object])

_LOOK = "look again which units you mean: quorate tke cryptounits"


def destroy_option(command: F) -> F:
    """Gives a command `--yes-destroy NAME` and the argument `yes_destroy`."""
    return click.option(
        "--yes-destroy", metavar="NAME", help="for scripts: the instance's name, not asked then"
    )(command)


def check_name(client: Party, given: str | None) -> None:
    """Usage trouble where `--yes-destroy` was given another name than the instance's."""
    if given is None or given == client.instance:
        return
    raise Trouble(
        Exit.USAGE,
        "--yes-destroy wants the instance's name, and this isn't it; nothing was filed",
        expected=client.instance,
        found=given,
        next=_LOOK,
    )


def confirm(console: Console, client: Party, given: str | None) -> None:
    """Wants the instance's name, typed or as `--yes-destroy` gives it; else nothing is filed."""
    check_name(client, given)
    if given is not None:
        return
    question = "Type the instance's name to file it:"
    typed = answer(console, question, instead="--yes-destroy NAME")
    if typed != client.instance:
        raise Trouble(
            Exit.REFUSED,
            "that isn't the instance's name; nothing was filed",
            expected=client.instance,
            found=typed,
            next=_LOOK,
        )


def loses_a_key(body: Body, targets: Rows) -> bool:
    """Whether a current register would forget its key, or nobody here knows what it holds."""
    states = [one.state for _, one in targets]
    return any(
        state is None or state.current.vp not in (None, after(state, body).current.vp)
        for state in states
    )


def say_what_is_lost(console: Console, body: Body, targets: Rows) -> None:
    """What people should know of the keys before this is filed, as signers will read it."""
    states = [one.state for _, one in targets if one.state is not None]
    for text in dict.fromkeys(one for state in states for one in wording.cautions(body, state)):
        for line in wrapped(text, WIDTH - 2):
            console.say(f"  {line}")
    console.say(
        "  Not looked for: root keys in key storage. Key users see them: quorate keys stats"
    )


def say_what_they_hold(console: Console, targets: Rows) -> None:
    """The targets, a line each."""
    for number, one in targets:
        console.say(f"  {number}  {place(one.unit)}  {_held(one)}")


def _held(one: UnitNow) -> str:
    if one.state is None:
        return "what it holds isn't known here"
    administrators = counted(len(one.state.administrators), "administrator")
    return f"{administrators}, new {one.state.new.state}, current {one.state.current.state}"
