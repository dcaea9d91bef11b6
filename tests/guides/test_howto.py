"""What the short guides show in code runs as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest

from hsm_backend.client.key_files import make_key, units_as_text
from hsm_backend.client.key_units import KeyUnit
from protocol.commands.bodies import AddKeyUser
from quorate import clock, tls
from tests.architecture.checkout import ROOT
from tests.attacks.key_callers import give_key
from tests.attacks.served_units import run, served_units, units_of
from tests.cast.commands import NOON
from tests.cast.people import ALICE, BOB

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.timeout(300)
def test_the_example_of_the_test_kit(quorate_stack):
    (code,) = CODE.findall((ROOT / "docs" / "howto" / "script-a-ceremony.md").read_text("utf-8"))
    names: dict[str, Any] = {}
    exec(code, names)
    names["test_two_of_four_are_on_holiday"](quorate_stack)


async def test_the_example_of_the_client_for_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (code,) = CODE.findall((ROOT / "docs" / "howto" / "use-keys.md").read_text("utf-8"))
    names: dict[str, Any] = {}
    exec(code, names)
    async with served_units(tmp_path) as host:
        user = make_key(tmp_path / "payroll.pem")
        pinned = tls.fingerprint(host.directory.tls_certificate.read_text())
        async with host.client() as coordinator:
            units = await units_of(coordinator)
            added = AddKeyUser(
                name="payroll", public_key=user.public_key, rights=("create", "unwrap", "wrap")
            )
            for unit in units:
                await give_key(coordinator, unit)
                await run(coordinator, unit, added, ALICE, BOB)
        text = units_as_text(
            KeyUnit(name="unit", address=host.keys_address, pinned=pinned, identity=unit[1])
            for unit in units
        )
        (tmp_path / "units.toml").write_text(text)
        monkeypatch.setattr(clock, "now", lambda: NOON)
        use = names["wrap_and_unwrap"]
        assert await use(tmp_path / "units.toml", tmp_path / "payroll.pem") == b"data key"
