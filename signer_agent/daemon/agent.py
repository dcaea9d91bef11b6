"""What the daemon does for its person: between the desk, the link, the store and the key files."""

import asyncio

import structlog

from protocol.charter import Acceptance, Charter
from protocol.displayable import Reason
from protocol.files.keyfile import KeyFileError
from protocol.identifiers import (
    SKI,
    VP,
    Digest,
    Nonce,
)
from protocol.request import Request
from protocol.sealing import hpke
from protocol.secrets import Secret
from protocol.session.messages import (
    Accept,
    Done,
    OfferKey,
    ProposeCharter,
    Publication,
    Refused,
    RequestNews,
)
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from protocol.violations import Violation
from quorate import crash_points
from quorate.exits import Exit, Trouble
from signer_agent.daemon.awaited import awaited
from signer_agent.daemon.lookout import Lookout
from signer_agent.desk.approve import any_wanted, approve, lacks_key_file, signature_wanted
from signer_agent.desk.contribute import contribute, part_wanted
from signer_agent.desk.filing import Wish, file, idempotency_key_used
from signer_agent.desk.reject import reject
from signer_agent.desk.review import Review, review
from signer_agent.desk.screen import Screen, what_changed
from signer_agent.kept import Sent
from signer_agent.keys import part_files, signature_files
from signer_agent.keys.troubles import as_trouble, of_unusable
from signer_agent.local.messages import FilePassword
from signer_agent.objections import Objection, alarm, object_to, of_trouble, refused
from signer_agent.steps import (
    BEFORE_PUBLICATION_KEPT,
    BEFORE_SIGNATURE_KEPT,
    CHARTER_ACCEPTED,
    PUBLICATION_KEPT,
    SIGNATURE_KEPT,
)
from signer_agent.trust.charters import not_overtaken, own_entry, same_coordinator
from signer_agent.trust.witness import forked, rolled_back, with_log

_log = structlog.get_logger("agent")


