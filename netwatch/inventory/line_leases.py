"""The lease files that have a lease a line, of Kea and of dnsmasq.

Those of Kea's memfile backend, ``kea-leases4.csv`` and ``kea-leases6.csv``, are CSV with a header.
They are a log: a renewal is a further line. A deleted lease has a last line with the lifetime 0,
without the time of deletion; its period ends as granted, or when the address is leased again. From
time to time the server begins a new file, and a separate process, lease file cleanup, removes
superseded entries from the old one. `earlier_kea_files` names the files that continue in it.

The file of dnsmasq has expiry, MAC, address, host name and id of the leases that are active now,
without when they began: a lease counts from its expiry minus the server's lease time. One that does
not expire (0) counts at any time. Below a line ``duid`` are DHCPv6 leases, with the IAID instead of
the MAC.
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


def recognise_kea(text: str) -> bool:
    """Whether this is the beginning of such a file."""
    return text.startswith(("address,hwaddr,", "address,duid,"))


def earlier_kea_files(path: Path) -> list[Path]:
    """The files next to a lease file that the server reads before it, oldest first: a completed
    cleanup, or otherwise the result of the previous cleanup and what waits for the next one."""
    completed, former, waiting = (Path(f"{path}.{end}") for end in ("completed", "2", "1"))
    found = [completed] if completed.exists() else [former, waiting]
    return [each for each in found if each.exists()]


def read_kea(text: str) -> Iterator[Declaration | LeaseSyntaxError]:
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
            yield from _kea_declaration(dict(zip(columns, row, strict=False)), reader.line_num)
        except LeaseSyntaxError as error:
            yield error


def _kea_declaration(cells: Mapping[str, str], line: int) -> Iterator[Declaration]:
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


def recognise_dnsmasq(text: str) -> bool:
    """Whether this is the beginning of such a file."""
    words = text.partition("\n")[0].split()
    return words[:1] == ["duid"] or (len(words) == 5 and words[0].isdigit())


def read_dnsmasq(text: str, lease_time: int) -> Iterator[Declaration | LeaseSyntaxError]:
    """The declarations of a file, and its mistakes; `lease_time` is in ns. A last line without its
    end is left out: the server is about to write the rest."""
    *lines, _ = text.split("\n")
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0] == "duid":
            continue
        try:
            yield from _dnsmasq_declaration(words, lease_time, number)
        except LeaseSyntaxError as error:
            yield error


def _dnsmasq_declaration(words: list[str], lease_time: int, line: int) -> Iterator[Declaration]:
    if len(words) != 5:
        expected = "expiry, MAC, address, host name and client id"
        raise LeaseSyntaxError(line, f"expected {expected}, found {describe(' '.join(words))}")
    expiry, hardware, address, name, client = words
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) < 20):
        expected = "the expiry in seconds since the epoch"
        raise LeaseSyntaxError(line, f"expected {expected}, found {describe(expiry)}")
    ip = parse_ip(address)
    if ip is None:
        raise LeaseSyntaxError(line, f"expected an IP address, found {describe(address)}")
    # A hardware type other than Ethernet precedes the address: 06-02:00:00:00:00:01.
    mac = parse_mac(hardware) if len(ip) == 4 else mac_of_duid(bytes_of_hex(client))
    if mac is None:
        return
    until = min(int(expiry) * SECOND, NEVER) or NEVER
    since = 0 if until == NEVER else max(0, until - lease_time)
    yield Declaration(ip, mac, since, until, "" if name == "*" else name, line)
