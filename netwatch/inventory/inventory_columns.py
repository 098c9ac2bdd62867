"""The columns of an inventory: what they mean, and where a file has them.

A file that was written for us has our names as its header, and nothing else. One that a spreadsheet
or another program exported has its own headers, which the configuration maps to ours; columns that
are not mapped are then ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwatch.core.file_keys import key, nested
from netwatch.core.user_yaml import Fields, Problems, did_you_mean
from netwatch.core.value_kinds import TEXT

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "id": "the id of the device in alerts and exemptions; by default its first of MAC, IP,"
        " host name",
        "mac": "six bytes: `02:00:00:00:00:01`, with hyphens, as `0200.0000.0001`, or bare; of "
        "several interfaces separated by spaces",
        "ip": "IP addresses, separated by spaces",
        "hostname": "shown in alerts; as the only value of a row it identifies devices that are"
        " learned",
        "owner": "shown in alerts",
        "class": "`service`, `personal`, `guest` or `infrastructure`; by default the class of the"
        " network",
        "from": "the first day, or the time, from which on the row is valid; by default always",
        "until": "the last day on which it is valid, or the time up to which; by default for ever",
    }
)
"""The columns of an inventory, each with a description. Any column or cell may be left out, but a
row needs a MAC, an IP address or a host name."""

_ColumnKeys: Any = make_dataclass(
    "_ColumnKeys",
    [
        (f"{name}_", str, key(TEXT, f"the header of the column with {content}", shown=f"`{name}`"))
        for name, content in {
            "id": "the id of the device",
            "mac": "its MAC address",
            "ip": "its IP addresses",
            "hostname": "its host name",
            "owner": "its owner",
            "class": "its class",
            "from": "the first day on which the row is valid",
            "until": "the last day on which the row is valid",
        }.items()
    ],
    eq=False,
    repr=False,
)


def _headers(found: Any, _: Fields, __: Path) -> dict[str, str]:
    written = {column: getattr(found, f"{column}_") for column in COLUMNS}
    return {column: header for column, header in written.items() if header}


HEADERS = nested(_ColumnKeys, check=_headers, empty={})
"""What the columns of a file are called: its headers by our names."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
"""The headers of a file whose columns have our names."""

DELIMITERS = ("\t", ";", ",")
"""What separates cells. Spreadsheets write semicolons in locales where the comma is the decimal
separator, and tabs as "Unicode text"."""


def find_delimiter(header: str) -> str:
    """The delimiter of a file with this header line: the one that is in it outside of quotes, of
    several the first of `DELIMITERS` unless there are more commas."""
    bare = "".join(header.split('"')[::2])
    if "," in bare and bare.count(",") >= bare.count(";") and "\t" not in bare:
        return ","
    return next((delimiter for delimiter in DELIMITERS if delimiter in bare), ",")


def find_columns(
    written: Sequence[str],
    headers: Mapping[str, str],
    file: str,
    line: int,
    problems: Problems,
) -> dict[str, int] | None:
    """Where our columns are in a file with these headers (`written`), from 0; None with the
    mistakes noted. `headers` maps our columns to those of the file."""
    before = len(problems.found)
    keys = [_key(cell) for cell in written]
    wanted = {column: _key(headers.get(column, column)) for column in COLUMNS}
    for column, header in headers.items():
        if _key(header) not in keys:
            shown = ", ".join(f"'{cell.strip()}'" for cell in written if cell.strip())
            hint = did_you_mean(header, [cell.strip() for cell in written])
            message = f"expected a column '{header}' for '{column}', found {shown}{hint}"
            problems.add(file, line, message)
    for found in dict.fromkeys(keys):
        is_known = found in wanted.values()
        if is_known and keys.count(found) > 1:
            problems.add(file, line, f"duplicate column '{found}'")
        elif found and not is_known and not headers:
            expected = f"columns of {', '.join(COLUMNS)}"
            hint = did_you_mean(found, COLUMNS)
            message = (
                f"unknown column '{found}': expected {expected}{hint}; 'columns' in the"
                " configuration sets what they are called"
            )
            problems.add(file, line, message)
    if len(problems.found) > before:
        return None
    return {column: keys.index(found) for column, found in wanted.items() if found in keys}


def _key(header: str) -> str:
    return " ".join(header.split()).lower()