class Agent(Lookout):
    """One person's agent: what they do by it."""

    # --- charters -------------------------------------------------------------------------------

    async def accept(self, version: Digest) -> Objection | None:
        """The person's Yes to a version, signed and sent: to the coordinator that it names."""
        known = self.kept.book.known.get(version)
        if known is None:
            return object_to(
                Exit.REFUSED, "no such charter version is known here", next="quorate charter show"
            )
        charter = known.charter
        stranger = own_entry(charter, self.settings.person, self.identity.key, self._own_keys())
        if stranger is not None:
            return stranger
        late = not_overtaken(
            self.kept.book, version, [one.history for one in self.kept.memory.units.values()]
        )
        if late is not None:
            return late
        acceptance = Acceptance(
            charter=version,
            instance=charter.instance,
            number=charter.number,
            person=self.settings.person,
            at=self.now(),
        )
        signed = sign_statement(Label.ACCEPTANCE, acceptance, self.identity.sign)
        book = self.kept.book.accept(version, signed)
        if isinstance(book, Objection):
            return book
        moves = not same_coordinator(self.link.coordinator, charter.coordinator)
        with self.kept.step():
            self.kept.set_book(book)
            self.kept.set_witness(with_log(self.kept.witness, charter.coordinator.log))
            if moves:
                self.kept.moved(charter.number)
            sent = self.kept.keep_sent(Accept(acceptance=signed), None)
        crash_points.crash_point(CHARTER_ACCEPTED)
        if moves:
            self.shorter = None
            await self.link.hang_up()
            await self._tell_changed()
            return None  # what is kept is sent once the new one is in reach
        return _refusal(await self._deliver(sent)) if self.link.connected else None

    def _own_keys(self) -> frozenset[SKI]:
        """Signature keys that are this person's, as far as this machine knows."""
        here = {file.ski for file in signature_files.list_in(self.directory.keys).usable}
        offered = {
            one.publication.key.ski
            for one in self.kept.sent.values()
            if isinstance(one.publication, OfferKey)
        }
        accepted = self._accepted()
        before = None if accepted is None else accepted.person(self.settings.person)
        known = set() if before is None else {key.ski for key in before.keys}
        return frozenset(here | offered | known)

    async def propose(self, charter: Charter) -> Objection | None:
        """A new version, for all to accept."""
        self.kept.set_book(self.kept.book.heard(charter, ()))
        return await self.publish(ProposeCharter(charter=charter), None)

    # --- publishing -----------------------------------------------------------------------------

    async def publish(self, publication: Publication, request: Digest | None) -> Objection | None:
        """Keeps it in the outbox, then sends it."""
        return _refusal(await self.send(publication, request))

    async def send(
        self, publication: Publication, request: Digest | None
    ) -> Done | Refused | Objection:
        """The coordinator's answer to a publication that is kept first.

        Unavailable when it doesn't answer now; then what is kept is sent again by itself.
        """
        crash_points.crash_point(BEFORE_PUBLICATION_KEPT)
        sent = self.kept.keep_sent(publication, request)
        crash_points.crash_point(PUBLICATION_KEPT)
        return await self._deliver(sent)

    async def _deliver(self, sent: Sent) -> Done | Refused | Objection:
        """The answer to what was kept; an alarm where it is none: for it is out all the same."""
        try:
            return await self.link.send(sent)
        except Violation as violation:
            _log.error("the coordinator broke the protocol", why=str(violation))
            return alarm(
                f"the coordinator broke the protocol: {violation}",
                expected="that it stores what it was sent, or refuses it",
                found="neither. It is kept here and sent again",
                next="call the people who run it. What was signed can't be taken back",
            )

    async def offer(self, offered: OfferKey) -> Objection | None:
        """A signature key for the next charter version."""
        offered.key.check()
        return await self.publish(offered, None)

    async def announce(self, vp: VP, description: str, *, offered: bool) -> Objection | None:
        """That a part can be given, or no longer."""
        return await self.publish(self._announcement(vp, description, offered=offered), None)

    async def file(self, wish: Wish) -> int | Objection:
        """Files a command, once it was checked; gives the request's id.

        The same idempotency key files once: then, and ever after, it gives that id. A filing whose
        answer didn't come is sent again, where the same is asked for.
        """
        key = wish.idempotency_key
        if key is not None and key in self.kept.filed:
            return self._filed_before(wish, self.kept.filed[key])
        before = awaited(self.kept, wish)
        if before is not None:
            sent, filing = before
            used = idempotency_key_used(wish, filing, "a filing that is on its way")
            return used or _filed(await self._deliver(sent))
        evidence = await self.look()
        if isinstance(evidence, Objection):
            return evidence
        made = file(
            wish,
            self.seat(),
            evidence,
            sign=self.identity.sign,
            at=self.now(),
            nonce=Nonce(self.entropy(32)),
        )
        if isinstance(made, Objection):
            return made
        return _filed(await self.send(made, None))

    def _filed_before(self, wish: Wish, number: int) -> int | Objection:
        """The request that the idempotency key stands for."""
        news = self.kept.requests.get(number)
        if news is None:
            return number
        return idempotency_key_used(wish, news.request.filing, f"request {number}") or number

    # --- requests -------------------------------------------------------------------------------

    def request(self, number: int) -> RequestNews | Objection:
        """A request by its id."""
        news = self.kept.requests.get(number)
        if news is not None:
            return news
        return object_to(
            Exit.REFUSED,
            f"no request {number} is open",
            found=number,
            next="quorate agent pending",
            rule="NO_SUCH_REQUEST",
        )

    async def review(self, number: int) -> Review | Objection:
        """Reviews a request with evidence fetched now."""
        news = self.request(number)
        if isinstance(news, Objection):
            return news
        evidence = await self.look(note=news.checkpoint)
        if isinstance(evidence, Objection):
            return evidence
        newest = self.kept.requests[number]
        if newest.checkpoint == news.checkpoint:
            news = newest  # what came in meanwhile; the evidence is for it too
        numbers = {
            one.request.opening.digest: one.request.id
            for one in self.kept.requests.values()
            if one.request.opening is not None
        }
        return review(news, self.seat(), evidence, self.now(), numbers=numbers)

    async def approve(
        self, seen: Screen, signature: FilePassword | None, part: FilePassword | None
    ) -> tuple[int, int] | Objection:
        """Opens the key files, looks at everything afresh, and gives what is wanted.

        Nothing is given where what the person saw has changed; without a password it says why
        nothing is wanted. Gives how many units it was signed
        and sealed for.
        """
        key = value = None
        try:
            if signature is not None:
                key = await asyncio.to_thread(self._unlock_key, signature)
            if part is not None:
                value = await asyncio.to_thread(self._unlock_part, part)
            found = await self.review(seen.request)
            if isinstance(found, Objection):
                return found
            changes = what_changed(seen, found.screen)
            if changes:
                what, before, after = changes[0]
                return object_to(
                    Exit.ENDED,
                    f"what you saw of request {seen.request} has changed; nothing was signed",
                    expected=f"{what}: {before}",
                    found=after,
                    next=f"quorate agent show {seen.request}",
                )
            if signature is None and part is None:
                return self._nothing_usable(found) or any_wanted(found, self.seat()) or (0, 0)
            return await self.give(found, key, value)
        except Trouble as trouble:
            return of_trouble(trouble)
        finally:
            if key is not None:
                key.wipe()
            if value is not None:
                value.wipe()

    def _nothing_usable(self, found: Review) -> Objection | None:
        """What is wrong with the key file here, where that is why nothing is wanted."""
        unusable = signature_files.list_in(self.directory.keys).unusable
        if not unusable or not lacks_key_file(found, self.seat()):
            return None
        why, file = unusable[0].why, unusable[0].path.name
        return of_trouble(
            of_unusable(why, file, untouched="nothing was signed", again="approve again")
        )

    async def give(
        self, found: Review, key: signature_files.UnlockedKey | None, value: Secret | None
    ) -> tuple[int, int] | Objection:
        """Signs with `key` and gives the part `value`, for a request reviewed just now.

        Gives how many units it was signed and sealed for.
        """
        signed = await self._sign(found, key) if key is not None else 0
        if isinstance(signed, Objection):
            return signed
        sealed = await self._give(found, value) if value is not None else 0
        if isinstance(sealed, Objection):
            # What was signed is out, and can't be taken back: it is said first.
            gone = f"signed for {signed} units, but your part wasn't given: " if signed else ""
            return sealed.but(what=gone + sealed.what)
        return signed, sealed

    async def _sign(self, found: Review, key: signature_files.UnlockedKey) -> int | Objection:
        seat = self.seat()
        objection = signature_wanted(found, seat, key.ski)
        if objection is not None:
            return objection
        signing = approve(found, seat, key.ski, key.sign, at=self.now())
        crash_points.crash_point(BEFORE_SIGNATURE_KEPT)
        with self.kept.step():
            self.kept.set_memory(self.kept.memory.signed(signing.given), {})
            sent = self.kept.keep_sent(signing.publication, found.screen.digest)
        crash_points.crash_point(SIGNATURE_KEPT)
        objection = _refusal(await self._deliver(sent))
        return objection or len(signing.publication.approvals)

    async def _give(self, found: Review, value: Secret) -> int | Objection:
        wanted = part_wanted(found, self.seat())
        if isinstance(wanted, Objection):
            return wanted
        publication = contribute(
            found,
            self.identity.key,
            value,
            seal=lambda plain, public, info: hpke.seal(plain, public, info=info),
            sign=self.identity.sign,
        )
        objection = await self.publish(publication, found.screen.digest)
        return objection or len(publication.contributions)

    async def reject(self, number: int, reason: Reason) -> Objection | None:
        """Says No."""
        news = self.request(number)
        if isinstance(news, Objection):
            return news
        made = reject(
            news.request, self.identity.key, reason, sign=self.identity.sign, at=self.now()
        )
        if isinstance(made, Objection):
            return made
        opening = news.request.opening
        return await self.publish(made, None if opening is None else opening.digest)

    def alarm(self) -> Objection | None:
        """LOG_GOES_ON: what is to be said whatever is asked; None where the log goes on."""
        instance, witness = self.settings.instance, self.kept.witness
        if self.shorter is not None:
            return rolled_back(self.shorter, instance)
        return None if witness is None else forked(witness, instance)

    def waiting(self) -> tuple[Request, ...]:
        """The requests that have not ended, by id."""
        return tuple(
            news.request for _, news in sorted(self.kept.requests.items()) if not news.request.ended
        )

    # --- key files ------------------------------------------------------------------------------

    def _unlock_key(self, given: FilePassword) -> signature_files.UnlockedKey:
        file = signature_files.open_file(self.directory.keys / given.file)
        with Secret(given.password) as password:
            try:
                return file.unlock(password, practice=self.settings.practice)
            except KeyFileError as error:
                raise as_trouble(
                    error, given.file, untouched="nothing was signed", again="approve again"
                ) from None

    def _unlock_part(self, given: FilePassword) -> Secret:
        file = part_files.open_file(self.directory.keys / given.file)
        with Secret(given.password) as password:
            try:
                return file.unlock(password, practice=self.settings.practice)
            except KeyFileError as error:
                raise as_trouble(
                    error, given.file, untouched="nothing was given", again="approve again"
                ) from None


def _filed(answer: Done | Refused | Objection) -> int | Objection:
    if isinstance(answer, Objection):
        return answer
    if isinstance(answer, Refused):
        return refused(answer.refusal, untouched="nothing was filed")
    if answer.request is None:
        raise Violation("a filing without a request")
    return answer.request


def _refusal(answer: Done | Refused | Objection) -> Objection | None:
    if isinstance(answer, Objection):
        return answer
    if isinstance(answer, Refused):
        return refused(answer.refusal, untouched="nothing was stored")
    return None
