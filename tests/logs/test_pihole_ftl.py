"""Databases of Pi-hole FTL, made with the schema of several of its versions."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.resolver_logs import names, read, short

from netwatch.capture.files import CaptureFile
from netwatch.core.errors import RecordError
from netwatch.core.statistics import RunStatistics
from netwatch.logs import LogOptions
from netwatch.logs.log_files import divide, items
from netwatch.logs.records import LogName

_V1 = """
CREATE TABLE queries (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL,
    type INTEGER NOT NULL, status INTEGER NOT NULL, domain TEXT NOT NULL, client TEXT NOT NULL,
    forward TEXT);
CREATE TABLE ftl (id INTEGER PRIMARY KEY NOT NULL, value BLOB NOT NULL);
CREATE TABLE counters (id INTEGER PRIMARY KEY NOT NULL, value INTEGER NOT NULL);
INSERT INTO ftl VALUES (0, 9);
INSERT INTO queries VALUES (1, 1772442901, 1, 2, 'www.tiktok.com', '10.0.0.12', '198.51.100.53');
INSERT INTO queries VALUES (2, 1772442902, 2, 1, 'm.tiktok.com', '2001:db8::12', NULL);
"""
_BY_ID = """
CREATE TABLE ftl (id INTEGER PRIMARY KEY NOT NULL, value BLOB NOT NULL, description TEXT);
CREATE TABLE domain_by_id (id INTEGER PRIMARY KEY, domain TEXT NOT NULL);
CREATE TABLE client_by_id (id INTEGER PRIMARY KEY, ip TEXT NOT NULL, name TEXT);
CREATE TABLE forward_by_id (id INTEGER PRIMARY KEY, forward TEXT NOT NULL);
INSERT INTO domain_by_id VALUES (1, 'www.tiktok.com'), (2, 'shop.example.org'), (3, 'hidden');
INSERT INTO client_by_id VALUES (1, '10.0.0.12', 'phone'), (2, '0.0.0.0', NULL);
"""
_V10 = f"""{_BY_ID}
INSERT INTO ftl VALUES (0, 10, NULL);
CREATE TABLE query_storage (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL,
    type INTEGER NOT NULL, status INTEGER NOT NULL, domain INTEGER NOT NULL,
    client INTEGER NOT NULL, forward INTEGER, additional_info TEXT);
CREATE VIEW queries AS SELECT id, timestamp, type, status, 'view.example' domain,
    '10.9.9.9' client, forward, additional_info FROM query_storage;
INSERT INTO query_storage VALUES (1, 1772442901, 1, 3, 1, 1, NULL, NULL);
INSERT INTO query_storage VALUES (2, 1772442902, 16, 4, 'text.tiktok.com', '10.0.0.13', NULL, NULL);
"""
_COLUMNS = """CREATE TABLE query_storage (id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL, type INTEGER NOT NULL, status INTEGER NOT NULL,
    domain INTEGER NOT NULL, client INTEGER NOT NULL, forward INTEGER, additional_info INTEGER,
    reply_type INTEGER, reply_time REAL, dnssec INTEGER"""
_ADDITIONAL = """
CREATE TABLE addinfo_by_id (id INTEGER PRIMARY KEY, type INTEGER NOT NULL, content NOT NULL);
INSERT INTO addinfo_by_id VALUES (1, 1, 'shops.tiktok.com'), (2, 2, 7);
"""
_V17 = f"""{_BY_ID}{_ADDITIONAL}{_COLUMNS}, regex_id INTEGER);
INSERT INTO query_storage VALUES
    (1, 1772442901.25, 1, 2, 1, 1, NULL, NULL, 4, 0.01, 0, NULL),
    (2, 1772442902.5, 1, 9, 2, 1, NULL, 1, 4, 0.01, 0, NULL);
