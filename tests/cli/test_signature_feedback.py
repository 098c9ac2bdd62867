"""What is exported of false alarms, and what is not."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.asked_stores import run
from support.made_alerts import record as made

from netwatch.console.database import open_console
from netwatch.console.triage import Change, Triage
from netwatch.store.options import StoreOptions


def record(number: int) -> dict[str, Any]:
    """An alert of a device that has nothing in common with the rule."""
    alert = made(number)
    alert["device"] |= {"id": "byod-77"}
    alert["network"] |= {"name": "annex"}
    return alert


@pytest.fixture
def store(tmp_path: Path) -> str:
    options = StoreOptions(str(tmp_path / "store"))
    with closing(open_console(options)) as database:
        triage = Triage(database)
        for number in range(5):
            state = "false" if number < 3 else "justified"
            alert = record(number) | {"versions": {"signatures": "5e1a"}}
            change = Change(state, "ben", reason="Jane's telephone", note="she called")
            triage.change(alert, change, "ben")
        triage.change(record(9), Change("seen"), "ben")
    return options.path


def test_false_alarms_are_exported_by_rule(store: str) -> None:
    ran = run("signatures", "feedback", "--format", "jsonl", "--store-path", store)
    alert = record(0)
    assert ran.records == [
        {
            "schema": "netwatch.feedback/1",
            "app": alert["app"]["id"],
            "rule": alert["evidence"][0]["rule"]["text"],
            "signatures": "5e1a",
            "netwatch": "0.1.0",
            "false": 3,
            "justified": 2,
        }
    ]


def test_nothing_of_anybody_is_exported(store: str) -> None:
    for form in ("table", "jsonl"):
        ran = run("signatures", "feedback", "--format", form, "--store-path", store)
        assert ran.status == 0
        for number in (0, 1, 2):
            alert = record(number)
            for text in (alert["id"], alert["device"]["id"], alert["network"]["name"], "ben",
                         "Jane", "called", alert["first_seen"][:10]):  # fmt: skip
                assert text not in ran.output, text


def test_without_one_it_says_so(tmp_path: Path) -> None:
    ran = run("signatures", "feedback", "--store-path", str(tmp_path / "store"))
    assert (ran.status, ran.output) == (0, "")
    assert "no incident was closed as a false alarm" in ran.errors
