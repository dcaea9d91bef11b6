"""The table of exit codes, and trouble."""

from protocol.refusals import Rule, refuse
from quorate.console import trouble_lines
from quorate.exits import Exit, Trouble, refused, table


def test_codes_are_consecutive_and_names_differ():
    assert [int(code) for code in Exit] == list(range(16))
    assert len({code.label for code in Exit}) == 16


def test_the_table_has_a_line_for_each():
    assert table()[0] == " 0  done             as asked"
    assert table()[4] == " 4  wrong password   the file is undamaged"
    assert table()[15] == "15  differ           units of an instance aren't the same"
    assert len(table()) == 16


def test_a_refusal_shows_its_rule_and_values():
    refusal = refuse(Rule.TOO_MANY_ADMINISTRATORS, expected="at most 8", found="dave as 9th")
    trouble = refused(refusal, untouched="Nothing was filed")
    assert trouble_lines(trouble) == [
        "refused (3): a crypto unit holds at most 8 administrators",
        "  expected  at most 8      found  dave as 9th",
        "  next      remove one: quorate tke cryptounit-admin-rm. Nothing was filed.",
        "  rule      TOO_MANY_ADMINISTRATORS, return 261 reason 39",
    ]


def test_scripts_get_the_same_and_the_data():
    trouble = Trouble(
        Exit.WAITING, "carol must sign", found=1, data={"request": 7}, next="run it again"
    )
    assert trouble.as_json() == {
        "request": 7,
        "exit": "waiting",
        "code": 6,
        "message": "carol must sign",
        "expected": None,
        "found": 1,
        "rule": None,
        "next": "run it again",
    }


def test_long_values_stand_on_lines_of_their_own():
    trouble = Trouble(Exit.ALARM, "it differs", expected="a" * 60, found="b" * 60)
    assert trouble_lines(trouble)[1:] == ["  expected  " + "a" * 60, "  found     " + "b" * 60]


def test_further_lines_come_first():
    trouble = Trouble(Exit.ALARM, "1 of 9 fails", also={"element": "7"}, found=False)
    assert trouble_lines(trouble)[1:] == ["  element   7", "  found     no"]


def test_only_what_is_known_of_a_rule_is_said():
    assert Trouble(Exit.REFUSED, "no", rule="PART_COUNT", returns=7).rule_line == (
        "PART_COUNT, return 7"
    )
    assert Trouble(Exit.REFUSED, "no", rule="EXPIRED").rule_line == "EXPIRED"
    assert Trouble(Exit.REFUSED, "no").rule_line is None
