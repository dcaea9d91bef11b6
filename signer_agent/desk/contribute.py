"""Giving a key part: sealed once for each target, to an importer key that the review checked."""

from protocol.identifiers import VP, IdentityKey, grouped
from protocol.refusals import Rule, refuse
from protocol.sealing.contribution import Seal, give_part, vp_of
from protocol.secrets import Secret
from protocol.session.messages import Contribute, UnitContribution
from protocol.signing.statements import Sign
from quorate.exits import Exit
from signer_agent.desk.review import Review
from signer_agent.desk.seat import HeldPart, Seat
from signer_agent.objections import Objection, object_to, refused

_UNTOUCHED = "nothing was given"


def contribute(
    review: Review, custodian: IdentityKey, part: Secret, *, seal: Seal, sign: Sign
) -> Contribute:
    """The part, sealed to each target that lacks it and signed with the agent's identity key.

    `part` is the one that `part_wanted` named; ValueError otherwise.
    """
    value = part.reveal()
    if review.screen.part_wanted != vp_of(value):
        raise ValueError("the request names another part of this custodian")
    contributions = []
    for target in review.targets:
        if vp_of(value) in target.given:
            continue
        assert target.importer is not None  # a load's targets are reviewed with theirs
        contribution = give_part(
            value, target.command, target.importer, custodian, seal=seal, sign=sign
        )
        contributions.append(UnitContribution(unit=target.target.unit, contribution=contribution))
    return Contribute(request=review.screen.digest, contributions=tuple(contributions))


def part_wanted(review: Review, seat: Seat) -> HeldPart | Objection:
    """The file whose part is wanted, found by its VP; why none is, or that it isn't here."""
    wanted = review.screen.part_wanted
    if wanted is None:
        return refused(
            refuse(
                Rule.PART_NOT_WANTED,
                expected="a load that names a part of yours and lacks it",
                found=review.screen.title,
            ),
            untouched=_UNTOUCHED,
        )
    found = next((part for part in seat.parts if part.vp == wanted), None)
    return found if found is not None else part_not_here(review, wanted, seat)


def part_not_here(review: Review, wanted: VP, seat: Seat) -> Objection:
    """PART_NOT_WANTED: no file here holds the part that the request names."""
    number = review.request.id
    follow = (
        "look for the right file: quorate tke mks. "
        f'None? quorate agent reject {number} --reason "..."'
    )
    if len(seat.parts) == 1:
        other = seat.parts[0]
        return object_to(
            Exit.REFUSED,
            f'the file "{other.name}" holds another part than request {number} names; {_UNTOUCHED}',
            expected=grouped(wanted),
            found=grouped(other.vp),
            next=follow,
            rule=Rule.PART_NOT_WANTED.value,
        )
    return object_to(
        Exit.REFUSED,
        f"no file here holds the part that request {number} names; {_UNTOUCHED}",
        expected=grouped(wanted),
        found=f"{len(seat.parts)} other parts",
        next=follow,
        rule=Rule.PART_NOT_WANTED.value,
    )
