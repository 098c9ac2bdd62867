"""A folder of dated inventories: ``devices-2023-03-01.csv`` and later ones beside it.

Each file is valid from the beginning of its day until that of the next file with the same name
before the date; the last one stays valid. Before the first one nothing is known.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from netwatch.core.errors import NetwatchError
from netwatch.core.period import UTC_ZONE
from netwatch.core.trusted_files import refuse_writable
from netwatch.core.user_yaml import Problems, describe
from netwatch.core.verdict import FOREVER
from netwatch.inventory.entry_table import EntryTable
from netwatch.inventory.inventory_columns import NO_HEADERS
from netwatch.inventory.inventory_file import add_rows, read_text, report_duplicates
from netwatch.inventory.validity import read_bound

MAX_FILES = 4096
"""Dated files of one folder."""

_NAME = re.compile(r"(?:(.*)-)?(\d{4}-\d\d-\d\d)\.csv", re.ASCII)
_EXPECTED = "files named like devices-2023-03-01.csv, with the day from which on they are valid"


def read_inventory_folder(
    path: Path,
    problems: Problems,
    headers: Mapping[str, str] = NO_HEADERS,
    timezone: str = UTC_ZONE,
    candidates: Mapping[str, str] = MappingProxyType({}),
) -> EntryTable:
    """The rows of all dated files of a folder; mistakes are noted. Files whose name begins with a
    dot are left out. `headers` and `timezone` are those of `read_inventory`. `candidates` are texts
    of files that are to be written, by their names."""
    table = EntryTable()
    try:
        refuse_writable(path)
        found = {each for each in path.iterdir() if not each.name.startswith(".")}
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
