"""Erasing a person: afterwards no file has anything of her, whatever happened in between."""

import io
import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, redirect_stderr
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import delete, insert, select
from support.erasable import (
    HOST,
    ID,
    IP_,
    MAC,
    OTHER_IP,
    OWNER,
    mentions,
    write_dead_letters,
    write_files,
    write_state,
)

from netwatch.cli import main
from netwatch.console import tables
from netwatch.console.audit import Audit
from netwatch.console.database import open_console
from netwatch.console.saved_filters import SavedFilter, SavedFilters
from netwatch.console.triage import Change, Triage
from netwatch.report import reading
from netwatch.store import catalogue_tables, erasing, fact_tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import Database
from netwatch.store.erasing import is_erasure
from netwatch.store.fact_files import FactFiles
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

PLACES = ("store", "spool", "proof", "live.sqlite")
STEPS = (
    "evidence",
    "facts",
    "coverage",
    "journal",
    "catalogue",
    "late facts",
    "leftovers",
    "vacuum",
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which she is everywhere."""
    folder = tmp_path_factory.mktemp("erasable")
    write_files(folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        arguments = ["scan", "-q", "--store", "--coverage", "--evidence", "proof", "--deliver"]
        arguments += ["--deliver-timeout", "1", "--format", "jsonl", "-o", "alerts.jsonl"]
        assert main([*arguments, "day.pcap"]) == 1  # nobody listens, so alerts stay in the outbox
        records = [json.loads(line) for line in Path("alerts.jsonl").read_text().splitlines()]
        hers = next(each for each in records if each.get("device", {}).get("id") == ID)
        write_dead_letters(folder / "spool", hers)
        write_state(folder / "live.sqlite")
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(template, tmp_path / "case")
    monkeypatch.chdir(tmp_path / "case")
    # The paths of evidence captures are where they were written.
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        database.execute(
            "UPDATE evidence SET path = replace(path, ?, ?)",
            (str(template), str(tmp_path / "case")),
        )
        database.commit()
    return tmp_path / "case"


def left(folder: Path) -> list[tuple[str, str]]:
    return mentions(*(folder / name for name in PLACES))


def erase(device: str, *more: str) -> int:
    return main(["store", "erase", "--yes", "--state", "live.sqlite", "--device", device, *more])


def test_she_is_everywhere_before(folder: Path) -> None:
    found = left(folder)
    files = {name.split("/")[0] for name, _ in found}
    assert {"store", "spool", "live.sqlite"} <= files
    assert any(name.endswith(".pcapng") for name, _ in found)
    for table in ("observation", "claim", "flow"):
        assert any(f"/{table}/" in name for name, _ in found)
    assert {word for _, word in found} >= {IP_, MAC, HOST, OWNER, ID}


@pytest.mark.parametrize("device", [IP_, MAC, MAC.upper().replace(":", "-"), HOST, OWNER, ID])
def test_nothing_of_her_is_left(
    folder: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert erase(device, "--reason", "request of 3 March", "--format", "jsonl") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] > 8
    assert report["incidents"] == 1
    assert report["evidence"] == 1
    assert report["alerts"] == 4  # the outbox, two dead letters, the state file
    assert report["left"] == []
    assert left(folder) == []


def test_filters_that_the_console_keeps_go_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = StoreOptions(str(folder / "store"))
    with closing(open_console(options)) as database:
        filters = SavedFilters(database)
        hers = [(f"of {OWNER}", "verdict=exempt"), ("pc", urlencode({"device": MAC}))]
        hers += [("host", f"device={HOST}&verdict=violation"), ("id", f"device={ID}")]
        for name, query in [*hers, ("other", f"device={OTHER_IP}")]:
            assert filters.save("ben", "/incidents", SavedFilter(name, query))
    assert left(folder) != []
    assert erase(ID, "--format", "jsonl") == 0
    assert json.loads(capsys.readouterr().out)["filters"] == 4
    assert left(folder) == []
    with closing(open_console(options)) as database:
        kept = SavedFilters(database).of("ben", "/incidents")
    assert kept == [SavedFilter("other", f"device={OTHER_IP}")]


def test_what_was_decided_of_incidents_goes_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = StoreOptions(str(folder / "store"))
    with open_catalogue(options) as catalogue:
        (own,) = [
            json.loads(text)
            for text in catalogue_records(catalogue)
            if json.loads(text)["device"]["id"] == ID
        ]
    with closing(open_console(options)) as database:
        triage = Triage(database)
        triage.change(own, Change("justified", reason="a page", note="she called"), "ben")
        triage.change(own | {"id": "other"}, Change("seen", note=f"like {OWNER}"), "ben")
        triage.change(own | {"id": "third"}, Change("seen", note="alone"), "ben")
    assert erase(ID, "--format", "jsonl") == 0
    assert json.loads(capsys.readouterr().out)["triage"] == 2
    assert left(folder) == []
    with closing(open_console(options)) as database:
        triage = Triage(database)
        assert triage.decided() == {"other", "third"}
        assert triage.history(own["id"]) == []
        assert [each.note for each in triage.history("other")] == [""]
        assert [each.note for each in triage.history("third")] == ["alone"]


def catalogue_records(catalogue: Catalogue) -> list[str]:
    with catalogue.database.reading() as connection:
        return [*connection.execute(select(catalogue_tables.incident.c.record)).scalars()]


def looked_at(database: Database) -> Audit:
    """An audit of what was looked at: her, another for her sake, and another."""
    audit = Audit(database)
    rows = [
        (f"device {IP_}", f"complaint about {OWNER}", {}),
        (f"device {OTHER_IP}", f"to compare with {HOST}", {}),
        (f"device {OTHER_IP}", "case 12", {"filter": {"device": MAC}}),
        (f"device {OTHER_IP}", "case 13", {}),
    ]
    for subject, purpose, detail in rows:
        audit.add("device", account="ben", subject=subject, purpose=purpose, detail=detail)
    return audit


def test_the_audit_says_who_looked_and_not_at_whom(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = StoreOptions(str(folder / "store"))
    with closing(open_console(options)) as database:
        looked_at(database)
        head = Audit(database).verify().head
        # What is stored is sealed from the beginning.
        assert not any("console.sqlite" in name for name, _ in left(folder))
        with database.writing() as connection:
            stated = {"session": "s", "subject": "x", "purpose": f"about {OWNER}", "until": 1 << 62}
            connection.execute(insert(tables.purpose).values(stated))
            way = {"token": "t", "detail": json.dumps({"next": f"/devices/{IP_}"}), "expires": 9}
            connection.execute(insert(tables.pending).values(way))
    assert any("console.sqlite" in name for name, _ in left(folder))
    assert erase(ID, "--format", "jsonl") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["audit"], report["purposes"], report["left"]) == (3, 1, [])
    assert report["places"]["audit"] == {"reach": "sealed", "audit": 3}
    assert report["places"]["backups"] == {"reach": "not reached"}
    assert left(folder) == []
    with closing(open_console(options)) as database:
        audit = Audit(database)
        found = audit.verify(head)
        assert (found.rows, found.problem) == (5, "")
        first, second, third, other, erasure = audit.entries()
        assert [each.is_erased for each in (first, second, third, other)] == [True] * 3 + [False]
        for each in (first, second, third):
            assert (each.account, each.action, each.purpose, each.detail) == (
                "ben",
                "device",
                "",
                "{}",
            )
        assert (other.subject, other.purpose) == (f"device {OTHER_IP}", "case 13")
        assert json.loads(erasure.detail) == {"rows": [[1, 3]]}
        # Whoever asks by name is still told who looked.
        assert [each.number for each in audit.newest(9, subject=f"device {IP_}")] == [1]
        assert first.subject.startswith("a-")
    assert erase(ID, "--format", "jsonl") == 1  # nothing is left to erase


def test_a_key_that_somebody_else_removed_is_noticed(folder: Path) -> None:
    with closing(open_console(StoreOptions(str(folder / "store")))) as database:
        audit = looked_at(database)
        with database.writing() as connection:
            connection.execute(delete(tables.audit_key).where(tables.audit_key.c.number == 2))
        assert audit.verify().problem == (
            "row 2 cannot be opened, and no row records that it was erased"
        )


def test_whom_somebody_asked_for_goes_from_the_journal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_catalogue(StoreOptions(str(folder / "store"))) as catalogue:
        catalogue.add_journal("root", "identify", {"pseudonym": "p1", "reason": f"of {OWNER}"})
        catalogue.add_journal("root", "identify", {"pseudonym": "p2", "reason": "case 12"})
    assert erase(ID, "--format", "jsonl") == 0
    assert json.loads(capsys.readouterr().out)["journal"] == 1
    assert left(folder) == []
    with closing(sqlite3.connect(folder / "store/catalogue.sqlite")) as database:
        query = "SELECT detail FROM journal WHERE action = 'identify' ORDER BY id"
        found = [json.loads(detail) for (detail,) in database.execute(query)]
    assert found == [{"pseudonym": "p1", "erased": True}, {"pseudonym": "p2", "reason": "case 12"}]


def test_evidence_of_an_incident_that_was_never_closed_goes_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A live capture registers evidence when an incident closes; before, only its record names
    the files, also those of lines of logs."""
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        database.execute("DELETE FROM evidence")
        (hers,) = [json.loads(record) for (record,) in database.execute(
            "SELECT record FROM incident") if json.loads(record)["device"]["id"] == ID]  # fmt: skip
        lines = Path(hers["evidence_file"]).with_suffix(".lines")
        lines.write_text(f"# netwatch 1\n# incident {hers['id']}: of {OWNER}\n{IP_} asked\n")
        record = json.dumps({**hers, "evidence_lines": str(lines)})
        database.execute("UPDATE incident SET record = ? WHERE id = ?", (record, hers["id"]))
        database.commit()
    assert erase(ID, "--format", "jsonl") == 0
    assert json.loads(capsys.readouterr().out)["evidence"] == 2
    assert left(folder) == []


def test_others_stay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert erase(IP_) == 0
    capsys.readouterr()
    assert main(["store", "query", "observations", "--format", "jsonl"]) == 0
    names = {json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()}
    assert {"www.tiktok.com", "www.example.org"} <= names
    assert main(["store", "query", "incidents", "--format", "jsonl"]) == 0
    devices = [json.loads(line)["device"]["ip"] for line in capsys.readouterr().out.splitlines()]
    assert devices == [OTHER_IP]
    assert main(["store", "verify"]) == 0
    assert any(OTHER_IP in text for text in (folder / "spool/dead/siem.jsonl").read_text().split())
    assert list((folder / "proof").glob("*.pcapng"))
    assert (folder / "day.pcap").exists()


def test_the_journal_has_everything_but_the_person(folder: Path) -> None:
    assert erase(IP_, "--reason", "request of 3 March") == 0
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        ((user, action, detail),) = database.execute("SELECT user, action, detail FROM journal")
    assert user
    assert action == "erase"
    found = json.loads(detail)
    assert found["reason"] == "request of 3 March"
    assert found["incidents"] == 1
    assert found["clients"] >= 1


@pytest.mark.parametrize("reason", [f"{HOST} is sold", f"asked by {OWNER.lower()}", f"{IP_}: gone"])
def test_a_reason_that_names_her_is_refused(
    folder: Path, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = left(folder)
    assert erase(ID, "--reason", reason) == 2
    assert "the journal must not contain them" in capsys.readouterr().err
    assert left(folder) == before


def test_it_asks_only_on_a_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = left(folder)
    assert main(["store", "erase", "--device", IP_]) == 2
    assert "expected --yes" in capsys.readouterr().err
    assert left(folder) == before


def test_an_unknown_device_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = left(folder)
    for name in ("10.99.0.1", "Nobody"):
        assert erase(name) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert f"no data found for device '{name}': nothing was erased" in said.err
    assert erase("  ") == 2
    assert "--device: expected a text" in capsys.readouterr().err
    assert left(folder) == before


def test_only_an_erasure_of_somebody_is_journalled_and_counted(folder: Path) -> None:
    options = StoreOptions(str(folder / "store"))

    def counted() -> int:
        with open_catalogue(options) as catalogue:
            return reading.deletions(catalogue, 0, None)[0]

    for name in ("Nobody", "10.99.0.1", IP_, IP_, "Nobody"):
        erase(name)
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM journal").fetchone() == (1,)
        # As netwatch wrote it before it looked.
        nothing = {"reason": "", "alerts": 0, "rows": 0, "incidents": 0, "clients": 0}
        database.execute(
            "INSERT INTO journal (time, user, action, detail) VALUES (?, 'root', 'erase', ?)",
            (time.time_ns(), json.dumps(nothing)),
        )
        database.commit()
    assert counted() == 1


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("filters", True), ("journal", True), ("alerts", True), ("purposes", False),
     ("temporary", False), ("reason", False)],
)  # fmt: skip
def test_whatever_was_of_a_person_makes_an_erasure(name: str, is_one: bool) -> None:
    assert is_erasure({"rows": 0, name: "" if name == "reason" else 1}) == is_one


