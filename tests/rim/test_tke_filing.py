"""What `quorate tke` says and asks before it files, for units of which a test tells the states."""

import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from protocol.commands.bodies import (
    Body,
    ClearCurrentRegister,
    SetControlPoint,
    SetImmediate,
    Zeroize,
)
from protocol.displayable import InstanceName
from protocol.identifiers import VP, UnitId
from protocol.location import UnitType
from protocol.unit_state import EMPTY, IMPRINT, Register, RegisterState, UnitState
from quorate import root
from quorate.exits import Exit, Trouble
from signer_agent.cli.tke import identity
from signer_agent.desk.filing import Wish
from signer_agent.desk.screen import UnitLine
from signer_agent.local.messages import UnitNow, Units

OLD, NEW = VP(bytes([1] * 32)), VP(bytes([2] * 32))
COMMITTED = Register(state=RegisterState.FULL_COMMITTED, vp=NEW)
SECURE = IMPRINT.but(signature_threshold=1, revocation_threshold=1)
FIRST = SECURE.but(new=COMMITTED)


def valid(vp: VP) -> Register:
    return Register(state=RegisterState.VALID, vp=vp)


IN_USE = FIRST.but(current=valid(OLD))


class Somebody:
    """A party with units of these states, all of them selected, that keeps what it is to file."""

    instance = InstanceName("ledger-eu")
    person = None
    name = "operator amy"
    verified = False

    def __init__(self, states: Sequence[UnitState | None]) -> None:
        self.now = tuple(
            UnitNow(
                unit=UnitLine(
                    unit=UnitId(bytes([number] * 32)),
                    type=UnitType.OPERATIONAL,
                    location=f"[eu-de].[AZ{number}-CS1].[00].[03]",
                ),
                state=state,
                version=7,
                last_receipt=None,
                in_reach=state is not None,
                problem=None,
            )
            for number, state in enumerate(states, start=1)
        )
        self.selection = {one.unit.unit for one in self.now}
        self.wishes: list[Body] = []

    async def units(self) -> Units:
        return Units(instance=self.instance, units=self.now)

    async def filed(self, idempotency_key: str) -> None:
        return None

    async def file(self, wish: Wish) -> int:
        self.wishes.append(wish.body)
        raise Trouble(Exit.WAITING, "filed; the test ends here")


