"""Devices as listed in a register, and the rows of an inventory that they become over time.

A register (NetBox, a directory, a spreadsheet) is kept for other purposes: it has addresses that
several devices share, duplicate names, entries without anything by which a device is recognised on
the wire. `settle` makes distinguishable devices from all that: what two devices have at once
identifies neither, so both lose it, and the result says so.

The class of a device follows from its role, tag or folder in the register. A register does not know
classes. The configuration maps what it does know: a list of rules, the first of which that fits
gives the class. A rule fits if each of its attributes has one of the values that it lists. Values
are compared without case, and may have ``*`` and ``?``.

A device that is listed as before keeps its row. If it is gone, or is listed differently, its row
ends now, and its new state is a new row. So a contact of last month is judged by last month's list,
however often the inventory was refreshed since.
"""

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from ipaddress import ip_address

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.tabular import CsvWriter
from netwatch.core.text import UNSAFE
from netwatch.core.verdict import DeviceClass
from netwatch.inventory.entry_table import Entry
from netwatch.inventory.inventory_columns import COLUMNS

MAX_CELL = 255
"""Characters of an id, a host name or an owner; longer ones are cut."""

MAX_REGISTERED = 1_000_000
"""Devices of all sources of an inventory together."""

_NO_MACS = frozenset({bytes(6), b"\xff" * 6})

MAX_DN = 8192
"""Characters of a distinguished name; a longer one is in no folder."""

MAX_FOLDERS = 64
"""Folders above an entry to compare with rules, from the uppermost one down."""

MAX_VALUE = 1024
"""Characters of a value to compare with rules."""

ATTRIBUTES: Mapping[str, str] = {
    "name": "the name of the device in the register",
    "role": "NetBox: the slug of its role",
    "tag": "NetBox: the slug of one of its tags",
    "tenant": "NetBox: the slug of its tenant",
    "site": "NetBox: the slug of its site",
    "platform": "NetBox: the slug of its platform",
    "type": "NetBox: the slug of its device type",
    "status": "NetBox: its status, such as `active`",
    "os": "directory: `operatingSystem`",
    "under": "directory: the distinguished name of a folder (OU) that it is in, at any depth",
}
"""The attributes that a rule may use, each with a description."""

MARKER = "# Written by 'netwatch inventory refresh', which replaces it."
"""The first line of one of our files: a file without it is never replaced."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Registered:
    """A device in a register. MACs (6 bytes) and addresses (4 or 16 bytes) are packed. `origin` is
    its name in the register if its `id` is not unique, for people."""

    id: str
    macs: tuple[bytes, ...]
    ips: tuple[bytes, ...]
    hostname: str
    owner: str
    device_class: DeviceClass | None
    origin: str


def registered(
    identity: str,
    *,
    macs: Iterable[bytes] = (),
    ips: Iterable[bytes] = (),
    hostname: str = "",
    owner: str = "",
    device_class: DeviceClass | None = None,
    origin: str = "",
) -> Registered:
    """A device whose texts all fit a cell of an inventory, and whose MACs and addresses are those
    that a single device can have, each once and in order."""
    return Registered(
        cell(identity),
        tuple(sorted({mac for mac in macs if not mac[0] & 1 and mac not in _NO_MACS})),
        tuple(sorted(set(filter(_is_of_one_device, ips)), key=lambda ip: (len(ip), ip))),
        cell(hostname).rstrip(".").lower(),
        cell(owner),
        device_class,
        cell(origin),
    )


def cell(text: str) -> str:
    """A text without line breaks and other control characters, and not too long for a cell."""
    return " ".join(UNSAFE.sub(" ", text[: 2 * MAX_CELL]).split())[:MAX_CELL].strip()


def _is_of_one_device(ip: bytes) -> bool:
    address = ip_address(ip)
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
    )


@dataclass(frozen=True, slots=True)
class Settled:
    """The distinguishable devices, in order of their ids, and sentences on what was left out."""

    devices: tuple[Registered, ...]
    left_out: tuple[str, ...]


def settle(registers: Sequence[Sequence[Registered]]) -> Settled:
    """The devices of several registers together.

    A device of a later register with the id of one in an earlier register is the same: it adds MACs
    and addresses, and the texts that the earlier one lacks. Two devices of one register with the
    same id get ids that tell them apart.
    """
    joined: dict[str, Registered] = {}
    for register in registers:
        own = [*_distinguished(register)]
        for device in own:
            key = device.id.casefold()
            joined[key] = _joined(joined[key], device) if key in joined else device
    devices = sorted(joined.values(), key=lambda device: device.id)
    left_out: list[str] = []
    devices = _without_shared(devices, lambda device: device.macs, mac_text, "macs", left_out)
    devices = _without_shared(devices, lambda device: device.ips, ip_text, "ips", left_out)
    found = []
    for device in devices:
        if device.id and (device.macs or device.ips or device.hostname):
            found.append(device)
        else:
            name = device.id or device.origin
            left_out.append(f"{name} has no MAC, address or host name of its own")
    return Settled(tuple(found), tuple(left_out))


def _distinguished(register: Sequence[Registered]) -> Iterable[Registered]:
    """The devices of a register, with different ids."""
    counts = Counter(device.id.casefold() for device in register)
    used: set[str] = set()
    for device in register:
        identity = device.id
        if counts[identity.casefold()] > 1:
            identity = cell(f"{identity[: MAX_CELL // 2]} ({device.origin})")
        number = 1
        unique = identity
        while unique.casefold() in used:
            number += 1
            unique = f"{identity[: MAX_CELL - 8]} {number}"
        used.add(unique.casefold())
        yield device if unique == device.id else replace(device, id=unique)


def _joined(first: Registered, second: Registered) -> Registered:
    return registered(
        first.id,
        macs=(*first.macs, *second.macs),
        ips=(*first.ips, *second.ips),
        hostname=first.hostname or second.hostname,
        owner=first.owner or second.owner,
        device_class=first.device_class or second.device_class,
        origin=first.origin,
    )


def _without_shared(
    devices: Sequence[Registered],
    values_of: Callable[[Registered], tuple[bytes, ...]],
    text_of: Callable[[bytes], str],
    field: str,
    left_out: list[str],
) -> list[Registered]:
    """The devices without the values that several of them have."""
    owners: defaultdict[bytes, list[str]] = defaultdict(list)
    for device in devices:
        for value in values_of(device):
            owners[value].append(device.id)
    shared = {value: names for value, names in owners.items() if len(names) > 1}
    for value, names in sorted(shared.items()):
        others = f" and {len(names) - 2:,} more" if len(names) > 2 else ""
        left_out.append(f"{text_of(value)} belongs to {names[0]} and to {names[1]}{others}")
    if not shared:
        return [*devices]
    return [
        replace(device, **{field: tuple(v for v in values_of(device) if v not in shared)})  # type: ignore[arg-type]
        for device in devices
    ]


Attributes = Mapping[str, Sequence[str]]
"""A register's information about a device: the values of each attribute."""


