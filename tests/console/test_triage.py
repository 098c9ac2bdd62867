"""What people decide of incidents: states, their history, and false alarms by rule."""

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.asked_stores import run
from support.made_alerts import record
from support.paths import PCAPS

from netwatch.console import tables
from netwatch.console.console import Console
from netwatch.console.database import open_console
from netwatch.console.triage import (
    MAX_NOTE,
    NOBODY,
    STATES,
    Change,
    OutdatedError,
    RuleCount,
    Triage,
    Triaged,
)
from netwatch.store.database import Database
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

APP = "tiktok"


@pytest.fixture
def database(catalogue_options: StoreOptions) -> Iterator[Database]:
    opened = open_console(catalogue_options)
    yield opened
    opened.close()


@pytest.fixture
def triage(database: Database) -> Triage:
    return Triage(database, count(1).__next__)


def alarm(number: int, rule: str = "suffix tiktok.com", **versions: str) -> dict[str, Any]:
    """An alert that this rule raised."""
    made = record(number)
    made["app"]["id"] = APP
    made["evidence"][0]["rule"]["text"] = rule
    return made | {"versions": {"signatures": "5e1a", **versions}}


def test_an_incident_is_new_until_somebody_decides(triage: Triage) -> None:
    alert = alarm(1)
    assert triage.one(alert["id"]) == Triaged()
    assert triage.of([alert["id"]]) == {}
    before, after = triage.change(alert, Change("in-work", "ben", note="asks the owner"), "ben")
    assert (before, after.state, after.assignee) == (Triaged(), "in-work", "ben")
    assert triage.one(alert["id"]) == after
    triage.change(alert, Change("justified", reason="a telephone of the lab"), "cat")
    assert triage.one(alert["id"]).assignee == "ben"
    assert [(each.account, each.state, each.reason) for each in triage.history(alert["id"])] == [
        ("cat", "justified", "a telephone of the lab"),
        ("ben", "in-work", ""),
    ]
    assert triage.decided() == {alert["id"]}


def test_what_is_not_said_stays_and_new_forgets(triage: Triage) -> None:
    alert = alarm(1)
    _, assigned = triage.change(alert, Change(assignee="ben"), "ben")
    assert (assigned.state, assigned.assignee) == ("seen", "ben")
    _, noted = triage.change(alert, Change(note="a word"), "cat")
    assert (noted.state, noted.assignee) == ("seen", "ben")
    _, free = triage.change(alert, Change(assignee=NOBODY), "cat")
    assert (free.state, free.assignee) == ("seen", "")
    _, again = triage.change(alert, Change("new"), "cat")
    assert again.state == "new"
    assert triage.decided() == frozenset()
    assert len(triage.history(alert["id"])) == 4


def test_a_change_to_what_somebody_else_has_changed_is_refused(triage: Triage) -> None:
    alert = alarm(1)
    triage.change(alert, Change("seen"), "ben", version=0)
    seen = triage.one(alert["id"]).version
    triage.change(alert, Change("in-work"), "cat", version=seen)
    with pytest.raises(OutdatedError):
        triage.change(alert, Change("false", reason="none"), "ben", version=seen)
    assert triage.one(alert["id"]).state == "in-work"
    triage.change(alert, Change("new"), "cat")
    with pytest.raises(OutdatedError):
        triage.change(alert, Change("seen"), "ben", version=0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (Change(), "empty"),
        (Change("false"), "reason"),
        (Change("justified", reason="the lab"), ""),
        (Change("seen", reason="x" * 201), "reason-length"),
        (Change("seen", note="x" * MAX_NOTE), ""),
        (Change("seen", note="x" * (MAX_NOTE + 1)), "note-length"),
        (Change("new", "ben"), "new"),
        (Change("new", NOBODY), ""),
        (Change(assignee="ben"), ""),
    ],
)
def test_what_cannot_be_decided(change: Change, problem: str) -> None:
    assert change.problem() == problem


def test_ids_by_state_and_assignee(triage: Triage) -> None:
    for number, state in enumerate(STATES[1:]):
        change = Change(state, "ben" if number % 2 else "cat", reason="so")
        triage.change(alarm(number), change, "ben")
    ids = [record(number)["id"] for number in range(4)]
    assert triage.decided() == {*ids}
    assert triage.decided("seen") == {ids[0]}
    assert triage.decided("false", "ben") == {ids[3]}
    assert triage.decided("seen", "ben") == frozenset()
    assert triage.decided(assignee="cat") == {ids[0], ids[2]}
    assert triage.counts() == dict.fromkeys(STATES[1:], 1)
    assert triage.assignees() == ["ben", "cat"]


def test_false_alarms_are_counted_by_rule(triage: Triage) -> None:
    false, right = Change("false", reason="a page"), Change("justified", reason="so")
    for number in range(3):
        triage.change(alarm(number, "host a.example"), false, "ben")
    triage.change(alarm(3, "host a.example"), right, "ben")
    triage.change(alarm(4, "host a.example", signatures="77aa"), false, "ben")
    triage.change(alarm(5, "host b.example"), right, "ben")
    triage.change(alarm(6, "host c.example"), Change("seen"), "ben")
    # What was decided otherwise later counts as what it is now.
    triage.change(alarm(2, "host a.example"), right, "ben")
    assert triage.by_rule() == [
        RuleCount(APP, "host a.example", "5e1a", "0.1.0", 2, 2),
        RuleCount(APP, "host a.example", "77aa", "0.1.0", 1, 0),
    ]


def test_what_is_no_longer_in_the_store_is_forgotten(
    triage: Triage, database: Database, catalogue_options: StoreOptions
) -> None:
    triage.change(alarm(1), Change("seen"), "ben")
    triage.change(alarm(2), Change("new"), "ben")
    with open_catalogue(catalogue_options, create=True) as catalogue:
        assert triage.forget_missing(catalogue) == 2
        assert triage.forget_missing(catalogue) == 0
    with database.reading() as connection:
        for table in (tables.triage, tables.triage_change):
            assert connection.execute(table.select()).all() == []


def test_a_console_of_before_gets_it(catalogue_options: StoreOptions) -> None:
    database = open_console(catalogue_options)
    with database.writing() as connection:
        for table in ("console_triage", "console_triage_change"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA user_version = 4")
    database.close()
    for _ in range(2):
        database = open_console(catalogue_options)
        Triage(database).change(alarm(1), Change("seen"), "ben")
        database.close()


def test_pruning_deletes_it_with_the_incident(console: Console, incident: str) -> None:
    console.triage.change(alarm(1) | {"id": incident}, Change("seen"), "ben")
    console.triage.change(alarm(2), Change("seen"), "ben")
    folder = Path(console.store.path).parent
    for keep, left in (("90y", {incident}), ("1d", set())):
        written = (PCAPS / "netwatch.yaml").read_text(encoding="utf-8")
        config = folder / "netwatch.yaml"
        config.write_text(f"{written}\nretention: {{incidents: {keep}}}\n", encoding="utf-8")
        shutil.copy(PCAPS / "devices.csv", folder)
        ran = run("store", "prune", "-c", str(config), "--store-path", console.store.path)
        assert ran.status == 0, ran.errors
        assert console.triage.decided() == left