class Screen:
    """Runs commands as somebody for whom units are in these states."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self.party = Somebody([])

    def of(self, *states: UnitState | None) -> "Screen":
        self.party = Somebody(states)

        @asynccontextmanager
        async def party(*_: object) -> AsyncIterator[Somebody]:
            yield self.party

        self.monkeypatch.setattr(identity, "_party", party)
        return self

    def run(self, *arguments: str, typed: str | None = None) -> tuple[int, str]:
        """The exit code and both streams; `typed` is what a person answers at a terminal."""
        stdin = io.StringIO(typed or "")
        stdin.isatty = lambda: typed is not None  # type: ignore[method-assign]
        self.monkeypatch.setattr("sys.stdin", stdin)
        code = root.run(["tke", *arguments])
        return code, "".join(self.capsys.readouterr())

    def json(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(*arguments, "--json")[1])
        return found

    @property
    def filed(self) -> list[Body]:
        return self.party.wishes


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Screen:
    return Screen(monkeypatch, capsys)


LOSES = [
    ("cryptounit-zeroize", Zeroize()),
    ("cryptounit-mk-clrcur", ClearCurrentRegister(vp=OLD)),
    ("cryptounit-mk-setimm", SetImmediate(vp=NEW)),
]


@pytest.mark.parametrize(("command", "body"), LOSES)
def test_where_a_key_would_be_lost_the_instances_name_is_typed(
    screen: Screen, command: str, body: Body
):
    screen.of(IN_USE, IN_USE)
    code, said = screen.run(command, typed="ledger-eu\n")
    assert (code, screen.filed) == (6, [body])
    assert "Not looked for: root keys in key storage. Key users see them" in said
    assert "1  OPERATIONAL  [eu-de].[AZ1-CS1].[00].[03]  0 administrators, new Full" in said
    assert "current Valid" in said
    assert max(map(len, said.split("\n"))) <= 100


@pytest.mark.parametrize(("command", "body"), LOSES)
def test_another_name_that_is_typed_is_a_no(screen: Screen, command: str, body: Body):
    screen.of(IN_USE)
    for typed in ("y\n", "ledger\n", "\n"):
        code, said = screen.run(command, typed=typed)
        assert (code, screen.filed) == (3, [])
        assert "that isn't the instance's name; nothing was filed" in said


@pytest.mark.parametrize(("command", "body"), LOSES)
def test_a_script_names_the_instance(screen: Screen, command: str, body: Body):
    screen.of(IN_USE)
    asked = screen.json(command)
    assert (asked["exit"], asked["next"]) == ("usage", "give --yes-destroy NAME")
    wrong = screen.json(command, "--yes-destroy", "ledger-us")
    assert (wrong["exit"], wrong["expected"], wrong["found"]) == ("usage", "ledger-eu", "ledger-us")
    assert wrong["message"].endswith("nothing was filed")
    assert screen.json(command, "--yes-destroy", "")["exit"] == "usage"
    assert screen.filed == []
    assert screen.run(command, "--yes-destroy", "ledger-eu")[0] == 6
    assert screen.filed == [body]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("cryptounit-zeroize", "Without key parts or a recovery unit, keys under them are lost"),
        ("cryptounit-mk-clrcur", "Keys under this master key can't be opened until it is loaded"),
        ("cryptounit-mk-setimm", "Keys under the present master key can't be opened any more."),
    ],
)
def test_what_would_be_lost_is_said(screen: Screen, command: str, words: str):
    said = " ".join(screen.of(IN_USE).run(command)[1].split())
    assert words in said


def test_a_first_initialisation_is_a_yes(screen: Screen):
    """As TKE asks: y/N, and Enter is No."""
    screen.of(FIRST, FIRST)
    code, said = screen.run("cryptounit-mk-setimm", typed="\n")
    assert (code, screen.filed) == (3, [])
    assert "Here   current register Empty on 2 of 2 units." in said
    assert "can't be opened any more" not in said
    assert screen.json("cryptounit-mk-setimm")["next"] == "give --yes"
    for answers in (["--yes"], ["--yes-destroy", "ledger-eu"]):
        assert screen.of(FIRST).run("cryptounit-mk-setimm", *answers)[0] == 6
        assert screen.filed == [SetImmediate(vp=NEW)]
    assert screen.of(FIRST).run("cryptounit-mk-setimm", typed="y\n")[0] == 6
    wrong = screen.of(FIRST).json("cryptounit-mk-setimm", "--yes", "--yes-destroy", "x")
    assert (wrong["code"], screen.filed) == (2, [])


@pytest.mark.parametrize(
    ("other", "here"),
    [
        (IN_USE, "current register Valid with another key on 1 of 2 units"),
        (None, "current register unknown on 1 of 2 units"),
    ],
)
def test_yes_does_not_say_that_a_key_may_be_lost(
    screen: Screen, other: UnitState | None, here: str
):
    """One such unit is enough, and so is one of which nobody here knows."""
    screen.of(FIRST, other)
    said = screen.json("cryptounit-mk-setimm", "--yes")
    assert (said["exit"], screen.filed) == ("usage", [])
    assert here in said["found"]
    assert said["next"].startswith("give --yes-destroy NAME")
    assert screen.run("cryptounit-mk-setimm", "--yes", typed="y\n")[0] == 2
    assert screen.run("cryptounit-mk-setimm", typed="y\n")[0] == 3
    assert screen.filed == []


def test_the_same_key_again_loses_none(screen: Screen):
    screen.of(FIRST.but(current=valid(NEW)))
    code, said = screen.run("cryptounit-mk-setimm", "--yes")
    assert (code, screen.filed) == (6, [SetImmediate(vp=NEW)])
    assert "Here   current register Valid on 1 of 1 unit." in said


def test_one_key_is_cleared_at_a_time(screen: Screen):
    name = ("cryptounit-mk-clrcur", "--yes-destroy", "ledger-eu")
    no = screen.of(IN_USE, SECURE.but(current=valid(NEW))).json(*name)
    assert (no["rule"], no["next"]) == ("VP_MISMATCH", "quorate tke cryptounit-mk")
    no = screen.of(FIRST).json(*name)
    assert (no["found"], no["next"]) == ("Empty", "quorate tke cryptounit-mk")
    assert screen.filed == []
    said = screen.of(SECURE.but(new=EMPTY, current=valid(OLD))).run(name[0])[1]
    assert "! This clears the current register of 1 unit of ledger-eu, with the key\n" in said
    assert f"  {' '.join(['01010101'] * 8)}\n" in said


SHORT = {66: "cryptounit-cp-btc", 55: "cryptounit-cp-eddsa", 67: "cryptounit-cp-sig-other"}


@pytest.mark.parametrize("point", SHORT)
@pytest.mark.parametrize(("switch", "on"), [("set", True), ("unset", False)])
def test_a_control_point_is_switched_by_number_or_by_its_own_command(
    screen: Screen, point: int, switch: str, on: bool
):
    screen.of(SECURE)
    assert screen.run("cryptounit-cp", str(point), switch)[0] == 6
    assert screen.run(SHORT[point], switch)[0] == 6
    assert screen.filed == [SetControlPoint(point=point, on=on)] * 2


def test_control_points_are_shown_unit_by_unit(screen: Screen):
    btc, more = SECURE.but(control_points=(66,)), SECURE.but(control_points=(3, 66))
    screen.of(btc, more, None)
    lines = screen.run("cryptounit-cp")[1].split("\n")
    assert lines[:10] == [
        "CRYPTO UNIT NUM  CONTROL POINT  NAME                  STATE",
        "1                3              -                     Not Set",
        "2                3              -                     Set",
        "3                3              -                     unknown",
        "1 2              55             XCP_CPB_ALG_EC_25519  Not Set",
        "3                55             XCP_CPB_ALG_EC_25519  unknown",
        "1 2              66             XCP_CPB_BTC           Set",
        "3                66             XCP_CPB_BTC           unknown",
        "1 2              67             XCP_CPB_ECDSA_OTHER   Not Set",
        "3                67             XCP_CPB_ECDSA_OTHER   unknown",
    ]
    assert lines[10].startswith("! not verified")
    found = screen.json("cryptounit-cp")
    assert [one["control_points"] for one in found["units"]] == [[66], [3, 66], None]
    assert "point" not in found and "set" not in found["units"][0]
    assert screen.filed == []


def test_one_control_point_is_shown(screen: Screen):
    screen.of(SECURE.but(control_points=(3,)), SECURE, None)
    for command in (("cryptounit-cp", "3"), ("cryptounit-cp-btc",)):
        found = screen.json(*command)
        assert found["point"] == (3 if len(command) == 2 else 66)
        on = found["point"] == 3
        assert [one["set"] for one in found["units"]] == [on, False, None]
    said = screen.run("cryptounit-cp-btc")[1]
    assert said.endswith("Next, if it should be Set: quorate tke cryptounit-cp 66 set\n")
    said = screen.of(SECURE.but(control_points=(66,))).run("cryptounit-cp-btc")[1]
    assert "Next" not in said


def test_what_is_no_control_point_and_what_is_half_said(screen: Screen):
    screen.of(SECURE)
    for switch in ((), ("set",)):
        no = screen.json("cryptounit-cp", "128", *switch)
        assert (no["rule"], no["code"]) == ("CONTROL_POINT_UNKNOWN", 3)
    assert screen.run("cryptounit-cp", "256")[0] == 2
    assert screen.run("cryptounit-cp", "set")[0] == 2
    assert screen.run("cryptounit-cp-btc", "on")[0] == 2
    for option in ("--wait", "--unsigned", "--purpose=x", "--password-fd=3"):
        said = screen.json("cryptounit-cp-btc", option)
        assert (said["exit"], said["next"]) == ("usage", "say which: set or unset")
    assert screen.filed == []
