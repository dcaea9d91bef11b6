"""The daemon's process: builds everything, serves until it is told to end."""

import asyncio
import secrets
from collections.abc import Callable

from quorate import clock, private_files, serving, state_lock
from signer_agent.daemon.agent import Agent
from signer_agent.daemon.link import Link
from signer_agent.daemon.script import Opened, Script
from signer_agent.directory import AgentDirectory
from signer_agent.kept import Kept
from signer_agent.keys import identity_file
from signer_agent.local import server
from signer_agent.store import AgentStore
from signer_agent.trust.charters import CharterBook


async def run(
    directory: AgentDirectory, *, ready: Callable[[], None], opened: Opened | None = None
) -> None:
    """Serves one person's agent until SIGTERM or SIGINT; `ready` once its commands are answered.

    `opened` is the person's policy, if they have one.
    """
    settings = directory.read()
    identity = identity_file.load(directory.path)
    with state_lock.owned(directory.path, owner="quorate agent run"):
        store = AgentStore(directory.store)
        try:
            book = CharterBook(instance=settings.instance, practice=settings.practice)
            agent = Agent(
                directory,
                settings,
                identity,
                Kept.load(store, book),
                now=clock.now,
                entropy=secrets.token_bytes,
            )

            def token() -> bytes | None:
                try:
                    return private_files.read(directory.invitation, limit=32)
                except FileNotFoundError:
                    return None

            def enrolled() -> None:
                private_files.remove(directory.invitation, untouched="it is used")

            agent.link = Link(
                settings,
                identity,
                agent.kept,
                token=token,
                enrolled=enrolled,
                now=clock.now,
                steady=clock.steady,
                entropy=secrets.token_bytes,
                on_news=agent.on_news,
                on_caught_up=agent.on_caught_up,
            )
            if opened is not None:
                agent.script = Script(agent, opened)
            async with server.listening(agent):
                told = serving.ending()
                working = [asyncio.create_task(agent.link.run())]
                if agent.script is not None:
                    working.append(asyncio.create_task(agent.script.run()))
                ending = asyncio.create_task(told.wait())
                ready()
                await asyncio.wait({*working, ending}, return_when=asyncio.FIRST_COMPLETED)
                for work in working:
                    if work.done():
                        work.result()
                for task in (*working, ending):
                    task.cancel()
                await asyncio.gather(*working, ending, return_exceptions=True)
        finally:
            if opened is not None:
                opened.wipe()
            store.close()