@dataclass(frozen=True, slots=True)
class ClassRule:
    """A class, and what a device must have for it: attributes with patterns (in lower case), one of
    which must fit. A rule without attributes fits every device."""

    device_class: DeviceClass
    wanted: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def fits(self, attributes: Attributes) -> bool:
        """Whether a device with these attributes has the class."""
        return all(
            any(
                fnmatchcase(value[:MAX_VALUE].lower(), pattern)
                for value in attributes.get(name, ())
                for pattern in patterns
            )
            for name, patterns in self.wanted
        )


def class_by(rules: Sequence[ClassRule], attributes: Attributes) -> DeviceClass | None:
    """The class by the first rule that fits; None if none does, for the class of its network."""
    return next((rule.device_class for rule in rules if rule.fits(attributes)), None)


def pattern_of(attribute: str, text: str) -> str:
    """A value of a rule in the form used for comparison."""
    return folded_dn(text) if attribute == "under" else text.strip().lower()


def folders_of(dn: str) -> list[str]:
    """The distinguished names above a distinguished name, from the nearest one up."""
    parts = _split_dn(dn) if len(dn) <= MAX_DN else []
    first = max(1, len(parts) - MAX_FOLDERS)
    return [",".join(parts[at:]) for at in range(first, len(parts))]


def folded_dn(dn: str) -> str:
    """A distinguished name in lower case and without blanks around its parts."""
    return ",".join(_split_dn(dn))


def _split_dn(dn: str) -> list[str]:
    """The relative distinguished names of a name (RFC 4514 section 2.1): a comma separates them
    unless an odd number of backslashes is before it."""
    parts = dn.lower().split(",")
    found = parts[:1]
    for part in parts[1:]:
        before = found[-1]
        if (len(before) - len(before.rstrip("\\"))) % 2:
            found[-1] = f"{before},{part}"
        else:
            found.append(part)
    return [*map(str.strip, found)]


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
        """Whether the row has what a register lists about its device."""
        row = self.macs, self.ips, self.hostname, self.owner, self.device_class
        listed = device.macs, device.ips, device.hostname, device.owner, device.device_class
        return row == listed


@dataclass(frozen=True, slots=True)
class Changes:
    """The ids of new, changed, and removed devices, and how many are unchanged."""

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
    """An inventory's row for the device."""
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
    """The rows after a refresh at `now` (ns), and the differences. None is for the first one: what
    it lists is valid at any time, since nothing else is known."""
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
    new, other, gone = (tuple(sorted(ids)) for ids in (added, changed, removed))
    return merged, Changes(new, other, gone, len(kept))


def last_change(rows: Iterable[Row]) -> int:
    """When a row last began or ended (ns); 0 if none has a limit."""
    return max((time or 0 for row in rows for time in (row.since, row.until)), default=0)


def ended_after(rows: Iterable[Row], time: int) -> list[Row]:
    """The rows without those that ended before a time (ns)."""
    return [row for row in rows if row.until is None or row.until >= time]


def carried(rows: Iterable[Row]) -> list[Row]:
    """The rows of a day's file with which the next day's file begins."""
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
