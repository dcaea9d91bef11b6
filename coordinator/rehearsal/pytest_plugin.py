"""The test kit as a plugin of pytest: stacks as fixtures, and their logs beside a failure.

    def test_a_no_stops_it(quorate_stack):
        stack = quorate_stack(people=3)
        ...

`quorate_stack` makes stacks that end with the test, `quorate_module_stack` those that end with the
module. Both take what `coordinator.rehearsal.kit.Rehearsal` takes and give one.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from coordinator.rehearsal.kit import Rehearsal

    Make = Callable[..., Rehearsal]

_LINES = 20
_running: "list[Rehearsal]" = []


@pytest.fixture
def quorate_stack(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Make]":
    """Makes and starts a stack; it ends with the test."""
    yield from _maker(tmp_path_factory)


@pytest.fixture(scope="module")
def quorate_module_stack(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Make]":
    """Makes and starts a stack; it ends with the module's last test."""
    yield from _maker(tmp_path_factory)


def _maker(places: pytest.TempPathFactory) -> "Iterator[Make]":
    # Loaded here: pytest loads this plugin wherever the package is installed.
    from coordinator.rehearsal.kit import Rehearsal

    with ExitStack() as ending:

        def make(**options: Any) -> "Rehearsal":
            stack = Rehearsal(places.mktemp("stack") / "stack", **options)
            _running.append(stack)
            ending.callback(_running.remove, stack)
            return ending.enter_context(stack)

        yield make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the last lines of the running stacks' logs to a failure."""
    report = yield
    if report.failed:
        for stack in _running:
            for log in sorted((stack.directory / "logs").glob("*.log")):
                last = log.read_text(errors="replace").splitlines()[-_LINES:]
                report.sections.append((f"the end of {log}", "\n".join(last)))
    return report
