"""A PostgreSQL server in a folder of its own, reached by a socket there.

The tests and the benchmarks use it, so it does not depend on pytest.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

_BINARIES = Path("/usr/lib/postgresql")
_UNPRIVILEGED = ("postgres", "nobody")


def binaries() -> Path | None:
    """The folder of PostgreSQL's programs, of the newest version there is."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(_BINARIES.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


def _user() -> str | None:
    """The user as which PostgreSQL runs, which refuses root; None for this one."""
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _UNPRIVILEGED if name in known)


class PostgresError(Exception):
    """A command of PostgreSQL failed; the text is its output."""


class PostgresServer:
    """A server that does not run yet; `url` has ``{database}`` in place of the database."""

    def __init__(self, programs: Path) -> None:
        self._programs, self._user = programs, _user()
        self._folder = Path(tempfile.mkdtemp(prefix="netwatch-pg-", dir="/tmp"))
        if self._user is not None:
            os.chown(self._folder, pwd.getpwnam(self._user).pw_uid, -1)
        self.url = f"postgresql://netwatch@/{{database}}?host={self._folder}"
        self._run("initdb", "-U", "netwatch", "-A", "trust", "-E", "UTF8", "--locale=C",
                  "--no-sync")  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off -c shared_buffers=16MB"
        self._run("pg_ctl", "-w", "-t", "60", "-l", str(self._folder / "log"), "-o", options,
                  "start")  # fmt: skip

    def stop(self) -> None:
        """End it at once, as a crash would."""
        self._run("pg_ctl", "-w", "-t", "60", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Remove its files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        said = self._folder / "said"
        # Its output goes to a file: a server that has a pipe would let this call wait for ever.
        with said.open("wb") as file:
            done = subprocess.run(
                [str(self._programs / program), "-D", str(self._folder / "data"), *arguments],
                user=self._user, cwd=self._folder, stdout=file, stderr=file, check=False,
            )  # fmt: skip
        if done.returncode:
            log = self._folder / "log"
            more = log.read_text(errors="replace") if log.exists() else ""
            raise PostgresError(f"{program}: {said.read_text(errors='replace')}{more}")


def new_database(postgres_server: str) -> str:
    """Create a database; its URL."""
    import psycopg

    name = f"store_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.format(database="postgres"), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
    return postgres_server.format(database=name)
