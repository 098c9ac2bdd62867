"""Inventories as spreadsheets and other programs write them."""

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.user_yaml import Problems
from netwatch.inventory.inventory_columns import find_delimiter
from netwatch.inventory.inventory_file import parse_inventory, read_inventory

HEADERS = {"hostname": "Device Name", "mac": "Ethernet MAC", "owner": "Department"}
ROWS = [
    ["Asset", "Device Name", "Ethernet MAC", "Department", "Bought"],
    ["1", "ws-021.corp.example", "02-00-00-20-01-21", 'Büro; "Presse", 2. Stock', "2022-01-03"],
    ["2", "lab-07", "", "Forensics\nlab", ""],
]
ENTRIES = [
    ("02:00:00:20:01:21", "ws-021.corp.example", 'Büro; "Presse", 2. Stock', 2),
    ("lab-07", "lab-07", "Forensics\nlab", 3),
]


def table(delimiter: str, ending: str, quoted: bool) -> str:
    """The rows as a spreadsheet writes them."""

    def cell(text: str) -> str:
        needs_quotes = quoted or any(char in text for char in f'{delimiter}"\n')
        return '"' + text.replace('"', '""') + '"' if needs_quotes else text

    return "".join(delimiter.join(map(cell, row)) + ending for row in ROWS)


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("encoding", "bom"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
    ],
)
def test_whatever_the_spreadsheet_writes(
    tmp_path: Path, encoding: str, bom: bytes, delimiter: str, ending: str, quoted: bool
) -> None:
    path = tmp_path / "devices.csv"
    path.write_bytes(bom + table(delimiter, ending, quoted).encode(encoding))
    problems = Problems()
    entries = read_inventory(path, problems, HEADERS)
    assert problems.found == []
    found = [(each.id, each.hostname, each.owner, each.line) for each in entries]
    assert found == ENTRIES


def read(text: str, headers: dict[str, str]) -> tuple[list[str], list[str]]:
    problems = Problems()
    entries = parse_inventory(text, "d.csv", problems, headers)
    return [entry.id for entry in entries], [str(problem) for problem in problems.found]


def test_our_own_names_count_beside_mapped_ones() -> None:
    text = "  device NAME ,ip,Class of device\nws-1,10.0.0.1,x\n"
    assert read(text, {"hostname": "Device Name", "id": "Device Name"}) == (["ws-1"], [])


def test_a_column_that_is_not_there_is_a_mistake() -> None:
    ids, messages = read("Device,MAC\nws-1,02:00:00:00:00:01\n", {"hostname": "Device Name"})
    assert ids == []
    assert messages == [
        "d.csv:1: expected a column 'Device Name' for 'hostname', found 'Device', 'MAC';"
        " did you mean 'Device'?"
    ]


def test_a_mapped_column_may_not_come_twice() -> None:
    _, messages = read("Name,Name\na,b\n", {"hostname": "Name"})
    assert messages == ["d.csv:1: duplicate column 'name'"]
    assert read("Name,Note,Note\na,b,c\n", {"hostname": "Name"}) == (["a"], [])


def test_empty_cells_behind_the_last_column_are_nothing() -> None:
    assert read("id;ip;;\na;10.0.0.1;;;;\nb;10.0.0.2\n", {}) == (["a", "b"], [])
    assert read("id;ip\na;10.0.0.1;;x\n", {})[1][0].startswith("d.csv:2: expected at most 2 values")


def test_addresses_may_be_separated_in_any_way() -> None:
    assert read('id,ip\na,"10.0.0.1, 10.0.0.2;10.0.0.3 10.0.0.4"\n', {}) == (["a"], [])


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("id", ","),
        ("id,ip;mac,owner", ","),
        ("id;ip", ";"),
        ("id;ip;mac,x", ";"),
        ('"Name, full";"ip";"a,b,c,d"', ";"),
        ('"Name; full","ip"', ","),
        ("id\tip", "\t"),
        ("a, b\tip", "\t"),
    ],
)
def test_the_delimiter_is_that_of_the_header(header: str, delimiter: str) -> None:
    assert find_delimiter(header) == delimiter


@given(st.binary(max_size=200), st.sampled_from([b"", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE]))
def test_any_bytes_are_entries_or_problems(tmp_path_factory, raw: bytes, bom: bytes) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("any") / "d.csv"
    path.write_bytes(bom + raw)
    problems = Problems()
    assert all(entry.id for entry in read_inventory(path, problems, HEADERS))
