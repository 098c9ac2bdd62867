"""The head of the audit is where the user of the service cannot change it."""

import json
import sqlite3
import syslog
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from support.asked_stores import run
from support.consoles import Visitor

from netwatch.console.console import Console
from netwatch.console.database import HeadLog, log_writer, read_head
from netwatch.report.values import AuditHead

DAYS = "from=2023-03-20&to=2023-03-21"


def look(console: Console, device: str) -> None:
    console.audit.add("device", account="ben", subject=f"device {device}", purpose="case 1")


def test_a_head_is_written_where_there_is_a_new_row(console: Console) -> None:
    lines: list[str] = []
    log = HeadLog(console.audit, lines.append, pytest.fail)
    look(console, "ws-021")
    log.note()
    log.note()
    look(console, "ws-014")
    log.note()
    heads = [(each.number, each.hash) for each in console.audit.entries()]
    assert lines == [f"audit: row {row} has the hash {hash_}" for row, hash_ in heads[-2:]]


def test_it_is_written_at_the_begin_later_and_at_the_end(console: Console) -> None:
    lines: list[str] = []
    written = threading.Event()

    def write(line: str) -> None:
        lines.append(line)
        written.set()

    look(console, "ws-021")
    with HeadLog(console.audit, write, pytest.fail, interval=0.01):
        for device in ("ws-014", "ws-015"):
            assert written.wait(60)
            written.clear()
            look(console, device)
    assert lines[-1].endswith(list(console.audit.entries())[-1].hash)
    assert len(lines) >= 2


def test_what_cannot_be_read_is_reported(console: Console) -> None:
    said: list[str] = []
    with console.database.writing() as connection:
        connection.execute(text("DROP TABLE console_audit"))
    HeadLog(console.audit, pytest.fail, said.append).note()
    assert len(said) == 1


def test_a_service_writes_to_the_journal_and_others_to_syslog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    logged: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda level, line: logged.append((level, line)))
    log_writer({"JOURNAL_STREAM": "8:1"}, said.append)("one")
    log_writer({}, said.append)("two")
    assert said == ["one", "two"]
    assert logged == [(syslog.LOG_NOTICE, "two")]


def test_a_report_has_the_head_and_shows_that_the_audit_was_made_anew(
    console: Console, visit: Callable[[str], Visitor], tmp_path: Path
) -> None:
    look(console, "ws-021")
    store = ["--store-path", console.store.path]
    made = json.loads(visit("auditor").get(f"/reports/report.json?{DAYS}").text)
    exported = list(console.audit.entries())[-1]
    assert exported.action == "export"
    assert made["audit"] == {"rows": exported.number, "hash": exported.hash}
    file = tmp_path / "report.json"
    command = ("report", "--from", "2023-03-20", "--to", "2023-03-21", "-o", str(file), *store)
    assert run(*command).status == 0
    assert json.loads(file.read_text())["audit"]["hash"] == exported.hash
    page = visit("auditor").get(f"/reports/report.html?{DAYS}").text
    assert list(console.audit.entries())[-1].hash in page
    # Somebody who owns the file makes the whole chain anew, and the audit is sound.
    with sqlite3.connect(f"{console.store.path}/console.sqlite") as database:
        for name in ("console_audit_update", "console_audit_delete"):
            database.execute(f"DROP TRIGGER {name}")
        database.execute("DELETE FROM console_audit")
        database.execute("DELETE FROM console_audit_key")
    look(console, "ws-099")
    sound = run("audit", "verify", *store)
    assert sound.status == 0
    assert "rows may have been cut off" in sound.errors
    noted = run("audit", "verify", "--head", exported.hash, *store)
    assert noted.status == 3
    assert "rows are missing" in noted.output
    head = console.audit.verify().head
    assert "cannot be excluded" not in run("audit", "verify", "--head", head, *store).errors


def test_a_store_without_a_console_gets_none_by_a_report(console: Console, tmp_path: Path) -> None:
    look(console, "ws-021")
    console.database.close()
    database = Path(console.store.path, "console.sqlite")
    assert isinstance(read_head(console.store), AuditHead)
    database.unlink()
    file = tmp_path / "report.json"
    done = run("report", "--from", "2023-03-20", "--to", "2023-03-21", "-o", str(file),
               "--store-path", console.store.path)  # fmt: skip
    assert done.status == 0
    assert json.loads(file.read_text())["audit"] is None
    assert not database.exists()
