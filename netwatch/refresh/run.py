"""One refresh of the inventory: read all sources, compare, validate, replace.

It is all or nothing: a source that cannot be read, an error in a file, or a list that shrank so
much that a source is probably broken leaves the inventory as it was. Only the devices that are
registered now count.

The result is one file, or the file of the day in a folder of dated files. A new file replaces the
previous one atomically: it is written next to it, under a name that no reader looks at, and is on
disk before it is renamed. A file that does not begin with our marker was written by somebody else
and is never replaced. If two refreshes run at the same time, the second one fails.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.private_files import FOLDER_MODE, MODE, give_to_owner, set_permissions
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, lock, sync_folder
from netwatch.core.text import quantity
from netwatch.core.user_yaml import MAX_FILE_BYTES, Problems
from netwatch.formats.values import rfc3339
from netwatch.inventory.directory_export import read_computers
from netwatch.inventory.entry_table import Entry, EntryTable
from netwatch.inventory.inventory_file import (
    add_rows,
    parse_inventory,
    read_inventory_folder,
    read_text,
)
from netwatch.inventory.registered import (
    MARKER,
    MAX_REGISTERED,
    Changes,
    Registered,
    Row,
    Settled,
    carried,
    ended_after,
    inventory_text,
    last_change,
    merge,
    registered,
    row_of,
    settle,
)
from netwatch.refresh.options import (
    CsvSource,
    DirectorySource,
    NetboxSource,
    RefreshOptions,
    Source,
)

SERIES = "registered"
"""The prefix of dated files, before the day."""

_DATED = re.compile(rf"{SERIES}-(\d{{4}}-\d\d-\d\d)\.csv", re.ASCII)

SHRINK = 2
"""A refresh is refused if fewer than one in this many of the previous devices would be left."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Former:
    """The inventory before a refresh: its rows, and the file with them, None if there is none.
    `is_of_today` is whether a refresh today updates this file."""

    rows: tuple[Row, ...]
    file: Path | None
    is_of_today: bool


