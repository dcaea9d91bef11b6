"""Saying No: signed with the agent's identity key, with a reason. It needs no review."""

from protocol.displayable import Reason
from protocol.identifiers import IdentityKey, Instant
from protocol.request import Rejection, Request
from protocol.session.messages import Reject
from protocol.signing.labels import Label
from protocol.signing.statements import Sign, sign_statement
from signer_agent.desk.filed import filing_unchanged
from signer_agent.desk.opening import request_ended, request_not_open
from signer_agent.objections import Objection


def reject(
    request: Request, custodian: IdentityKey, reason: Reason, *, sign: Sign, at: Instant
) -> Reject | Objection:
    """The rejection of a request that is open, of the very filing that is shown with it."""
    objection = request_ended(request) or request_not_open(request)
    if objection is not None:
        return objection
    assert request.opening is not None
    objection = filing_unchanged(request.filing, request.opening)
    if objection is not None:
        return objection
    rejection = Rejection(request=request.opening.digest, custodian=custodian, reason=reason, at=at)
    return Reject(rejection=sign_statement(Label.REJECTION, rejection, sign))
