"""The computers of a directory (Active Directory, OpenLDAP) in a file that its tools export.

Two kinds are read: LDIF, and CSV with the names of attributes as its header, as ``csvde`` and
``Get-ADComputer | Export-Csv`` write it. Of the entries those count that are computers; accounts
that are disabled, and users, groups and folders, do not.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.user_yaml import Problems, describe
from netwatch.inventory.class_rules import ClassRule, class_by, folders_of
from netwatch.inventory.inventory_columns import find_delimiter
from netwatch.inventory.ldif import DirectoryEntry, LdifError, read_entries, recognise
from netwatch.inventory.registered import MAX_REGISTERED, Registered, registered

DEFAULT_OWNER = "managedBy"
"""The attribute with the owner of a computer."""

MAX_COLUMNS = 1000
"""Columns of a CSV file of a directory."""

_CLASSES = frozenset({"computer", "device", "ieee802device", "iphost", "bootabledevice"})
_SEVERAL = frozenset({"objectclass", "networkaddress", "macaddress", "iphostnumber"})
_MAC_ATTRIBUTES = ("macaddress", "networkaddress")
_IP_ATTRIBUTES = ("iphostnumber", "networkaddress", "ipv4address", "ipv6address")
_NAMES = ("name", "cn", "samaccountname")
_ACCOUNT_DISABLED = 0x2  # ADS_UF_ACCOUNTDISABLE, [MS-ADTS] section 2.2.16
_HEX_PAIR = re.compile(r"(?:\\[0-9A-Fa-f]{2})+|\\(.)", re.DOTALL)


def read_computers(
    text: str,
    file: str,
    problems: Problems,
    rules: Sequence[ClassRule] = (),
    owner: str = DEFAULT_OWNER,
) -> list[Registered]:
    """The computers of an export; mistakes are noted, and `file` is its name in messages. `rules`
    give the classes, and the attribute `owner` the owner."""
    found: list[Registered] = []
    try:
        entries = read_entries(text) if recognise(text) else _read_table(text)
        for entry in entries:
            if not _is_computer(entry) or _is_disabled(entry):
                continue
            if len(found) >= MAX_REGISTERED:
                raise LdifError(entry.line, f"expected at most {MAX_REGISTERED:,} computers")
            found.append(_computer(entry, rules, owner.lower()))
    except LdifError as error:
        problems.add(file, error.line, str(error))
    return found


def _read_table(text: str) -> Iterator[DirectoryEntry]:
    """The entries of a CSV file with attributes as its columns."""
    # Windows PowerShell writes the type of its objects in the first line.
    lines = text.split("\n")
    skipped = next((at for at, line in enumerate(lines) if line.strip() and line[0] != "#"), None)
    if skipped is None:
        raise LdifError(0, "expected LDIF, or CSV with attributes as its header; found nothing")
    header = lines[skipped]
    del lines[:skipped]
    reader = csv.reader(
        (f"{line}\n" for line in lines), delimiter=find_delimiter(header), strict=True
    )
    columns: list[str] = []
    line = skipped + 1
    try:
        for row in reader:
            if not columns:
                columns = _columns(row, line)
            elif any(row):
                if len(row) != len(columns):
                    expected = f"{len(columns)} values, one for each column"
                    raise LdifError(line, f"expected {expected}, found {len(row)}")
                yield _entry_of_row(dict(zip(columns, row, strict=True)), line)
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        raise LdifError(line, f"expected valid CSV: {error}") from None


def _columns(row: Sequence[str], line: int) -> list[str]:
    columns = [cell.strip().lower() for cell in row]
    if not {"dn", "distinguishedname", "dnshostname", "name"} & {*columns}:
        expected = "LDIF, or CSV with a column DN, DistinguishedName, dNSHostName or Name"
        raise LdifError(line, f"expected {expected}; found {describe(','.join(row))}")
    if len(columns) > MAX_COLUMNS:
        raise LdifError(line, f"expected at most {MAX_COLUMNS:,} columns, found {len(columns):,}")
    return columns


def _entry_of_row(cells: Mapping[str, str], line: int) -> DirectoryEntry:
    attributes = {
        # csvde has a semicolon between several values, and Export-Csv a blank in joined ones.
        name: re.split(r"[;\s]+", value.strip()) if name in _SEVERAL else [value.strip()]
        for name, value in cells.items()
        if name and value.strip()
    }
    dn = cells.get("dn", "") or cells.get("distinguishedname", "")
    return DirectoryEntry(dn, attributes, line)


def _is_computer(entry: DirectoryEntry) -> bool:
    """Whether an entry is a computer: by its class, where the export has that; one without it has
    what it was asked for."""
    classes = entry.attributes.get("objectclass")
    return classes is None or any(each.strip().lower() in _CLASSES for each in classes)


def _is_disabled(entry: DirectoryEntry) -> bool:
    control = entry.first("useraccountcontrol")
    if control.isascii() and control.isdigit() and len(control) < 12:
        return bool(int(control) & _ACCOUNT_DISABLED)
    return entry.first("enabled").lower() == "false"


def _computer(entry: DirectoryEntry, rules: Sequence[ClassRule], owner: str) -> Registered:
    values = entry.attributes
    names = (*map(entry.first, _NAMES), _unescaped(_first_value(entry.dn)))
    name = next(filter(None, names), "").removesuffix("$")
    kind = class_by(
        rules,
        {
            "name": [name],
            "os": values.get("operatingsystem", []),
            "under": folders_of(entry.dn) if entry.dn else [],
        },
    )
    written = entry.first(owner)
    # An owner is another entry, of which the name is shown.
    is_dn = re.match(r"(?i)(cn|uid)=", written)
    return registered(
        name,
        macs=filter(None, map(parse_mac, _values(values, _MAC_ATTRIBUTES))),
        ips=filter(None, map(parse_ip, _values(values, _IP_ATTRIBUTES))),
        hostname=entry.first("dnshostname") or name,
        owner=_unescaped(_first_value(written)) if is_dn else written,
        device_class=kind,
        origin=entry.dn or f"line {entry.line}",
    )


def _values(attributes: Mapping[str, Sequence[str]], names: Sequence[str]) -> Iterator[str]:
    return (value.strip() for name in names for value in attributes.get(name, ()))


def _first_value(dn: str) -> str:
    """The value of the first part of a distinguished name, as it is written."""
    match = re.match(r"[^=]*=((?:\\.|[^,\\])*)", dn, re.DOTALL)
    return match[1] if match else ""


def _unescaped(value: str) -> str:
    """A value of a distinguished name without its escapes (RFC 4514 section 2.4)."""

    def plain(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        return bytes.fromhex(match[0].replace("\\", "")).decode("utf-8", "replace")

    return _HEX_PAIR.sub(plain, value)
