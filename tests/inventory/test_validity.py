"""Rows of an inventory that are valid for a time: their cells, overlaps, and what is found."""

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.addresses import parse_mac
from netwatch.core.user_yaml import Problems
from netwatch.core.verdict import BEGINNING, FOREVER, BindingPeriod, Network
from netwatch.inventory.devices import Devices
from netwatch.inventory.entry_table import Entry, EntryTable
from netwatch.inventory.inventory_columns import read_bound, read_period
from netwatch.inventory.inventory_file import parse_inventory, read_inventory_folder

HQ = Network("hq", "service")
HEADER = "id,mac,ip,hostname,owner,class,from,until\n"
LENT = (
    HEADER
    + "old,02:00:00:00:00:01,10.20.0.1,,Ann,service,,2023-03-09\n"
    + "new,,10.20.0.1,,Bob,personal,2023-03-10,2023-03-31\n"
    + "old,02:00:00:00:00:01,10.20.0.2,,Ann,service,2023-03-10,\n"
    + "late,,10.20.0.1,,Cid,,2023-04-01T12:00:00+02:00,\n"
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def load(text: str, timezone: str = "UTC") -> tuple[EntryTable, list[str]]:
    problems = Problems()
    table = parse_inventory(text, "d.csv", problems, timezone=timezone)
    return table, [str(problem) for problem in problems.found]


def who(known: Devices, ip: str, moment: str, mac: str | None = None) -> str:
    packed = parse_mac(mac) if mac else None
    return known.identify(ip_address(ip).packed, packed, HQ, at(moment)).device.id


@pytest.mark.parametrize(
    ("moment", "ip", "device"),
    [
        ("1999-01-01", "10.20.0.1", "old"),
        ("2023-03-09 23:59:59", "10.20.0.1", "old"),
        ("2023-03-10", "10.20.0.1", "new"),
        ("2023-03-10", "10.20.0.2", "old"),
        ("2023-03-09 23:59:59", "10.20.0.2", "10.20.0.2"),
        ("2023-03-31 23:59:59", "10.20.0.1", "new"),
        ("2023-04-01", "10.20.0.1", "10.20.0.1"),
        ("2023-04-01 09:59:59", "10.20.0.1", "10.20.0.1"),
        ("2023-04-01 10:00:00", "10.20.0.1", "late"),
        ("2200-01-01", "10.20.0.1", "late"),
    ],
)
def test_the_row_of_the_time_of_a_contact_applies(moment: str, ip: str, device: str) -> None:
    table, messages = load(LENT)
    assert messages == []
    assert who(Devices(table), ip, moment) == device


def test_the_cache_knows_until_when_its_answer_holds() -> None:
    known = Devices(load(LENT)[0])
    moments = ["2023-03-09", "2023-03-10", "2023-03-09", "2023-04-01", "2023-04-02", "2023-03-31"]
    found = [who(known, "10.20.0.1", moment) for moment in moments]
    assert found == ["old", "new", "old", "10.20.0.1", "late", "new"]


def test_a_device_says_since_when_its_row_is_valid() -> None:
    known = Devices(load(LENT)[0])
    ip = ip_address("10.20.0.1").packed
    found = known.identify(ip, None, HQ, at("2023-03-15"))
    since, until = at("2023-03-10"), at("2023-04-01")
    assert found.device.binding == BindingPeriod("inventory", since, until, "d.csv", 3)
    assert found.explanation == (
        "inventory line 3 by IP 10.20.0.1: class of the entry, valid from 2023-03-10T00:00:00Z"
        " up to 2023-04-01T00:00:00Z"
    )
    gap = known.identify(ip, None, HQ, at("2023-04-01"))
    assert gap.device.binding == BindingPeriod("address", None, None)
    assert "at this time (inventory line 5 has it, valid from 2023-04-01T10:00:00Z)" in (
        gap.explanation
    )


def test_a_day_is_that_of_the_time_zone() -> None:
    known = Devices(load(LENT, "Europe/Brussels")[0])
    assert who(known, "10.20.0.1", "2023-03-09 22:59:59") == "old"
    assert who(known, "10.20.0.1", "2023-03-09 23:00:00") == "new"


@pytest.mark.parametrize(
    ("cell", "is_end", "moment"),
    [
        ("2023-03-01", False, "2023-03-01"),
        ("2023-03-01", True, "2023-03-02"),
        ("2023-03-01T09:00:00Z", True, "2023-03-01 09:00:00"),
        ("2023-03-01t09:00:00+01:00", False, "2023-03-01 08:00:00"),
        ("2023-03-01 09:00:00.5Z", False, None),
        ("2023-02-29", False, None),
        ("2023-03-01T09:00:00", False, None),
        ("20230301", False, None),
        ("01/03/2023", False, None),
        ("9999-12-31", True, None),
        ("٢٠٢٣-03-01", False, None),
    ],
)
def test_days_and_times(cell: str, is_end: bool, moment: str | None) -> None:
    found = read_bound(cell, "UTC", is_end=is_end)
    if cell.endswith(".5Z"):
        assert found == at("2023-03-01 09:00:00") + 500_000_000
    else:
        assert found == (None if moment is None else at(moment))


@given(st.text(alphabet="0123456789-:TZz+. ", max_size=30), st.booleans())
def test_any_cell_is_a_time_or_none(cell: str, is_end: bool) -> None:
    found = read_bound(cell, "Europe/Brussels", is_end=is_end)
    assert found is None or -(10**18) < found < 1 << 63


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,,10.0.0.1,,,,1.3.2023,", "d.csv:2: 'from': expected a day like 2023-03-01 or a time"),
        ("a,,10.0.0.1,,,,2023-03-02,2023-03-01", "d.csv:2: 'until': expected a day or time after"),
        (
            "a,,10.0.0.1,,,,,2023-03-01\nb,,10.0.0.1,,,,2023-03-01,",
            "d.csv:3: duplicate IP '10.0.0.1' from 2023-03-01T00:00:00Z (first on line 2,"
            " up to 2023-03-02T00:00:00Z): expected periods that do not overlap",
        ),
        (
            "a,02:00:00:00:00:01,,,,,2023-03-01,2023-03-31\nb,02:00:00:00:00:01,,,,,,",
            "d.csv:3: duplicate MAC '02:00:00:00:00:01' at any time (first on line 2, from 2023-03",
        ),
        ("a,,10.0.0.1,,,,2023-01-01,\na,,10.0.0.2,,,,,2023-01-01", "d.csv:3: duplicate id 'a' up"),
    ],
)
def test_mistakes_and_overlaps_have_their_lines(rows: str, message: str) -> None:
    _, messages = load(f"{HEADER}{rows}\n")
    assert len(messages) == 1
    assert messages[0].startswith(message)


