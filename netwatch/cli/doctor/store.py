"""Is the store there, in a version that this netwatch reads, compacted, and is there room?"""

import argparse
import importlib.util
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.cli.doctor import finding as findings
from netwatch.cli.doctor.finding import ANSWER_SECONDS, Finding, bad, ok, reason, warn, within
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.installing import install_command
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from netwatch.store.options import StoreOptions
    from netwatch.store.status import Examination

COMPACTION_HOURS = 3
"""Hours after which a file waiting for compaction counts as forgotten: a live capture compacts
every hour, and `scan` at its end."""

ROOM_DAYS = 14
"""Days of room below which to warn."""

LEAST_FREE = 500 * 10**6
"""Bytes that must be free in any case."""

_DAYS = 7
_KEPT = ("observations", "incidents", "evidence")
_SECOND = 10**9


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """The store of the configuration, if it has one."""
    from netwatch.config import load_store
    from netwatch.store.options import require_extra

    options = findings.configured(load_store, args)
    if options is None:
        return
    try:
        require_extra("store")
        _require_drivers(options)
    except ConfigError as error:
        yield bad("store", reason(error))
        return
    yield from _place(options)
    yield from _temporary(options)
    yield from _retention(args)
    found, finding = _catalogue(options)
    yield finding
    if found is not None:
        yield _compaction(found)
    if "://" not in options.path:
        yield _room(Path(options.path), found)


def _require_drivers(options: "StoreOptions") -> None:
    """Raise `ConfigError` if a requirement of a catalogue or an object store is not installed."""
    for is_needed, module, what, extra in (
        (bool(options.catalogue), "psycopg", "a catalogue in PostgreSQL", "postgres"),
        (options.path.startswith("s3"), "s3fs", "a store in S3", "s3"),
    ):
        if is_needed and importlib.util.find_spec(module) is None:
            message = f"{what} needs an extra: {install_command(extra)}"
            raise ConfigError.of("store", message)


def _place(options: "StoreOptions") -> Iterator[Finding]:
    """The folder or the bucket of the files."""
    if "://" not in options.path:
        from netwatch.store.database import FILE

        yield findings.writable("store", Path(options.path), (FILE, f"{FILE}-wal", f"{FILE}-shm"))
        return
    shown = options.shown
    try:
        within(ANSWER_SECONDS, lambda: _list(options.path))
    except NetwatchError as error:
        yield bad("store", f"{shown}: {reason(error)}", "is the endpoint right, and the key?")
    else:
        yield ok("store", f"{shown} can be listed; that it can be written is not tried")


def _temporary(options: "StoreOptions") -> Iterator[Finding]:
    """Did a killed run leave temporary files?"""
    from netwatch.core.private_files import ended, places

    for place in places(options.path):
        if found := ended(place):
            text = f"{place}: runs that were killed left {quantity(len(found), 'folder')}"
            yield warn("temporary", text, "the next 'scan', 'live' or 'rejudge' removes them")


def _retention(args: argparse.Namespace) -> Iterator[Finding]:
    """Does the configuration set the retention? For ever is a decision, too."""
    from netwatch.config import load

    config = findings.configured(load, args)
    if config is None:
        return
    retention = config.retention
    if retention is None:
        todo = "write retention: {observations: 30d, incidents: 2y, evidence: 1y, personal: 7d}"
        yield warn("retention", "nothing is ever deleted: 'retention' is not written", todo)
        return
    said = [f"{name} {_kept(getattr(retention, name))}" for name in _KEPT]
    if retention.personal is not None:
        said.append(f"personal {_kept(retention.personal)}")
    yield ok("retention", ", ".join(said))


def _kept(seconds: int | None) -> str:
    return "for ever" if seconds is None else quantity(seconds // 86_400, "day")


def _list(url: str) -> None:
    """Ask the server for one entry. Raises `NetwatchError`."""
    from netwatch.store.fact_files import FactFiles

    files = FactFiles(url)
    next(files.walk("doctor-asks-for-a-folder-that-is-not-there"), None)


def _catalogue(options: "StoreOptions") -> "tuple[Examination | None, Finding]":
    """The content of the store, and remarks on its catalogue."""
    from netwatch.store.status import NoStoreError, OlderSchemaError, examine
    from netwatch.store.tables import FORMAT_VERSION

    try:
        found = within(ANSWER_SECONDS, lambda: examine(options, ANSWER_SECONDS - 1))
    except NoStoreError:
        return None, warn("catalogue", "there is none yet: 'live' and 'scan --store' create it")
    except OlderSchemaError as error:
        return None, warn("catalogue", reason(error))
    except NetwatchError as error:
        return None, bad("catalogue", reason(error))
    status = found.status
    if status.format > FORMAT_VERSION:
        text = f"its files were written by a newer netwatch (format {status.format}, this one"
        " reads up to"
        return found, bad("catalogue", f"{text} {FORMAT_VERSION})", "update netwatch")
    rows = sum(table.rows for table in status.tables)
    text = f"schema {status.schema}, format {status.format}: {quantity(rows, 'row')}"
    text += f", {quantity(status.incidents, 'incident')}, {quantity(status.runs, 'run')}"
    if status.lost_rows:
        text += f"; {quantity(status.lost_rows, 'row')} lost"
        return found, warn("catalogue", text, "the disk was full, or the writer was killed")
    if status.losses:
        lost = ", ".join(f"{kind} {count:,}" for kind, count in status.losses.items())
        return found, warn(
            "catalogue",
            f"{text}; not all is there: {lost}",
            "a capture was too slow, or was killed ('netwatch store query coverage --hours')",
        )
    return found, ok("catalogue", text)


def _compaction(found: "Examination") -> Finding:
    """When rows were last stored, and whether files wait for compaction for too long."""
    if found.written is None:
        return ok("landing", "no row was stored yet")
    text = f"the newest file is from {_moment(found.written)}"
    if not found.waiting:
        return ok("landing", f"{text}; every file is compacted")
    text += f"; {quantity(found.waiting, 'file')} to compact"
    if found.oldest and time.time_ns() - found.oldest > COMPACTION_HOURS * 3600 * _SECOND:
        text += f", the oldest since {_moment(found.oldest)}"
        return warn("landing", text, "netwatch store compact")
    return ok("landing", text)


def _moment(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns // _SECOND, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _room(folder: Path, found: "Examination | None") -> Finding:
    """How long the disk will last at the rate of the last days."""
    try:
        free = findings.free(folder)
    except OSError as error:
        return bad("room", f"{folder}: {error.strerror}")
    text = f"{findings.amount(free)} free"
    if free < LEAST_FREE:
        return bad("room", text, "free some, or shorten 'retention'")
    rate = daily_rate({} if found is None else found.bytes_by_day, datetime.now(UTC).date())
    if not rate:
        return ok("room", text)
    days = free / rate
    text += f", {findings.amount(rate)} a day: enough for {quantity(int(days), 'day')}"
    if days < ROOM_DAYS:
        return warn("room", text, "shorten 'retention', or use a larger disk")
    return ok("room", text)


def daily_rate(bytes_by_day: Mapping[str, int], today: date) -> float:
    """Bytes per day, from the last `_DAYS` complete days; 0 if none of them has any, as in a store
    of old captures."""
    days = [(today - timedelta(days=ago)).isoformat() for ago in range(1, _DAYS + 1)]
    sizes = [size for day in days if (size := bytes_by_day.get(day, 0))]
    return sum(sizes) / len(sizes) if sizes else 0.0
