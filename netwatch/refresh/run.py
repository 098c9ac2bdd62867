"""One refresh of the inventory: read all sources, compare, validate, replace.

Either everything succeeds or nothing is changed: a source that cannot be read, a mistake in a file,
or a list that shrank so much that a source is probably broken leaves the inventory as it was.

Of each source the devices count that are registered now.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.text import quantity
from netwatch.core.user_yaml import Problems
from netwatch.formats.values import rfc3339
from netwatch.inventory.directory_export import read_computers
from netwatch.inventory.entry_table import Entry, EntryTable
from netwatch.inventory.history import (
    Changes,
    Row,
    carried,
    ended_after,
    inventory_text,
    last_change,
    merge,
)
from netwatch.inventory.inventory_file import add_rows, read_text
from netwatch.inventory.registered import MAX_REGISTERED, Registered, Settled, registered, settle
from netwatch.refresh.options import (
    CsvSource,
    DirectorySource,
    NetboxSource,
    RefreshOptions,
    Source,
)
from netwatch.refresh.target import Former, Target


def read_source(source: Source, timezone: str, now: int) -> list[Registered]:
    """The devices that a source lists at `now` (ns). Days in a file are those of `timezone`. Raises
    `NetwatchError`, and `ConfigError` with the mistakes in a file."""
    if isinstance(source, NetboxSource):
        # Not at the top: most configurations have no NetBox, and urllib3 takes long.
        from netwatch.refresh.netbox import read_netbox

        return read_netbox(source)
    problems = Problems()
    devices: list[Registered] = []
    text = read_text(source.path, problems)
    if text is not None and isinstance(source, DirectorySource):
        devices = read_computers(text, source.name, problems, source.rules, source.owner)
    elif text is not None and isinstance(source, CsvSource):
        table = EntryTable(expected=text.count("\n"))
        add_rows(table, text, source.name, problems, source.headers, timezone)
        devices = [_registered(entry) for entry in _valid(table, now)]
    problems.raise_if_any()
    return devices


def _valid(table: EntryTable, now: int) -> Iterator[Entry]:
    for entry in table:
        has_begun = entry.since is None or entry.since <= now
        if has_begun and (entry.until is None or now < entry.until):
            yield entry


def _registered(entry: Entry) -> Registered:
    return registered(
        entry.id,
        macs=entry.macs,
        ips=entry.ips,
        hostname=entry.hostname or "",
        owner=entry.owner or "",
        device_class=entry.device_class,
        origin=f"line {entry.line}",
    )


SHRINK = 2
"""A refresh is refused if fewer than one in so many of the former devices would be left."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did: the changes, sentences on what was left out of the sources, and the file
    that was written, None if nothing was to be written."""

    changes: Changes
    left_out: tuple[str, ...]
    file: Path | None


def refresh(
    options: RefreshOptions, now: int, *, force: bool = False, dry_run: bool = False
) -> Refreshed:
    """Bring the inventory up to date at `now` (ns). With `force` it may shrink by any number, with
    `dry_run` nothing is written. Raises `NetwatchError` and `ConfigError`."""
    now -= now % _SECOND
    target = Target(options.path, is_folder=options.is_folder, timezone=options.timezone)
    if dry_run:
        former = target.former(now)
        settled = read_sources(options, now)
        return _compared(options, former, settled, now, force=force)[0]
    with target.locked():
        # Before the sources: a file that is not ours is known at once, without asking anybody.
        former = target.former(now)
        settled = read_sources(options, now)
        result, rows = _compared(options, former, settled, now, force=force)
        if rows is None:
            return result
        file = target.write(inventory_text(rows), now)
    return Refreshed(result.changes, result.left_out, file)


def read_sources(options: RefreshOptions, now: int) -> Settled:
    """The devices that all sources list together."""
    registers = [read_source(source, options.timezone, now) for source in options.sources]
    count = sum(map(len, registers))
    if count > MAX_REGISTERED:
        raise NetwatchError(f"expected at most {MAX_REGISTERED:,} devices, found {count:,}")
    return settle(registers)


def _compared(
    options: RefreshOptions, former: Former, settled: Settled, now: int, *, force: bool
) -> tuple[Refreshed, list[Row] | None]:
    """What a refresh changes, and the rows of the file that is to be written; None for no file."""
    latest = last_change(former.rows)
    rows, changes = merge(former.rows, settled.devices, None if former.file is None else now)
    _check_size(changes, force=force)
    is_written = bool(changes) or former.file is None
    kept = rows if options.keep is None else ended_after(rows, now - options.keep)
    # Of yesterday's rows those are in the file of today that were valid at its beginning.
    if not former.is_of_today and former.file is not None:
        rows_of_today, _ = merge(carried(former.rows), settled.devices, now)
        kept = rows_of_today
    elif len(kept) != len(rows):
        is_written = True
    if is_written and latest >= now:
        raise NetwatchError(
            f"{former.file}: expected the last change before now, {rfc3339(now, 0)}; found"
            f" {rfc3339(latest, 0)}: is the clock right?"
        )
    return Refreshed(changes, settled.left_out, None), kept if is_written else None


def _check_size(changes: Changes, *, force: bool) -> None:
    before, after = changes.before, changes.after
    if force:
        return
    if not after:
        raise NetwatchError(
            "the sources list no device that can be told apart: expected at least one, or --force"
        )
    if after * SHRINK < before:
        raise NetwatchError(
            f"only {quantity(after, 'device')} of {before:,} would be left: expected at least half,"
            " or --force if that is right"
        )
