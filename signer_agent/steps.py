"""The durable steps of a signer agent, by name: where a test can end its process."""

BEFORE_COMMIT = "agent: any step of the store, before commit"
COMMITTED = "agent: any step of the store, after commit"
"""Whatever is written, the steps below and all others: `name:n` is the nth of a life."""
IDENTITY_MADE = "agent: identity made, before the settings"
ENROLLED = "agent: enrolled, before the invitation is put away"
OFFER_WRITTEN = "agent: offer written, before the key file"
KEY_FILE_WRITTEN = "agent: key file written, before it is offered"
PART_FILE_WRITTEN = "agent: part file written, before it is announced"
BEFORE_PUBLICATION_KEPT = "agent: before a publication is kept"
PUBLICATION_KEPT = "agent: publication kept, before it is sent"
BEFORE_SIGNATURE_KEPT = "agent: before the signature is kept"
SIGNATURE_KEPT = "agent: signature kept, before it is sent"
SENT = "agent: sent, before it is acknowledged"
ACKNOWLEDGED = "agent: acknowledged, before its person is told"
CHARTER_ACCEPTED = "agent: charter accepted, before it is sent"
NEWS_KEPT = "agent: news kept, before the cursor"
CURSOR_KEPT = "agent: cursor kept"
BEFORE_SEEN_KEPT = "agent: before what was seen of units and log is kept"
SEEN_KEPT = "agent: what was seen of units and log kept"
USE_KEPT = "agent: use of a policy kept, before it signs"

STEPS = (
    BEFORE_COMMIT,
    COMMITTED,
    IDENTITY_MADE,
    ENROLLED,
    OFFER_WRITTEN,
    KEY_FILE_WRITTEN,
    PART_FILE_WRITTEN,
    BEFORE_PUBLICATION_KEPT,
    PUBLICATION_KEPT,
    BEFORE_SIGNATURE_KEPT,
    SIGNATURE_KEPT,
    SENT,
    ACKNOWLEDGED,
    CHARTER_ACCEPTED,
    NEWS_KEPT,
    CURSOR_KEPT,
    BEFORE_SEEN_KEPT,
    SEEN_KEPT,
    USE_KEPT,
)
