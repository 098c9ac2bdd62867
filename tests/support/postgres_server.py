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
        # Nothing has to survive a crash. With hundreds of databases, the launcher of autovacuum
        # would start a worker several times a second.
        settings = ("listen_addresses=", "shared_buffers=16MB", "fsync=off", "autovacuum=off",
                    "synchronous_commit=off", "full_page_writes=off")  # fmt: skip
        options = " -c ".join((f"-k {self._folder}", *settings))
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


def new_database(postgres_server: str, template: str = "template1") -> str:
    """Create a database as a copy of another one, which is empty unless given; its URL."""
    import psycopg

    name = f"store_{uuid.uuid4().hex[:12]}"
    # To copy the files is quicker than to log each page, which is what it does unless told.
    create = f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'
    with psycopg.connect(postgres_server.format(database="postgres"), autocommit=True) as server:
        server.execute(create)
    return postgres_server.format(database=name)


TEMPLATE = "a_catalogue"


def new_catalogue(postgres_server: str) -> str:
    """The URL of a database with the tables of an empty catalogue. They are created once: to create
    them takes several times as long as to copy them."""
    import psycopg

    from netwatch.store.opening import open_catalogue
    from netwatch.store.options import StoreOptions

    with psycopg.connect(postgres_server.format(database="postgres"), autocommit=True) as server:
        known = "SELECT 1 FROM pg_database WHERE datname = %s"
        if server.execute(known, [TEMPLATE]).fetchone() is None:
            # One that could not be filled is no template.
            server.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}_unfilled")
            server.execute(f"CREATE DATABASE {TEMPLATE}_unfilled")
            url = postgres_server.format(database=f"{TEMPLATE}_unfilled")
            open_catalogue(StoreOptions("s3://none", url), create=True).close()
            server.execute(f"ALTER DATABASE {TEMPLATE}_unfilled RENAME TO {TEMPLATE}")
    url = new_database(postgres_server, TEMPLATE)
    with psycopg.connect(url) as database:
        database.execute("UPDATE store SET id = %s", [uuid.uuid4().hex])
    return url
