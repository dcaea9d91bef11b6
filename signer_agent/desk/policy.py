"""Scripts: a policy answers for its person, as far as the person wrote down beforehand.

A policy names one filer by their agent's identity key. It answers a filing that they signed, of
exactly a kind, parameters, targets and purpose that it names, with the signature key or key part
that it names, a stated number of times until a stated end. The filer's signature covers the
filing's own nonce, so each filing is answered once for each target, however often it is opened.
All rules of the review come first; whatever else is out of the ordinary waits for the person.

Each use has to be durable before anything is signed: `answer` gives the uses to be kept. What
somebody who holds coordinator and filer could do with it: `docs/howto/scripted-agents.md`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import msgspec

from protocol.commands import wording
from protocol.commands.bodies import AddAdministrator, Body, LoadNewRegister, kind_of
from protocol.displayable import Purpose
from protocol.identifiers import (
    SKI,
    VP,
    Bytes32,
    Digest,
    Duration,
    IdentityKey,
    Instant,
    Nonce,
    UnitId,
)
from protocol.schema import Struct, Variant, to_bytes
from signer_agent.desk import load
from signer_agent.desk.consequences import ALONE
from signer_agent.desk.review import Review
from signer_agent.desk.reviewed import ReviewedTarget

# what a policy names


class Exactly(Variant, tag="exactly"):
    """This command with these parameters."""

    body: Body


class Adding(Variant, tag="adding"):
    """The addition of an administrator: the key as the charter in force has it."""

    ski: SKI


class AboutKey(Variant, tag="about-key"):
    """A command of this kind about the master key with this VP."""

    command: str
    vp: VP


class AboutKeyOfParts(Variant, tag="about-key-of-parts"):
    """A command of this kind about the master key whose load receipt holds exactly these parts."""

    command: str
    parts: Annotated[tuple[Bytes32, ...], msgspec.Meta(min_length=2, max_length=3)]


What = Exactly | Adding | AboutKey | AboutKeyOfParts


class Allowed(Struct):
    """What is answered, with which signature key or part, and how often. Targets ascend."""

    what: What
    targets: Annotated[tuple[UnitId, ...], msgspec.Meta(min_length=1, max_length=32)]
    purpose: Purpose
    valid_for: Duration
    times: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    signature: SKI | None
    part: VP | None

    def invariant(self) -> str | None:
        if list(self.targets) != sorted(set(self.targets)):
            return "targets are not each there once, in ascending order"
        if self.signature is None and self.part is None:
            return "a rule gives a signature, a part or both"
        return None


class Policy(Struct):
    """What one person wrote down for one filer."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    filer: IdentityKey
    until: Instant
    allowed: Annotated[tuple[Allowed, ...], msgspec.Meta(min_length=1, max_length=64)]

    def rule(self, allowed: Allowed) -> Digest:
        """What a rule's uses are counted under: all that it says, with filer and end."""
        said = to_bytes(self.but(name="rule", allowed=(allowed,)))
        return Digest(hashlib.sha256(said).digest())


class Use(Struct):
    """That a filing was answered for one target. It is kept before anything is signed."""

    rule: Digest
    filer: IdentityKey
    nonce: Nonce
    unit: UnitId
    request: Digest
    at: Instant


# what it answers


@dataclass(frozen=True)
class Answer:
    """What the policy gives, and the uses to keep before it is given."""

    signature: SKI | None
    part: VP | None
    uses: tuple[Use, ...]


@dataclass(frozen=True)
class Waits:
    """It waits for the person, and why."""

    why: str


