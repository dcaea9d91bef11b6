"""RFC 6962, section 2.1, word by word: slow, recursive, and used only to check the fast one.

It imports nothing of the code under test. `d` is the list of leaf data, as in the RFC.
"""

import hashlib
from collections.abc import Sequence

Leaves = Sequence[bytes]


def mth(d: Leaves) -> bytes:
    """2.1: the Merkle Tree Hash."""
    n = len(d)
    if n == 0:
        return hashlib.sha256().digest()
    if n == 1:
        return hashlib.sha256(b"\x00" + d[0]).digest()
    k = largest_power_of_two_below(n)
    return hashlib.sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: Leaves) -> list[bytes]:
    """2.1.1: the audit path of leaf m."""
    n = len(d)
    if n == 1:
        return []
    k = largest_power_of_two_below(n)
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def proof(m: int, d: Leaves) -> list[bytes]:
    """2.1.2: the consistency proof from the first m leaves, 0 < m <= n."""
    return subproof(m, d, True)


def subproof(m: int, d: Leaves, b: bool) -> list[bytes]:
    """2.1.2: b says whether the first m leaves are the tree whose root the verifier has."""
    n = len(d)
    if m == n:
        return [] if b else [mth(d)]
    k = largest_power_of_two_below(n)
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def largest_power_of_two_below(n: int) -> int:
    """k with k < n <= 2k."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k
