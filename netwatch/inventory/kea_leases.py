"""The lease files of Kea's memfile backend, CSV with a header: ``kea-leases4.csv`` and
``kea-leases6.csv``.

The file is a log: a renewal is a further line. A deleted lease has a last line with the lifetime 0,
without the time of deletion; its period ends as granted, or when the address is leased again.

From time to time the server begins a new file, and a separate process, lease file cleanup, removes
superseded entries from the old one. `earlier_files` names the files that continue in the lease
file.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.user_yaml import describe
from netwatch.inventory.lease_table import (
    NEVER,
    SECOND,
    Declaration,
    LeaseSyntaxError,
    bytes_of_hex,
    mac_of_duid,
)

_INFINITE = 0xFFFFFFFF
_DECLINED = "1"
_PREFIX = "2"
_NEEDED = ("address", "valid_lifetime", "expire")


def recognise(text: str) -> bool:
    """Whether this is the beginning of such a file."""
    return text.startswith(("address,hwaddr,", "address,duid,"))


def earlier_files(path: Path) -> list[Path]:
    """The files next to a lease file that the server reads before it, oldest first: a completed
    cleanup, or otherwise the result of the previous cleanup and what waits for the next one."""
    completed, former, waiting = (Path(f"{path}.{end}") for end in ("completed", "2", "1"))
    found = [completed] if completed.exists() else [former, waiting]
    return [each for each in found if each.exists()]


def read_declarations(text: str) -> Iterator[Declaration | LeaseSyntaxError]:
    """The declarations of a file, and its mistakes. A last line without its end is left out: the
    server is about to write the rest."""
    end = text.rfind("\n") + 1
    reader = csv.reader(io.StringIO(text[:end]))
    columns = next(reader, [])
    if not columns:
        return
    missing = [column for column in _NEEDED if column not in columns]
    if missing:
        expected = f"columns of {', '.join(_NEEDED)}"
        yield LeaseSyntaxError(1, f"expected {expected}, found no {', '.join(missing)}")
        return
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield LeaseSyntaxError(reader.line_num, f"expected valid CSV: {error}")
            return
        if row is None:
            return
        if not row or row == columns:
            continue
        try:
            yield from _declaration(dict(zip(columns, row, strict=False)), reader.line_num)
        except LeaseSyntaxError as error:
            yield error


def _declaration(cells: Mapping[str, str], line: int) -> Iterator[Declaration]:
    text = cells.get("address", "")
    ip = parse_ip(text)
    if ip is None:
        raise LeaseSyntaxError(line, f"'address': expected an IP address, found {describe(text)}")
    lifetime, expire = (_number(cells, key, line) for key in ("valid_lifetime", "expire"))
    since = max(0, expire - lifetime)
    if cells.get("state") == _DECLINED:
        yield Declaration(ip, None, since * SECOND, since * SECOND, "", line)
        return
    hardware = cells.get("hwaddr", "")
    mac = parse_mac(hardware) or mac_of_duid(bytes_of_hex(cells.get("duid", "")))
    if mac is None or not lifetime or cells.get("lease_type") == _PREFIX:
        return
    until = NEVER if lifetime == _INFINITE else min(expire * SECOND, NEVER)
    hostname = cells.get("hostname", "").replace("&#x2c", ",").rstrip(".")
    yield Declaration(ip, mac, min(since * SECOND, NEVER), until, hostname, line)


def _number(cells: Mapping[str, str], key: str, line: int) -> int:
    text = cells.get(key, "")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise LeaseSyntaxError(line, f"'{key}': expected a number, found {describe(text)}")
    return int(text)