def answer(policy: Policy, uses: Iterable[Use], review: Review, *, now: Instant) -> Answer | Waits:
    """What the policy answers to a reviewed request; `uses` are all that were ever kept."""
    uses = tuple(uses)
    rule = _rule_for(policy, review)
    if rule is None:
        return Waits("no rule of the policy names this filing")
    for why in (
        *_after_its_end(policy, now),
        *_unusual(review),
        *_used(policy, rule, uses, review),
    ):
        return Waits(why)
    screen = review.screen
    keys = {key.ski for key in screen.keys}
    signature = rule.signature if rule.signature in keys else None
    at_hand = None if screen.part is None else screen.part.vp
    part = rule.part if rule.part == at_hand else None
    if signature is None and part is None:
        return Waits("nothing that the policy gives is wanted now")
    known = {(use.nonce, use.unit) for use in uses if use.filer == policy.filer}
    nonce = review.request.filing.nonce
    return Answer(
        signature=signature,
        part=part,
        uses=tuple(
            Use(
                rule=policy.rule(rule),
                filer=policy.filer,
                nonce=nonce,
                unit=target.target.unit,
                request=screen.digest,
                at=now,
            )
            for target in review.targets
            if (nonce, target.target.unit) not in known
        ),
    )


def left(policy: Policy, uses: Iterable[Use], *, now: Instant) -> int:
    """How many more filings the policy would answer."""
    uses = tuple(uses)
    if now >= policy.until:
        return 0
    return sum(max(0, one.times - len(_filings(policy.rule(one), uses))) for one in policy.allowed)


# rules


def _rule_for(policy: Policy, review: Review) -> Allowed | None:
    """NAMED: the filer's own filing, of exactly what a rule says."""
    filing = review.request.filing
    if filing.custodian != policy.filer or not review.screen.filed_by.verified:
        return None
    if filing.step is not None or filing.voids is not None or filing.leave_out:
        return None
    for one in policy.allowed:
        said = (one.targets, one.purpose)
        if (
            said == (filing.targets, filing.purpose)
            and filing.valid_for <= one.valid_for
            and _is(one.what, review)
        ):
            return one
    return None


def _is(what: What, review: Review) -> bool:
    body = review.request.filing.body
    match what:
        case Exactly(body=named):
            return named == body
        case Adding(ski=ski):
            return isinstance(body, AddAdministrator) and body.key.ski == ski
        case AboutKey(command=command, vp=vp):
            return kind_of(body) == command and wording.key_of(body) == vp
        case AboutKeyOfParts(command=command, parts=parts):
            key = wording.key_of(body)
            return kind_of(body) == command and all(
                _made_of(target, key, parts) for target in review.targets
            )


def _made_of(target: ReviewedTarget, vp: VP | None, parts: tuple[bytes, ...]) -> bool:
    found = load.origin(target.history, vp)
    if found is None or not isinstance(found[0], LoadNewRegister):
        return False
    return sorted(part.vp for part in found[0].parts) == sorted(parts)


def _after_its_end(policy: Policy, now: Instant) -> Iterator[str]:
    """WITHIN_ITS_TIME: a policy ends."""
    if now >= policy.until:
        yield "the policy has ended"


def _unusual(review: Review) -> Iterator[str]:
    """NOTHING_UNUSUAL: what would make a person stop isn't for a policy to decide."""
    screen = review.screen
    if screen.rejections:
        yield "somebody has rejected it"
    if not all(target.fresh for target in review.targets):
        yield "a unit is out of reach"
    if len(review.targets) != len(review.request.filing.targets):
        yield "not all that it was filed for is open"
    usual = {ALONE}
    for target in review.targets:
        usual |= {*wording.cautions(target.command.body, target.state)}
    yield from (caution for caution in screen.cautions if caution not in usual)


def _used(policy: Policy, rule: Allowed, uses: tuple[Use, ...], review: Review) -> Iterator[str]:
    """ONCE_PER_TARGET, STATED_TIMES: each filing once for each target, and so many in all.

    The very same request may be answered again: after a crash the signatures are the same.
    """
    nonce = review.request.filing.nonce
    mine = [use for use in uses if (use.filer, use.nonce) == (policy.filer, nonce)]
    if any(use.request != review.screen.digest for use in mine):
        yield "this filing was answered before, when it was opened otherwise"
    answered = _filings(policy.rule(rule), uses)
    if nonce not in answered and len(answered) >= rule.times:
        yield f"the policy has answered as often as it may: {rule.times}"


def _filings(rule: Digest, uses: tuple[Use, ...]) -> set[Nonce]:
    return {use.nonce for use in uses if use.rule == rule}
