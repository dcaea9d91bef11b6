"""How a coordinator tells a request otherwise than it was filed and opened."""

from collections.abc import Callable
from typing import Any

from protocol.displayable import Reason
from protocol.identifiers import VP
from protocol.request import Filing, Opening, Rejection, Request, TargetProgress
from protocol.schema import to_bytes
from protocol.session.messages import RequestNews
from protocol.signing.labels import Label, labelled
from protocol.signing.statements import Signed, sign_statement
from tests.cast.commands import NOON
from tests.cast.people import Custodian
from tests.cores.desk_world import World

GIVERS = 2
"""So many people's parts make the key of `loaded`."""


def loaded(world: World) -> VP:
    """The world's units are out of imprint mode and hold a new key of its first people's parts."""
    if world.units[0].state.imprint:
        world.initialise()
    for unit in world.units:
        unit.load([(one, one.part()) for one in world.people[:GIVERS]], world.people[:1])
    vp = world.units[0].state.new.vp
    assert vp is not None
    return vp


def bend(news: RequestNews, **changes: Any) -> RequestNews:
    """The same request with other fields."""
    return news.but(request=news.request.but(**changes))


def opening_of(news: RequestNews) -> Opening:
    """The opening of an opened request."""
    assert news.request.opening is not None
    return news.request.opening


def opened(news: RequestNews, **changes: Any) -> RequestNews:
    """The same request, opened otherwise."""
    return bend(news, opening=opening_of(news).but(**changes))


def refiled(news: RequestNews, by: Custodian | None = None, **changes: Any) -> RequestNews:
    """The same request, filed otherwise, and opened for that filing.

    Signed by nobody anew unless it says `by` whom.
    """
    filing = news.request.filing.but(**changes)
    signature = news.request.signature
    if by is not None:
        signature = signed_by(by, filing)
    opening = opening_of(news).but(filing=filing.digest)
    return bend(news, filing=filing, signature=signature, opening=opening)


def signed_by(who: Custodian, filing: Filing) -> Any:
    """Somebody's signature over a filing."""
    return who.identity.sign(labelled(Label.FILING, to_bytes(filing)))


def each(
    news: RequestNews, change: Callable[[Request, TargetProgress], TargetProgress]
) -> RequestNews:
    """The same request with every target changed."""
    request = news.request
    return bend(news, progress=tuple(change(request, one) for one in request.progress))


def no(news: RequestNews, who: Custodian, signer: Custodian) -> Signed:
    """A rejection in somebody's name, signed by this agent."""
    rejection = Rejection(
        request=opening_of(news).digest, custodian=who.agent, reason=Reason("no"), at=NOON
    )
    return sign_statement(Label.REJECTION, rejection, signer.identity.sign)
