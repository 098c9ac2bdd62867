"""Binary containers of logs: SQLite, Frame Streams, Windows event logs, whatever is in them."""

import io
import sqlite3
import sys
from contextlib import closing

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs import items_of
from support.made_log import Reader, made_formats

from netwatch.capture.files import CaptureFile
from netwatch.core.errors import CaptureError
from netwatch.core.statistics import RunStatistics
from netwatch.logs import log_stream, sqlite_rows
from netwatch.logs.dnstap import FrameError, file_frames
from netwatch.logs.log_stream import on_disk
from netwatch.logs.recognise import recognise


def database(path, *statements):
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


def test_rows_of_tables_in_the_order_asked_for(tmp_path):
    path = database(
        tmp_path / "x.db",
        "CREATE TABLE b (id INTEGER, name TEXT, raw BLOB)",
        "CREATE TABLE a (id INTEGER)",
        "INSERT INTO a VALUES (1), (2)",
        "INSERT INTO b VALUES (7, 'x.example', x'00ff')",
    )
    assert sorted(sqlite_rows.table_names(path)) == ["a", "b"]
    found = sqlite_rows.rows(path, ("b", "none", "a"))
    assert [(number, orjson.loads(row)) for number, row in found] == [
        (7, {"_table": "b", "id": 7, "name": "x.example", "raw": "AP8="}),
        (1, {"_table": "a", "id": 1}),
        (2, {"_table": "a", "id": 2}),
    ]
    assert [each.name for each in tmp_path.iterdir()] == ["x.db"]


def test_views_and_virtual_tables_are_not_read(tmp_path):
    path = database(
        tmp_path / "x.db",
        "CREATE VIEW queries AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n)"
        " SELECT x FROM n",
        "CREATE VIRTUAL TABLE query_storage USING fts5(text)",
    )
    assert list(sqlite_rows.rows(path, ("queries", "query_storage"))) == []


def test_a_row_that_takes_too_long_ends_the_reading(tmp_path, monkeypatch):
    slow = "(WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT max(x) FROM n)"
    path = database(tmp_path / "x.db", "CREATE TABLE a (id INTEGER)", "INSERT INTO a VALUES (1)")
    monkeypatch.setattr(sqlite_rows, "_TABLES", f"SELECT {slow}")
    with pytest.raises(sqlite_rows.DatabaseError, match="interrupted"):
        list(sqlite_rows.rows(path, ("a",)))


def test_a_value_that_is_too_long_ends_the_reading(tmp_path):
    path = database(
        tmp_path / "x.db",
        "CREATE TABLE a (text TEXT)",
        f"INSERT INTO a VALUES (hex(zeroblob({sqlite_rows.MAX_VALUE})))",
    )
    with pytest.raises(sqlite_rows.DatabaseError, match="too big"):
        list(sqlite_rows.rows(path, ("a",)))


def test_the_write_ahead_log_of_a_running_program_is_read_and_left_alone(tmp_path):
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as running:
        running.execute("PRAGMA journal_mode = WAL")
        running.execute("CREATE TABLE a (id INTEGER)")
        running.execute("INSERT INTO a VALUES (1)")
        running.commit()
        before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
        assert "x.db-wal" in before
        with on_disk(CaptureFile(str(path))) as copy:
            assert copy.parent != tmp_path
            assert len(list(sqlite_rows.rows(copy, ("a",)))) == 1
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
        assert not copy.exists()


@pytest.fixture(scope="module")
def small_database(tmp_path_factory):
    path = tmp_path_factory.mktemp("db") / "x.db"
    database(
        path,
        "CREATE TABLE a (id INTEGER, name TEXT)",
        "INSERT INTO a VALUES (1, 'a.example'), (2, 'b.example')",
    )
    return path


