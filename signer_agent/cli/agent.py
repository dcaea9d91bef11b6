"""`quorate agent`: a custodian's own signer agent, and what they see and press."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from protocol.displayable import Reason
from quorate import logs, settings
from quorate.commands import Group, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.prompts import PasswordSource, password_options
from signer_agent.cli.place import agent_option
from signer_agent.client.agent_client import AgentClient
from signer_agent.directory import AgentDirectory, AgentSettings, usual_directory

_FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
_id = click.argument("number", type=click.IntRange(min=1), metavar="ID")


@click.group(cls=Group)
def agent() -> None:
    """A custodian's own signer agent: what waits, what it would do, approve, reject."""


@agent.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option(
    "--invitation-file",
    type=_FILE,
    required=True,
    help="the line from the coordinator's people; - reads it from stdin",
)
@pass_console
def init(console: Console, directory: Path | None, invitation_file: Path) -> None:
    """Makes an agent in DIRECTORY from an invitation: an identity key and settings.

    The invitation is a secret that works once; it is never given on the command line.
    """
    from protocol.session.invitation import read_invitation
    from protocol.violations import Violation
    from quorate import clock
    from signer_agent.setup.init import make_agent

    with click.open_file(str(invitation_file)) as file:
        text = file.read(8192)
    try:
        invitation = read_invitation(text)
    except Violation as violation:
        raise Trouble(
            Exit.DAMAGED, f"that is no invitation: {violation}", next="copy the whole line"
        ) from None
    place = directory or usual_directory()
    identity = make_agent(place, invitation, at=clock.now())
    console.practice = invitation.practice or None
    console.say(f"✓ agent of {invitation.person} for {invitation.instance} made in {place}")
    console.say(f"  Identity key  {identity.key.hex()}")
    console.say(f"Next: quorate agent run {place}")
    console.object(
        {
            "directory": str(place),
            "person": invitation.person,
            "instance": invitation.instance,
            "agent": identity.key.hex(),
        }
    )


def _settings_too(
    context: click.Context, _: click.Parameter, directory: Path | None
) -> AgentDirectory:
    place = AgentDirectory(directory or usual_directory())
    if place.settings.exists():
        facts = [field.name for field in fields(AgentSettings)]
        context.default_map = settings.load(place.settings, context.command, besides=facts)
    return place


@agent.command()
@click.argument(
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=False,
    is_eager=True,
    callback=_settings_too,
)
@click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True)
@click.option("--log-file", type=_FILE, metavar="FILE", help="instead of stderr")
@click.option("--policy", type=_FILE, metavar="FILE", help="what it answers without you (TOML)")
@password_options
@pass_console
async def run(
    console: Console,
    directory: AgentDirectory,
    log_level: str,
    log_file: Path | None,
    policy: Path | None,
    password_source: PasswordSource,
) -> None:
    """Runs the agent: it stays connected and waits for you. Prints `ready` once it answers.

    It ends on SIGTERM or Ctrl-C; nothing is lost by that. With a policy it answers for you what the
    policy names, and keeps the keys for that open: read `docs/howto/scripted-agents.md` first.

    Settings come from DIRECTORY/agent.toml; flags and environment (QUORATE_AGENT_RUN_LOG_LEVEL)
    override it.
    """
    from signer_agent.daemon import run as daemon

    facts = directory.read()
    logs.set_up(f"agent {facts.person}", level=log_level, file=log_file)
    opened = None
    if policy is not None:
        from signer_agent.daemon.script import open_policy

        passwords = password_source.passwords(console)
        opened = open_policy(
            policy,
            directory,
            lambda file: passwords.ask(f"Password for {file}:"),
            practice=facts.practice,
        )

    def ready() -> None:
        console.say(f"ready {directory.socket}")

    await daemon.run(directory, ready=ready, opened=opened)
    console.object({"ended": True})


@agent.command()
@click.option("--all", "everything", is_flag=True, help="all requests, those that have ended too")
@agent_option
@pass_console
async def pending(console: Console, everything: bool, client: AgentClient) -> None:
    """What waits, and what of it for you."""
    from signer_agent.cli import overview

    await (overview.everything if everything else overview.pending)(client, console)


