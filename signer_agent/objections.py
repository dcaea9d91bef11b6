"""Why the agent doesn't sign, give, accept or file something: an answer, with the values compared.

An objection is a value, like a refusal of the protocol, but wider: a unit that was captured, a log
that was forked, a clock that is off are no rule's No. It travels to the custodian's command, which
ends with its exit code.
"""

from protocol.refusals import Refusal
from protocol.schema import Struct
from quorate.exits import Exit, Trouble

NOTHING_SIGNED = "nothing was signed"
CALL = "call the others: what do they see?"


class Objection(Struct):
    """What is wrong and what to do. `what` also says what stayed untouched."""

    exit: Exit
    what: str
    expected: str | None
    found: str | None
    next: str | None
    rule: str | None
    returns: int | None
    reason: int | None

    def trouble(self) -> Trouble:
        """For the command that ends with it."""
        return Trouble(
            self.exit,
            self.what,
            expected=self.expected,
            found=self.found,
            next=self.next,
            rule=self.rule,
            returns=self.returns,
            reason=self.reason,
        )


def object_to(
    exit: Exit,
    what: str,
    *,
    expected: object = None,
    found: object = None,
    next: str | None = None,
    rule: str | None = None,
) -> Objection:
    """An objection of this agent's own."""
    return Objection(
        exit=exit,
        what=what,
        expected=None if expected is None else str(expected),
        found=None if found is None else str(found),
        next=next,
        rule=rule,
        returns=None,
        reason=None,
    )


def alarm(
    what: str, *, expected: object, found: object, next: str, rule: str | None = None
) -> Objection:
    """Something that no honest party does: call people, don't try again."""
    return object_to(Exit.ALARM, what, expected=expected, found=found, next=next, rule=rule)


def refused(refusal: Refusal, *, untouched: str, where: str = "") -> Objection:
    """A rule's No; `where` says on which units, `untouched` what didn't happen."""
    facts = refusal.facts
    return Objection(
        exit=Exit.REFUSED,
        what=f"{facts.says}; {untouched}",
        expected=refusal.expected,
        found=f"{refusal.found}{where}",
        next=facts.next_step,
        rule=refusal.rule.value,
        returns=facts.returns,
        reason=facts.reason,
    )


def of_trouble(trouble: Trouble) -> Objection:
    """What went wrong at the rim (a key file, the disk), to be told over the local socket."""
    return Objection(
        exit=trouble.exit,
        what=trouble.what,
        expected=None if trouble.expected is None else str(trouble.expected),
        found=None if trouble.found is None else str(trouble.found),
        next=trouble.next,
        rule=trouble.rule,
        returns=trouble.returns,
        reason=trouble.reason,
    )
