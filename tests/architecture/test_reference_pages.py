"""The generated pages of docs/reference are what the code says today."""

from pathlib import Path
from typing import get_args

import pytest

from coordinator.workflow import events
from docs import generate
from docs.request_walk import Follows, walk
from protocol.commands.bodies import KINDS
from protocol.refusals import Rule
from protocol.request import RequestState
from quorate.exits import Exit


@pytest.fixture(scope="module")
def follows() -> Follows:
    return walk()


@pytest.fixture(scope="module")
def pages(follows: Follows) -> dict[Path, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "walk", lambda: follows)
        return generate.pages()


@pytest.mark.parametrize("name", ["refusals", "requests", "signature-table", "exit-codes"])
def test_a_page_is_what_the_code_says(pages: dict[Path, str], name: str):
    path = generate.REFERENCE / f"{name}.md"
    assert path.read_text("utf-8") == pages[path], "stale: run python docs/generate.py"


def test_pages_leave_nothing_out(pages: dict[Path, str]):
    wanted = {
        "refusals": [f"| `{rule}` |" for rule in Rule],
        "requests": [f"| {state} |" for state in RequestState],
        "signature-table": [f"| `{kind.__struct_config__.tag}` |" for kind in KINDS],
        "exit-codes": [f"| {member.value} | {member.label} |" for member in Exit],
    }
    for name, rows in wanted.items():
        text = pages[generate.REFERENCE / f"{name}.md"]
        assert not [row for row in rows if row not in text]


def test_the_walk_meets_every_state_and_event(follows: Follows):
    assert all(follows[state] for state in RequestState)
    met = {event for by_event in follows.values() for event in by_event}
    assert met == {event.__name__ for event in get_args(events.Event)}


def test_what_runs_was_ready_before(follows: Follows):
    """The walk is the real course: nothing executes that hasn't been collected and prepared."""
    ways = {
        (before, event)
        for before, by_event in follows.items()
        for event, results in by_event.items()
        if RequestState.EXECUTING in results
    }
    assert ways == {(RequestState.READY, "Prepared")}


def test_a_stale_page_is_named_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    page = tmp_path / "page.md"
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "pages", lambda: {page: "new\n"})
    page.write_text("old\n")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == "page.md is stale: python docs/generate.py\n"
    assert page.read_text() == "old\n"
    assert generate.main([]) == 0
    assert page.read_text() == "new\n"
    assert generate.main(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_another_argument_is_usage():
    assert generate.main(["--chekc"]) == 2
