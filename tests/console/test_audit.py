"""The audit: what is written down, before it is seen, and what tampering with it leaves behind."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, text, update
from support.asked_stores import run
from support.consoles import Visitor

from netwatch.console import tables
from netwatch.console.audit import GENESIS, MAX_TEXT, Audit, entry_record, row_hash
from netwatch.console.console import Console
from netwatch.console.database import open_console
from netwatch.console.sessions import PURPOSE_SECONDS, Sessions
from netwatch.console.tables import AuditSealing, Content
from netwatch.core.errors import NetwatchError
from netwatch.store.database import Database
from netwatch.store.options import StoreOptions

TRIGGERS = ("console_audit_update", "console_audit_delete")


@pytest.fixture
def options(catalogue_options: StoreOptions) -> StoreOptions:
    return catalogue_options


@pytest.fixture
def database(options: StoreOptions) -> Iterator[Database]:
    opened = open_console(options)
    yield opened
    opened.close()


def filled(database: Database, rows: int = 5) -> Audit:
    audit = Audit(database)
    for n in range(rows):
        audit.add("incident", account="ben", subject=f"device ws-{n}", purpose="ünïcode \0 \ud800")
    return audit


def test_rows_are_a_chain(database: Database) -> None:
    audit = filled(database)
    rows = list(audit.entries())
    assert [row.number for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0].previous == GENESIS
    for before, row in pairwise(rows):
        assert row.previous == before.hash
    found = audit.verify()
    assert (found.rows, found.head, found.problem) == (5, rows[-1].hash, "")


def test_the_hash_is_over_canonical_json() -> None:
    import hashlib

    values = {"number": 1, "time": 2, "account": "a", "role": "dpo", "action": "b", "subject": "é",
              "purpose": "", "detail": "{}", "address": "::1"}  # fmt: skip
    content = (
        '{"account":"a","action":"b","address":"::1","detail":"{}","number":1,"purpose":"",'
        '"role":"dpo","subject":"é","time":2}'
    )
    expected = hashlib.sha256(f"{GENESIS}\n{content}".encode()).hexdigest()
    assert row_hash(GENESIS, values) == expected


def test_writers_at_the_same_time_leave_one_chain(
    options: StoreOptions, database: Database
) -> None:
    def write(_: int) -> None:
        own = open_console(options)
        try:
            filled(own, 10)
        finally:
            own.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    found = Audit(database).verify()
    assert (found.rows, found.problem) == (60, "")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE console_audit SET purpose = 'another' WHERE number = 3",
        "DELETE FROM console_audit WHERE number = 5",
        "DELETE FROM console_audit",
    ],
)
def test_the_database_refuses_changes(statement: str, database: Database) -> None:
    audit = filled(database)
    with pytest.raises(NetwatchError, match="append-only"), database.writing() as connection:
        connection.execute(text(statement))
    assert audit.verify().rows == 5


def test_postgresql_refuses_to_empty_the_table(postgres_url: str, tmp_path: Path) -> None:
    database = open_console(StoreOptions(str(tmp_path), postgres_url))
    filled(database)
    with pytest.raises(NetwatchError, match="append-only"), database.writing() as connection:
        connection.execute(text("TRUNCATE console_audit"))
    database.close()


TAMPERED = {
    "UPDATE console_audit SET purpose = 'another' WHERE number = 3": "row 3 was changed",
    "UPDATE console_audit SET time = time + 1 WHERE number = 1": "row 1 was changed",
    "UPDATE console_audit SET hash = previous WHERE number = 5": "row 5 was changed",
    "DELETE FROM console_audit WHERE number = 2": "row 2 is missing",
    "DELETE FROM console_audit WHERE number = 1": "row 1 is missing",
    "UPDATE console_audit SET number = 9 WHERE number = 5": "row 5 is missing",
}


def without_triggers(database: Database, statement: str) -> None:
    """What somebody does who owns the database."""
    with database.writing() as connection:
        if connection.dialect.name == "sqlite":
            for name in TRIGGERS:
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(text("ALTER TABLE console_audit DISABLE TRIGGER USER"))
        connection.execute(text(statement))


@pytest.mark.parametrize("statement", TAMPERED)
def test_the_chain_shows_what_was_done_around_the_triggers(
    statement: str, database: Database
) -> None:
    audit = filled(database)
    without_triggers(database, statement)
    assert TAMPERED[statement] in audit.verify().problem


def test_a_row_that_is_made_anew_breaks_the_row_behind_it(database: Database) -> None:
    audit = filled(database)
    row = list(audit.entries())[2]
    new = row_hash(row.previous, entry_record(row) | {"purpose": "another"})
    content = Content(row.subject, "another", row.detail, row.salt)
    key, stored = AuditSealing(database).seal(3, content)
    without_triggers(
        database,
        f"UPDATE console_audit SET purpose = '{stored['purpose']}', hash = '{new}'"
        " WHERE number = 3",
    )
    with database.writing() as connection:
        which = tables.audit_key.c.number == 3
        connection.execute(update(tables.audit_key).where(which).values(key=key))
    assert "row 4 does not follow" in audit.verify().problem


def test_a_noted_hash_shows_that_the_end_was_cut_off(database: Database) -> None:
    audit = filled(database)
    head = audit.verify().head
    audit.add("incident", account="ben", subject="device ws-9")
    assert audit.verify(head).problem == ""
    without_triggers(database, "DELETE FROM console_audit WHERE number > 3")
    with database.writing() as connection:
        connection.execute(delete(tables.audit_key).where(tables.audit_key.c.number > 3))
    assert audit.verify().problem == ""
    assert "rows are missing after row 3" in audit.verify(head).problem


@pytest.mark.parametrize(("kept", "keys"), [(3, "rows 4 to 6"), (5, "row 6"), (0, "rows 1 to 6")])
def test_keys_that_are_left_show_that_the_end_was_cut_off(
    kept: int, keys: str, database: Database
) -> None:
    """For ever: further rows are added behind one that says so."""
    audit = filled(database, 6)
    without_triggers(database, f"DELETE FROM console_audit WHERE number > {kept}")
    problem = f"rows were cut off after row {kept}: there was a key of {keys}"
    assert audit.verify().problem == problem
    for _ in range(2):
        audit.add("incident", account="ben", subject="device ws-9")
        found = audit.verify()
        assert (found.rows, found.problem) == (kept, problem)
    assert [row.action for row in audit.entries()][kept:] == ["cut-off", "incident", "incident"]
    assert [row.number for row in audit.entries()] == list(range(1, kept + 4))


def test_long_texts_are_cut(database: Database) -> None:
    audit = Audit(database)
    audit.add("incident", account="ben", subject="x" * 10_000)
    assert len(next(audit.entries()).subject) == MAX_TEXT


def last(console: Console) -> tuple[str, ...]:
    row = list(console.audit.entries())[-1]
    return row.account, row.role, row.action, row.subject, row.purpose


def test_pages_on_persons_ask_for_a_purpose_and_are_written_down(
    console: Console, visit: Callable[[str], Visitor], incident: str
) -> None:
    visitor = visit("analyst")
    rows = console.audit.verify().rows
    asked = visitor.get(f"/incidents/{incident}")
    assert 'name="purpose"' in asked.text
    assert "ws-0" not in asked.text
    assert console.audit.verify().rows == rows
    for wrong in ("", "x", "   a   ", "x" * 250):
        assert visitor.state_purpose(f"/incidents/{incident}", wrong).status_code == 422
    answer = visitor.state_purpose(f"/incidents/{incident}")
    assert answer.headers["location"] == f"/incidents/{incident}"
    for place, action in (
        ("", "incident"), ("/plain", "plain words"), ("/packets.pcapng", "export"),
    ):  # fmt: skip
        assert visitor.get(f"/incidents/{incident}{place}").status_code == 200
        account, role, noted, subject, purpose = last(console)
        assert (account, role, noted, purpose) == ("ben", "analyst", action, "case 2023/17")
        assert subject.startswith("device ")
        assert incident in subject


def test_a_purpose_is_for_one_person_in_one_session(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor, other = visit("analyst"), visit("analyst")

    def is_asked(place: str, who: Visitor = visitor) -> bool:
        return 'name="purpose"' in who.get(place).text

    assert visitor.state_purpose("/devices/ws-021?from=2023-03-20").status_code == 303
    assert last(console)[2:] == ("purpose", "device ws-021", "case 2023/17")
    assert not is_asked("/devices/ws-021")
    assert not is_asked("/devices/ws-021?from=2023-03-01T00:00:00Z")
    assert is_asked("/devices/ws-021", other)
    for place in ("/devices", "/devices/ws-014", "/devices/WS-021"):
        assert is_asked(place), place
    page = visitor.get("/incidents").text
    by_device = re.findall(
        r'href="/incidents/([0-9a-f]{32})".*?<span class="name">([^<]*)', page, re.S
    )
    assert {device for _, device in by_device} >= {"ws-021"}
    for incident, device in by_device:
        assert is_asked(f"/incidents/{incident}") == (device != "ws-021"), device
    rows = console.audit.verify().rows
    for target in ("/account", "/incidents", "/person?device=ws-021", "/nothing", "/now"):
        assert visitor.state_purpose(target).headers["location"] == target
    assert console.audit.verify().rows == rows, (
        "none of these pages is about a person for this role"
    )
    assert visitor.state_purpose(f"/incidents/{'0' * 32}").status_code == 404


def test_a_purpose_ends_after_an_hour_and_there_is_a_bounded_number(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10**18]
    sessions = Sessions(console.database, 10**6, 10**6, lambda: now[0])
    session = sessions.find(sessions.begin("ben", "local", "analyst", "192.0.2.1"))
    assert session is not None
    monkeypatch.setattr("netwatch.console.sessions.MAX_PURPOSES", 3)
    for n in range(5):
        now[0] += 1
        sessions.set_purpose(session.key, f"case {n}", f"device {n}")
    kept = [sessions.purpose(session.key, f"device {n}") for n in range(5)]
    assert kept == ["", "", "case 2", "case 3", "case 4"]
    sessions.set_purpose(session.key, "another case", "device 4")
    assert sessions.purpose(session.key, "device 4") == "another case"
    now[0] += PURPOSE_SECONDS * 10**9
    assert not any(sessions.purpose(session.key, f"device {n}") for n in range(5))
    sessions.begin("ben", "local", "analyst", "192.0.2.1")
    with console.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(tables.purpose)).scalar() == 0


def test_nothing_is_shown_that_cannot_be_written_down(
    console: Console,
    visit: Callable[[str], Visitor],
    incident: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visitor = visit("analyst")
    visitor.state_purpose(f"/incidents/{incident}")

    def fail(*_: object, **__: object) -> str:
        raise NetwatchError("the disk is full")

    monkeypatch.setattr(console.audit, "add", fail)
    for place in (
        f"/incidents/{incident}",
        "/incidents.csv",
        f"/incidents/{incident}/packets.pcapng",
    ):
        answer = visitor.get(place)
        assert answer.status_code == 503
        assert "tiktok" not in answer.text.lower()


def test_exports_are_written_down_with_their_filter(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visit("analyst").get("/incidents.csv?app=tiktok&verdict=violation")
    row = list(console.audit.entries())[-1]
    assert row.action == "export"
    assert json.loads(row.detail) == {
        "path": "/incidents.csv", "filter": {"verdict": "violation", "app": "tiktok"},
    }  # fmt: skip


def test_the_officer_reads_and_exports_it(
    console: Console, visit: Callable[[str], Visitor], incident: str
) -> None:
    analyst, officer = visit("analyst"), visit("dpo")
    analyst.state_purpose(f"/incidents/{incident}")
    analyst.get(f"/incidents/{incident}")
    page = officer.get("/audit?subject=device").text
    assert "case 2023/17" in page
    assert incident in page
    lines = officer.get("/audit.jsonl").text.splitlines()
    rows = sorted((json.loads(line) for line in lines), key=lambda row: row["number"])
    for row in rows:
        assert row_hash(row["previous"], row) == row["hash"]
    assert officer.get("/audit.csv").text.startswith("number,time,account")
    assert "not a time" in officer.get("/audit?from=yesterday").text


def test_pages_of_the_audit_join_without_gaps(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    import re

    for n in range(120):
        console.audit.add("incident", account="ben", subject=f"device ws-{n}")
    visitor, seen, place = visit("dpo"), [], "/audit?action=incident"
    while place:
        page = visitor.get(place).text
        seen += re.findall(r"device (ws-\d+)</a></td>", page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        place = older[1].replace("&amp;", "&") if older else ""
    assert seen == [f"ws-{n}" for n in reversed(range(120))]


def test_the_commands_list_verify_and_export(console: Console, tmp_path: Path) -> None:
    for n in range(3):
        console.audit.add("incident", account="ben", subject=f"device ws-{n}", purpose="=1+1")
    store = ["--store-path", console.store.path]
    sound = run("audit", "verify", *store)
    assert sound.status == 0
    head = sound.output.splitlines()[-1]
    assert head == console.audit.verify().head
    listed = run("audit", "list", "--format", "jsonl", "--limit", "2", *store)
    assert [each["subject"] for each in listed.records] == ["device ws-1", "device ws-2"]
    assert "device ws-2" in run("audit", "list", *store).output
    file = tmp_path / "audit.jsonl"
    assert run("audit", "export", str(file), *store).status == 0
    assert json.loads(file.read_text().splitlines()[-1])["hash"] == head
    with sqlite3.connect(f"{console.store.path}/console.sqlite") as database:
        for name in TRIGGERS:
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE console_audit SET account = 'zoe' WHERE number = 2")
    broken = run("audit", "verify", *store)
    assert broken.status == 3
    assert "row 2 was changed" in broken.output
    assert run("audit", "verify", "--head", "0" * 63 + "1", *store).status == 3


def make_older(options: StoreOptions) -> str:
    """A console of version 2, whose audit is as people typed it; the hash of the last row."""
    database = open_console(options)
    previous = GENESIS
    with database.writing() as connection:
        for number in range(1, 4):
            values = {"number": number, "time": number, "account": "ben", "role": "analyst",
                      "action": "incident", "subject": f"device ws-{number}",
                      "purpose": f"complaint {number}", "detail": '{"a":1}',
                      "address": "::1"}  # fmt: skip
            values |= {"previous": previous, "hash": row_hash(previous, values)}
            previous = str(values["hash"])
            connection.execute(tables.audit.insert().values(values))
        tables.audit_key.drop(connection)
        connection.execute(text("DELETE FROM console_secret WHERE name = 'audit'"))
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA user_version = 2")
    database.close()
    return previous


def test_rows_of_an_older_netwatch_are_sealed(options: StoreOptions) -> None:
    head = make_older(options)
    with closing(open_console(options)) as database:
        audit = Audit(database)
        assert (audit.verify().head, audit.verify().problem) == (head, "")
        assert [each.subject for each in audit.entries()] == [f"device ws-{n}" for n in (1, 2, 3)]
        assert [each.detail for each in audit.entries()] == ['{"a":1}'] * 3
        with database.reading() as connection:
            stored = " ".join(map(str, connection.execute(select(tables.audit)).all()))
        assert "complaint" not in stored
        assert "ws-1" not in stored
        with pytest.raises(NetwatchError, match="append-only"), database.writing() as connection:
            connection.execute(text("UPDATE console_audit SET account = 'x'"))
        with pytest.raises(NetwatchError, match="append-only"), database.writing() as connection:
            connection.execute(text("DELETE FROM console_audit"))
        audit.add("incident", account="ben", subject="device ws-4")
        assert audit.erase(lambda value: "ws-2" in str(value), "root") == 1
        found = audit.verify(head)
        assert (found.rows, found.problem) == (5, "")
        assert [each.is_erased for each in audit.entries()] == [False, True, False, False, False]
    if not options.catalogue:
        raw = b"".join(each.read_bytes() for each in Path(options.path).glob("console.sqlite*"))
        assert b"complaint" not in raw


def test_an_erased_row_has_nothing_from_which_its_hash_follows(database: Database) -> None:
    audit = filled(database)
    (before,) = [each for each in audit.entries() if each.number == 2]
    assert audit.erase(lambda value: "ws-1" in str(value), "root") == 1
    (after,) = [each for each in audit.entries() if each.number == 2]
    assert (after.hash, after.previous) == (before.hash, before.previous)
    guess = {name: value for name, value in entry_record(before).items() if name != "salt"}
    assert row_hash(before.previous, guess) != before.hash
    assert entry_record(after)["erased"]
    assert "salt" not in entry_record(after)
    assert before.salt not in str(after)
