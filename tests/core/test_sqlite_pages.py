"""Rows that are read without b-trees are those that SQLite reads."""

import random
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netwatch.core.owned_database import PAGE_SIZE, FileKind, connect, create
from netwatch.core.sqlite_pages import Pages, leaf_rows, rows

KIND = FileKind(
    "test file",
    1,
    1,
    "CREATE TABLE a (number INTEGER PRIMARY KEY, text TEXT, real REAL, blob BLOB, any);"
    "CREATE INDEX b ON a (text)",
)
COLUMNS = 5


def pages_read(path: Path) -> list[tuple[object, ...]]:
    with Pages(path) as pages:
        found = [(row, *values[1:]) for row, values in rows(pages) if len(values) == COLUMNS]
    # Damaged rows may have the same number, and values of types that cannot be compared.
    return sorted(found, key=lambda row: (row[0], repr(row)))


def sqlite_read(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT * FROM a ORDER BY number").fetchall()


def fill(database: sqlite3.Connection, count: int, seed: int = 0) -> None:
    chance = random.Random(seed)
    sizes = (0, 1, 60, 1000, 4000, 4061, 4062, 4070, 8200, 30_000)
    for number in range(count):
        row = (
            number * 7 - 100,
            "é" * (chance.choice(sizes) // 2),
            chance.choice([None, 0.5, 3.0, 1e300]),
            chance.randbytes(chance.choice(sizes)),
            chance.choice([0, 1, -1, 127, -129, 1 << 20, 1 << 30, 1 << 44, -(1 << 63), "x", None]),
        )
        database.execute("INSERT INTO a VALUES (?, ?, ?, ?, ?)", row)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create(tmp_path / "file", KIND)
    return tmp_path / "file"


def test_rows_are_those_of_sqlite(path: Path) -> None:
    with closing(connect(path, 1)) as database:
        fill(database, 300)
        # What is in the write-ahead log only, and what has been written into the file.
        assert path.with_name("file-wal").stat().st_size > PAGE_SIZE
        assert pages_read(path) == sqlite_read(path)
    assert not path.with_name("file-wal").exists()
    assert pages_read(path) == sqlite_read(path)


def test_frames_that_were_not_committed_are_left_out(path: Path) -> None:
    with closing(connect(path, 1)) as database:
        database.execute("PRAGMA cache_size = 1")
        fill(database, 20)
        committed = pages_read(path)
        database.execute("BEGIN")
        fill_more = [(1000 + number, "x" * 3000) for number in range(200)]
        database.executemany("INSERT INTO a (number, text) VALUES (?, ?)", fill_more)
        assert path.with_name("file-wal").stat().st_size > 100 * PAGE_SIZE
        assert pages_read(path) == committed


def test_a_log_of_an_earlier_round_is_not_read(path: Path) -> None:
    with closing(connect(path, 1)) as database:
        fill(database, 50)
        database.execute("PRAGMA wal_checkpoint(RESTART)")
        database.execute("UPDATE a SET text = 'new' WHERE number = -100")
        assert pages_read(path) == sqlite_read(path)


def test_rows_of_other_pages_survive_any_damaged_page(path: Path) -> None:
    with closing(connect(path, 1)) as database:
        fill(database, 60)
    octets, expected = path.read_bytes(), sqlite_read(path)
    for number in range(len(octets) // PAGE_SIZE):
        at = number * PAGE_SIZE
        path.write_bytes(octets[:at] + bytes(PAGE_SIZE) + octets[at + PAGE_SIZE :])
        found = pages_read(path)
        # Rows of the page itself are gone, and one that continues there is wrong.
        intact = [row for row in found if row in expected]
        assert len(intact) >= len(expected) - 8
        assert {row[0] for row in found} <= {row[0] for row in expected}
    path.write_bytes(bytes(PAGE_SIZE) + octets[PAGE_SIZE:])
    assert pages_read(path) == expected


def leaf(*cells: bytes) -> bytes:
    """A leaf page of a table with these cells."""
    page = bytearray(PAGE_SIZE)
    page[0] = 0x0D
    page[3:5] = len(cells).to_bytes(2, "big")
    end = PAGE_SIZE
    for position, cell in enumerate(cells):
        end -= len(cell)
        page[end : end + len(cell)] = cell
        page[8 + 2 * position : 10 + 2 * position] = end.to_bytes(2, "big")
    return bytes(page)


def test_a_page_is_read_as_the_file_format_says() -> None:
    """SQLite file format, section 2.1: a header of serial types, then the values."""
    body = bytes([6, 0, 1, 7, 19, 14]) + b"\x85" + struct.pack(">d", 1.5) + b"abc" + b"\xff"
    cell = bytes([len(body), 0x81, 0x00]) + body
    assert list(leaf_rows(leaf(cell), None)) == [(128, (None, -123, 1.5, "abc", b"\xff"))]


@pytest.mark.parametrize(
    "cell",
    [
        bytes([3, 1, 9, 0, 0]),  # A header that is longer than the record.
        bytes([3, 1, 3, 10, 11]),  # Reserved serial types.
        b"\xff" * 8,
        b"",
    ],
)
def test_a_cell_that_is_no_record_is_left_out(cell: bytes) -> None:
    good = bytes([2, 5, 2, 9])
    assert list(leaf_rows(leaf(cell, good), None)) == [(5, (1,))]


def test_a_chain_of_pages_that_leads_to_itself_ends(path: Path) -> None:
    with closing(connect(path, 1)) as database:
        database.execute("INSERT INTO a (number, blob) VALUES (1, zeroblob(300000))")
    octets = bytearray(path.read_bytes())
    for at in range(3 * PAGE_SIZE, len(octets), PAGE_SIZE):
        if octets[at] == 0:
            octets[at : at + 4] = (at // PAGE_SIZE + 1).to_bytes(4, "big")
    path.write_bytes(octets)
    assert [row[0] for row in pages_read(path)] == [1]


def test_many_chains_that_lead_nowhere_are_read_in_linear_time(tmp_path: Path) -> None:
    """Each of 400 cells on each of 200 pages claims a chain of 256 pages that leads to itself."""
    cell = bytes([0xC0, 0x80, 0x00, 0x01, 0, 0, 0, 202])
    path = tmp_path / "file"
    loop = (202).to_bytes(4, "big") + bytes(PAGE_SIZE - 4)
    path.write_bytes(bytes(PAGE_SIZE) + leaf(*[cell] * 400) * 200 + loop)
    with Pages(path) as pages:
        read: list[int] = []
        read_page = pages.read
        pages.read = lambda number: read.append(number) or read_page(number)  # type: ignore
        for _ in rows(pages):
            pass
    assert pages.count < len(read) < 10 * pages.count


@given(st.binary(max_size=PAGE_SIZE), st.integers(0, 200))
@example(b"\x0d\0\0\xff\xff" + b"\0" * 4000, 0)
def test_any_page_is_read_without_an_error(octets: bytes, cells: int) -> None:
    page = b"\x0d\0\0" + cells.to_bytes(2, "big") + octets
    for _ in leaf_rows(page[:PAGE_SIZE].ljust(PAGE_SIZE, b"\0"), None):
        pass


@given(st.binary(max_size=6 * PAGE_SIZE), st.binary(max_size=6 * PAGE_SIZE))
def test_any_file_is_read_without_an_error(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes, log: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(octets)
    path.with_name("file-wal").write_bytes(log)
    with Pages(path) as pages:
        for _ in rows(pages):
            pass


@given(st.integers(0, 1 << 32), st.data())
def test_a_file_with_any_changed_octets_is_read_without_an_error(
    tmp_path_factory: pytest.TempPathFactory, seed: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    create(path, KIND, lambda database: fill(database, 12, seed))
    octets = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 40))):
        octets[data.draw(st.integers(PAGE_SIZE, len(octets) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(octets)
    assert len(pages_read(path)) <= 12 * len(octets) // PAGE_SIZE
