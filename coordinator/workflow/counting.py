"""Whose signatures and parts count for a request, and who could still give what is missing."""

from collections.abc import Iterable

from protocol.charter import Charter
from protocol.commands.bodies import Body, LoadNewRegister
from protocol.commands.command import Approval, Command, Contribution
from protocol.displayable import PersonName
from protocol.identifiers import SKI, VP, IdentityKey, short
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import Rejection, Request, TargetProgress
from protocol.schema import from_bytes
from protocol.sealing.contribution import open_contribution
from protocol.signing.algorithms import verify
from protocol.standing import could_still_sign, counted, counted_people
from protocol.violations import Violation


def approval_refusal(
    progress: TargetProgress, command: Command, approval: Approval, charter: Charter
) -> Refusal | None:
    """SIGNATURE_NOT_WANTED: an installed administrator's, of the charter, over these very bytes."""
    administrator = progress.state.administrator(approval.ski)
    expected = "a signature over this command by an installed administrator of the charter"
    if administrator is None or charter.owner_of(approval.ski) is None:
        return refuse(
            Rule.SIGNATURE_NOT_WANTED, expected=expected, found=f"key {approval.ski.hex()}"
        )
    try:
        verify(
            administrator.algorithm,
            administrator.public_key,
            command.signing_bytes(),
            approval.signature,
        )
    except Violation as violation:
        return refuse(Rule.SIGNATURE_NOT_WANTED, expected=expected, found=violation)
    return None


def person_signed_before(progress: TargetProgress, ski: SKI, charter: Charter) -> Refusal | None:
    """SIGNED_BEFORE: people are counted, so a second key of somebody who has signed isn't."""
    signed = [approval.ski for approval in progress.approvals]
    owner = charter.owner_of(ski)
    if owner is None or owner.name not in counted_people(charter, signed):
        return None
    return refuse(
        Rule.SIGNED_BEFORE,
        expected="a person who hasn't signed",
        found=f"{owner.name} again, with key {ski.hex()}",
    )


def contribution_refusal(
    progress: TargetProgress, command: Command, contribution: Contribution
) -> Refusal | None:
    """PART_NOT_WANTED: a part that the load names, from the custodian named for it, for it."""
    expected = "a part that this load names, signed by its custodian"
    try:
        part = open_contribution(contribution)
    except Violation as violation:
        return refuse(Rule.PART_NOT_WANTED, expected=expected, found=violation)
    if (part.vp, part.custodian) not in named_parts(command.body) or part.load != command.id:
        return refuse(Rule.PART_NOT_WANTED, expected=expected, found=f"part {part.vp.hex()}")
    return None


def named_parts(body: Body) -> frozenset[tuple[VP, IdentityKey]]:
    """The parts that a load names, with their custodians."""
    if not isinstance(body, LoadNewRegister):
        return frozenset()
    return frozenset((part.vp, part.custodian) for part in body.parts)


def given_parts(progress: TargetProgress) -> frozenset[tuple[VP, IdentityKey]]:
    """The parts that have come for this unit."""
    opened = (open_contribution(one) for one in progress.contributions)
    return frozenset((part.vp, part.custodian) for part in opened)


def have(progress: TargetProgress, charter: Charter) -> int:
    """How many of the signatures that are needed have come."""
    return counted(charter, [approval.ski for approval in progress.approvals])


def complete(request: Request, progress: TargetProgress, charter: Charter) -> bool:
    """Whether this unit could run it now: enough signatures, every part."""
    enough = have(progress, charter) >= progress.needed
    return enough and given_parts(progress) >= named_parts(request.filing.body)


def could_sign(progress: TargetProgress, charter: Charter) -> dict[SKI, PersonName]:
    """The installed keys that haven't signed and would count, with their owners."""
    signed = [approval.ski for approval in progress.approvals]
    return dict(could_still_sign(progress.state, signed, charter))


def still_possible(
    request: Request, progress: TargetProgress, charter: Charter, rejecting: frozenset[IdentityKey]
) -> bool:
    """Whether those who haven't said No can still complete it on this unit."""
    missing = named_parts(request.filing.body) - given_parts(progress)
    if any(custodian in rejecting for _, custodian in missing):
        return False
    signed = [approval.ski for approval in progress.approvals]
    willing = [
        ski
        for ski, name in could_sign(progress, charter).items()
        if (person := charter.person(name)) is not None and person.agent not in rejecting
    ]
    return counted(charter, [*signed, *willing]) >= progress.needed


def gave_all(request: Request, custodian: IdentityKey, charter: Charter) -> bool:
    """Whether this custodian has signed, and could neither sign nor give anything more."""
    person = charter.custodian(custodian)
    if person is None:
        return False
    open_ones = [one for one in request.progress if one.open]
    signed = {approval.ski for one in request.progress for approval in one.approvals}
    owed = frozenset().union(*(_owing(request, one) for one in open_ones))
    return (
        any(key.ski in signed for key in person.keys)
        and all(person.name not in could_sign(one, charter).values() for one in open_ones)
        and all(giver != custodian for _, giver in owed)
    )


def waiting_for(request: Request, charter: Charter) -> tuple[frozenset[PersonName], int, int]:
    """Who could give what is missing; how many have signed and are needed, where most are missing.

    Whoever said No isn't waited for.
    """
    open_ones = [one for one in request.progress if one.open]
    if not open_ones:
        return frozenset(), 0, 0
    names: set[PersonName] = set()
    for one in open_ones:
        if have(one, charter) < one.needed:
            names |= {*could_sign(one, charter).values()}
        names |= _names(charter, (custodian for _, custodian in _owing(request, one)))
    worst = max(open_ones, key=lambda one: one.needed - have(one, charter))
    names -= _names(charter, custodians_rejecting(request))
    return frozenset(names), have(worst, charter), worst.needed


def custodians_rejecting(request: Request) -> frozenset[IdentityKey]:
    """Who has said No and not changed their mind."""
    return frozenset(from_bytes(Rejection, one.statement).custodian for one in request.rejections)


def _names(charter: Charter, agents: Iterable[IdentityKey]) -> set[PersonName]:
    people = (charter.custodian(agent) for agent in agents)
    return {person.name for person in people if person is not None}


def _owing(request: Request, progress: TargetProgress) -> frozenset[tuple[VP, IdentityKey]]:
    return named_parts(request.filing.body) - given_parts(progress)


def describe(key: IdentityKey, charter: Charter) -> str:
    """A custodian's name, or a short form of a key that the charter doesn't know."""
    person = charter.custodian(key)
    return person.name if person is not None else short(key)