"""
_V22 = f"""{_BY_ID}{_ADDITIONAL}{_COLUMNS}, list_id INTEGER, ede INTEGER);
INSERT INTO query_storage VALUES
    (1, 1772442901.25, 165, 5, 1, 1, NULL, NULL, 2, 0.01, 0, 3, 15),
    (2, 1772442902.0, 14, 17, 1, 2, NULL, NULL, 8, 0.01, 0, NULL, NULL),
    (3, 1772442903.0, 1, 2, 3, 2, NULL, NULL, 4, 0.01, 0, NULL, NULL);
"""


def read_file(path: Path, schema: str) -> list[LogName]:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(schema)
    statistics = RunStatistics()
    file = CaptureFile(str(path))
    _, (log,) = divide([file], LogOptions())
    assert log.formats == ("pihole-ftl",)
    found = [item.entry for item in items(log, LogOptions(), statistics, zones=None)]
    assert not statistics.unread
    assert not statistics.unread_records
    return [entry for entry in found if isinstance(entry, LogName)]


def test_the_table_of_the_first_versions(tmp_path: Path) -> None:
    first, second = read_file(tmp_path / "pihole-FTL.db", _V1)
    assert short(first) == ("dns-query", "www.tiktok.com", "10.0.0.12:0", "A", "")
    assert (first.time, first.time_digits) == (1772442901 * 10**9, 0)
    assert short(second)[1:4] == ("m.tiktok.com", "2001:db8::12:0", "AAAA")
    assert (second.outcome, second.blocked_by) == ("blocked", "gravity")


def test_ids_and_texts_but_no_view(tmp_path: Path) -> None:
    first, second = read_file(tmp_path / "x.db", _V10)
    assert short(first)[1:3] == ("www.tiktok.com", "10.0.0.12:0")
    assert short(second)[1:4] == ("text.tiktok.com", "10.0.0.13:0", "HTTPS")
    assert second.blocked_by == "regex-denied"


def test_kinds_of_answers_and_the_alias_that_was_blocked(tmp_path: Path) -> None:
    first, second, alias = read_file(tmp_path / "x.db", _V17)
    assert short(first) == ("dns-answer", "www.tiktok.com", "10.0.0.12:0", "A", "NOERROR")
    assert (first.time, first.time_digits) == (1772442901_250 * 10**6, 6)
    assert (second.name, second.blocked_by) == ("shop.example.org", "gravity-by-alias")
    assert (alias.evidence, alias.name, alias.asked) == (
        "dns-cname",
        "shops.tiktok.com",
        "shop.example.org",
    )


def test_types_by_number_and_privacy_levels(tmp_path: Path) -> None:
    """A client that is hidden is no device, and a hidden domain shows nothing."""
    first, second = read_file(tmp_path / "x.db", _V22)
    assert short(first)[3:] == ("HTTPS", "NXDOMAIN")
    assert first.blocked_by == "exactly-denied"
    assert (short(second)[2], short(second)[4]) == ("-:0", "REFUSED")
    assert second.lacks == ("client", "query-type")


_ROW = (
    b'{"_table":"query_storage","timestamp":1,"type":1,"status":2,"domain":"%s","client":"10.0.0.1"'
    b',"reply_type":4}'
)


def test_hostile_names() -> None:
    (entry,) = names("pihole-ftl", [_ROW % b'a\\"b\\u0000\\n.tiktok.com'])
    assert entry.name == 'a"b\\000\\010.tiktok.com'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (_ROW.replace(b'"%s"', b"7"), "id-unknown"),
        (_ROW.replace(b'"%s"', b"null"), "field-missing"),
        (_ROW.replace(b'"type":1', b'"type":"A"') % b"a.example", "field-missing"),
        (_ROW.replace(b'"timestamp":1', b'"timestamp":"now"') % b"a.example", "time-invalid"),
        (_ROW.replace(b'"timestamp":1', b'"timestamp":-1') % b"a.example", "time-invalid"),
        (b"{", "json-invalid"),
    ],
)
def test_what_cannot_be_read(line: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("pihole-ftl", [line])
