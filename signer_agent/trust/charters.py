"""The charter book: the versions that the agent knows, accepted, and has seen in force.

A version counts for this agent when its person accepted it and it is in force. Whether it is in
force the agent judges itself, from acceptances that it verified and histories that it verified; and
once a version was in force it is so for ever, so that is kept.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from protocol.accession import Accession, accession, as_it_was, overtaken
from protocol.charter import (
    MAX_PEOPLE,
    Acceptance,
    Chain,
    Charter,
    Coordinator,
    open_acceptance,
)
from protocol.displayable import InstanceName, PersonName
from protocol.history import History
from protocol.identifiers import SKI, Digest, IdentityKey, UnitId, grouped
from protocol.schema import from_bytes
from protocol.signing.statements import Signed
from protocol.violations import Violation
from quorate.exits import Exit
from signer_agent.objections import Objection, alarm, object_to

MAX_VERSIONS = 1000
_MAX_ACCEPTANCES = 2 * MAX_PEOPLE


@dataclass(frozen=True)
class Known:
    """A version and the acceptances that came with it; those prove nothing until opened."""

    charter: Charter
    acceptances: tuple[Signed, ...]


@dataclass(frozen=True)
class CharterBook:
    """All versions of one instance's charter that this agent has heard of.

    `accepted` is the newest version that this agent's person accepted, `agreed` all that they
    accepted one by one; `in_force` are those that are or were in force.
    """

    instance: InstanceName
    practice: bool
    known: Mapping[Digest, Known] = field(default_factory=dict)
    accepted: Digest | None = None
    agreed: frozenset[Digest] = frozenset()
    in_force: frozenset[Digest] = frozenset()

    # --- what it knows --------------------------------------------------------------------------

    def chain(self, version: Digest) -> Chain | None:
        """The versions up to this one; None while one isn't known, or where they can't follow."""
        found: list[Charter] = []
        digest: Digest | None = version
        while digest is not None:
            one = self.known.get(digest)
            if one is None or (found and one.charter.number + 1 != found[-1].number):
                return None
            found.append(one.charter)
            digest = one.charter.previous
        try:
            return Chain(reversed(found))
        except Violation:
            return None

    @cached_property
    def trusted(self) -> Chain | None:
        """The versions up to the newest one that this agent's person accepted."""
        return None if self.accepted is None else self.chain(self.accepted)

    @cached_property
    def ruling(self) -> Charter | None:
        """The newest version that is accepted here and in force."""
        return None if self.trusted is None else self._newest_in_force(self.trusted)

    @property
    def standing(self) -> tuple[Charter, ...]:
        """The accepted versions that are or were in force."""
        versions = () if self.trusted is None else self.trusted.versions
        return tuple(charter for charter in versions if charter.digest in self.in_force)

    @cached_property
    def overtaking(self) -> Charter | None:
        """A version in force that this agent's person hasn't accepted; nothing is signed then."""
        accepted = self._accepted_digests()
        ahead = [
            self.known[digest].charter
            for digest in self.in_force
            if digest in self.known and digest not in accepted
        ]
        return max(ahead, key=lambda charter: charter.number, default=None)

    @property
    def proposals(self) -> tuple[Charter, ...]:
        """Versions that could be accepted: whole chains that go on from what is accepted."""
        accepted = self._accepted_digests()
        found = []
        for digest, one in self.known.items():
            if digest in accepted:
                continue
            chain = self.chain(digest)
            if chain is None or (self.accepted is not None and chain.get(self.accepted) is None):
                continue
            found.append(one.charter)
        return tuple(sorted(found, key=lambda charter: (charter.number, charter.digest)))

    def acceptances(self, version: Digest) -> tuple[Acceptance, ...]:
        """Who is known to have accepted a version: verified, each person once."""
        return tuple(opened for opened, _ in self._acceptances(version).values())

    def signed_acceptances(self, version: Digest) -> tuple[Signed, ...]:
        """The same as they were signed."""
        return tuple(signed for _, signed in self._acceptances(version).values())

    def accession(self, version: Digest, histories: Mapping[UnitId, History]) -> Accession | None:
        """How far a version is on its way into force; None while its chain isn't whole."""
        chain = self.chain(version)
        if chain is None:
            return None
        return accession(
            chain.newest,
            self._newest_in_force(chain, before=version),
            self.acceptances(version),
            self._as_they_were(version, histories),
        )

    # --- what it hears --------------------------------------------------------------------------

    def heard(self, charter: Charter, acceptances: tuple[Signed, ...]) -> "CharterBook":
        """A version and acceptances, from the feed or a file. Violation for what can't be one."""
        if (charter.instance, charter.practice) != (self.instance, self.practice):
            raise Violation("a charter of another instance")
        before, known = self.known.get(charter.digest), dict(self.known)
        if before is None:
            charter.check()
            if len(known) >= MAX_VERSIONS:
                del known[self._least_missed()]
        there = () if before is None else before.acceptances
        # The newest first: what was made up before must not keep the real ones out.
        together = tuple(dict.fromkeys((*acceptances, *there)))[:_MAX_ACCEPTANCES]
        known[charter.digest] = Known(charter, together)
        return replace(self, known=known)

    def accept(self, version: Digest, signed: Signed) -> "CharterBook | Objection":
        """The person's Yes, with the acceptance that their agent signed."""
        chain = self.chain(version)
        if chain is None:
            return alarm(
                "the charter's earlier versions aren't all here; it wasn't accepted",
                expected="every version from the first on",
                found="a gap",
                next="connect, or take a file that holds all versions",
            )
        objection = self._goes_on(chain) or self._vouched_for(chain)
        if objection is not None:
            return objection
        book = self.heard(chain.newest, (signed,))
        return replace(book, accepted=version, agreed=self.agreed | {version})

    def judged(self, histories: Mapping[UnitId, History]) -> "CharterBook":
        """With the versions that have come into force by these verified histories."""
        book = self
        for digest, one in sorted(self.known.items(), key=lambda item: item[1].charter.number):
            if digest not in book.in_force and book._comes_into_force(one.charter, histories):
                book = replace(book, in_force=book.in_force | {digest})
        return book

    # --- rules ----------------------------------------------------------------------------------

    def _goes_on(self, chain: Chain) -> Objection | None:
        """A version is accepted only on top of what was accepted before."""
        if self.accepted is None or chain.get(self.accepted) is not None:
            return None
        accepted = self.known[self.accepted].charter
        return alarm(
            "this charter doesn't go on from the version that you accepted; it wasn't accepted",
            expected=f"version {accepted.number} among those that it follows",
            found=f"version {chain.newest.number} of another line",
            next="call the others: which version do they have?",
        )

    def _vouched_for(self, chain: Chain) -> Objection | None:
        """Versions in between, that this person never saw, came into force by people they knew."""
        if self.accepted is None:
            return None
        accepted = self.known[self.accepted].charter
        for charter in chain.versions[accepted.number : -1]:
            if charter.digest in self.in_force or charter.digest in self.agreed:
                continue
            return alarm(
                f"version {charter.number} of the charter never came into force, and this one "
                "follows it; it wasn't accepted",
                expected=f"version {charter.number} accepted by people of the one before",
                found=", ".join(one.person for one in self.acceptances(charter.digest)) or "nobody",
                next=f"make it anew, on top of version {accepted.number}: quorate charter new",
            )
        return None

    def _comes_into_force(self, charter: Charter, histories: Mapping[UnitId, History]) -> bool:
        chain = self.chain(charter.digest)
        found = self.accession(charter.digest, histories)
        if chain is None or found is None or not found.enough or found.outdated:
            return False
        if found.unknown - self._gone_since(charter):
            return False
        others = self.in_force - {one.digest for one in chain.versions}
        # Of two versions that follow the same one, the first stands.
        return not any(digest in self.known for digest in others)

    def _gone_since(self, charter: Charter) -> frozenset[UnitId]:
        """Units that an accepted later version no longer names: who comes late never sees them."""
        trusted = self.trusted
        if trusted is None or charter.digest == self.accepted:
            return frozenset()
        if trusted.get(charter.digest) is None:
            return frozenset()
        return frozenset(unit.id for unit in charter.units if trusted.newest.unit(unit.id) is None)

    def _least_missed(self) -> Digest:
        """The oldest version that was only proposed; Violation when there is none."""
        needed = self._accepted_digests() | self.agreed | self.in_force
        for digest in self.known:
            if digest not in needed:
                return digest
        raise Violation(f"more than {MAX_VERSIONS} versions of the charter")

    # --- bookkeeping ----------------------------------------------------------------------------

    def _accepted_digests(self) -> frozenset[Digest]:
        trusted = self.trusted
        if trusted is None:
            return frozenset()
        return frozenset(charter.digest for charter in trusted.versions)

    def _newest_in_force(self, chain: Chain, *, before: Digest | None = None) -> Charter | None:
        for charter in reversed(chain.versions):
            digest = charter.digest
            if digest in self.in_force and digest != before:
                return charter
        return None

    def _acceptances(self, version: Digest) -> dict[PersonName, tuple[Acceptance, Signed]]:
        chain = self.chain(version)
        if chain is None:
            return {}
        preceding = self._newest_in_force(chain, before=version)
        found: dict[PersonName, tuple[Acceptance, Signed]] = {}
        for signed in self.known[version].acceptances:
            try:
                opened = open_acceptance(signed, chain, preceding=preceding)
            except Violation:
                continue  # what doesn't verify isn't counted; others' answers come as they come
            if opened.charter == version:
                found.setdefault(opened.person, (opened, signed))
        return found

    def _as_they_were(
        self, version: Digest, histories: Mapping[UnitId, History]
    ) -> dict[UnitId, History]:
        """The histories before the first receipt under this version or a later accepted one.

        So that whoever comes late judges by the thresholds of then, and units that went through
        imprint mode again under a later version don't count against an earlier one.
        """
        number = self.known[version].charter.number
        trusted = self.trusted
        later = {version} | {
            charter.digest
            for charter in (() if trusted is None else trusted.versions)
            if charter.number > number
        }
        return {unit: as_it_was(history, later) for unit, history in histories.items()}


