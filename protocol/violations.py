"""The second kind of wrong: a peer that doesn't keep to the protocol.

A *refusal* (`protocol.refusals`) is an answer: the rules say no. A *violation* is no answer at
all: what came is malformed, not canonical, of an unknown kind, or signed by the wrong key. Who
meets one closes the connection and says why; nobody turns it into a refusal.
"""


class Violation(Exception):
    """What a peer sent breaks the protocol. The text says how, without repeating its bytes."""
