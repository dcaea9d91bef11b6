"""The third kind of wrong: somebody can't be reached just now.

A *refusal* is an answer and a *violation* breaks the protocol; this is neither. Nothing is known
about whether what was asked for has happened, so everything that can end so is safe to ask again.
"""


class Unavailable(Exception):
    """Try again later. The text says who is out of reach and why, for people."""
