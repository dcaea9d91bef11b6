"""Who asks for what: rules over the filing, and how it is shown."""

from protocol.charter import Charter
from protocol.commands.bodies import AddAdministrator, Body
from protocol.displayable import shown
from protocol.identifiers import short
from protocol.refusals import Rule, refuse
from protocol.request import Filing, Opening, Request, open_filing
from protocol.schema import to_bytes
from protocol.signing.statements import Signed
from protocol.violations import Violation
from signer_agent.desk.screen import FiledBy
from signer_agent.objections import CALL, NOTHING_SIGNED, Objection, alarm, refused


def same_instance(filing: Filing, opening: Opening, charter: Charter) -> Objection | None:
    """SAME_INSTANCE: filed for this instance; practice where the charter is, real where not."""
    if (filing.instance, opening.practice) == (charter.instance, charter.practice):
        return None
    return alarm(
        f"the request is for another instance; {NOTHING_SIGNED}",
        expected=f"{charter.instance}, practice: {_yes(charter.practice)}",
        found=f"{filing.instance}, practice: {_yes(opening.practice)}",
        next=CALL,
        rule="SAME_INSTANCE",
    )


def filing_unchanged(filing: Filing, opening: Opening) -> Objection | None:
    """FILING_UNCHANGED: what was opened is what was filed."""
    if opening.filing == filing.digest:
        return None
    return alarm(
        f"what was opened isn't what was filed; {NOTHING_SIGNED}",
        expected=f"filing {short(filing.digest)}",
        found=short(opening.filing),
        next=CALL,
        rule="FILING_UNCHANGED",
    )


def filer_in_charter(request: Request, charter: Charter) -> Objection | None:
    """FILER_IN_CHARTER: where a custodian filed it, they signed it and the charter names them."""
    filing = request.filing
    if filing.custodian is None:
        return None
    person = charter.custodian(filing.custodian)
    expected = f"somebody of charter version {charter.number}"
    if person is None:
        return alarm(
            f"the request was filed in the name of somebody outside your charter; {NOTHING_SIGNED}",
            expected=expected,
            found=f"the agent {short(filing.custodian)}",
            next=CALL,
            rule="FILER_IN_CHARTER",
        )
    if request.signature is not None:
        signed = Signed(statement=to_bytes(filing), signature=request.signature)
        try:
            open_filing(signed, filing.custodian)
        except Violation:
            pass
        else:
            return None
    return alarm(
        f"the request says that {person.name} filed it, and {person.name} didn't sign that; "
        f"{NOTHING_SIGNED}",
        expected=f"{person.name}'s signature over the filing",
        found="none that verifies",
        next=f"call {person.name}",
        rule="FILER_IN_CHARTER",
    )


def filed_by(request: Request, charter: Charter) -> FiledBy:
    """Who asks for it; all rules above must have let it pass."""
    filing = request.filing
    if filing.custodian is None:
        return FiledBy(name=str(filing.account), operator=True, verified=False, at=filing.at)
    person = charter.custodian(filing.custodian)
    name = short(filing.custodian) if person is None else person.name
    return FiledBy(name=name, operator=False, verified=person is not None, at=filing.at)


def newcomer_in_charter(body: Body, charter: Charter) -> Objection | None:
    """NOT_IN_CHARTER: only people of the charter in force become administrators, as it has them."""
    if not isinstance(body, AddAdministrator):
        return None
    owner = charter.owner_of(body.key.ski)
    if owner is not None and body.key in owner.keys:
        return None
    refusal = refuse(
        Rule.NOT_IN_CHARTER,
        expected=f"a key of charter version {charter.number}, under its name there",
        found=f"{short(body.key.ski)}, {shown(body.key.claim.administrator)[:250]}",
    )
    return refused(refusal, untouched=NOTHING_SIGNED)


def _yes(yes: bool) -> str:
    return "yes" if yes else "no"