class Target:
    """The file `path`, or the folder if `is_folder`, whose days are in `timezone`. Methods raise
    `NetwatchError`, and `ConfigError` for errors in files."""

    def __init__(self, path: Path, *, is_folder: bool, timezone: str) -> None:
        # A symbolic link stays: its target is replaced.
        self._path = Path(os.path.realpath(path))
        self._is_folder = is_folder
        self._timezone = timezone

    @property
    def _folder(self) -> Path:
        return self._path if self._is_folder else self._path.parent

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """A context in which no other refresh changes the inventory. It creates the folder."""
        place = self._folder / (".lock" if self._is_folder else f".{self._path.name}.lock")
        try:
            if not self._folder.exists():
                self._folder.mkdir(FOLDER_MODE)
                give_to_owner(self._folder, self._folder.parent)
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | O_CLOEXEC | O_NOFOLLOW, MODE)
        except OSError as error:
            raise NetwatchError(f"{place}: {error.strerror}") from None
        try:
            with contextlib.suppress(OSError):
                give_to_owner(descriptor, self._folder)
            try:
                lock(descriptor, exclusive=True)
            except BlockingIOError:
                raise NetwatchError(f"{self._path}: another refresh is running") from None
            yield
        finally:
            os.close(descriptor)

    def former(self, now: int) -> Former:
        """The inventory at `now` (ns)."""
        if not self._is_folder:
            file = self._path if self._path.exists() else None
            return Former(self._rows(file), file, is_of_today=True)
        today = self._day(now)
        dated = []
        with contextlib.suppress(FileNotFoundError):
            for file in self._path.iterdir():
                match = _DATED.fullmatch(file.name)
                if match:
                    dated.append((match[1], file))
        if not dated:
            return Former((), None, is_of_today=False)
        day, file = max(dated)
        if day > today:
            raise NetwatchError(f"{file}: the file is dated in the future (today is {today})")
        return Former(self._rows(file), file, is_of_today=day == today)

    def write(self, text: str, now: int) -> Path:
        """Replace the inventory file by one with this text, after validating it together with all
        others; returns its path. If anything fails, the previous file is unchanged."""
        path = self._path / f"{SERIES}-{self._day(now)}.csv" if self._is_folder else self._path
        data = text.encode()
        if len(data) > MAX_FILE_BYTES:
            expected = f"at most {MAX_FILE_BYTES:,} bytes"
            raise NetwatchError(
                f"{path}: expected {expected}, found {len(data):,}; 'keep' limits its rows"
            )
        self._validate(path, text)
        new = path.with_name(f".{path.name}.new")
        try:
            _write(new, path, data)
            new.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                new.unlink()
        return path

    def _day(self, now: int) -> str:
        moment = datetime.fromtimestamp(now // 1_000_000_000, UTC)
        return date.isoformat(moment.astimezone(ZoneInfo(self._timezone)).date())

    def _rows(self, file: Path | None) -> tuple[Row, ...]:
        if file is None:
            return ()
        problems = Problems()
        text = read_text(file, problems)
        problems.raise_if_any()
        if text is not None and not text.startswith(MARKER):
            raise NetwatchError(
                f'{file}: expected a file that begins with "{MARKER}"; other files are not'
                " replaced, so name another one or move it away"
            )
        table = parse_inventory(text or "", str(file), problems, timezone=self._timezone)
        problems.raise_if_any()
        return tuple(map(row_of, table))

    def _validate(self, path: Path, text: str) -> None:
        problems = Problems()
        if self._is_folder:
            candidate = {path.name: text}
            read_inventory_folder(
                self._path, problems, timezone=self._timezone, candidates=candidate
            )
        else:
            parse_inventory(text, str(path), problems, timezone=self._timezone)
        if problems.found:
            raise ConfigError(problems.found)


def _write(new: Path, replaced: Path, data: bytes) -> None:
    """Write a new file to disk, with the permissions of the file that it will replace."""
    with contextlib.suppress(FileNotFoundError):
        new.unlink()  # left by an earlier refresh that was killed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_CLOEXEC | O_NOFOLLOW
    with os.fdopen(os.open(new, flags, MODE), "wb") as file:
        if not replaced.exists():
            give_to_owner(file.fileno(), new.parent)
        set_permissions(file.fileno(), replaced)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_source(source: Source, timezone: str, now: int) -> list[Registered]:
    """The devices that a source lists at `now` (ns). Days in a file are in `timezone`. Raises
    `NetwatchError`, and `ConfigError` with the errors in a file."""
    if isinstance(source, NetboxSource):
        # Not at the top: most configurations have no NetBox, and importing urllib3 is slow.
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


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The result of a refresh: the changes, sentences on what was left out of the sources, and the
    file that was written, None if there was nothing to write."""

    changes: Changes
    left_out: tuple[str, ...]
    file: Path | None


def refresh(
    options: RefreshOptions, now: int, *, force: bool = False, dry_run: bool = False
) -> Refreshed:
    """Bring the inventory up to date at `now` (ns). With `force` it may shrink by any number; with
    `dry_run` nothing is written. Raises `NetwatchError` and `ConfigError`."""
    now -= now % _SECOND
    target = Target(options.path, is_folder=options.is_folder, timezone=options.timezone)
    if dry_run:
        former = target.former(now)
        settled = read_sources(options, now)
        return _compared(options, former, settled, now, force=force)[0]
    with target.locked():
        # Before the sources: a file that is not ours is noticed at once, without querying anybody.
        former = target.former(now)
        settled = read_sources(options, now)
        result, rows = _compared(options, former, settled, now, force=force)
        if rows is None:
            return result
        file = target.write(inventory_text(rows), now)
    return Refreshed(result.changes, result.left_out, file)


def read_sources(options: RefreshOptions, now: int) -> Settled:
    """The devices listed by all sources together."""
    registers = [read_source(source, options.timezone, now) for source in options.sources]
    count = sum(map(len, registers))
    if count > MAX_REGISTERED:
        raise NetwatchError(f"expected at most {MAX_REGISTERED:,} devices, found {count:,}")
    return settle(registers)


def _compared(
    options: RefreshOptions, former: Former, settled: Settled, now: int, *, force: bool
) -> tuple[Refreshed, list[Row] | None]:
    """The changes, and the rows of the file to be written; None for no file."""
    latest = last_change(former.rows)
    rows, changes = merge(former.rows, settled.devices, None if former.file is None else now)
    _check_size(changes, force=force)
    is_written = bool(changes) or former.file is None
    kept = rows if options.keep is None else ended_after(rows, now - options.keep)
    # From yesterday's rows, today's file has those that were valid at its beginning.
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