@agent.command()
@_id
@agent_option
@pass_console
async def show(console: Console, number: int, client: AgentClient) -> None:
    """What request ID would change, on which units, and what it wants of you.

    Of one that has ended: what became of it.
    """
    from protocol.schema import to_plain
    from signer_agent.cli import giving
    from signer_agent.cli.ending import became
    from signer_agent.cli.people import People

    request = await client.request(number)
    if request is not None and request.ended:
        became(client, console, await client.results(number), await People.known(client))
        return
    screen = await giving.show(client, console, number)
    if screen.keys or screen.part is not None:
        console.say(f"Next: quorate agent approve {number}")
    elif screen.part_wanted is not None:
        console.say(f'Next: quorate agent reject {number} --reason "..."')
    console.object({"screen": _hex(to_plain(screen))})


@agent.command()
@_id
@click.option("--only", type=click.Choice(["part", "signature"]), help="give just one now")
@click.option("--wait", is_flag=True, help="stay until the request ends")
@click.option("--timeout", type=float, metavar="S", help="with --wait: then exit 6, waiting")
@password_options
@agent_option
@pass_console
async def approve(
    console: Console,
    number: int,
    only: str | None,
    wait: bool,
    timeout: float | None,
    password_source: PasswordSource,
    client: AgentClient,
) -> None:
    """Gives what request ID wants of you: your signature, your key part, or both.

    First shows what would change, as `agent show ID`; then asks for each file's password. An empty
    password gives nothing. A signature can't be taken back: signed copies can still run until the
    time shown, or until the unit runs something else.
    """
    from signer_agent.cli import giving, waiting
    from signer_agent.cli.ending import conclude
    from signer_agent.cli.people import People

    screen = await giving.show(client, console, number)
    chosen = giving.Only(signature=only != "part", part=only != "signature")
    passwords = password_source.passwords(console)
    people = await People.known(client)
    done = await giving.give_all(client, console, screen, passwords, people, chosen)
    if not done:
        raise Trouble(
            Exit.REFUSED,
            "the password was empty; nothing was signed or given",
            next=f"quorate agent approve {number}, or reject it",
        )
    for shown, given in done:
        giving.say_given(console, shown, given, client.directory.read().person)
    gave = giving.totals(done)
    if not wait:
        await waiting.settled(client, number, people)
        await waiting.tell(client, console, number, people, gave)
        return
    results = await waiting.wait(client, console, number, timeout=timeout, more=gave)
    conclude(client, console, results, people, at=True, more=gave)


@agent.command()
@_id
@click.option("--reason", required=True, metavar="TEXT", help="everybody sees it")
@agent_option
@pass_console
async def reject(console: Console, number: int, reason: str, client: AgentClient) -> None:
    """Says No to request ID, with a reason. While it is open you may still approve it."""
    from signer_agent.cli import rejecting

    if not reason.strip():
        raise Trouble(Exit.USAGE, "a No says why; nothing was rejected", next="give --reason TEXT")
    await rejecting.reject(client, console, number, Reason(reason))


@agent.command()
@_id
@click.option("--reason", default="", metavar="TEXT", help="everybody sees it")
@agent_option
@pass_console
async def cancel(console: Console, number: int, reason: str, client: AgentClient) -> None:
    """Stops asking for request ID, which you filed. It says what was signed and can still run.

    What somebody else filed you don't cancel: say No to it, with `quorate agent reject`.
    """
    from signer_agent.cli import steering

    await steering.cancel(client, console, number, reason)


@agent.command()
@_id
@agent_option
@pass_console
async def void(console: Console, number: int, client: AgentClient) -> None:
    """Asks for what makes the signed copies of request ID harmless; one signature is enough."""
    from signer_agent.cli import steering

    await steering.void(client, console, number)


@agent.command()
@_id
@agent_option
@pass_console
async def refile(console: Console, number: int, client: AgentClient) -> None:
    """Asks again for the command of request ID, on the units that haven't run it."""
    from signer_agent.cli import steering

    await steering.refile(client, console, number)


