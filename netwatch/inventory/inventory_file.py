"""The inventory file: a CSV table of devices that the organisation maintains; or a folder of dated
ones.

In a folder, ``devices-2023-03-01.csv`` and later files are each valid from the start of their day
until the day of the next file with the same name before the date; the last one stays valid. Before
the first one nothing is known.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.errors import NetwatchError
from netwatch.core.period import UTC_ZONE
from netwatch.core.user_yaml import (
    Problems,
    describe,
    did_you_mean,
    read_trusted_file,
    refuse_writable,
)
from netwatch.core.verdict import BEGINNING, FOREVER
from netwatch.inventory.entry_table import EntryTable, Fields
from netwatch.inventory.inventory_columns import (
    COLUMNS,
    NO_HEADERS,
    days_of,
    find_columns,
    find_delimiter,
    read_bound,
    read_period,
)
from netwatch.inventory.networks import CLASSES

ALWAYS = (BEGINNING, FOREVER)
"""The period of a file that is valid at any time, ns."""

_EXPECTED_COLUMNS = f"columns of {', '.join(COLUMNS)}"
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

MAX_FILES = 4096
"""Dated files of one folder, at most."""

_NAME = re.compile(r"(?:(.*)-)?(\d{4}-\d\d-\d\d)\.csv", re.ASCII)
_EXPECTED = "files named like devices-2023-03-01.csv, with the day from which on they are valid"


def read_inventory(
    path: Path,
    problems: Problems,
    headers: Mapping[str, str] = NO_HEADERS,
    timezone: str = UTC_ZONE,
) -> EntryTable:
    """The rows of a CSV file with a header, in UTF-8 or UTF-16; mistakes are noted. `headers` are
    the names of columns in the file, if different; the days of `from` and `until` are in `timezone`
    (IANA name)."""
    table = EntryTable()
    text = read_text(path, problems)
    if text is not None:
        table = EntryTable(expected=text.count("\n"))
        add_rows(table, text, str(path), problems, headers, timezone)
        report_duplicates(table, problems)
    return table


def read_text(path: Path, problems: Problems) -> str | None:
    """The text of an inventory file; None with the mistake noted."""
    file = str(path)
    try:
        raw = read_trusted_file(path)
        return raw.decode(_encoding(raw))
    except NetwatchError as error:
        problems.add(file, 0, f"the inventory {error}")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        expected = "UTF-8, or UTF-16 with a byte order mark"
        problems.add(file, line, f"the inventory: expected {expected}, found other bytes")
    return None


def parse_inventory(
    text: str,
    file: str,
    problems: Problems,
    headers: Mapping[str, str] = NO_HEADERS,
    timezone: str = UTC_ZONE,
) -> EntryTable:
    """Like `read_inventory`, for the text of a file; `file` is its name in messages."""
    table = EntryTable(expected=text.count("\n"))
    add_rows(table, text, file, problems, headers, timezone)
    report_duplicates(table, problems)
    return table


def add_rows(
    table: EntryTable,
    text: str,
    file: str,
    problems: Problems,
    headers: Mapping[str, str],
    timezone: str,
    valid: tuple[int, int] = ALWAYS,
) -> None:
    """Add the rows of a file. It is valid from the first up to the second time of `valid` (ns), and
    so are its rows, or for a part of that time."""
    numbered = enumerate(_lines(text), 1)
    header_line, header = next(((at, line) for at, line in numbered if line.strip()), (0, ""))
    if not header_line:
        message = f"the inventory: expected a header with {_EXPECTED_COLUMNS}, found an empty file"
        problems.add(file, 0, message)
        return
    delimiter = find_delimiter(header)
    reader = csv.reader(_lines(text), delimiter=delimiter, strict=True, skipinitialspace=True)
    rows = _rows(reader, file, problems)
    written = next(rows, (0, [""]))[1]
    place = find_columns(written, headers, file, header_line, problems)
    if place is None:
        return
    width = len(written)
    table.begin_file(file)
    # The cells of a row by column; an absent column has the empty one after it.
    cells_of = itemgetter(*(place.get(column, width) for column in COLUMNS))
    for line, row in rows:
        if len(row) > width and any(map(str.strip, row[width:])):
            message = (
                f"expected at most {width} values, one a column, found {len(row)}; quote a"
                " value that contains a comma"
            )
            problems.add(file, line, message)
        del row[width:]
        row += [""] * (width + 1 - len(row))
        *cells, since_cell, until_cell = map(str.strip, cells_of(row))
        fields = _read_fields(cells, file, line, problems)
        since, until = valid
        if since_cell or until_cell:
            (since, until), mistakes = read_period(since_cell, until_cell, timezone)
            for mistake in mistakes:
                problems.add(file, line, mistake)
            since, until = max(since, valid[0]), min(until, valid[1])
        if fields is not None and since < until:
            table.add(fields, since, until)


def report_duplicates(table: EntryTable, problems: Problems) -> None:
    """Note the rows that have an id, a MAC or an address in common and are valid at the same
    time."""
    for what, row, earlier in table.duplicates():
        file, first = table.file_of(row), table.file_of(earlier)
        place = f"on line {table.line_of(earlier)}"
        if first != file:
            place += f" of {first}"
        periods = table.period_of(row), table.period_of(earlier)
        if periods == (ALWAYS, ALWAYS):
            message = f"duplicate {what} (first {place})"
        else:
            message = (
                f"duplicate {what} {days_of(*periods[0])} (first {place}, {days_of(*periods[1])}):"
                " expected periods that do not overlap"
            )
        problems.add(file, table.line_of(row), message)


def _encoding(raw: bytes) -> str:
    """The encoding of a file by its byte order mark, UTF-8 if it has none."""
    return next((name for bom, name in _BOMS.items() if raw.startswith(bom)), "utf-8")


def _lines(text: str) -> Iterator[str]:
    """The lines of a text, one at a time, since a list of them would take twice its memory.
    Comments are empty lines."""
    start = 0
    while start <= len(text):
        end = text.find("\n", start)
        line = text[start : end + 1 if end >= 0 else None]
        yield "" if "#" in line and line.lstrip().startswith("#") else line
        start = end + 1 if end >= 0 else len(text) + 1


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
        if any(map(str.strip, row)):
            yield line, row
        line = reader.line_num + 1  # type: ignore[attr-defined]


def _read_fields(cells: list[str], file: str, line: int, problems: Problems) -> Fields | None:
    """The fields of an entry, from the cells of a row in the order of `COLUMNS` up to its class;
    None with the mistakes noted."""
    identity, mac_cell, ip_cell, hostname, owner, kind = cells
    before = len(problems.found)
    mac = parse_mac(mac_cell) if mac_cell else None
    macs = mac or (_read_macs(mac_cell, file, line, problems) if mac_cell else None)
    ip = parse_ip(ip_cell) if ip_cell else None
    ips = (ip,) if ip else _read_addresses(ip_cell, file, line, problems) if ip_cell else ()
    if kind and kind not in CLASSES and kind.lower() not in CLASSES:
        expected = f"one of {', '.join(CLASSES)}, or nothing"
        hint = did_you_mean(kind.lower(), CLASSES)
        problems.add(file, line, f"'class': expected {expected}, found {describe(kind)}{hint}")
    hostname = hostname.rstrip(".").lower()
    if not (mac_cell or ip_cell or hostname):
        problems.add(file, line, "expected a mac, an ip or a hostname in each row, found none")
    if len(problems.found) > before:
        return None
    if not identity:
        identity = mac_text(macs[:6]) if macs else ip_text(ips[0]) if ips else hostname
    device_class: Any = kind.lower() or None
    return identity, macs, ips, hostname or None, owner or None, device_class, line


def _read_macs(cell: str, file: str, line: int, problems: Problems) -> bytes:
    """The MACs of a cell, one after the other."""
    macs: list[bytes] = []
    for text in cell.replace(";", " ").replace(",", " ").split():
        mac = parse_mac(text)
        if mac is None:
            expected = "a MAC address like 02:00:00:00:00:01"
            problems.add(file, line, f"'mac': expected {expected}, found {describe(text)}")
        elif mac not in macs:
            macs.append(mac)
    return b"".join(macs)


def _read_addresses(cell: str, file: str, line: int, problems: Problems) -> tuple[bytes, ...]:
    ips: list[bytes] = []
    for text in cell.replace(";", " ").replace(",", " ").split():
        ip = parse_ip(text)
        if ip is None:
            expected = "IP addresses like 10.20.0.7, separated by spaces"
            problems.add(file, line, f"'ip': expected {expected}, found {describe(text)}")
        elif ip not in ips:
            ips.append(ip)
    return tuple(ips)


def read_inventory_folder(
    path: Path,
    problems: Problems,
    headers: Mapping[str, str] = NO_HEADERS,
    timezone: str = UTC_ZONE,
    candidates: Mapping[str, str] = MappingProxyType({}),
) -> EntryTable:
    """The rows of all dated files in a folder; mistakes are noted. Files whose name begins with a
    dot are left out. `headers` and `timezone` are as in `read_inventory`. `candidates` are texts of
    files that are to be written, by their names."""
    table = EntryTable()
    try:
        refuse_writable(path)
        found = {file for file in path.iterdir() if not file.name.startswith(".")}
    except OSError as error:
        problems.add(str(path), 0, f"the inventory cannot be read: {error.strerror}")
        return table
    except NetwatchError as error:
        problems.add(str(path), 0, f"the folder of the inventory {error}")
        return table
    files = sorted(found | {path / name for name in candidates})
    if len(files) > MAX_FILES:
        problems.add(str(path), 0, f"expected at most {MAX_FILES:,} files, found {len(files):,}")
        return table
    series: dict[str, list[tuple[int, Path]]] = {}
    for file in files:
        match = _NAME.fullmatch(file.name)
        day = read_bound(match[2], timezone, is_end=False) if match else None
        if match is None or day is None:
            problems.add(str(file), 0, f"expected {_EXPECTED}, found {describe(file.name)}")
        else:
            series.setdefault(match[1] or "", []).append((day, file))
    if not files:
        problems.add(str(path), 0, f"the inventory: expected {_EXPECTED}, found an empty folder")
    for dated in series.values():
        dated.sort()
        days = [day for day, _ in dated]
        for (day, file), until in zip(dated, [*days[1:], FOREVER], strict=True):
            text = candidates.get(file.name) or read_text(file, problems)
            if text is not None:
                add_rows(table, text, str(file), problems, headers, timezone, (day, until))
    report_duplicates(table, problems)
    return table
