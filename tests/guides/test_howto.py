"""What the short guides show in code runs as it stands there."""

import re
from typing import Any

import pytest

from tests.architecture.checkout import ROOT

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.timeout(300)
def test_the_example_of_the_test_kit(quorate_stack):
    (code,) = CODE.findall((ROOT / "docs" / "howto" / "script-a-ceremony.md").read_text("utf-8"))
    names: dict[str, Any] = {}
    exec(code, names)
    names["test_two_of_four_are_on_holiday"](quorate_stack)
