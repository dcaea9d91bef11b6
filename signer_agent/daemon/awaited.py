"""A filing whose answer didn't come: whoever asks for the same again has that one sent again."""

from protocol.request import Filing
from protocol.session.messages import FileRequest
from signer_agent.desk.filing import Wish, same_wish
from signer_agent.kept import Kept, Sent, filing_of


def awaited(kept: Kept, wish: Wish) -> tuple[Sent, Filing] | None:
    """The filing in the outbox with the wish's idempotency key; without one, of the same wish."""
    for sent in kept.sent.values():
        publication = sent.publication
        if not isinstance(publication, FileRequest) or sent.acknowledged:
            continue
        filing = filing_of(publication)
        if wish.idempotency_key is not None:
            if publication.idempotency_key == wish.idempotency_key:
                return sent, filing
        elif same_wish(wish, filing):
            return sent, filing
    return None
