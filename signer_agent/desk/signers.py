"""Whose signatures are there, verified over the real command bytes, and whose are missing."""

from dataclasses import dataclass

from protocol.charter import Charter
from protocol.commands.command import Command
from protocol.displayable import shown
from protocol.identifiers import SKI, short
from protocol.request import Request, TargetProgress, open_rejection
from protocol.signing.algorithms import verify
from protocol.unit_state import UnitState
from protocol.violations import Violation
from signer_agent.desk.screen import RejectionLine


@dataclass(frozen=True)
class Signatures:
    """The keys that have signed one target's command, and what was sent that doesn't count."""

    skis: frozenset[SKI]
    uncounted: tuple[str, ...]


def signatures_on(progress: TargetProgress, command: Command, state: UnitState) -> Signatures:
    """SIGNATURES_VERIFIED: only what verifies, by who is installed, is shown as signed."""
    good: set[SKI] = set()
    bad: list[str] = []
    for approval in progress.approvals:
        signer = state.administrator(approval.ski)
        if signer is None:
            bad.append(f"a signature by {short(approval.ski)}, who isn't installed")
            continue
        try:
            verify(signer.algorithm, signer.public_key, command.signing_bytes(), approval.signature)
        except Violation:
            bad.append(f"a signature said to be by {shown(signer.name)} that doesn't verify")
            continue
        good.add(approval.ski)
    return Signatures(skis=frozenset(good), uncounted=tuple(bad))


def rejections_of(request: Request, charter: Charter) -> tuple[RejectionLine, ...]:
    """Who has said No: verified, people of the charter, to this very request."""
    assert request.opening is not None
    found = []
    for signed in request.rejections:
        try:
            rejection = open_rejection(signed)
        except Violation:
            continue
        person = charter.custodian(rejection.custodian)
        if person is not None and rejection.request == request.opening.digest:
            found.append(
                RejectionLine(person=person.name, reason=rejection.reason, at=rejection.at)
            )
    return tuple(found)