PERIODS = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)


@given(
    st.lists(st.tuples(st.integers(0, 2), PERIODS), max_size=12),
    st.lists(st.integers(-1, 13), min_size=1),
)
def test_what_is_found_is_what_a_search_finds(
    rows: list[tuple[int, list[int]]], times: list[int]
) -> None:
    """The table beside a plain list, in which periods may overlap."""
    entries = [
        Entry(
            f"d{n}",
            bytes((2, 0, 0, 0, 0, which)),
            (bytes((10, 0, 0, which)), bytes((10, 0, 1, n))),
            None,
            None,
            None,
            n + 2,
            since,
            until + 1,
        )
        for n, (which, (since, until)) in enumerate(rows)
    ]
    table = EntryTable(entries)
    assert list(table) == entries
    overlapping = {
        entry.line
        for n, entry in enumerate(entries)
        for other in entries[:n]
        if entry.mac == other.mac
        and entry.since < other.until  # type: ignore[operator]
        and other.since < entry.until  # type: ignore[operator]
    }
    macs = {what for what, _, _ in table.duplicates() if what.startswith("MAC")}
    assert bool(overlapping) == bool(macs)
    if overlapping:
        return
    known = Devices(table)
    for time in times:
        for which in range(3):
            mac, ip = bytes((2, 0, 0, 0, 0, which)), bytes((10, 0, 0, which))
            expected = [
                each
                for each in entries
                if each.mac == mac and (each.since or 0) <= time < (each.until or 0)
            ]
            assert table.with_mac(mac, time) == (expected[0] if expected else None)
            assert table.with_ip(ip, time) == (expected[0] if expected else None)
            found = known.identify(ip, None, HQ, time)
            assert found.device.id == (expected[0].id if expected else f"10.0.0.{which}")
            assert found.since <= time < found.until


def test_a_year_of_daily_rows_of_many_devices_is_no_quadratic_work() -> None:
    """Every row is compared with one other. Compared with all of its key, 30,000 rows would take
    minutes."""
    entries = (Entry("one", bytes(6), (), None, str(n), None, n, n, n + 1) for n in range(30_000))
    table = EntryTable(entries)
    assert list(table.duplicates()) == []
    found = table.with_mac(bytes(6), 777)
    assert found
    assert found.owner == "777"
    shared = EntryTable(
        Entry(f"{n}", bytes(6), (), None, None, None, n, n, None) for n in range(30_000)
    )
    assert len(list(shared.duplicates())) == 29_999


