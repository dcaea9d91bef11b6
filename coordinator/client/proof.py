"""Checks what a coordinator says of a request: whatever is signed, against the charter it gave.

So "verified" means here that units and people of that charter said it. Whether the charter is the
right one, this machine can't tell: custodians' agents can, and `quorate verify` with a charter from
somebody whom one trusts.
"""

from dataclasses import dataclass

from coordinator.wire.instance import Charters
from coordinator.wire.requests import Evidence
from protocol.charter import Charter
from protocol.displayable import PersonName
from protocol.identifiers import SKI, IdentityKey, UnitId
from protocol.receipts import Receipt, open_entry
from protocol.request import Request, TargetProgress, open_filing
from protocol.schema import from_bytes, to_bytes
from protocol.signing.algorithms import verify
from protocol.signing.statements import Signed
from protocol.violations import Violation


@dataclass(frozen=True)
class Checked:
    """A request, and what of it this machine has verified.

    `filed_by` is who signed the filing, `signed_by` whose signatures hold on every unit that they
    were given for, `receipts` the units whose receipts hold.
    """

    request: Request
    versions: tuple[Charter, ...]
    filed_by: PersonName | None
    signed_by: frozenset[PersonName]
    receipts: frozenset[UnitId]

    def name_of(self, ski: SKI) -> str | None:
        """Whose key it is, in the newest version that the coordinator gave."""
        owners = (charter.owner_of(ski) for charter in reversed(self.versions))
        return next((owner.name for owner in owners if owner is not None), None)


def check(evidence: Evidence, charters: Charters, coordinator: IdentityKey) -> Checked:
    """Verifies all of it. Violation where something that is signed doesn't hold."""
    request = from_bytes(Request, evidence.request)
    versions = tuple(from_bytes(Charter, one.document) for one in charters.versions)
    charter = _opened_under(request, versions)
    filed_by = _filer(request, versions)
    if request.opening is not None and request.opening.filing != request.filing.digest:
        raise Violation("what was opened isn't what was filed")
    if charter is None or charter.coordinator.identity != coordinator:
        return Checked(request, versions, filed_by, frozenset(), frozenset())
    charter.check()
    signers = [_signers(request, one, charter) for one in request.progress]
    ran = {one.unit for one in request.progress if _receipt_holds(request, one, charter)}
    everybody = frozenset[PersonName]().union(*signers)
    return Checked(request, versions, filed_by, everybody, frozenset(ran))


def _opened_under(request: Request, versions: tuple[Charter, ...]) -> Charter | None:
    opening = request.opening
    if opening is None:
        return None
    return next((one for one in versions if one.digest == opening.charter), None)


def _filer(request: Request, versions: tuple[Charter, ...]) -> PersonName | None:
    filing, signature = request.filing, request.signature
    if filing.custodian is None or signature is None:
        return None
    open_filing(Signed(statement=to_bytes(filing), signature=signature), filing.custodian)
    people = (charter.custodian(filing.custodian) for charter in reversed(versions))
    return next((person.name for person in people if person is not None), None)


def _signers(request: Request, progress: TargetProgress, charter: Charter) -> frozenset[PersonName]:
    message = request.command(progress.target).signing_bytes()
    found: set[PersonName] = set()
    for approval in progress.approvals:
        person = charter.owner_of(approval.ski)
        if person is None:
            continue
        key = next(key for key in person.keys if key.ski == approval.ski)
        verify(key.claim.algorithm, key.claim.public_key, message, approval.signature)
        found.add(person.name)
    return frozenset(found)


def _receipt_holds(request: Request, progress: TargetProgress, charter: Charter) -> bool:
    unit = charter.unit(progress.unit)
    if progress.receipt is None or unit is None:
        return False
    entry = open_entry(progress.receipt, unit.certificate.identity)
    expected = to_bytes(request.command(progress.target))
    if not isinstance(entry, Receipt) or entry.command != expected:
        raise Violation("a receipt for another command")
    return True
