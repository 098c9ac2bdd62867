"""Gives the flows in files of an older netwatch names that say nothing of their ends.

In files before format `NAMED_SINCE` a flow has a fast hash of its ends, from which they can be
found. Each such file is written anew with names in place of these numbers
(`netwatch.store.flow_rows`), claims without them. Rows of one flow are in several files, so all
files get their names by one key. It is in the catalogue until the last file is done, for whoever is
killed before has to go on with it, and is then deleted: nobody can find the old numbers again.

Nobody writes to the store meanwhile: other processes of this netwatch wait, and where an older one
writes, nothing is done and its user is asked to stop it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import select, update

from netwatch.core.errors import NetwatchError
from netwatch.core.text import escaped, quantity
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue, FileRow
from netwatch.store.claims import without_flows
from netwatch.store.erasing import vacuum
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import FORMAT_KEY, FactRemoval, rows_in
from netwatch.store.flow_rows import FlowNames, new_key
from netwatch.store.options import StoreOptions
from netwatch.store.tables import FORMAT_VERSION, NAMED_SINCE
from netwatch.store.use_lock import InUseError, UseLock

WAIT = 3600.0
"""How long to wait for another process that does the same, in s."""

_BEGINS = 1.0
"""How long another process may take, from its lock to its key and from its last file to the end of
the lock, in s."""

_POLL = 0.2


def rename_flows(catalogue: Catalogue, options: StoreOptions) -> int:
    """Rename the flows in all files of an older format; how many files were written anew. Raises
    `NetwatchError` where a file cannot be read or written now, and where somebody else writes to
    the store; the next call goes on."""
    with _alone(catalogue, options) as is_needed:
        if not is_needed:
            return 0
        facts = FactRemoval(catalogue, FactFiles(options.path))
        facts.remove_retired()
        names, written = FlowNames(_key(catalogue)), 0
        looked_at = set[str]()
        while files := [file for file in facts.all_files() if file.path not in looked_at]:
            if not looked_at:
                _say(f"{options.path}: numbers of flows, from which the ends of a flow could be"
                     f" found, are replaced in {quantity(len(files), 'file')}")  # fmt: skip
            for file in files:
                looked_at.add(file.path)
                written += _rename(facts, file, names)
        _finish(catalogue)
        if problem := vacuum(catalogue.database.engine, (tables.store,)):
            _say(problem)
    return written


@contextmanager
def _alone(catalogue: Catalogue, options: StoreOptions) -> Iterator[bool]:
    """Have the store alone; whether there is still something to do."""
    now = time.monotonic()
    until, begins = now + WAIT, now + _BEGINS
    while catalogue.has_older_files():
        try:
            lock = UseLock(options, exclusive=True)
        except InUseError:
            now = time.monotonic()
            if _stored_key(catalogue) is not None:
                # Whoever renames has a key; who only writes has none.
                begins = min(now + _BEGINS, until)
            if now > begins:
                raise NetwatchError(
                    f"{options.path}: was written by an older netwatch, its files have to be"
                    " rewritten, and another process is writing to it; stop live, scan and the"
                    " centre, and start again"
                ) from None
            time.sleep(_POLL)
            continue
        with lock:
            yield catalogue.has_older_files()
            return
    yield False


def _stored_key(catalogue: Catalogue) -> bytes | None:
    with catalogue.database.reading() as connection:
        key: bytes | None = connection.execute(select(tables.store.c.flow_key)).scalar_one()
    return key


def _key(catalogue: Catalogue) -> bytes:
    """The key of the names, which is made where nobody has begun."""
    key = _stored_key(catalogue)
    if key is None:
        key = new_key()
        with catalogue.database.writing() as connection:
            connection.execute(update(tables.store).values(flow_key=key))
    return key


def _rename(facts: FactRemoval, file: FileRow, names: FlowNames) -> bool:
    """Write a file anew, if it is of an older format."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with facts.files.open(file.path) as stream:
            content = pa.py_buffer(stream.read())
    except NetwatchError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        _say(f"{file.path} is missing: netwatch store verify")
        return False
    try:
        version = parquet.read_schema(pa.BufferReader(content)).metadata[FORMAT_KEY.encode()]
        if int(version) >= NAMED_SINCE:
            return False
        rows = rows_in(pa.BufferReader(content), file)
    except (pa.ArrowException, OSError, TypeError, KeyError, ValueError) as error:
        _say(f"{file.path}: is damaged, and stays as it is: {error}: netwatch store verify")
        return False
    rows = without_flows(rows) if file.table == "claim" else names.renamed(rows)
    return facts.replace(file, rows)


def _finish(catalogue: Catalogue) -> None:
    """All files are of the present format: forget the key."""
    with catalogue.database.writing() as connection:
        connection.execute(update(tables.store).values(format=FORMAT_VERSION, flow_key=None))


def _say(text: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(f"netwatch: {escaped(text)}\n")
