"""The durable steps of a signer agent, by name: where a test can end its process."""

BEFORE_SIGNATURE_KEPT = "agent: before the signature is kept"
SIGNATURE_KEPT = "agent: signature kept, before it is sent"
SENT = "agent: sent, before it is acknowledged"
NEWS_KEPT = "agent: news kept, before the cursor"
USE_KEPT = "agent: use of a policy kept, before it signs"

STEPS = (BEFORE_SIGNATURE_KEPT, SIGNATURE_KEPT, SENT, NEWS_KEPT, USE_KEPT)
