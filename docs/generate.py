"""Writes the pages of docs/reference that follow from the code.

`python docs/generate.py` writes them; with `--check` it writes nothing, names the pages that the
code has left behind, and ends with 1 if there are any.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import fill
from typing import get_args

from coordinator.workflow import events
from docs.request_walk import STAYS, Follows, walk
from protocol.commands.quorum import TABLE, Need
from protocol.refusals import FACTS, Rule
from protocol.request import RequestState
from quorate.exits import Exit

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
_PACKAGES = ("protocol", "hsm_backend", "coordinator", "signer_agent")
_NAMED = re.compile(r"([A-Z][A-Z_]+(?:, [A-Z][A-Z_]+)*):")


def pages() -> dict[Path, str]:
    """Every generated page, and its text as the code has it."""
    return {
        REFERENCE / "refusals.md": refusals(),
        REFERENCE / "requests.md": requests(walk()),
        REFERENCE / "signature-table.md": signature_table(),
        REFERENCE / "exit-codes.md": exit_codes(),
    }


def _page(title: str, source: str, *parts: str) -> str:
    note = f"<!-- Written by docs/generate.py from {source}. Change that, then run it. -->"
    return "\n\n".join((f"# {title}", note, *parts)) + "\n"


def _paragraph(text: str) -> str:
    return fill(text, 100, break_on_hyphens=False)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


# refusals


def refusals() -> str:
    """The catalogue of refusals."""
    asked_by = _functions()
    rows = []
    for rule in Rule:
        facts = FACTS[rule]
        codes = [str(code) for code in (facts.returns, facts.reason) if code is not None]
        rows.append(
            [
                f"`{rule}`",
                facts.says,
                ", ".join(codes) or "–",
                "yes" if facts.can_still_run else "no",
                facts.next_step,
                ", ".join(f"`{name}`" for name in asked_by[rule]) or "–",
            ]
        )
    return _page(
        "Refusals",
        "`protocol.refusals` and the rules' own docstrings",
        _paragraph(
            "A refusal is a rule's No. It names the rule and carries the two values compared, "
            "`expected` and `found`; it changes nothing. *TKE*: the return code, and the reason, "
            "that crypto units of the field answer in that case, where they have one."
        ),
        _paragraph(
            "*Can still run*: whether a unit that refuses a signed command may run the same one "
            "later, by time or with other signatures or parts. Where not, it is dead on that unit "
            "and has to be filed and signed anew."
        ),
        _paragraph(
            "*Asked by*: the functions that decide it. Where none is named, it is the answer to a "
            "look-up, or one of several answers of a function."
        ),
        _table(("rule", "it says", "TKE", "can still run", "next step", "asked by"), rows),
    )


def _functions() -> dict[str, list[str]]:
    """By rule, the functions whose docstrings begin with its name."""
    found: dict[str, list[str]] = defaultdict(list)
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    named = _NAMED.match(ast.get_docstring(node) or "")
                    for rule in named[1].split(", ") if named else ():
                        found[rule].append(f"{module}.{node.name}")
    return found


# requests

_MEANS = {
    RequestState.WAITING_IN_LINE: "filed; others are before it on one of its units, or a unit that "
    "it needs is out of reach",
    RequestState.COLLECTING: "opened; people are asked for signatures and key parts",
    RequestState.READY: "all there is; the units are asked to prepare, or it is held until a unit "
    "is in reach or the operator says `proceed`",
    RequestState.EXECUTING: "every unit that was asked would run it; they are told to",
    RequestState.PARTLY_EXECUTED: "it ran on some of its units, and is tried on the others while "
    "it can still run there",
    RequestState.EXECUTED: "every target ran it",
    RequestState.REJECTED: "those who haven't said No can't complete it",
    RequestState.CANCELLED: "whoever may has stopped asking for it",
    RequestState.EXPIRED: "its time ran out, or it wasn't opened within 7 days",
    RequestState.SUPERSEDED: "the state under all its signatures changed, or a newer version of "
    "the charter came into force",
    RequestState.FAILED: "a unit refused it, or would have, and none ran it",
    RequestState.NEEDLESS: "a void whose units moved on by themselves",
}
_FIRST_END = RequestState.EXECUTED


def requests(follows: Follows) -> str:
    """The states of requests, what moves them, and a drawing."""
    return _page(
        "Requests: states and events",
        "a walk through `coordinator.workflow.course.decide` (docs/request_walk.py)",
        _table(("state", "meaning"), [[state.value, _MEANS[state]] for state in RequestState]),
        _paragraph(
            f"Those from *{_FIRST_END}* on are ends; *{RequestState.PARTLY_EXECUTED}* is one "
            "when no target is open any more. After an end only a late receipt still counts."
        ),
        _drawing(follows),
        "## Events",
        _table(
            ("event", "what has happened"),
            [[f"`{event.__name__}`", _docstring(event)] for event in get_args(events.Event)],
        ),
        _paragraph(
            "At the deadline or later what people say is refused, and whatever else comes lets "
            "the request expire, but for receipts, units' refusals and news of reach. The deadline "
            "is a minute before not-after; of what was never opened, 7 days after its filing; of a "
            "void, a minute before the copies expire that it is for."
        ),
        "## What follows",
        _paragraph(
            "An event that a table doesn't name changes nothing there, or doesn't come: units "
            "answer only what they were asked, and a request that doesn't wait isn't opened. "
            f"*{STAYS}*: something is noted, and the state is the same."
        ),
        *_tables(follows),
    )


def _drawing(follows: Follows) -> str:
    states = list(RequestState)
    lines = [f'    state "{state}" as {_id(state)}' for state in states]
    lines.append(f"    [*] --> {_id(states[0])}")
    for before in states:
        for after in states:
            events = [name for name, results in follows[before].items() if after in results]
            if events:
                lines.append(f"    {_id(before)} --> {_id(after)}: {', '.join(sorted(events))}")
    lines += [f"    {_id(end)} --> [*]" for end in states[states.index(_FIRST_END) :]]
    return "\n".join(("```mermaid", "stateDiagram-v2", *lines, "```"))


def _id(state: RequestState) -> str:
    return state.value.replace(" ", "_")


def _tables(follows: Follows) -> Iterator[str]:
    """One table for all states that answer alike."""
    alike: dict[str, list[str]] = defaultdict(list)
    for state in RequestState:
        by_event = follows[state]
        rows = [
            [f"`{event.__name__}`", ", ".join(sorted(by_event[event.__name__], key=_order))]
            for event in get_args(events.Event)
            if event.__name__ in by_event
        ]
        alike[_table(("event", "becomes"), rows)].append(state.value)
    for table, states in alike.items():
        yield f"### {', '.join(states)}"
        yield table


def _order(result: str) -> tuple[bool, bool, str]:
    return result.startswith("refused"), result == STAYS, result


# signatures


def signature_table() -> str:
    """How many signatures each kind of command needs."""
    rows = [
        [f"`{kind.__struct_config__.tag}`", _says(imprint), _says(afterwards), _docstring(kind)]
        for kind, (imprint, afterwards) in TABLE.items()
    ]
    return _page(
        "How many signatures a command needs",
        "`protocol.commands.quorum.TABLE`",
        _paragraph(
            "Units count distinct keys of installed administrators. Agents and the coordinator "
            "count people (`protocol.standing.counted`), and for the exit from imprint mode as "
            "many different people as the charter wants: two, unless it says otherwise. What one "
            "signature allows is in "
            "[what each party can do](../security/what-each-party-can-do.md)."
        ),
        _table(("command", "in imprint mode", "afterwards", "what it does"), rows),
    )


def _says(need: Need) -> str:
    match need:
        case Need.NONE:
            return "none"
        case Need.ONE:
            return "one"
        case Need.SIGNATURE_THRESHOLD:
            return "signature threshold"
        case Need.REVOCATION_THRESHOLD:
            return "revocation signature threshold"
        case Need.NEW_SIGNATURE_THRESHOLD:
            return "the new signature threshold"
        case Need.THRESHOLD_CHANGE:
            return (
                "signature threshold; the larger of both where the revocation signature threshold "
                "is lowered (stricter than TKE)"
            )
        case Need.ZEROIZE:
            return "one; the signature threshold where the attribute `zeroize-one` is off"
        case Need.REFUSED:
            return "refused"


# exit codes


def exit_codes() -> str:
    """How commands end."""
    rows = [[str(member.value), member.label, member.meaning] for member in Exit]
    return _page(
        "Exit codes",
        "`quorate.exits`",
        _paragraph(
            "Every command of `quorate` ends with one of these; `quorate help exit-codes` prints "
            "them. Under `--json` the object on stdout holds the name as `exit` and the number as "
            "`code`."
        ),
        _table(("code", "name", "meaning"), rows),
    )


def _docstring(kind: type) -> str:
    return " ".join((kind.__doc__ or "").split())


def main(arguments: Sequence[str]) -> int:
    """Writes the pages, or with `--check` says which are stale."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python docs/generate.py [--check]\n")
        return 2
    stale = {
        path: text
        for path, text in pages().items()
        if not path.exists() or path.read_text("utf-8") != text
    }
    for path, text in stale.items():
        name = path.relative_to(ROOT)
        if arguments:
            sys.stderr.write(f"{name} is stale: python docs/generate.py\n")
        else:
            path.write_text(text, "utf-8")
            sys.stdout.write(f"{name} written\n")
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