def folder(path: Path, files: dict[str, str]) -> Path:
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def read(path: Path) -> tuple[EntryTable, list[str]]:
    problems = Problems()
    table = read_inventory_folder(path, problems)
    return table, [str(problem) for problem in problems.found]


def test_dated_files_are_valid_until_the_next_of_their_name(tmp_path: Path) -> None:
    table, messages = read(
        folder(
            tmp_path / "inventory",
            {
                "devices-2023-03-01.csv": "id,ip,owner\na,10.0.0.1,Ann\nb,10.0.0.2,Bob\n",
                "devices-2023-04-01.csv": "owner;id;ip\nAnn;a;10.0.0.1\nCid;c;10.0.0.2\n",
                "phones-2023-02-01.csv": "id,ip,until\np,10.0.0.3,2023-03-15\n",
                ".devices-2022-01-01.csv.swp": "\0",
            },
        )
    )
    assert messages == []
    known = Devices(table)
    assert who(known, "10.0.0.1", "2023-02-28") == "10.0.0.1"
    assert who(known, "10.0.0.1", "2023-03-31") == who(known, "10.0.0.1", "2023-05-01") == "a"
    assert [who(known, "10.0.0.2", day) for day in ("2023-03-31", "2023-04-01")] == ["b", "c"]
    assert [who(known, "10.0.0.3", day) for day in ("2023-03-15", "2023-03-16")] == [
        "p",
        "10.0.0.3",
    ]
    # A device that did not change is the same row since the first file that has it.
    assert len(table) == 4
    entry = table.with_id("a")
    assert entry
    assert (entry.since, entry.until, entry.line) == (at("2023-03-01"), None, 2)
    assert Path(entry.file).name == "devices-2023-03-01.csv"
    found = known.identify(ip_address("10.0.0.2").packed, None, HQ, at("2023-04-02"))
    assert found.explanation.startswith("devices-2023-04-01.csv line 3 by IP 10.0.0.2")


@pytest.mark.parametrize(
    ("files", "place", "message"),
    [
        ({}, "", "the inventory: expected files named like devices-2023-03-01.csv"),
        (
            {"devices.csv": "ip\n"},
            "/devices.csv",
            "expected files named like devices-2023-03-01.csv",
        ),
        ({"d-2023-02-30.csv": "ip\n"}, "/d-2023-02-30.csv", "expected files named like devices-2"),
        (
            {"a-2023-01-01.csv": "id,ip\nx,10.0.0.1\n", "b-2023-02-01.csv": "id,ip\ny,10.0.0.1\n"},
            "/b-2023-02-01.csv:2",
            "duplicate IP '10.0.0.1' from 2023-02-01T00:00:00Z (first on line 2 of ",
        ),
        ({"a-2023-01-01.csv": "id,adress\n"}, "/a-2023-01-01.csv:1", "unknown column 'adress'"),
    ],
    ids=["empty", "no-date", "no-day", "two-series", "header"],
)
def test_mistakes_in_a_folder(
    tmp_path: Path, files: dict[str, str], place: str, message: str
) -> None:
    path = folder(tmp_path / "inventory", files)
    _, messages = read(path)
    assert len(messages) == 1
    assert messages[0].startswith(f"{path}{place}: {message}")


def test_the_digest_counts_periods_and_not_the_folder(tmp_path: Path) -> None:
    plain, dated = load("id,ip\na,10.0.0.1\n")[0], load("id,ip,from\na,10.0.0.1,2023-01-01\n")[0]
    later = load("id,ip,from\na,10.0.0.1,2023-01-02\n")[0]
    assert len({plain.digest(), dated.digest(), later.digest()}) == 3
    assert read(folder(tmp_path / "x", {"d-2023-01-01.csv": "id,ip\na,10.0.0.1\n"}))[
        0
    ].digest() == (dated.digest())


def test_an_undated_row_is_valid_always() -> None:
    assert read_period("", "", "UTC") == ((BEGINNING, FOREVER), [])
    table, _ = load("id,ip\na,10.0.0.1\n")
    assert not table.has_periods
    assert not table.is_dated(ip_address("10.0.0.1").packed, None)
    assert load(LENT)[0].is_dated(ip_address("10.20.0.9").packed, parse_mac("020000000001"))
