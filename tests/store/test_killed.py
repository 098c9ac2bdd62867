"""The writer and the compactor killed at every step: whole files only, and no row twice."""

import multiprocessing
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.made_facts import made_batches
from support.stored_facts import catalogue_rows, on_disk, registered

from netwatch.store import fact_files, landing
from netwatch.store.catalogue import Catalogue
from netwatch.store.fact_files import FactFiles
from netwatch.store.landing import Landing
from netwatch.store.options import StoreOptions

ROWS = 600
FILE_ROWS = 200
"""Rows of a file, where several are written."""

STEPS = (
    (os, "open"),
    (os, "fsync"),
    (Path, "replace"),
    (Path, "unlink"),
    (fact_files, "sync_folder"),
    (Catalogue, "replace_files"),
)
"""Where a process is killed, before and after each call."""


class _Killer:
    """Kills its process at the step with a number."""

    def __init__(self, at: int) -> None:
        self._left = at

    def step(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = function(*args, **kwargs)
            self.step()
            return result

        return stepped


def _killed(at: int, work: Callable[[], None]) -> bool:
    """Run something in a process that is killed at a step; False where it had fewer steps."""

    def run() -> None:
        killer = _Killer(at)
        for owner, name in STEPS:
            setattr(owner, name, killer.around(getattr(owner, name)))
        work()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _open(store: Path) -> tuple[FactFiles, Catalogue]:
    options = StoreOptions(str(store))
    return FactFiles(str(store)), Catalogue.open(options, create=True)


def _prepared(store: Path) -> None:
    """A store with a capture, and clients for the rows."""
    _, catalogue = _open(store)
    with catalogue:
        run = catalogue.begin_run("scan", "test")
        assert catalogue.begin_capture(run, 0, []) == 1


def _write(store: Path, seed: int = 1) -> None:
    files, catalogue = _open(store)
    with catalogue:
        rows = Landing(files, catalogue)
        for batch in made_batches(ROWS, devices=64, names=500, seed=seed):
            for at in range(0, batch.num_rows, 100):
                rows.add("observation", batch.slice(at, 100))
                rows.write_due()
        rows.flush()


def _rows(store: Path) -> Counter[Any]:
    import duckdb

    paths = [str(path) for path in registered(store, "observation")]
    if not paths:
        return Counter()
    with duckdb.connect() as database:
        found = database.execute(
            "SELECT sequence, time, name, client FROM read_parquet($paths)", {"paths": paths}
        ).fetchall()
    return Counter(found)


def _sweep(store: Path) -> None:
    files, catalogue = _open(store)
    with catalogue:
        landing.sweep(files, catalogue, age=0)
    assert on_disk(store) == set(registered(store, "observation"))


@pytest.mark.parametrize("many", [False, True])
def test_a_writer_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    """Its rows are all there or none of them, for each file, and what is left is swept."""
    monkeypatch.setattr(landing, "LANDING_ROWS", FILE_ROWS if many else 100_000)
    at, complete = 0, Counter[Any]()
    _prepared(tmp_path / "all")
    _write(tmp_path / "all")
    complete = _rows(tmp_path / "all")
    assert complete.total() == ROWS
    while True:
        store = tmp_path / str(at)
        _prepared(store)
        was_killed = _killed(at, lambda store=store: _write(store))  # type: ignore[misc]
        found = _rows(store)
        assert not found - complete
        _sweep(store)
        if not was_killed:
            assert found == complete
            break
        at += 3 if many else 1  # the steps of one file are those of another
    assert at > 10


@pytest.mark.parametrize("bucketed", [False, True])
def test_a_compactor_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucketed: bool
) -> None:
    """No row is lost and none is there twice, and the next one finishes the work."""
    monkeypatch.setattr(landing, "LANDING_ROWS", FILE_ROWS)
    if bucketed:
        monkeypatch.setattr(landing, "BUCKET_ROWS", FILE_ROWS)
        monkeypatch.setattr(landing, "BUCKETS", 4)
    whole = tmp_path / "whole"
    _prepared(whole)
    _write(whole)
    complete = _rows(whole)

    def compact(store: Path) -> None:
        files, catalogue = _open(store)
        with catalogue:
            landing.compact(files, catalogue)

    at, was_killed = 0, True
    while was_killed:
        store = tmp_path / str(at)
        shutil.copytree(whole, store)
        was_killed = _killed(at, lambda store=store: compact(store))  # type: ignore[misc]
        assert _rows(store) == complete
        compact(store)
        assert _rows(store) == complete
        _sweep(store)
        buckets = {bucket for (bucket,) in catalogue_rows(store, "SELECT bucket FROM file")}
        assert buckets == (set(range(4)) if bucketed else {None})
        at += 3 if bucketed else 1
    assert at > 15
    _write(store, seed=2)
    both = _rows(store)
    compact(store)
    assert _rows(store) == both
    assert both.total() == 2 * ROWS