@agent.command()
@_id
@click.option("--yes", is_flag=True, help="for scripts: doesn't ask")
@click.option("--timeout", "seconds", type=click.FloatRange(min=0), default=30.0, metavar="S")
@agent_option
@pass_console
async def proceed(
    console: Console, number: int, yes: bool, seconds: float, client: AgentClient
) -> None:
    """Runs request ID, which you filed, without the units that hold it."""
    from signer_agent.cli import steering

    await steering.proceed(client, console, number, yes=yes, seconds=seconds)


@agent.command()
@click.argument("number", type=click.IntRange(min=1), metavar="[ID]", required=False)
@click.option("--timeout", type=float, metavar="S", help="then exit 6, waiting")
@agent_option
@pass_console
async def watch(
    console: Console, number: int | None, timeout: float | None, client: AgentClient
) -> None:
    """Follows request ID until it ends, or everything until Ctrl-C."""
    from signer_agent.cli import waiting
    from signer_agent.cli.ending import conclude
    from signer_agent.cli.people import People

    people = await People.known(client)
    if number is None:
        await waiting.watch_all(client, console, people, timeout=timeout)
        return
    results = await waiting.wait(client, console, number, timeout=timeout)
    conclude(client, console, results, people, at=True)


@agent.command()
@agent_option
@pass_console
async def status(console: Console, client: AgentClient) -> None:
    """How your agent is: connected, what it follows, your key files."""
    from signer_agent.cli import overview

    await overview.status(client, console)


@agent.command()
@click.argument("file")
@password_options
@agent_option
@pass_console
def passwd(
    console: Console, file: str, password_source: PasswordSource, client: AgentClient
) -> None:
    """Locks the key file FILE with another password: the present one is asked for first.

    FILE is a name in your key directory, or a path. For scripts, the first line of
    --password-file is the present password and the second the new one.
    """
    from signer_agent.cli import key_files

    key_files.change_password(client, console, file, password_source)


@agent.command()
@click.argument("file")
@click.argument("destination", type=click.Path(path_type=Path))
@agent_option
@pass_console
def copy(console: Console, file: str, destination: Path, client: AgentClient) -> None:
    """Copies the key file FILE, as it is, to DESTINATION, and reads the copy again.

    Nothing that is there is replaced. A copy opens with the password that the file has now.
    """
    from signer_agent.cli import key_files

    key_files.copy(client, console, file, destination)


@agent.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@agent_option
@pass_console
async def report(console: Console, directory: Path, client: AgentClient) -> None:
    """Makes a ceremony report in DIRECTORY: report.json, a page to print, and your charter.json.

    Your agent gathers log, histories and states, and checks every one before anything is written.
    """
    from protocol.charter import Chain
    from protocol.files.charter_file import write_charter_file
    from protocol.report.file import make_report
    from protocol.report.proof import ReportFails
    from quorate import private_files
    from signer_agent.cli.report_page import report_page
    from signer_agent.local.messages import Gathered, GatherReport

    gathered = await client.ask(GatherReport(), Gathered)
    chain = Chain(gathered.charters)
    try:
        made = make_report(gathered.evidence, chain.newest)
    except ReportFails as fails:
        raise Trouble(
            Exit.ALARM,
            "what the coordinator gave doesn't prove what happened; no report was written",
            also={"element": fails.element},
            expected=fails.expected,
            found=fails.found,
            next="call the others, and the people who run the coordinator",
        ) from None
    directory.mkdir(parents=True, exist_ok=True)
    paths = {
        "report": directory / "report.json",
        "page": directory / "report.html",
        "charter": directory / "charter.json",
    }
    untouched = "no report was written"
    private_files.write(paths["report"], made.data, untouched=untouched, mode=0o644)
    page = report_page(made.summary).encode()
    private_files.write(paths["page"], page, untouched=untouched, mode=0o644)
    private_files.write(
        paths["charter"], write_charter_file(chain), untouched=untouched, mode=0o644
    )
    console.say(f"✓ {paths['report']} written and verified against {paths['charter'].name}")
    console.object({name: str(path) for name, path in paths.items()})


def _hex(plain: Any) -> Any:
    match plain:
        case bytes():
            return plain.hex()
        case dict():
            return {key: _hex(value) for key, value in plain.items()}
        case list() | tuple():
            return [_hex(value) for value in plain]
        case _:
            return plain
