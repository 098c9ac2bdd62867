"""``store upgrade`` says what becomes of an older store, and asks."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.fleet_alerts import fleet_alert

from netwatch.cli import main, store_status
from netwatch.store.catalogue_tables import SCHEMA_VERSION
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of version 6 with an incident."""
    folder = tmp_path / "store"
    with open_catalogue(StoreOptions(str(folder)), create=True) as catalogue:
        alert = fleet_alert("ghent", 0)
        catalogue.add_incidents(catalogue.begin_run("scan", "ghent"), [(alert.record, alert.line)])
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as database:
        database.execute("ALTER TABLE run DROP COLUMN named")
        database.execute("ALTER TABLE store DROP COLUMN flow_key")
        for table in ("loss", "run_writing"):
            database.execute(f"DROP TABLE {table}")
        database.execute("UPDATE store SET schema = 6")
        database.execute("PRAGMA user_version = 6")
        database.commit()
    return folder


@pytest.fixture
def run(store: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["store", *words, "--store-path", str(store)])
        return status, capsys.readouterr().err

    return _run


def schema(store: Path) -> int:
    with closing(sqlite3.connect(store / "catalogue.sqlite")) as database:
        (number,) = database.execute("PRAGMA user_version").fetchone()
        (written,) = database.execute("SELECT schema FROM store").fetchone()
    assert number == written
    return int(number)


def test_without_a_terminal_it_says_the_command(run: Run, store: Path) -> None:
    status, said = run("upgrade")
    assert status == 2
    assert "netwatch store upgrade --yes" in said
    assert "netwatch backup" in said
    assert "1 incident" in said
    assert "7  values missing from runs" in said
    assert schema(store) == 6


@pytest.mark.parametrize(("answer", "becomes"), [(False, 6), (True, SCHEMA_VERSION)])
def test_it_does_what_is_answered(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, becomes: int
) -> None:
    monkeypatch.setattr(store_status, "_is_confirmed", lambda: answer)
    status, said = run("upgrade")
    assert status == int(not answer)
    assert ("nothing was changed" in said) is not answer
    assert schema(store) == becomes


def test_a_script_says_yes(run: Run, store: Path) -> None:
    status, said = run("upgrade", "--yes")
    assert (status, schema(store)) == (0, SCHEMA_VERSION)
    assert f"schema 6 became {SCHEMA_VERSION}" in said
    status, said = run("upgrade")
    assert status == 0
    assert "nothing to do" in said


def test_other_commands_say_that_they_upgraded(run: Run, store: Path) -> None:
    status, said = run("status")
    assert (status, schema(store)) == (0, SCHEMA_VERSION)
    (line,) = [each for each in said.splitlines() if "older netwatch" in each]
    assert f"schema 6 became {SCHEMA_VERSION}" in line
    assert "older netwatch" not in run("status")[1]
