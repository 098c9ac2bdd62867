"""Copies a store while it is being written to, and restores the copy.

A store is a catalogue and files that never change. So the catalogue is copied first, in one of its
states (the online backup of SQLite, `pg_dump` with an exported snapshot), and then the files that
this state lists. If compaction has replaced a file meanwhile, the catalogue is copied again. No
erasure may run while a store is copied, or the copy would keep the person.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import give_to_owner
from netwatch.core.system.files import O_CLOEXEC
from netwatch.store.database import FILE, server_url
from netwatch.store.fact_files import FactFiles
from netwatch.store.opening import UseLock
from netwatch.store.options import StoreOptions

ATTEMPTS = 20
"""How often to copy the catalogue again because compaction replaced files meanwhile."""

CONSOLE = "console.sqlite"
"""The accounts and the audit of a store with SQLite."""

DUMP = "catalogue.dump"
"""The catalogue of a store with PostgreSQL, with accounts and audit, as `pg_dump` writes it."""

STORE = "store"
"""The folder of a backup with the store."""

_CHUNK = 1 << 20
_MODE = 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_CLOEXEC


class ListedFile(NamedTuple):
    """A file of the store as its catalogue lists it."""

    path: str
    sha256: str


def copy_store(options: StoreOptions, folder: Path) -> list[str]:
    """Copy a store into `folder`, which is empty; returns the damage that was found, a sentence
    each. Raises `NetwatchError`."""
    files = FactFiles(options.path)
    with UseLock(options):
        for _ in range(ATTEMPTS):
            listed = _copy_catalogue(options, folder)
            damaged: list[str] = []
            try:
                for each in listed:
                    damaged += _copy_file(files, each, folder)
            except FileNotFoundError:
                continue
            _drop_others(folder, {each.path for each in listed})
            return damaged
    raise NetwatchError(
        f"{options.shown}: files that the catalogue lists are missing; netwatch store verify lists"
        " them"
    )


def _copy_catalogue(options: StoreOptions, folder: Path) -> list[ListedFile]:
    if options.catalogue:
        return _dump(server_url(options.catalogue), folder / DUMP)
    source = Path(options.path)
    if not (source / FILE).exists():
        raise NetwatchError(f"{source}: there is no store; 'netwatch scan --store' creates one")
    for name in (FILE, CONSOLE):
        if (source / name).exists():
            _copy_database(source / name, folder / name)
    with contextlib.closing(sqlite3.connect(folder / FILE)) as database:
        return [ListedFile(*row) for row in database.execute("SELECT path, sha256 FROM file")]


def _copy_database(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    os.close(os.open(target, _NEW, _MODE))
    try:
        with (
            contextlib.closing(
                sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
            ) as there,
            contextlib.closing(sqlite3.connect(target)) as here,
        ):
            there.backup(here)
    except sqlite3.Error as error:
        raise NetwatchError(f"{source}: {error}") from None


def _dump(url: URL, target: Path) -> list[ListedFile]:
    """Let `pg_dump` write the tables of the catalogue; returns the files listed in the same
    state."""
    engine = create_engine(url, isolation_level="REPEATABLE READ", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
            schema = connection.execute(text("SELECT current_schema()")).scalar_one()
            rows = connection.execute(text("SELECT path, sha256 FROM file")).all()
            options = [f"--snapshot={snapshot}", f"--table={schema}.*", f"--file={target}"]
            _run("pg_dump", url, "--format=custom", "--no-owner", *options)
    except SQLAlchemyError as error:
        raise NetwatchError(f"the catalogue cannot be read: {error}") from None
    target.chmod(_MODE)
    return [ListedFile(*row) for row in rows]


def evidence_paths(options: StoreOptions, folder: Path) -> list[Path]:
    """The evidence captures listed in a copied store."""
    query = "SELECT DISTINCT path FROM evidence ORDER BY path"
    if not options.catalogue:
        with contextlib.closing(sqlite3.connect(folder / FILE)) as database:
            return [Path(path) for (path,) in database.execute(query)]
    engine = create_engine(server_url(options.catalogue), poolclass=NullPool)
    with engine.connect() as connection:
        return [Path(path) for (path,) in connection.execute(text(query))]


def _run(program: str, url: URL, *words: str) -> None:
    """Run a PostgreSQL program on a database. Its password is not an argument, because others can
    see those."""
    found = shutil.which(program)
    if found is None:
        raise NetwatchError(f"{program}: is not installed (Debian: apt install postgresql-client)")
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    place = url.set(drivername="postgresql", password=None).render_as_string()
    done = subprocess.run(
        [found, f"--dbname={place}", *words], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise NetwatchError(f"{program}: {' '.join(done.stderr.split())[:500]}")


def _copy_file(files: FactFiles, listed: ListedFile, folder: Path) -> list[str]:
    """Copy a file, unless an earlier attempt did; returns what is wrong with it. Raises
    `FileNotFoundError` if it is gone."""
    target = folder / listed.path
    if target.exists():
        return []
    try:
        with files.open(listed.path) as source:
            found = write_new(target, iter(lambda: source.read(_CHUNK), b""))
    except NetwatchError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise FileNotFoundError(listed.path) from None
        raise
    if found != listed.sha256:
        return [f"{listed.path}: its content is not what was written"]
    return []


def write_new(target: Path, chunks: Iterator[bytes], mode: int = _MODE) -> str:
    """Write a new file, with the folders above it, and flush it to the disk; returns its
    SHA-256."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = hashlib.sha256()
    descriptor = os.open(target, _NEW, mode)
    with os.fdopen(descriptor, "wb") as stream:
        give_to_owner(descriptor, target.parent)
        for chunk in chunks:
            found.update(chunk)
            stream.write(chunk)
        stream.flush()
        os.fsync(descriptor)
    return found.hexdigest()


