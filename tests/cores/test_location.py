"""Where a unit stands: one spelling, nothing else."""

import pytest

from protocol.location import Location, UnitType, parse_location
from protocol.schema import from_plain, to_plain
from protocol.violations import Violation

HERE = Location(region="eu-de", zone="AZ1-CS3", module=2, domain=14)


def test_a_location_reads_as_it_is_written() -> None:
    assert str(HERE) == "[eu-de].[AZ1-CS3].[02].[14]"
    assert parse_location(str(HERE)) == HERE
    for module, domain in ((0, 0), (9, 10), (99, 99)):
        there = HERE.but(module=module, domain=domain)
        assert parse_location(str(there)) == there


def test_availability_zones_are_told_apart_by_region_and_zone() -> None:
    assert HERE.availability_zone == "eu-de/AZ1"
    assert HERE.but(zone="AZ1-CS9").availability_zone == HERE.availability_zone
    assert HERE.but(zone="AZ2-CS3").availability_zone != HERE.availability_zone
    assert HERE.but(region="eu-gb").availability_zone != HERE.availability_zone


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "eu-de.AZ1-CS3.02.14",
        "[eu-de].[AZ1-CS3].[02]",
        "[eu-de].[AZ1-CS3].[02].[14].[1]",
        "[eu-de].[AZ1-CS3].[2].[14]",
        "[eu-de].[AZ1-CS3].[002].[14]",
        "[eu-de].[AZ1-CS3].[02].[-1]",
        "[eu-de].[AZ1-CS3].[02].[1 ]",
        "[eu-de].[AZ1-CS3].[02].[٣٣]",
        "[eu-de].[AZ1-CS3].[02].[100]",
        "[eu-de].[AZ1-CS3].[" + "9" * 5000 + "].[14]",
        "[].[AZ1-CS3].[02].[14]",
        "[eu de].[AZ1-CS3].[02].[14]",
        "[eu-de\n].[AZ1-CS3].[02].[14]",
        "[eü-de].[AZ1-CS3].[02].[14]",
        "[eu-de].[AZ1_CS3].[02].[14]",
        "[" + "x" * 33 + "].[AZ1-CS3].[02].[14]",
        "[eu-de].[AZ1-CS3].[02].[14]\n",
        " [eu-de].[AZ1-CS3].[02].[14]",
        "[eu-de].[AZ1-CS3].[02].[14",
        "eu-de].[AZ1-CS3].[02].[14]",
    ],
)
def test_what_is_no_location(text: str) -> None:
    with pytest.raises(Violation):
        parse_location(text)


@pytest.mark.parametrize(
    "wrong",
    [{"module": 100}, {"module": -1}, {"domain": 100}, {"region": ""}, {"zone": "AZ1.CS1"},
     {"region": "eu-de\n"}],
    ids=repr,
)  # fmt: skip
def test_bounds_hold_on_the_wire(wrong: dict[str, object]) -> None:
    with pytest.raises(Violation):
        from_plain(Location, to_plain(HERE) | wrong)


def test_types_are_the_fields() -> None:
    assert [kind.value for kind in UnitType] == ["operational", "recovery", "failover"]
