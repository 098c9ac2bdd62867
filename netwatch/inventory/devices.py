"""Which device a client is, by the inventory: a table that the organisation keeps.

A MAC address beats an IP address, since addresses are lent. But a MAC is that of the
last router on the way, so an entry found by IP stands even where the MAC differs, as
long as no other entry owns that MAC. Where MAC and IP belong to two entries nobody can
say who it is: the device is unknown, and a ban on service devices does not touch it.

Where it was learned from the wire who has an address (`netwatch.inventory.learned`), the
MAC is the one learned, and what the inventory says of it stands. A device that is not
in the inventory has that MAC and the name that it goes by.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.user_yaml import Problems
from netwatch.core.verdict import Binding, Device, DeviceClass, Network
from netwatch.inventory.bindings import differ
from netwatch.inventory.networks import CLASSES

COLUMNS = ("id", "mac", "ip", "hostname", "owner", "class")
"""The columns of an inventory; any may be left out or empty."""

CACHE_LIMIT = 65_536
"""Answers remembered; when that many are there, all are forgotten (and counted)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the inventory. `id` is the one written, else the first of MAC, address
    and host name. MAC (6 bytes) and addresses (4 or 16) are packed."""

    id: str
    mac: bytes | None
    ips: tuple[bytes, ...]
    hostname: str | None
    owner: str | None
    device_class: DeviceClass | None
    line: int


def read(path: Path, problems: Problems) -> list[Entry]:
    """The rows of the inventory at `path`, UTF-8 CSV with a header; mistakes are noted."""
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problems.add(file, 0, f"the inventory cannot be read: {error.strerror}")
        return []
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.add(file, line, "the inventory is not UTF-8 text")
        return []
    return parse(text, file, problems)


def parse(text: str, file: str, problems: Problems) -> list[Entry]:
    """Like `read`, for text at hand; `file` is the name told in problems."""
    lines = ["" if line.lstrip().startswith("#") else line for line in text.split("\n")]
    header_line = next((number for number, line in enumerate(lines, 1) if line.strip()), 0)
    expected = f"expected columns of {', '.join(COLUMNS)}"
    if not header_line:
        problems.add(file, 0, f"the inventory is empty, a header is needed: {expected}")
        return []
    header = lines[header_line - 1]
    # spreadsheets write semicolons where the comma is the decimal mark
    delimiter = ";" if ";" in header and "," not in header else ","
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    rows = _rows(reader, file, problems)
    columns = [cell.strip().lower() for cell in next(rows, (0, [""]))[1]]
    sound = True
    for column in dict.fromkeys(columns):
        if column not in COLUMNS:
            problems.add(file, header_line, f"unknown column '{column}', {expected}")
            sound = False
        elif columns.count(column) > 1:
            problems.add(file, header_line, f"column '{column}' stands twice")
            sound = False
    if not sound:
        return []
    entries = []
    for line, row in rows:
        if len(row) > len(columns):
            counted = f"{len(row)} values for {len(columns)} columns"
            problems.add(file, line, f"the row has {counted}; quote a value that holds a comma")
            continue
        cells = {column: cell.strip() for column, cell in zip(columns, row, strict=False)}
        entry = _entry(cells, file, line, problems)
        if entry:
            entries.append(entry)
    _check_unique(entries, file, problems)
    return entries


def _rows(
    reader: Iterator[list[str]], file: str, problems: Problems
) -> Iterator[tuple[int, list[str]]]:
    line = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            problems.add(file, line, f"is not valid CSV: {error}")
            return
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield line, row
        line = reader.line_num + 1  # type: ignore[attr-defined]


def _entry(cells: dict[str, str], file: str, line: int, problems: Problems) -> Entry | None:
    before = len(problems.found)
    mac = None
    if cells.get("mac"):
        mac = parse_mac(cells["mac"])
        if mac is None:
            wanted = "expected six bytes like 02:00:00:00:00:01"
            problems.add(file, line, f"'{cells['mac']}' is not a MAC address, {wanted}")
    ips = []
    for text in cells.get("ip", "").replace(";", " ").split():
        ip = parse_ip(text)
        if ip is None:
            wanted = "expected one like 10.20.0.7, several apart by spaces"
            problems.add(file, line, f"'{text}' is not an IP address, {wanted}")
        elif ip not in ips:
            ips.append(ip)
    kind = cells.get("class", "").lower()
    if kind and kind not in CLASSES:
        wanted = f"expected one of {', '.join(CLASSES)}, or nothing"
        problems.add(file, line, f"class '{cells['class']}' is unknown, {wanted}")
    hostname = cells.get("hostname", "").rstrip(".").lower()
    if not (cells.get("mac") or cells.get("ip") or hostname):
        problems.add(file, line, "the row has no mac, ip or hostname, so nothing can match it")
    if len(problems.found) > before:
        return None
    found = [cells.get("id", ""), mac_text(mac) if mac else "", *map(ip_text, ips), hostname]
    return Entry(
        next(filter(None, found)),
        mac,
        tuple(ips),
        hostname or None,
        cells.get("owner") or None,
        kind or None,  # type: ignore[arg-type]
        line,
    )


def _check_unique(entries: Sequence[Entry], file: str, problems: Problems) -> None:
    seen: dict[object, int] = {}
    for entry in entries:
        keys: list[tuple[str, object, str]] = [("id", entry.id, entry.id)]
        if entry.mac:
            keys.append(("MAC", entry.mac, mac_text(entry.mac)))
        keys += [("IP", ip, ip_text(ip)) for ip in entry.ips]
        for what, value, text in keys:
            first = seen.setdefault((what, value), entry.line)
            if first != entry.line:
                problems.add(file, entry.line, f"{what} '{text}' stands twice (line {first})")


class Devices:
    """Tells the device of a client. `evictions` counts answers forgotten."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = tuple(entries)
        self.evictions = 0
        self._ids = {entry.id: entry for entry in self.entries}
        self._ips = {ip: entry for entry in self.entries for ip in entry.ips}
        self._macs = {entry.mac: entry for entry in self.entries if entry.mac}
        self._names: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.hostname and not entry.mac and not entry.ips:
                self._names.setdefault(entry.hostname.partition(".")[0], []).append(entry)
        self._cache: dict[tuple[bytes, bytes | None, Network | None, Binding | None], Device] = {}

    def find(self, word: str) -> Entry | None:
        """The entry with this id, address or MAC in text form, or None."""
        ip, mac = parse_ip(word), parse_mac(word)
        return (
            self._ids.get(word)
            or (self._ips.get(ip) if ip else None)
            or (self._macs.get(mac) if mac else None)
        )

    def identify(
        self,
        ip: bytes,
        mac: bytes | None,
        network: Network | None,
        binding: Binding | None = None,
    ) -> Device:
        """The device of a packed address and MAC, as seen in `network` (None: outside);
        `binding` is who was learned to have the address at that time."""
        key = (ip, mac, network, binding)
        try:
            return self._cache[key]
        except KeyError:
            pass
        device = self.explain(ip, mac, network, binding)[0]
        if len(self._cache) >= CACHE_LIMIT:
            self.evictions += len(self._cache)
            self._cache.clear()
        self._cache[key] = device
        return device

    def explain(
        self,
        ip: bytes,
        mac: bytes | None,
        network: Network | None,
        binding: Binding | None = None,
    ) -> tuple[Device, str]:
        """Like `identify`, with what decided, in words."""
        text = ip_text(ip)
        by_ip = self._ips.get(ip)
        if binding is not None:
            frame = self._macs.get(mac) if mac else None
            doubt = self._doubt(text, by_ip, frame, binding)
            if doubt:
                told = mac_text(mac) if mac else None
                return Device(f"unknown:{text}", text, told, None, None, "unknown"), doubt
            mac = binding.mac or mac
        seen_mac = mac_text(mac) if mac else None
        by_mac = self._macs.get(mac) if mac else None
        # a router lends its MAC to all that it forwards; where its own addresses are
        # written, another address with that MAC is not the router
        if by_mac and by_mac.device_class == "infrastructure" and by_mac.ips and by_mac != by_ip:
            by_mac = None
        if by_mac and by_ip and by_mac is not by_ip:
            why = f"MAC {seen_mac} is that of '{by_mac.id}', IP {text} that of '{by_ip.id}'"
            return Device(f"unknown:{text}", text, seen_mac, None, None, "unknown"), why
        entry = by_mac or by_ip
        by_name = self._called(binding.hostname) if binding and binding.hostname else None
        inherited = network.device_class if network else "unknown"
        if entry is None and by_name is None and binding is not None:
            called = f" and is called {binding.hostname}" if binding.hostname else ""
            why = f"no entry of the inventory; learned that it has MAC {seen_mac}{called}"
            name = binding.hostname
            return Device(binding.id or text, text, seen_mac, name, None, inherited), why
        entry = entry or by_name
        if entry is None:
            why = "no entry of the inventory has this address or MAC: class of the network"
            return Device(text, text, seen_mac, None, None, inherited), why
        found = f"MAC {seen_mac}" if by_mac else f"IP {text}" if by_ip else "learned host name"
        source = "class written there" if entry.device_class else "class of the network"
        device = Device(
            entry.id,
            text,
            mac_text(entry.mac) if entry.mac else seen_mac,
            entry.hostname or (binding.hostname if binding else None),
            entry.owner,
            entry.device_class or inherited,
        )
        return device, f"inventory line {entry.line} by {found}: {source}"

    def _doubt(self, text: str, by_ip: Entry | None, frame: Entry | None, binding: Binding) -> str:
        """Why nobody can say which device a binding is, in words; empty where one can.
        `frame` is the entry of the MAC in the frame."""
        router = frame is not None and frame.device_class == "infrastructure"
        if binding.ambiguity == "mac":
            return f"two devices have MAC {mac_text(binding.mac or bytes(6))} at this time"
        if binding.ambiguity == "frame" and not router:
            return f"IP {text} is MAC {mac_text(binding.mac or bytes(6))}'s, the frame another's"
        if binding.ambiguity == "address":
            # the inventory stands: whose MAC is written there is who sent the frame
            known = frame is not None and not router
            return "" if known else f"two devices have IP {text} at this time"
        if binding.mac is None:
            return ""
        holder, mac = self._macs.get(binding.mac), mac_text(binding.mac)
        if frame is not None and not router and frame is not holder:
            return f"the frame is from '{frame.id}', and IP {text} was learned to be MAC {mac}'s"
        if by_ip and by_ip.mac and by_ip.mac != binding.mac and holder is None:
            return f"IP {text} is that of '{by_ip.id}', and was learned to be MAC {mac}'s"
        return ""

    def _called(self, name: str) -> Entry | None:
        """The only entry that has but a host name, and this one, with or without its
        domain; None where there is none, or more than one."""
        near = self._names.get(name.partition(".")[0], [])
        same = [entry for entry in near if entry.hostname == name]
        found = same or [entry for entry in near if not differ(entry.hostname or "", name)]
        return found[0] if len(found) == 1 else None

    def __len__(self) -> int:
        return len(self.entries)
