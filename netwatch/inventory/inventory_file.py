"""The inventory file: a CSV table of devices that the organisation maintains."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.user_yaml import Problems, did_you_mean
from netwatch.core.verdict import DeviceClass
from netwatch.inventory.networks import CLASSES

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "id": "the id of the device in alerts and exemptions; else its first of MAC, IP, host name",
        "mac": "six bytes: `02:00:00:00:00:01`, with hyphens, as `0200.0000.0001`, or bare",
        "ip": "IP addresses, separated by spaces",
        "hostname": "shown in alerts; alone in a row it identifies devices that are learned",
        "owner": "shown in alerts",
        "class": "`service`, `personal`, `guest` or `infrastructure`; else that of the network",
    }
)
"""The columns of an inventory, each with a description. Any column or cell may be left out, but a
row needs a MAC, an IP address or a host name."""

_EXPECTED_COLUMNS = f"columns of {', '.join(COLUMNS)}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the inventory. `id` is the one that is written, else the first of MAC, IP address
    and host name. MAC (6 bytes) and addresses (4 or 16 bytes) are packed."""

    id: str
    mac: bytes | None
    ips: tuple[bytes, ...]
    hostname: str | None
    owner: str | None
    device_class: DeviceClass | None
    line: int


def read_inventory(path: Path, problems: Problems) -> list[Entry]:
    """The rows of a UTF-8 CSV file with a header; mistakes are noted."""
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problems.add(file, 0, f"the inventory cannot be read: {error.strerror}")
        return []
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.add(file, line, "the inventory: expected UTF-8 text, found other bytes")
        return []
    return parse_inventory(text, file, problems)


def parse_inventory(text: str, file: str, problems: Problems) -> list[Entry]:
    """Like `read_inventory`, for the text of a file; `file` is its name in messages."""
    lines = ["" if line.lstrip().startswith("#") else line for line in text.split("\n")]
    header_line = next((number for number, line in enumerate(lines, 1) if line.strip()), 0)
    if not header_line:
        message = f"the inventory: expected a header with {_EXPECTED_COLUMNS}, found an empty file"
        problems.add(file, 0, message)
        return []
    header = lines[header_line - 1]
    # Spreadsheets write semicolons in locales where the comma is the decimal separator.
    delimiter = ";" if ";" in header and "," not in header else ","
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    rows = _rows(reader, file, problems)
    columns = [cell.strip().lower() for cell in next(rows, (0, [""]))[1]]
    if not _check_columns(columns, file, header_line, problems):
        return []
    entries = []
    for line, row in rows:
        if len(row) > len(columns):
            message = (
                f"expected at most {len(columns)} values, one a column, found {len(row)}; quote a"
                " value that contains a comma"
            )
            problems.add(file, line, message)
            continue
        cells = {column: cell.strip() for column, cell in zip(columns, row, strict=False)}
        entry = _entry(cells, file, line, problems)
        if entry:
            entries.append(entry)
    _check_duplicates(entries, file, problems)
    return entries


def _check_columns(columns: Sequence[str], file: str, line: int, problems: Problems) -> bool:
    before = len(problems.found)
    for column in dict.fromkeys(columns):
        if column not in COLUMNS:
            hint = did_you_mean(column, COLUMNS)
            message = f"unknown column '{column}': expected {_EXPECTED_COLUMNS}{hint}"
            problems.add(file, line, message)
        elif columns.count(column) > 1:
            problems.add(file, line, f"duplicate column '{column}'")
    return len(problems.found) == before


def _rows(
    reader: Iterator[list[str]], file: str, problems: Problems
) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the line on which it starts."""
    line = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            problems.add(file, line, f"expected valid CSV: {error}")
            return
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield line, row
        line = reader.line_num + 1  # type: ignore[attr-defined]


def _entry(cells: dict[str, str], file: str, line: int, problems: Problems) -> Entry | None:
    before = len(problems.found)
    mac = parse_mac(cells["mac"]) if cells.get("mac") else None
    if cells.get("mac") and mac is None:
        expected = "a MAC address like 02:00:00:00:00:01"
        problems.add(file, line, f"'mac': expected {expected}, found '{cells['mac']}'")
    ips: list[bytes] = []
    for text in cells.get("ip", "").replace(";", " ").split():
        ip = parse_ip(text)
        if ip is None:
            expected = "IP addresses like 10.20.0.7, separated by spaces"
            problems.add(file, line, f"'ip': expected {expected}, found '{text}'")
        elif ip not in ips:
            ips.append(ip)
    kind = cells.get("class", "").lower()
    if kind and kind not in CLASSES:
        expected = f"one of {', '.join(CLASSES)}, or nothing"
        hint = did_you_mean(kind, CLASSES)
        problems.add(file, line, f"'class': expected {expected}, found '{cells['class']}'{hint}")
    hostname = cells.get("hostname", "").rstrip(".").lower()
    if not (cells.get("mac") or cells.get("ip") or hostname):
        problems.add(file, line, "expected a mac, an ip or a hostname in each row, found none")
    if len(problems.found) > before:
        return None
    ids = [cells.get("id", ""), mac_text(mac) if mac else "", *map(ip_text, ips), hostname]
    return Entry(
        id=next(filter(None, ids)),
        mac=mac,
        ips=tuple(ips),
        hostname=hostname or None,
        owner=cells.get("owner") or None,
        device_class=kind or None,  # type: ignore[arg-type]
        line=line,
    )


def _check_duplicates(entries: Sequence[Entry], file: str, problems: Problems) -> None:
    lines: dict[Any, int] = {}
    for entry in entries:
        keys: list[tuple[str, object, str]] = [("id", entry.id, entry.id)]
        if entry.mac:
            keys.append(("MAC", entry.mac, mac_text(entry.mac)))
        keys += [("IP", ip, ip_text(ip)) for ip in entry.ips]
        for what, value, text in keys:
            first = lines.setdefault((what, value), entry.line)
            if first != entry.line:
                message = f"duplicate {what} '{text}' (first on line {first})"
                problems.add(file, entry.line, message)
