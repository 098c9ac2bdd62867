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

from netwatch.store import compaction, fact_files, landing
from netwatch.store.catalogue import Catalogue
from netwatch.store.fact_files import FactFiles
from netwatch.store.landing import Landing
from netwatch.store.opening import open_catalogue
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


def _stepped(work: Callable[[], None], step: Callable[[str], None]) -> int | None:
    """Run something in a process, which calls `step` before and after each step; how it ended."""

    def around(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            step(f"before {name}")
            result = function(*args, **kwargs)
            step(f"after {name}")
            return result

        return stepped

    def run() -> None:
        for owner, name in STEPS:
            setattr(owner, name, around(f"{owner.__name__}.{name}", getattr(owner, name)))
        work()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return process.exitcode


def _killed(at: int, work: Callable[[], None]) -> None:
    """Run something in a process that is killed at a step, whose number is `at`."""
    left = iter(range(at, -1, -1))
    ended = _stepped(work, lambda _: next(left) or os.kill(os.getpid(), signal.SIGKILL))
    assert ended == -signal.SIGKILL


def _steps(folder: Path, work: Callable[[], None]) -> list[int]:
    """Run something; at which of its steps to kill it. Where the same step is done for several
    files, these are the first and the last one."""
    record = folder / "steps"
    with record.open("w", buffering=1) as file:
        assert _stepped(work, lambda name: print(name, file=file)) == 0
    places: dict[str, list[int]] = {}
    for number, name in enumerate(record.read_text().splitlines()):
        places.setdefault(name, []).append(number)
    assert len(places) >= 2 * (len(STEPS) - 1), places  # a writer unlinks nothing
    return sorted({number for found in places.values() for number in (found[0], found[-1])})


def _open(store: Path) -> tuple[FactFiles, Catalogue]:
    options = StoreOptions(str(store))
    return FactFiles(str(store)), open_catalogue(options, create=True)


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
    from pyarrow import parquet

    found: Counter[Any] = Counter()
    for path in registered(store, "observation"):
        columns = parquet.read_table(path, columns=["sequence", "time", "name", "client"])
        found.update(zip(*(column.to_pylist() for column in columns.columns), strict=True))
    return found


def _sweep(store: Path) -> None:
    files, catalogue = _open(store)
    with catalogue:
        compaction.sweep(files, catalogue, age=0)
    assert on_disk(store) == set(registered(store, "observation"))


@pytest.mark.parametrize("many", [False, True])
def test_a_writer_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    """Its rows are all there or none of them, for each file, and what is left is swept."""
    monkeypatch.setattr(landing, "LANDING_ROWS", FILE_ROWS if many else 100_000)
    _prepared(tmp_path / "all")
    steps = _steps(tmp_path, lambda: _write(tmp_path / "all"))
    complete = _rows(tmp_path / "all")
    assert complete.total() == ROWS
    for at in steps:
        store = tmp_path / str(at)
        _prepared(store)
        _killed(at, lambda store=store: _write(store))  # type: ignore[misc]
        assert not _rows(store) - complete
        _sweep(store)
    assert _rows(store) == complete
    assert len(steps) >= 2 * (len(STEPS) - 1)


@pytest.mark.parametrize("bucketed", [False, True])
def test_a_compactor_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucketed: bool
) -> None:
    """No row is lost and none is there twice, and the next one finishes the work."""
    monkeypatch.setattr(landing, "LANDING_ROWS", FILE_ROWS)
    if bucketed:
        monkeypatch.setattr(compaction, "BUCKET_ROWS", FILE_ROWS)
        monkeypatch.setattr(compaction, "BUCKETS", 4)
    whole = tmp_path / "whole"
    _prepared(whole)
    _write(whole)
    complete = _rows(whole)

    def compact(store: Path) -> None:
        files, catalogue = _open(store)
        with catalogue:
            compaction.compact(files, catalogue)

    store = tmp_path / "last"
    shutil.copytree(whole, store)
    steps = _steps(tmp_path, lambda: compact(store))
    for at in steps:
        store = tmp_path / str(at)
        shutil.copytree(whole, store)
        _killed(at, lambda store=store: compact(store))  # type: ignore[misc]
        assert _rows(store) == complete
        compact(store)
        assert _rows(store) == complete
        _sweep(store)
        buckets = {bucket for (bucket,) in catalogue_rows(store, "SELECT bucket FROM file")}
        assert buckets == (set(range(4)) if bucketed else {None})
    assert len(steps) > 2 * len(STEPS)
    _write(store, seed=2)
    both = _rows(store)
    compact(store)
    assert _rows(store) == both
    assert both.total() == 2 * ROWS
