"""A PostgreSQL server for tests: made anew, on a socket in a directory of its own.

It needs PostgreSQL's programs on this machine, from the PATH or where Debian puts them; a test that
finds none says how to get them. PostgreSQL won't run as root, so there it runs as somebody else.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_DEBIAN = "usr/lib/postgresql/*/bin"
_OTHERS = ("postgres", "nobody")
_FAST = ("-c", "fsync=off", "-c", "listen_addresses=", "-c", "max_connections=40")


def programs() -> Path:
    """The directory of `initdb` and `pg_ctl`; skips the test where there is none."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else sorted(Path("/").glob(_DEBIAN))
    for place in reversed(found):
        if (place / "initdb").exists() and (place / "pg_ctl").exists():
            return place
    pytest.skip("no PostgreSQL here: sudo apt install postgresql")


@contextmanager
def server() -> Iterator[Path]:
    """A server that runs; gives the directory of its socket."""
    place = programs()
    with tempfile.TemporaryDirectory(prefix="quorate-pg-") as made:
        directory, who = Path(made), _somebody()
        if who is not None:
            os.chown(directory, who.pw_uid, who.pw_gid)

        def run(*command: object) -> None:
            user = None if who is None else who.pw_uid
            done = subprocess.run(
                [*map(str, command)],
                cwd=directory,
                user=user,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 0, done.stdout

        data, log = directory / "data", directory / "log"
        run(place / "initdb", "-D", data, "-A", "trust", "-U", "quorate", "--no-sync")
        options = " ".join(("-k", str(directory), *_FAST))
        control = (place / "pg_ctl", "-D", data, "-w", "-l", log)
        run(*control, "-o", options, "start")
        try:
            yield directory
        finally:
            run(*control, "-m", "immediate", "stop")


def make_database(socket: Path, name: str) -> str:
    """An empty database; its URL."""
    import psycopg

    with psycopg.connect(
        host=str(socket), user="quorate", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return f"postgresql://quorate@/{name}?host={socket}"


def _somebody() -> pwd.struct_passwd | None:
    """Whom the server runs as; None where this user will do."""
    if os.geteuid() != 0:
        return None
    for name in _OTHERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("root can't run PostgreSQL, and there is nobody else here")