def own_entry(
    charter: Charter, me: PersonName, agent: IdentityKey, keys: Collection[SKI]
) -> Objection | None:
    """OWN_ENTRY: what a version says of this person is theirs: this agent, and keys of their own.

    Others can't know that, so the words that all read alike don't show it. `keys` are those that
    lie here, were offered from here, or stood in a version that this person accepted.
    """
    person = charter.person(me)
    if person is None:
        return None
    if person.agent != agent:
        return alarm(
            "the charter names another agent than this one for you; it wasn't accepted",
            expected=grouped(agent),
            found=grouped(person.agent),
            next="is that your new machine? Accept there. If not, call the others",
            rule="OWN_ENTRY",
        )
    strange = [key.ski for key in person.keys if key.ski not in keys]
    if not strange:
        return None
    return alarm(
        "the charter says of a signature key that it is yours, and it isn't here; it wasn't "
        "accepted",
        expected="keys that you offered, or whose files lie here",
        found=", ".join(grouped(ski) for ski in strange),
        next="is that key yours? Put its file here, then accept again. If not, call the others",
        rule="OWN_ENTRY",
    )


def not_overtaken(
    book: CharterBook, version: Digest, histories: Iterable[History]
) -> Objection | None:
    """NOT_OVERTAKEN: a version that can't come into force any more isn't accepted.

    Nothing else could be accepted in its place.
    """
    charter = book.known[version].charter
    units = [history.unit for history in histories if overtaken(charter, history)]
    if version in book.in_force or not units:
        return None
    places = [unit.certificate.location for unit in charter.units if unit.id in units]
    return object_to(
        Exit.REFUSED,
        f"version {charter.number} of the charter can't come into force any more; it wasn't "
        "accepted",
        expected="its units in imprint mode, or out of it before the receipt that it names",
        found=", ".join(map(str, places)),
        next="make it anew, with the units' newest receipts",
        rule="NOT_OVERTAKEN",
    )


def same_coordinator(one: Coordinator, other: Coordinator) -> bool:
    """Whether they are one, with one log, wherever it is reached."""
    return (one.identity, one.log) == (other.identity, other.log)


def own_acceptance(book: CharterBook, me: PersonName) -> Signed | None:
    """This person's Yes to the newest version that they accepted, while it isn't in force."""
    version = book.accepted
    if version is None or version in book.in_force:
        return None
    signed = book.signed_acceptances(version)
    return next((one for one in signed if claimed_person(one) == me), None)


def claimed_person(signed: Signed) -> PersonName:
    """Whose acceptance it says that it is; not verified."""
    return from_bytes(Acceptance, signed.statement).person


def accepted_version(signed: Signed) -> Digest:
    """Which version it says that it is for; not verified."""
    return from_bytes(Acceptance, signed.statement).charter
