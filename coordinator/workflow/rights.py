"""Who may steer a request: who filed it, and operators."""

from protocol.record.operations import Actor
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import Request


def not_your_request(request: Request, actor: Actor) -> Refusal | None:
    """NOT_YOUR_REQUEST: a custodian steers what they filed; whether an account may, its role says.

    Custodians who don't want somebody else's request say No to it, signed.
    """
    if actor.account is not None or request.filing.custodian == actor.custodian:
        return None
    return refuse(
        Rule.NOT_YOUR_REQUEST,
        expected="a request that you filed",
        found=f"request {request.id}, filed by somebody else",
    )