@given(st.data())
def test_a_damaged_database_is_read_or_refused(small_database, data):
    octets = bytearray(small_database.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        octets[data.draw(st.integers(16, len(octets) - 1))] = data.draw(st.integers(0, 255))
    path = small_database.with_name("damaged.db")
    path.write_bytes(octets)
    try:
        for _, row in sqlite_rows.rows(path, ("a",)):
            assert orjson.loads(row)["_table"] == "a"
        sqlite_rows.table_names(path)
    except sqlite_rows.DatabaseError:
        pass


def framed(*payloads):
    start = b"\0\0\0\0" + (4).to_bytes(4) + (2).to_bytes(4)
    stop = b"\0\0\0\0" + (4).to_bytes(4) + (3).to_bytes(4)
    return start + b"".join(len(each).to_bytes(4) + each for each in payloads) + stop


def test_frames():
    assert list(file_frames(io.BytesIO(framed(b"a", b"bc") + framed(b"d")))) == [b"a", b"bc", b"d"]
    long = b"x" * ((1 << 20) + 1)
    assert list(file_frames(io.BytesIO(framed(b"a", long, b"b")))) == [b"a", None, b"b"]


@pytest.mark.parametrize(
    "octets", [framed(b"abc")[:14], b"\0\0", b"\0\0\0\0\xff\xff\xff\xff", b"\0\0\0\0\0\0\0\1x"]
)
def test_frames_that_end_early_or_cannot_be(octets):
    with pytest.raises(FrameError):
        list(file_frames(io.BytesIO(octets)))


@given(st.binary(max_size=200))
def test_any_bytes_as_frames(octets):
    try:
        found = list(file_frames(io.BytesIO(octets)))
    except FrameError:
        return
    assert sum(len(each or b"") for each in found) <= len(octets)


def test_frames_of_a_file_are_its_records(tmp_path):
    path = tmp_path / "x.tap"
    path.write_bytes(framed(b"made 1 10.0.0.7 a.example", b"made 2 10.0.0.7 b.example"))
    with made_formats(container="frame-streams"):
        assert recognise(CaptureFile(str(path))).format == "made"
        found = items_of(path, "made")
        assert [(item.line, item.entry.name) for item in found] == [
            (1, "a.example"),
            (2, "b.example"),
        ]
        path.write_bytes(path.read_bytes()[:-20])
        statistics = RunStatistics()
        items_of(path, "made", statistics=statistics)
    assert statistics.unread == [f"{path}: cannot be read on: it ends within a frame"]


def test_the_package_for_event_logs_is_named_where_it_is_missing(tmp_path, monkeypatch):
    path = tmp_path / "x.evtx"
    path.write_bytes(log_stream.MAGIC + bytes(4096))
    monkeypatch.setitem(sys.modules, "evtx", None)
    with made_formats(container="evtx"), pytest.raises(CaptureError, match=r"\[logs\]'$"):
        recognise(CaptureFile(str(path)))


def test_an_event_log_that_is_none(tmp_path):
    pytest.importorskip("evtx")
    path = tmp_path / "x.evtx"
    path.write_bytes(log_stream.MAGIC)
    with pytest.raises(CaptureError, match=r"x\.evtx: cannot be read"):
        list(log_stream.events(path, str(path)))


def test_rows_are_records_with_numbers(tmp_path):
    class Rows(Reader):
        def read(self, record, carried):
            row = orjson.loads(record)
            return super().read(f"{row['id']} 10.0.0.7 {row['name']}".encode(), carried)

    path = database(
        tmp_path / "x.db",
        "CREATE TABLE a (id INTEGER, name TEXT)",
        "INSERT INTO a VALUES (1, 'a.example'), (2, 'b.example')",
    )
    with made_formats(container="sqlite", tables=("a",)) as formats:
        object.__setattr__(formats["made"], "reader", Rows)
        statistics = RunStatistics()
        found = items_of(path, "made", statistics=statistics)
    assert [(item.line, item.entry.name) for item in found] == [(1, "a.example"), (2, "b.example")]
    assert statistics.records == 2
