"""A policy at work: answers for the person while the agent runs, and counts each use first.

The keys that the policy names are opened when the agent starts and stay open while it runs, in
this process's memory. Whatever the policy doesn't answer waits for the person, as without one.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from protocol.files.keyfile import MAX_BYTES, KeyFileError
from protocol.identifiers import SKI, VP
from protocol.request import Request
from protocol.secrets import Secret
from protocol.violations import Violation
from quorate import private_files
from quorate.crash_points import crash_point
from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable
from signer_agent.daemon.agent import Agent
from signer_agent.desk.layout import TAKES_ANSWERS
from signer_agent.desk.policy import Policy, Use, Waits, answer, left
from signer_agent.desk.policy_file import BadPolicy, parse_policy
from signer_agent.directory import AgentDirectory
from signer_agent.keys import part_files, signature_files
from signer_agent.keys.signature_files import UnlockedKey
from signer_agent.keys.troubles import as_trouble
from signer_agent.objections import Objection
from signer_agent.steps import USE_KEPT

Ask = Callable[[str], Secret]
"""The password of the key file that is named so."""

LOOK_AGAIN_SECONDS = 30.0
_MAX_POLICY_BYTES = 16 * MAX_BYTES
_USE = "use"
_log = structlog.get_logger("agent.script")


@dataclass(frozen=True)
class Opened:
    """A policy with the keys and parts that it names, opened."""

    policy: Policy
    keys: dict[SKI, UnlockedKey]
    parts: dict[VP, Secret]

    def wipe(self) -> None:
        """Overwrites what is open, as far as Python can."""
        for key in self.keys.values():
            key.wipe()
        for part in self.parts.values():
            part.wipe()


def open_policy(path: Path, directory: AgentDirectory, ask: Ask, *, practice: bool) -> Opened:
    """Reads the policy file and opens what it names; Trouble where anything isn't as it should be.

    Whoever can change the file decides what is signed, so it must be its user's alone.
    """
    try:
        text = private_files.read(path, limit=_MAX_POLICY_BYTES).decode()
        policy = parse_policy(text)
    except FileNotFoundError:
        raise Trouble(Exit.USAGE, f"there is no policy {path}", next="name another") from None
    except (BadPolicy, UnicodeDecodeError) as error:
        raise Trouble(
            Exit.USAGE, f"the policy {path} can't be used: {error}", next="mend it"
        ) from None
    keys: dict[SKI, UnlockedKey] = {}
    parts: dict[VP, Secret] = {}
    opened = Opened(policy, keys, parts)
    try:
        for one in policy.allowed:
            if one.signature is not None and one.signature not in keys:
                keys[one.signature] = _open_key(one.signature, directory, ask, practice=practice)
            if one.part is not None and one.part not in parts:
                parts[one.part] = _open_part(one.part, directory, ask, practice=practice)
    except BaseException:
        opened.wipe()
        raise
    return opened


def _open_key(ski: SKI, directory: AgentDirectory, ask: Ask, *, practice: bool) -> UnlockedKey:
    listed = signature_files.list_in(directory.keys).usable
    file = next((one for one in listed if one.ski == ski), None)
    if file is None:
        raise _not_here("signature key", ski, directory)
    with ask(file.path.name) as password:
        try:
            return file.unlock(password, practice=practice)
        except KeyFileError as error:
            raise _unopened(error, file.path.name) from None


def _open_part(vp: VP, directory: AgentDirectory, ask: Ask, *, practice: bool) -> Secret:
    listed = part_files.list_in(directory.keys).usable
    file = next((one for one in listed if one.vp == vp), None)
    if file is None:
        raise _not_here("key part", vp, directory)
    with ask(file.path.name) as password:
        try:
            return file.unlock(password, practice=practice)
        except KeyFileError as error:
            raise _unopened(error, file.path.name) from None


class Script:
    """Answers what the policy names, until cancelled."""

    def __init__(self, agent: Agent, opened: Opened) -> None:
        self._agent, self._opened = agent, opened
        self._uses = [use for _, use in agent.kept.store.all(_USE, Use)]
        self._looked: dict[int, Request] = {}

    @property
    def policy(self) -> Policy:
        """What it answers by."""
        return self._opened.policy

    def left(self) -> int:
        """How many more filings it would answer."""
        return left(self.policy, self._uses, now=self._agent.now())

    async def run(self) -> None:
        """Looks at every open request whenever it has changed, and now and then at all of them.

        For what made one wait may end without news of it: a charter comes into force, a clock is
        mended.
        """
        agent = self._agent
        while True:
            before = agent.changes
            await self.look()
            try:
                async with asyncio.timeout(LOOK_AGAIN_SECONDS), agent.changed:
                    while agent.changes == before:
                        await agent.changed.wait()
            except TimeoutError:
                self._looked.clear()

    async def look(self) -> None:
        """Answers what can be answered now."""
        for request in self._unseen():
            try:
                await self._try(request.id)
            except Unavailable as unavailable:
                _log.warning("not answered now", request=request.id, why=str(unavailable))
                return  # it is looked at again once a session stands
            except Violation as violation:
                _log.warning("not answered now", request=request.id, why=str(violation))
            self._looked[request.id] = request

    def _unseen(self) -> list[Request]:
        waiting = self._agent.waiting()
        ids = {request.id for request in waiting}
        self._looked = {number: one for number, one in self._looked.items() if number in ids}
        return [
            request
            for request in waiting
            if request.state in TAKES_ANSWERS and self._looked.get(request.id) != request
        ]

    async def _try(self, number: int) -> None:
        agent = self._agent
        found = await agent.review(number)
        if isinstance(found, Objection):
            _log.info("waits for the person", request=number, why=found.what)
            return
        decided = answer(self.policy, self._uses, found, now=agent.now())
        if isinstance(decided, Waits):
            _log.info("waits for the person", request=number, why=decided.why)
            return
        self._keep(decided.uses)
        key = None if decided.signature is None else self._opened.keys[decided.signature]
        part = None if decided.part is None else self._opened.parts[decided.part]
        given = await agent.give(found, key, part)
        if isinstance(given, Objection):
            _log.warning("not taken", request=number, why=given.what)
            return
        _log.info("answered", request=number, signed=given[0], sealed=given[1])

    def _keep(self, uses: tuple[Use, ...]) -> None:
        store = self._agent.kept.store
        with store.step():
            for use in uses:
                store.put(_USE, f"{use.filer.hex()} {use.nonce.hex()} {use.unit.hex()}", use)
        self._uses += uses
        crash_point(USE_KEPT)


def _not_here(what: str, name: bytes, directory: AgentDirectory) -> Trouble:
    return Trouble(
        Exit.USAGE,
        f"the policy names a {what} that no file here holds",
        expected=name.hex(),
        found=f"not in {directory.keys}",
        next="mend the policy, or put your copy of that file there",
    )


def _unopened(error: KeyFileError, file: str) -> Trouble:
    return as_trouble(error, file, untouched="the agent wasn't started", again="start it again")
