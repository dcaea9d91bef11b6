"""Running a ceremony from a terminal or a script: what is said on the way, and what is asked."""

import sys
from collections.abc import Sequence
from pathlib import Path

from protocol.ceremony.goals import Step
from protocol.ceremony.plan import Confirmation
from protocol.commands.wording import title
from protocol.request import CeremonyStep
from quorate import clock
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import answer
from signer_agent.ceremonies.journal import Journal
from signer_agent.ceremonies.run import Rows, Run
from signer_agent.cli.ceremony_options import Manner
from signer_agent.cli.ceremony_plan import read_plan
from signer_agent.cli.ceremony_screens import losing
from signer_agent.cli.screens import counted
from signer_agent.cli.tke import destroying
from signer_agent.cli.tke.filing import Manner as Filing
from signer_agent.cli.tke.filing import file_all
from signer_agent.client.party import Party


async def go(
    console: Console,
    client: Party,
    path: Path,
    manner: Manner,
    *,
    begun: bool,
) -> None:
    """Runs the plan to its end, or goes on with it where it was `begun`."""
    plan, text = read_plan(path, client)
    destroying.check_name(client, manner.yes_destroy)
    opened = Journal.load(path, text) if begun else Journal.begin(path, text, at=clock.now())
    # One object is the whole result, so what single commands say is progress then.
    inner = console
    if console.json:
        inner = Console(plain=console.plain, out=sys.stderr)
        inner.practice = console.practice

    async def do(step: Step, rows: Rows, label: CeremonyStep, key: str) -> None:
        where = counted(len(step.targets), "unit")
        inner.say(f"{label.step:>2}  {title(step.body, lambda _: None)}, on {where}")
        filing = Filing(
            plan.purpose,
            wait=True,
            seconds=manner.seconds,
            minutes=None,
            idempotency_key=key,
            sign=manner.sign,
            step=label,
        )
        await file_all(client, inner, [step.body], rows, filing, manner.passwords)

    def confirm(wanted: Confirmation) -> None:
        inner.say(f"    {wanted.who}: {wanted.text}")
        if wanted.who in manner.confirmed:
            return
        question = f"{wanted.who}, is it done? Type your name:"
        said = answer(inner, question, instead=f"--confirmed {wanted.who}")
        if said != wanted.who:
            raise Trouble(
                Exit.WAITING,
                f"{wanted.who} hasn't confirmed; the ceremony stays before its stage "
                f"{wanted.before}",
                expected=wanted.who,
                found=said,
                next=f"quorate ceremony resume {path}",
            )

    def lost(step: Step, what: Sequence[str]) -> None:
        for text in what:
            inner.say(f"    ! {text}")
        if manner.yes_destroy is None and sys.stdin is not None and sys.stdin.isatty():
            destroying.confirm(inner, client, None)
            return
        trouble = losing(client.instance, manner.yes_destroy, what)
        if trouble is not None:
            raise trouble

    run = Run(plan, client, opened, do, confirm, lost, clock.now)
    try:
        taken = await run.to_the_end()
    except Trouble as trouble:
        trouble.data = {**trouble.data, **_so_far(opened)}
        if trouble.exit is Exit.WAITING:
            trouble.next = f"quorate ceremony resume {path}"
        raise
    console.say(f"✓ {plan.ceremony}: reached, {counted(taken, 'command')} now")
    console.say("Next: quorate agent report DIR, by a custodian whose agent followed it")
    console.object({"ceremony": plan.ceremony.value, "taken": taken, **_so_far(opened)})


def _so_far(journal: Journal) -> dict[str, Json]:
    steps: list[Json] = [
        {"step": one.step, "stage": one.stage.value, "request": one.request}
        for one in journal.kept.steps
    ]
    confirmed: list[Json] = [
        {"before": one.before.value, "who": one.who, "text": one.text, "at": one.at}
        for one in journal.kept.confirmed
    ]
    return {"journal": str(journal.path), "requests": steps, "confirmed": confirmed}
