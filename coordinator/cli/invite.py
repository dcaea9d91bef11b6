"""`quorate invite`: how a custodian's agent comes to its coordinator."""

import click

from coordinator.cli.session import Session, profile_option
from quorate import times
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Json


@click.command(cls=Command)
@click.argument("person", metavar="PERSON", required=False)
@click.option("--days", type=click.IntRange(1, 30), default=7, show_default=True)
@click.option("--url", metavar="URL", help="how the agent reaches the coordinator; else as you do")
@click.option("--list", "listed", is_flag=True, help="the invitations that are out")
@click.option("--withdraw", metavar="ID", help="takes an unused invitation back")
@profile_option
@pass_console
async def invite(
    console: Console,
    person: str | None,
    days: int,
    url: str | None,
    listed: bool,
    withdraw: str | None,
    session: Session,
) -> None:
    """Prints an invitation with which PERSON's agent enrols, once. For managers.

    Give it to them by a way that only they can read. It holds the coordinator's key, so their agent
    talks to no other. An invitation gives nobody power: the charter says who belongs together.
    """
    if sum((person is not None, listed, withdraw is not None)) != 1:
        raise click.UsageError("one of PERSON, --list and --withdraw ID")
    if person is not None:
        await _invite(console, session, person, days, url)
    elif withdraw is not None:
        async with session.calls(console) as calls:
            gone = await calls.withdraw_invitation(withdraw)
        console.say(f"✓ withdrawn: the invitation for {gone.person}")
        console.object({"person": gone.person, "id": gone.id})
    else:
        await _list(console, session)


async def _invite(
    console: Console, session: Session, person: str, days: int, url: str | None
) -> None:
    from coordinator.cli.names import person_name
    from coordinator.wire.values import instant_of

    name = person_name(person)
    async with session.calls(console) as calls:
        made = await calls.invite(name, days, url)
    console.say(f"An invitation for {name}, good once, within {days} days:")
    console.say(made.invitation)
    console.say(f"Next, on the machine of {name}: quorate agent init --invitation-file -")
    expires = times.for_scripts(instant_of(made.made.expires))
    console.object({"invitation": made.invitation, "person": name, "expires": expires})


async def _list(console: Console, session: Session) -> None:
    from coordinator.wire.values import instant_of
    from quorate import clock

    async with session.calls(console) as calls:
        found = (await calls.invitations()).invitations
    zone = times.zone_header(clock.now())
    rows = [
        (
            one.id,
            one.person,
            "used" if one.used else "not used",
            times.in_table(instant_of(one.expires)),
        )
        for one in found
    ]
    console.table(("ID", "PERSON", "STATE", f"UNTIL ({zone})"), rows)
    objects: list[Json] = [
        {
            "id": one.id,
            "person": one.person,
            "used": one.used,
            "expires": times.for_scripts(instant_of(one.expires)),
        }
        for one in found
    ]
    console.object({"invitations": objects})
