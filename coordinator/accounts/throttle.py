"""How long one has to wait after failed attempts to log in.

A few are free; then each doubles the wait, up to a longest one. Nobody is locked out for good: who
can make an account fail can only delay its owner, and a one-time login isn't delayed by it.
"""

import hashlib
import ipaddress
from dataclasses import dataclass

from protocol.identifiers import DAY, MINUTE, SECOND, Duration, Instant


@dataclass(frozen=True)
class Policy:
    """`free` attempts cost nothing; `longest` is the longest wait; `forgotten` when all is well."""

    free: int
    longest: Duration
    forgotten: Duration = DAY


FOR_ACCOUNT = Policy(free=5, longest=Duration(15 * MINUTE))
FOR_ADDRESS = Policy(free=20, longest=Duration(15 * MINUTE))


@dataclass(frozen=True)
class Failures:
    """How many attempts have failed, and when the last one did."""

    count: int
    last: Instant


def allowed_from(failures: Failures | None, policy: Policy) -> Instant:
    """When the next attempt may be made."""
    if failures is None or failures.count < policy.free:
        return Instant(0)
    doublings = min(failures.count - policy.free, 20)
    return Instant(failures.last + min(policy.longest, SECOND << doublings))


def with_one_more(failures: Failures | None, policy: Policy, at: Instant) -> Failures:
    """After another attempt, which may still turn out well."""
    if failures is None or at - failures.last > policy.forgotten:
        return Failures(count=1, last=at)
    return Failures(count=failures.count + 1, last=at)


def account_key(name: str) -> bytes:
    """What the attempts on an account are counted under, whether there is one or not."""
    return hashlib.sha256(b"account\0" + name.encode("utf-8", "surrogatepass")).digest()


def address_key(address: str) -> bytes:
    """What the attempts from an address are counted under: an IPv6 network of /64 is one."""
    return hashlib.sha256(b"address\0" + _network(address).encode()).digest()


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
