"""How a request ended: what verified receipts prove, or trouble with its own exit code."""

from collections.abc import Iterator, Mapping

from protocol.commands import wording
from protocol.commands.bodies import (
    Body,
    ClearCurrentRegister,
    ClearNewRegister,
    CommitNewRegister,
    ExportKey,
    GenerateRandom,
    ImportKey,
    LoadNewRegister,
    SetControlPoint,
    SetImmediate,
    SetThresholds,
    Zeroize,
)
from protocol.displayable import shown
from protocol.identifiers import grouped
from protocol.request import RequestState, TargetProgress
from quorate import clock, not_recalled, times
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from signer_agent.cli.people import People
from signer_agent.cli.progress import as_json, receipt_of
from signer_agent.cli.screens import counted
from signer_agent.client.party import Party
from signer_agent.desk.receipts import UnitResult
from signer_agent.local.messages import Results

_ENDED = {
    RequestState.CANCELLED: Exit.ENDED,
    RequestState.EXPIRED: Exit.ENDED,
    RequestState.SUPERSEDED: Exit.ENDED,
    RequestState.REJECTED: Exit.REFUSED,
    RequestState.FAILED: Exit.FAILED,
    RequestState.PARTLY_EXECUTED: Exit.FAILED,
}


def conclude(
    client: Party,
    console: Console,
    results: Results,
    people: People,
    *,
    at: bool = False,
    more: Mapping[str, Json] | None = None,
) -> None:
    """Says how a request ended; Trouble with its exit code where it wasn't executed.

    `at` adds when it ran, `more` is for scripts.
    """
    request = results.request
    verified = sum(one.executed for one in results.units)
    units = len(request.progress) or len(request.filing.targets)
    data = {**as_json(request, people), "receipts_verified": verified, **(more or {})}
    if request.state is RequestState.EXECUTED and verified == units:
        for line in _executed(results, units, at=at):
            console.say(line)
        if any(one.part_named is False for one in results.units):
            console.progress("! a receipt doesn't name your part: call the others")
        console.object(data)
        return
    if request.state is RequestState.EXECUTED:
        raise Trouble(
            Exit.ALARM,
            f"request {request.id} is said to be executed, and not every receipt verifies",
            expected=f"{units} receipts",
            found=f"{verified}",
            next="call the people who run the coordinator",
            data=data,
        )
    if request.state is RequestState.NEEDLESS:
        console.say("✓ needless: the units have moved on, and the copies can't run there")
        console.object(data)
        return
    if results.live is not None:
        for line in not_recalled.lines_of(results.live, clock.now()):
            console.progress(line)
    raise Trouble(
        _ENDED[request.state],
        f"request {request.id} has ended, {request.state}: {shown(request.why)}. {ran(results)}",
        next=next_of(client, results),
        also=dict(answers(results)),
        data={**data, "live": not_recalled.as_json(results.live)},
    )


def became(client: Party, console: Console, results: Results, people: People) -> None:
    """Says what became of a request to somebody who looks at it: that it didn't run is no trouble.

    Trouble all the same where it is said to be executed, and the receipts don't prove it.
    """
    request = results.request
    count = len(request.progress) or len(request.filing.targets)
    what = f"{wording.title(request.filing.body, people.owner)}, on {counted(count, 'unit')}"
    console.say(f"Request {request.id} · {request.filing.instance} · {what} · {request.state}")
    if request.filing.purpose:
        console.say(f"  Purpose  {shown(request.filing.purpose)}")
    if request.state in (RequestState.EXECUTED, RequestState.NEEDLESS):
        conclude(client, console, results, people, at=True)
        return
    if request.why:
        console.say(f"  Why      {shown(request.why)}")
    for unit, answer in answers(results):
        console.say(f"  {unit}: {answer}")
    console.say(f"  {ran(results)}.")
    if results.live is not None:
        for line in not_recalled.lines_of(results.live, clock.now()):
            console.say(line)
        console.say(f"Next: {client.command('void', request.id)}")
    elif request.filing.voids is None:
        console.say(f"Next, if it is still wanted: {client.command('refile', request.id)}")
    verified = sum(one.executed for one in results.units)
    live = not_recalled.as_json(results.live)
    console.object({**as_json(request, people), "receipts_verified": verified, "live": live})


def next_of(client: Party, results: Results) -> str:
    """What one may do about a request that has ended without having run everywhere."""
    number = results.request.id
    if results.live is not None:
        return f"{client.command('void', number)}      so that they can't"
    return f"{client.command('refile', number)}      if it is still wanted"


def ran(results: Results) -> str:
    """On how many units it ran, by verified receipts."""
    verified = sum(one.executed for one in results.units)
    return f"It ran on {verified} of {len(results.units)} units" if verified else "Nothing has run"


def answers(results: Results) -> Iterator[tuple[str, str]]:
    """What the units said that refused it."""
    for one in results.units:
        if one.refused is not None:
            no = one.refused
            yield str(one.unit), f"{no.rule}: expected {no.expected}, found {no.found}"


def _executed(results: Results, units: int, *, at: bool) -> Iterator[str]:
    body = results.request.filing.body
    text = f"✓ executed on {units} of {counted(units, 'unit')}, receipts verified"
    if all(one.part_named for one in results.units):
        text += "; it names your part" if units == 1 else f"; all {units} name your part"
    after = _after(body, results.request.progress)
    when = max((one.at for one in results.units if one.at is not None), default=None)
    if isinstance(body, LoadNewRegister | GenerateRandom):
        yield f"{text}. {after}"
        yield from _key_line(results.units)
    elif at and when is not None:
        yield f"{text}      {times.moment(when, now=clock.now())}"
    else:
        yield f"{text}. {after}" if after else text


def _after(body: Body, progress: tuple[TargetProgress, ...]) -> str:
    """What is so now, beyond what was asked for."""
    match body:
        case SetThresholds() if all(receipt_of(one).before.imprint for one in progress):
            return "Imprint mode is left: commands must be signed now."
        case LoadNewRegister() | GenerateRandom() | ImportKey():
            return "New register: Full uncommitted"
        case CommitNewRegister():
            return "New register: Full committed"
        case ExportKey(receivers=receivers):
            return f"A copy for each of {len(receivers)} units is in the receipt: import it there"
        case SetImmediate():
            return "Current register: Valid. New register: Empty"
        case ClearNewRegister():
            return "New register: Empty"
        case ClearCurrentRegister():
            return "Current register: Empty"
        case SetControlPoint(point=point, on=on):
            return f"Control point {wording.control_point(point)}: {'Set' if on else 'Not Set'}"
        case Zeroize():
            return "All is cleared: they are in imprint mode."
        case _:
            return ""


def _key_line(results: tuple[UnitResult, ...]) -> Iterator[str]:
    """The new register's VP, which people compare, as the receipts give it."""
    for vp in dict.fromkeys(one.new.vp for one in results if one.new is not None):
        if vp is not None:
            yield f"  {grouped(vp)}"
