"""The rows of an inventory over time, brought up to date with what registers list now.

A device that is listed as before keeps its row. One that is gone, or is listed otherwise, has a row
that ends now; what it is from now on is a new row. So a contact of last month is judged by what was
listed last month, however often the inventory was refreshed since.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.tabular import CsvWriter
from netwatch.core.verdict import DeviceClass
from netwatch.inventory.entry_table import Entry
from netwatch.inventory.inventory_columns import COLUMNS
from netwatch.inventory.registered import Registered

MARKER = "# Written by 'netwatch inventory refresh', which replaces it."
"""The first line of a file that is ours: what lacks it is never replaced."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """A row of an inventory; None means no limit, and times are in ns."""

    id: str
    macs: tuple[bytes, ...]
    ips: tuple[bytes, ...]
    hostname: str
    owner: str
    device_class: DeviceClass | None
    since: int | None = None
    until: int | None = None

    def says(self, device: Registered) -> bool:
        """Whether the row says what a register lists of its device."""
        row = self.macs, self.ips, self.hostname, self.owner, self.device_class
        listed = device.macs, device.ips, device.hostname, device.owner, device.device_class
        return row == listed


@dataclass(frozen=True, slots=True)
class Changes:
    """The ids of the devices that are new, listed otherwise than before, and gone, and how many
    are as they were."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @property
    def before(self) -> int:
        """How many devices were listed before."""
        return len(self.changed) + len(self.removed) + self.unchanged

    @property
    def after(self) -> int:
        """How many devices are listed now."""
        return len(self.added) + len(self.changed) + self.unchanged


def row_of(entry: Entry) -> Row:
    """The row that an inventory has of a device."""
    return Row(
        entry.id,
        entry.macs,
        entry.ips,
        entry.hostname or "",
        entry.owner or "",
        entry.device_class,
        entry.since,
        entry.until,
    )


def merge(
    rows: Sequence[Row], devices: Iterable[Registered], now: int | None
) -> tuple[list[Row], Changes]:
    """The rows after a refresh at `now` (ns), and what is different. None is for the first one:
    what it lists is valid at any time, since nothing else is known."""
    listed = {device.id: device for device in devices}
    open_ids = {row.id for row in rows if row.until is None}
    merged: list[Row] = []
    kept: set[str] = set()
    changed: list[str] = []
    removed: list[str] = []
    for row in rows:
        device = listed.get(row.id)
        if row.until is not None:
            merged.append(row)
        elif device is not None and row.says(device):
            merged.append(row)
            kept.add(row.id)
        else:
            merged.append(replace(row, until=now))
            (removed if device is None else changed).append(row.id)
    added = [identity for identity in listed if identity not in open_ids]
    for device in listed.values():
        if device.id not in kept:
            values = device.id, device.macs, device.ips, device.hostname, device.owner
            merged.append(Row(*values, device.device_class, now))
    new, other, gone = (tuple(sorted(each)) for each in (added, changed, removed))
    return merged, Changes(new, other, gone, len(kept))


def last_change(rows: Iterable[Row]) -> int:
    """When a row last began or ended (ns); 0 where none has a limit."""
    return max((time or 0 for row in rows for time in (row.since, row.until)), default=0)


def ended_after(rows: Iterable[Row], time: int) -> list[Row]:
    """The rows without those that ended before a time (ns)."""
    return [row for row in rows if row.until is None or row.until >= time]


def carried(rows: Iterable[Row]) -> list[Row]:
    """The rows of a day's file with which that of the next day begins."""
    return [replace(row, since=None) for row in rows if row.until is None]


def inventory_text(rows: Iterable[Row]) -> str:
    """Rows as the text of an inventory file of ours."""
    file = io.StringIO()
    file.write(f"{MARKER}\n{','.join(COLUMNS)}\n")
    # All cells are quoted: a line that begins with # would be a comment.
    writer = CsvWriter(file, exact=True)
    for row in rows:
        writer.row(
            (
                row.id,
                " ".join(map(mac_text, row.macs)),
                " ".join(map(ip_text, row.ips)),
                row.hostname,
                row.owner,
                row.device_class or "",
                _time(row.since),
                _time(row.until),
            )
        )
    return file.getvalue()


def _time(time: int | None) -> str:
    """A time in whole seconds, so that it is read back as the same."""
    if time is None:
        return ""
    return datetime.fromtimestamp(time // _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