def _drop_others(folder: Path, listed: set[str]) -> None:
    """Remove what an earlier attempt copied and the catalogue no longer lists."""
    kept = {*listed, FILE, CONSOLE, DUMP}
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in kept:
            path.unlink()


def restore_store(folder: Path, options: StoreOptions) -> None:
    """Restore a copy from `copy_store`, if there is no store yet. The catalogue comes last, so that
    a partly restored store does not count as one. Raises `NetwatchError`."""
    is_dump = (folder / DUMP).exists()
    if is_dump != bool(options.catalogue):
        kind = "PostgreSQL" if is_dump else "SQLite"
        raise NetwatchError(f"the backup has a catalogue in {kind}, and the configuration another")
    if is_dump:
        _require_no_tables(server_url(options.catalogue))
    elif (Path(options.path) / FILE).exists():
        raise NetwatchError(
            f"{options.shown}: has a store already, which is not overwritten; restore into another"
            " folder"
        )
    files = FactFiles(options.path)
    last = (CONSOLE, FILE)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in (*last, DUMP):
            _bring_back(files, folder, name)
    if is_dump:
        words = ("--no-owner", "--single-transaction", "--exit-on-error", str(folder / DUMP))
        _run("pg_restore", server_url(options.catalogue), *words)
    for name in last:
        if (folder / name).exists():
            _bring_back(files, folder, name)


def _bring_back(files: FactFiles, folder: Path, name: str) -> None:
    def fill(stream: IO[bytes]) -> None:
        with (folder / name).open("rb") as source:
            shutil.copyfileobj(source, stream)

    files.write(name, fill)


def _require_no_tables(url: URL) -> None:
    try:
        found = inspect(create_engine(url, poolclass=NullPool)).get_table_names()
    except SQLAlchemyError as error:
        raise NetwatchError(f"the catalogue cannot be opened: {error}") from None
    if found:
        raise NetwatchError(
            f"the database has tables already ({found[0]}, …): restore into an empty one"
        )
