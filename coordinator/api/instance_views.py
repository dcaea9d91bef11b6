"""The instance as the API shows it."""

from collections.abc import Iterable, Mapping

from coordinator.api.facts import Facts
from coordinator.engine.ledger import Ledger
from coordinator.engine.units import Units
from coordinator.store.people import KnownCharter
from coordinator.wire.command_bodies import owner_of, person_of
from coordinator.wire.instance import (
    AdministratorView,
    AgentView,
    CharterVersion,
    InstanceView,
    KeyUserView,
    KeyView,
    PartView,
    RegisterView,
    StateView,
    UnitView,
)
from coordinator.wire.values import time_of
from coordinator.workflow.line import holds, in_order
from protocol.displayable import PersonName
from protocol.history import History
from protocol.identifiers import IdentityKey, UnitId, short
from protocol.location import Location, UnitType
from protocol.request import Announcement
from protocol.schema import from_bytes, to_bytes
from protocol.session.messages import AgentNews, KeyNews, News, PartNews
from protocol.unit_identity import UnitCertificate
from protocol.unit_state import Register


def instance_view(facts: Facts, units: Units, ledger: Ledger, news: Iterable[News]) -> InstanceView:
    """All of it. `news` are the newest on agents, keys and parts."""
    charter = facts.in_force
    certificates = dict(units.certificates)
    for version in reversed(facts.charters):
        certificates |= {unit.id: unit.certificate for unit in version.units}
    named = set() if charter is None else {unit.id for unit in charter.units}
    told = list(news)
    agents = {one.agent: one.person for one in told if isinstance(one, AgentNews)}
    ordered = sorted(certificates.items(), key=lambda one: _place(one[1]))
    return InstanceView(
        instance=facts.instance,
        practice=facts.practice,
        coordinator=ledger.keys.identity.hex(),
        log=ledger.keys.log.hex(),
        charter=None if charter is None else charter.number,
        rolled_back=ledger.rolled_back,
        units=tuple(
            _unit(unit, certificate, unit in named, facts, units) for unit, certificate in ordered
        ),
        agents=tuple(_agent(one) for one in told if isinstance(one, AgentNews)),
        keys=_keys(facts, told),
        parts=tuple(part for one in told if (part := _part(one, facts, agents)) is not None),
    )


def state_view(history: History, facts: Facts) -> StateView:
    """A unit's state after the last receipt that was seen."""
    state = history.state
    return StateView(
        version=len(history.entries),
        incarnation=history.incarnation.number,
        last_receipt=history.last_receipt.hex(),
        imprint=state.imprint,
        signature_threshold=state.signature_threshold,
        revocation_threshold=state.revocation_threshold,
        administrators=tuple(
            AdministratorView(
                name=one.name, ski=one.ski.hex(), person=owner_of(one.ski, facts.charters)
            )
            for one in state.administrators
        ),
        new=_register(state.new),
        current=_register(state.current),
        control_points=state.control_points,
        attributes=tuple(one.value for one in state.attributes),
        key_users=tuple(
            KeyUserView(
                name=one.name,
                public_key=one.public_key.hex(),
                rights=tuple(right.value for right in one.rights),
            )
            for one in state.key_users
        ),
    )


def charter_version(known: KnownCharter, accepted_by: Iterable[str]) -> CharterVersion:
    """A version of the charter."""
    charter = known.charter
    return CharterVersion(
        number=charter.number,
        digest=known.digest.hex(),
        in_force=known.in_force,
        accepted_by=tuple(accepted_by),
        people=tuple(person.name for person in charter.people),
        signatures=charter.floor.signatures,
        revocations=charter.floor.revocations,
        exit_people=charter.floor.exit_people,
        alone=charter.alone,
        document=to_bytes(charter),
    )


def _unit(
    unit: UnitId, certificate: UnitCertificate, in_charter: bool, facts: Facts, units: Units
) -> UnitView:
    history = units.histories.get(unit)
    return UnitView(
        id=unit.hex(),
        type=certificate.type,
        location=str(certificate.location),
        serial=certificate.serial,
        identity=certificate.identity.hex(),
        in_charter=in_charter,
        reachable=units.reachable(unit),
        state=None if history is None else state_view(history, facts),
        line=tuple(one.id for one in in_order(facts.standing) if unit in holds(one)),
    )


def _register(register: Register) -> RegisterView:
    return RegisterView(state=register.state, vp=None if register.vp is None else register.vp.hex())


def _agent(news: AgentNews) -> AgentView:
    return AgentView(person=news.person, identity=news.agent.hex(), enrolled=time_of(news.enrolled))


def _keys(facts: Facts, told: list[News]) -> tuple[KeyView, ...]:
    charter = facts.in_force
    offered = [one.key for one in told if isinstance(one, KeyNews)]
    named = [] if charter is None else [key for one in charter.people for key in one.keys]
    keys = {key.ski: key for key in (*offered, *named)}
    views = [
        KeyView(
            ski=ski.hex(),
            administrator=key.claim.administrator,
            algorithm=key.claim.algorithm.value,
            person=key.claim.person,
            in_charter=charter is not None and charter.owner_of(ski) is not None,
        )
        for ski, key in keys.items()
    ]
    return tuple(sorted(views, key=lambda one: (one.person, one.ski)))


def _part(news: News, facts: Facts, agents: Mapping[IdentityKey, PersonName]) -> PartView | None:
    if not isinstance(news, PartNews):
        return None
    announcement = from_bytes(Announcement, news.announcement.statement)
    if not announcement.offered:
        return None
    giver = announcement.custodian
    name = person_of(giver, facts.charters) or agents.get(giver) or short(giver)
    return PartView(vp=announcement.vp.hex(), description=announcement.description, custodian=name)


def _place(certificate: UnitCertificate) -> tuple[int, Location, str]:
    """Operational units first, then by location."""
    order = list(UnitType).index(certificate.type)
    return order, certificate.location, certificate.serial
