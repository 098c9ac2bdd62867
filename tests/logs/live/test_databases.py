"""The database of a Pi-hole is followed while another process writes it, and stays as it is."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.waiting import wait_until

from netwatch.core.statistics import RunStatistics
from netwatch.logs import LogOptions
from netwatch.logs.live.feed import LogFeed
from netwatch.logs.live.followed_database import BATCH
from netwatch.logs.live.receivers import Receivers
from netwatch.logs.log_files import LogItem

NOW = int(time.time())

SCHEMA = """
CREATE TABLE ftl (id INTEGER PRIMARY KEY NOT NULL, value BLOB NOT NULL, description TEXT);
CREATE TABLE counters (id INTEGER PRIMARY KEY NOT NULL, value INTEGER NOT NULL);
CREATE TABLE domain_by_id (id INTEGER PRIMARY KEY, domain TEXT NOT NULL);
CREATE TABLE client_by_id (id INTEGER PRIMARY KEY, ip TEXT NOT NULL, name TEXT);
CREATE TABLE query_storage (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL,
    type INTEGER NOT NULL, status INTEGER NOT NULL, domain INTEGER NOT NULL,
    client INTEGER NOT NULL, forward INTEGER, additional_info TEXT);
INSERT INTO client_by_id VALUES (1, '10.0.0.12', 'phone');
"""

WRITER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute(f"PRAGMA journal_mode = {sys.argv[2]}")
for line in sys.stdin:
    database.executescript(line.replace("\\0", "\\n"))
    print("done", flush=True)
"""


class Writer:
    """Another process that has the database open, as FTL has."""

    def __init__(self, path: Path, mode: str) -> None:
        self.count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.run(SCHEMA)

    def run(self, statements: str) -> None:
        """Run statements, and wait until they have."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(statements.replace("\n", "\0") + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def ask(self, *names: str) -> None:
        """Add a lookup of each name."""
        for name in names:
            self.count += 1
            self.run(
                f"BEGIN; INSERT OR REPLACE INTO domain_by_id VALUES ({self.count}, '{name}');"
                "INSERT INTO query_storage (timestamp, type, status, domain, client) VALUES"
                f" ({NOW}, 1, 2, {self.count}, 1); COMMIT;"
            )

    def end(self) -> None:
        """Close the database."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


class Feed:
    """What is read of the database, from `saved` on."""

    def __init__(self, path: Path, saved: dict[str, str] | None = None) -> None:
        self.path = path
        self.statistics = RunStatistics()
        self.saved = dict(saved or {})
        self.items: list[LogItem] = []
        self.feed = LogFeed([str(path)], Receivers([]), LogOptions(), self.statistics, self.saved)

    def until(self, *names: str) -> None:
        """Read until these names have come, and a moment longer."""

        def has_all() -> bool:
            self.items += self.feed.read(0.01)
            return len(self.items) >= len(names)

        wait_until(has_all, lambda: f"{names[-5:]}, not {self.names[-5:]}, {self.feed.notes}")
        for _ in range(3):
            self.items += self.feed.read(0.2)
        assert self.names == list(names)

    @property
    def names(self) -> list[str]:
        """The names that were read."""
        return [item.entry.name for item in self.items]  # type: ignore[union-attr]

    def again(self) -> "Feed":
        """The same after a restart."""
        for key, text in self.feed.take_positions().items():
            if text is not None:
                self.saved[key] = text
        self.feed.close()
        return Feed(self.path, self.saved)


@pytest.fixture(params=["WAL", "DELETE"])
def writer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Writer]:
    started = Writer(tmp_path / "pihole-FTL.db", request.param)
    yield started
    started.end()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_new_rows_are_read_and_nothing_is_written(writer: Writer, tmp_path: Path) -> None:
    writer.ask("before.example.org")
    feed = Feed(tmp_path / "pihole-FTL.db")
    wait_until(lambda: feed.feed.read(0.05) or not feed.feed.unreadable)
    writer.ask("one.example.org", "two.example.org")
    before = files(tmp_path)
    feed.until("one.example.org", "two.example.org")
    assert [item.line for item in feed.items] == [2, 3]
    feed = feed.again()
    feed.until()
    writer.run("DELETE FROM query_storage WHERE id = 3")
    writer.ask("three.example.org")
    feed.until("three.example.org")
    assert [item.line for item in feed.items] == [4]
    assert files(tmp_path).keys() == before.keys()
    feed.feed.close()
    assert feed.statistics.unread_records == {}


def test_reading_changes_no_byte(writer: Writer, tmp_path: Path) -> None:
    feed = Feed(tmp_path / "pihole-FTL.db")
    wait_until(lambda: feed.feed.read(0.05) or not feed.feed.unreadable)
    writer.ask(*[f"n{number}.example.org" for number in range(5)])
    before = files(tmp_path)
    feed.until(*[f"n{number}.example.org" for number in range(5)])
    assert files(tmp_path) == before
    feed.feed.close()


def test_rows_while_the_program_was_away_and_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "pihole-FTL.db"
    first = Writer(path, "WAL")
    feed = Feed(path)
    wait_until(lambda: feed.feed.read(0.05) or not feed.feed.unreadable)
    first.ask("one.example.org")
    feed.until("one.example.org")
    feed = feed.again()
    first.ask("two.example.org")
    first.end()
    # Nobody has it open: a read of SQLite would make a write-ahead log, as whoever reads.
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    feed.until("two.example.org")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    path.unlink()
    second = Writer(path, "WAL")
    second.ask("new.example.org")
    feed.until("two.example.org", "new.example.org")
    second.end()
    feed.feed.close()


def test_many_rows_come_in_order_with_gaps(tmp_path: Path) -> None:
    path = tmp_path / "pihole-FTL.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
        database.execute("INSERT INTO domain_by_id VALUES (1, 'www.example.org')")
        database.commit()
    feed = Feed(path)
    wait_until(lambda: feed.feed.read(0.05) or not feed.feed.unreadable)
    keys = [number for number in range(1, 3 * BATCH) if number % 50]
    with closing(sqlite3.connect(path)) as database:
        database.executemany(
            "INSERT INTO query_storage (id, timestamp, type, status, domain, client)"
            f" VALUES (?, {NOW}, 1, 2, 1, 1)",
            [(key,) for key in keys],
        )
        database.commit()
    feed.until(*["www.example.org"] * len(keys))
    assert [item.line for item in feed.items] == keys
    feed.feed.close()


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("CREATE TABLE other (id INTEGER)", "it has no table of queries"),
        ("", "cannot be read as an SQLite database"),
    ],
)
def test_a_database_of_others_is_said(statement: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(statement)
    if not statement:
        path.write_bytes(b"SQLite format 3\0" + bytes(5000))
    feed = Feed(path)
    wait_until(lambda: feed.feed.read(0.05) or text in str(feed.feed.unreadable),
               lambda: str(feed.feed.unreadable))  # fmt: skip
    feed.feed.close()
