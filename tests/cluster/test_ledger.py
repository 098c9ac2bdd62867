"""What a ledger keeps when it is pruned, and what goes."""

import os
import time
from pathlib import Path

import pytest

from netwatch.cli import main
from netwatch.cluster.ledger import DAY, PLAN_SCHEMA, RUN_DAYS, status, unneeded
from netwatch.cluster.storage import Storage, open_storage, write
from netwatch.core.typed_json import dumps


@pytest.fixture
def ledger(tmp_path: Path) -> Storage:
    """A ledger of three runs: of today, of 20 days ago with another unit, and of 40 days ago by
    another configuration; with a result and a failure that no plan names."""
    storage = open_storage(str(tmp_path / "done"))
    plan(storage, "new", 0, ["a", "b"])
    plan(storage, "new", 20, ["b", "c"])
    plan(storage, "old", 40, ["d"])
    for name in ("new/a", "new/b", "new/c", "old/d", "new/orphan"):
        write(storage, f"results/{name}", b"12345")
    for name in ("a", "orphan"):
        write(storage, f"failures/new/{name}.json", b"{}")
    for configuration in ("new", "old"):
        write(storage, f"signatures/{configuration}/run-0.json", b"123")
    write(storage, "runs/left/fold-0", b"123")
    write(storage, "notes/of-somebody.txt", b"mine")
    return storage


def plan(storage: Storage, configuration: str, days: int, units: list[str]) -> None:
    content = {
        "schema": PLAN_SCHEMA,
        "version": "1",
        "configuration": configuration,
        "began": int(time.time()) - days * DAY - 60,
        "units": [[unit, f"{unit}.pcap", 7] for unit in units],
    }
    write(storage, f"plans/{configuration}-{days}.json", dumps(content))


def names(storage: Storage) -> set[str]:
    return {each.name for each in storage.objects("")}


def unneeded_names(storage: Storage, days: int) -> set[str]:
    return {each.name for each in unneeded(storage, days)}


OLD = {
    "plans/old-40.json",
    "results/old/d",
    "results/new/orphan",
    "failures/new/orphan.json",
    "signatures/old/run-0.json",
}
OLDER_THAN_WEEK = OLD | {"plans/new-20.json", "results/new/c"}


def test_what_a_plan_of_late_names_is_kept(ledger: Storage) -> None:
    assert unneeded_names(ledger, 30) == OLD
    assert unneeded_names(ledger, 7) == OLDER_THAN_WEEK
    # The newest plan is kept however old it is.
    assert unneeded_names(ledger, 0) == OLDER_THAN_WEEK
    assert status(ledger).orphaned == 1


def test_what_a_killed_run_left_goes_after_days(ledger: Storage, tmp_path: Path) -> None:
    left = tmp_path / "done" / "runs" / "left" / "fold-0"
    before = time.time() - RUN_DAYS * DAY
    os.utime(left, (before + 600, before + 600))
    assert unneeded_names(ledger, 30) == OLD
    os.utime(left, (before - 600, before - 600))
    assert unneeded_names(ledger, 30) == OLD | {"runs/left/fold-0"}


def test_prune_deletes_that_and_nothing_else(
    ledger: Storage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, before = str(tmp_path / "done"), names(ledger)
    assert main(["ledger", "prune", place, "--days", "7", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert {*said.out.split()} == OLDER_THAN_WEEK
    assert f"{len(OLDER_THAN_WEEK)} objects" in said.err
    assert "would be deleted" in said.err
    assert names(ledger) == before

    assert main(["ledger", "prune", place, "--days", "7"]) == 0
    assert names(ledger) == before - OLDER_THAN_WEEK
    assert main(["ledger", "prune", place, "--days", "7"]) == 0
    assert "0 objects" in capsys.readouterr().err


def test_a_damaged_plan_is_left_alone(ledger: Storage) -> None:
    write(ledger, "plans/new-0.json", b"{")
    # Nothing names the results of the newest run now, but the plan of 20 days ago is the newest.
    assert unneeded_names(ledger, 30) == OLD | {"results/new/a", "failures/new/a.json"}
