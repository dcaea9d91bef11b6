"""What a crypto unit is for, and where it stands: `[region].[AZ-CS].[module].[domain]`."""

import re
from enum import StrEnum
from typing import Annotated

import msgspec

from protocol.schema import Struct, from_plain
from protocol.violations import Violation


class UnitType(StrEnum):
    """What a unit is for. Only recovery units may export a master key."""

    OPERATIONAL = "operational"
    RECOVERY = "recovery"
    FAILOVER = "failover"


_Piece = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=r"\A[A-Za-z0-9\-]+\Z")]
_NUMBER = re.compile("[0-9]{2}")
_Index = Annotated[int, msgspec.Meta(ge=0, le=99)]


class Location(Struct, order=True):
    """Where a unit stands. The zone is availability zone and crypto server, as in `AZ1-CS1`."""

    region: _Piece
    zone: _Piece
    module: _Index
    domain: _Index

    def __str__(self) -> str:
        return f"[{self.region}].[{self.zone}].[{self.module:02}].[{self.domain:02}]"

    @property
    def availability_zone(self) -> str:
        """Region and availability zone without the crypto server: what may fail as one."""
        return f"{self.region}/{self.zone.partition('-')[0]}"


def parse_location(text: str) -> Location:
    """Reads what `str(location)` writes; Violation for anything else."""
    pieces = text.removeprefix("[").removesuffix("]").split("].[")
    if len(pieces) != 4 or not all(_NUMBER.fullmatch(piece) for piece in pieces[2:]):
        raise Violation("a location is [region].[AZ-CS].[module].[domain]")
    location = from_plain(
        Location,
        {
            "region": pieces[0],
            "zone": pieces[1],
            "module": int(pieces[2]),
            "domain": int(pieces[3]),
        },
    )
    if str(location) != text:
        raise Violation("a location is [region].[AZ-CS].[module].[domain]")
    return location
