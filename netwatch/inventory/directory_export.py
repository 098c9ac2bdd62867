"""The computers of a directory (Active Directory, OpenLDAP) in a file that its tools export.

Two kinds are read: LDIF, and CSV with the names of attributes as its header, as ``csvde`` and
``Get-ADComputer | Export-Csv`` write it. Only computers count; disabled accounts, users, groups and
folders do not.

LDIF (RFC 2849) has the entries as ``ldapsearch -LLL``, ``slapcat`` and ``ldifde`` write them. An
entry is a block of lines ``attribute: value``. A line that begins with a blank continues the
previous one, ``::`` precedes a value in base64, and ``:<`` a URL, which is never opened. A file of
changes is not an export: the only accepted ``changetype`` is ``add``, with which ``ldifde`` begins
each entry.
"""

import csv
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.user_yaml import Problems, describe
from netwatch.inventory.inventory_columns import find_delimiter
from netwatch.inventory.registered import (
    MAX_REGISTERED,
    ClassRule,
    Registered,
    class_by,
    folders_of,
    registered,
)

MAX_VALUES = 100_000
"""Values of one entry, at most. A computer has some hundred, a large group thousands of members."""

_ATTRIBUTE = re.compile(r"([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)((?:;[A-Za-z0-9=-]+)*)", re.ASCII)
_RESULT = frozenset({"search", "result", "numresponses", "numentries"})

DEFAULT_OWNER = "managedBy"
"""The attribute with a computer's owner."""

MAX_COLUMNS = 1000
"""Columns of a CSV file of a directory."""

_CLASSES = frozenset({"computer", "device", "ieee802device", "iphost", "bootabledevice"})
_SEVERAL = frozenset({"objectclass", "networkaddress", "macaddress", "iphostnumber"})
_MAC_ATTRIBUTES = ("macaddress", "networkaddress")
_IP_ATTRIBUTES = ("iphostnumber", "networkaddress", "ipv4address", "ipv6address")
_NAMES = ("name", "cn", "samaccountname")
_ACCOUNT_DISABLED = 0x2  # ADS_UF_ACCOUNTDISABLE, [MS-ADTS] section 2.2.16
_HEX_PAIR = re.compile(r"(?:\\[0-9A-Fa-f]{2})+|\\(.)", re.DOTALL)


class LdifError(Exception):
    """A line that is not LDIF. As text: what was expected, and what was found."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """An entry: its distinguished name, its attributes (in lower case, without options such as
    ``;binary``) with their values, and the line on which it begins. In values that are not UTF-8,
    invalid bytes become U+FFFD."""

    dn: str
    attributes: Mapping[str, list[str]]
    line: int

    def first(self, attribute: str) -> str:
        """The first value of an attribute; empty if there is none."""
        return next(iter(self.attributes.get(attribute, ())), "")


def recognise(text: str) -> bool:
    """Whether this is the beginning of such a file."""
    for line in text.split("\n"):
        if line.strip() and not line.startswith(("#", " ")):
            return line.lower().startswith(("dn:", "version:"))
    return False


def read_entries(text: str) -> Iterator[DirectoryEntry]:
    """The entries of a file. Raises `LdifError`, also if the last line has no end: the file was
    cut, or is still being written."""
    if text and not text.endswith("\n"):
        last = text.count("\n") + 1
        raise LdifError(last, "expected a line end behind the last line; the file may be cut")
    block: list[tuple[int, str]] = []
    for number, written in _unfolded(text):
        if written:
            if len(block) >= MAX_VALUES:
                raise LdifError(number, f"expected at most {MAX_VALUES:,} values in an entry")
            block.append((number, written))
        elif block:
            yield from _entry(block)
            block = []
    if block:
        yield from _entry(block)


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, continued ones joined and comments left out (section 2, notes 2
    and 3)."""
    parts: list[str] = []
    start = 0
    number = 0
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        line = text[at : end if end >= 0 else len(text)].removesuffix("\r")
        at = len(text) if end < 0 else end + 1
        number += 1
        if line.startswith(" "):
            if not parts:
                raise LdifError(number, "expected a line before the one that continues it")
            parts.append(line[1:])
            continue
        yield from _logical(start, parts)
        parts, start = [line] if line else [], number
        if not line:
            yield number, ""
    yield from _logical(start, parts)


def _logical(number: int, parts: list[str]) -> Iterator[tuple[int, str]]:
    if parts and not parts[0].startswith("#"):
        yield number, "".join(parts)


def _entry(block: list[tuple[int, str]]) -> Iterator[DirectoryEntry]:
    """The entry of a block of lines; none if it is ``ldapsearch``'s summary."""
    attributes: dict[str, list[str]] = {}
    number, line = block[0]
    name, value = _value(number, line)
    if name == "version":
        if value != "1":
            raise LdifError(number, f"'version': expected 1, found {describe(value)}")
        block = block[1:]
        if not block:
            return
        number, line = block[0]
        name, value = _value(number, line)
    if name in _RESULT:
        return
    if name != "dn":
        raise LdifError(number, f"expected 'dn' at the beginning of an entry, found '{name}'")
    dn, first = value or "", number
    for number, line in block[1:]:
        name, value = _value(number, line)
        if name == "dn":
            raise LdifError(number, "expected an empty line before the next 'dn'")
        if name == "changetype" and (value or "").strip().lower() != "add":
            message = f"expected an export, not changes: found 'changetype: {value}'"
            raise LdifError(number, message)
        if value is not None:
            attributes.setdefault(name, []).append(value)
    yield DirectoryEntry(dn, attributes, first)


def _value(number: int, line: str) -> tuple[str, str | None]:
    """Attribute and value of a line; None for a value that is stored elsewhere, or is not text."""
    written, colon, rest = line.partition(":")
    match = _ATTRIBUTE.fullmatch(written)
    if not colon or match is None:
        raise LdifError(number, f"expected 'attribute: value', found {describe(line)}")
    name = match[1].lower()
    if rest.startswith("<"):
        return name, None
    if not rest.startswith(":"):
        return name, rest.lstrip(" ")
    try:
        raw = b64decode("".join(rest[1:].split()), validate=True)
    except (Base64Error, ValueError):
        raise LdifError(number, f"'{name}': expected base64 behind '::'") from None
    return name, raw.decode("utf-8", "replace")


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
    """Whether an entry is a computer: by its class, if the export has that; otherwise the export is
    taken to have only computers."""
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
    # An owner is another entry, whose name is shown.
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
    """The value of the first part of a distinguished name, as written."""
    match = re.match(r"[^=]*=((?:\\.|[^,\\])*)", dn, re.DOTALL)
    return match[1] if match else ""


def _unescaped(value: str) -> str:
    """A value of a distinguished name without its escapes (RFC 4514 section 2.4)."""

    def plain(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        return bytes.fromhex(match[0].replace("\\", "")).decode("utf-8", "replace")

    return _HEX_PAIR.sub(plain, value)