def finish() -> None:
    """Erase her again: there is nothing to find where only the file had to be written anew."""
    with redirect_stderr(io.StringIO()) as said:
        status = erase(IP_)
    assert status == ("no data found" in said.getvalue())


def killed(run: Callable[[], object]) -> bool:
    """Run in a child; whether it was killed before it had ended."""
    child = os.fork()
    if not child:
        try:
            os.close(1)
            os.open(os.devnull, os.O_WRONLY)
            run()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("step", STEPS)
def test_killed_before_a_step_the_next_call_finishes(folder: Path, step: str) -> None:
    original = erasing.StoreErasure.__init__

    def run() -> None:
        def patched(self: erasing.StoreErasure, *args: object, **keys: object) -> None:
            original(self, *args, **keys)  # type: ignore[arg-type]
            self._step = lambda name: kill() if name == step else None

        erasing.StoreErasure.__init__ = patched  # type: ignore[method-assign, assignment]
        erase(IP_)

    assert killed(run)
    finish()
    assert left(folder) == []
    assert main(["store", "verify"]) == 0


@pytest.mark.parametrize(
    ("owner", "name", "after", "call"),
    [
        (FactFiles, "write", True, 1),
        *((FactFiles, "remove", False, call) for call in (1, 2, 3)),
        *((fact_tables.FactRemoval, "_retire", True, call) for call in (1, 2, 3)),
    ],
)
def test_killed_within_a_step_the_next_call_finishes(
    folder: Path, owner: type, name: str, after: bool, call: int
) -> None:
    original = getattr(owner, name)

    def run() -> None:
        calls = 0

        def patched(self: object, *args: object, **keys: object) -> object:
            nonlocal calls
            calls += 1
            if calls == call and not after:
                kill()
            result = original(self, *args, **keys)
            if calls == call:
                kill()
            return result

        setattr(owner, name, patched)
        erase(IP_)

    assert killed(run)
    finish()
    assert left(folder) == []
    assert main(["store", "verify"]) == 0


@pytest.mark.parametrize("call", range(1, 10))
def test_killed_at_a_transaction_the_next_call_finishes(folder: Path, call: int) -> None:
    original = Database.writing

    def run() -> None:
        calls = 0

        def patched(self: Database, **keys: bool) -> object:
            nonlocal calls
            calls += 1
            if calls == call:
                kill()
            return original(self, **keys)

        Database.writing = patched  # type: ignore[method-assign, assignment]
        erase(IP_)

    assert killed(run)
    finish()
    assert left(folder) == []
