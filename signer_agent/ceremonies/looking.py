"""How a ceremony sees its instance: units, charter, exports, key parts on offer."""

from collections.abc import Iterable

from protocol.ceremony.goals import Exported, Situation, UnitView
from protocol.charter import Charter
from protocol.commands.bodies import ExportKey
from protocol.identifiers import VP, IdentityKey, UnitId
from protocol.receipts import StateAnswer
from protocol.request import Outcome, Request, TargetProgress
from protocol.schema import from_bytes
from quorate.exits import Exit, Trouble
from signer_agent.client.party import Party
from signer_agent.local.messages import UnitNow, Units


async def situation_of(party: Party, requests: Iterable[int]) -> tuple[Situation, Units]:
    """How all is now; `requests` are those of this run, by which exports are known.

    Trouble where there is no charter in force, or a unit was never seen or has a problem.
    """
    charter = (await party.charters()).in_force
    if charter is None:
        raise Trouble(
            Exit.REFUSED,
            "no version of the charter is in force yet; nothing was filed",
            next="have all accept it: quorate charter accept",
        )
    units = await party.units()
    offered: dict[IdentityKey, tuple[VP, ...]] = {}
    for part in await party.parts():
        offered[part.custodian] = (*offered.get(part.custodian, ()), part.vp)
    exports: list[Exported] = []
    for number in requests:
        request = await party.request(number)
        if request is not None:
            exports += exports_of(request, charter)
    views = tuple(_view(one) for one in units.units)
    situation = Situation(charter=charter, units=views, exports=tuple(exports), offered=offered)
    return situation, units


def exports_of(request: Request, charter: Charter) -> list[Exported]:
    """What a request has exported."""
    body = request.filing.body
    if not isinstance(body, ExportKey):
        return []
    return [
        Exported(
            command=request.command(one.target).id,
            source=named.certificate.identity,
            vp=body.vp,
            receivers=_versions(one),
        )
        for one in request.progress
        if one.outcome is Outcome.EXECUTED and (named := charter.unit(one.unit)) is not None
    ]


def _versions(one: TargetProgress) -> dict[UnitId, int]:
    """In which state version each receiver made its importer key."""
    answers = (from_bytes(StateAnswer, proof.state.statement) for proof in one.receivers)
    return {answer.unit: answer.version for answer in answers}


def _view(one: UnitNow) -> UnitView:
    if one.problem is not None or one.state is None:
        raise Trouble(
            Exit.UNREACHABLE if one.problem is None else Exit.ALARM,
            f"{one.unit} can't be counted on: {one.problem or 'it was never in reach'}; nothing "
            "was filed",
            next="quorate tke cryptounits",
        )
    return UnitView(
        id=one.unit.unit,
        type=one.unit.type,
        location=one.unit.location,
        state=one.state,
        version=one.version,
    )
