"""The test kit's plugin: what stands beside a failure."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coordinator.rehearsal import pytest_plugin


@pytest.mark.parametrize("failed", [True, False])
def test_the_ends_of_the_logs_stand_beside_a_failure(
    failed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "units.log").write_text("\n".join(str(number) for number in range(100)))
    monkeypatch.setattr(pytest_plugin, "_running", [SimpleNamespace(directory=tmp_path)])
    report: Any = SimpleNamespace(failed=failed, sections=[])
    hook = pytest_plugin.pytest_runtest_makereport()
    next(hook)
    with pytest.raises(StopIteration) as done:
        hook.send(cast(pytest.TestReport, report))
    assert done.value.value is report
    said = [(f"the end of {logs / 'units.log'}", "\n".join(map(str, range(80, 100))))]
    assert report.sections == (said if failed else [])
