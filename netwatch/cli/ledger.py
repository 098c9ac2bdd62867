"""``netwatch ledger``: what is kept about the archives that ``scan --ledger`` has read; and that
scan itself, with its progress, which ``scan --cluster`` shows too."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from netwatch.cli.group import Group
from netwatch.cli.printing import (
    print_columns,
    print_line,
    print_message,
    print_record,
    print_value,
)
from netwatch.core.errors import NetwatchError
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from netwatch.cluster.ledger import LedgerStatus, PlanStatus
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from netwatch.capture.files import CaptureFile
from netwatch.cli import terminal
from netwatch.config import Config
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.incidents.scan import ScanResult

if TYPE_CHECKING:
    from netwatch.cluster.archive import Progress, UnitCounts
    from netwatch.cluster.workers import Workers
    from netwatch.engine.capture_files import LogUnit

PRUNE_DAYS = 90
"""Days without a run after which `prune` deletes a plan by default."""

_EPILOG = """examples:
  netwatch ledger status s3://archive/ledger       units done, missing and failed, by run
  netwatch ledger status done/ --format jsonl      the same as records
  netwatch ledger prune done/ --days 30 --dry-run  what no run of the last 30 days needs
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "ledger",
        help="progress of the archives that `scan --ledger` reads",
        description="The results that `scan --ledger` has kept of each capture of an archive.",
        epilog=_EPILOG,
    )
    status = group.command("status", _status, "show what is done, missing and failed, by run")
    status.add_argument("ledger", metavar="URL", help="the folder or URL of the ledger")
    prune = group.command("prune", _prune, "delete results that no recent run needs", table=False)
    prune.add_argument("ledger", metavar="URL", help="the folder or URL of the ledger")
    prune.add_argument(
        "--days",
        metavar="N",
        type=_days,
        default=PRUNE_DAYS,
        help=f"keep results that runs of the last N days used (default {PRUNE_DAYS}), or the last"
        " run",
    )
    prune.add_argument("--dry-run", action="store_true", help="only show what would be deleted")


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 36_500:
        raise argparse.ArgumentTypeError(
            f"expected a number of days from 0 to 36500, found {text!r}"
        )
    return int(text)


def _status(args: argparse.Namespace) -> int:
    from netwatch.cluster.ledger import status
    from netwatch.cluster.storage import open_storage

    storage = open_storage(args.ledger)
    found = status(storage)
    if not (found.plans or found.results):
        raise NetwatchError(
            f"{storage.shown}: there is no ledger; 'netwatch scan --ledger' creates one"
        )
    if args.format == "jsonl":
        for plan in found.plans:
            print_record({"record": "plan"} | asdict(plan) | {"began": _time(plan.began)})
        totals = {key: value for key, value in asdict(found).items() if key != "plans"}
        print_record({"record": "ledger", "ledger": storage.shown, **totals})
    else:
        _print(found, storage.shown)
    return 0


def _print(found: "LedgerStatus", shown: str) -> None:
    print_line(f"ledger {shown}")
    print_line()
    rows: list[tuple[str, ...]] = [
        ("began", "units", "done", "missing", "failed", "to read", "results", "configuration")
    ]
    rows += [_row(plan) for plan in found.plans]
    print_columns(rows)
    print_line()
    for version in sorted({plan.version for plan in found.plans}):
        print_line(f"{'version':<10} {version}")
    print_line(f"{'results':<10} {found.results:,}, {quantity(found.result_bytes, 'byte')}")
    orphaned = f"{found.orphaned:,}, {quantity(found.orphaned_bytes, 'byte')}, named by no run"
    print_line(f"{'orphaned':<10} {orphaned}")
    left = f"{found.leftovers:,}, {quantity(found.leftover_bytes, 'byte')}"
    print_line(f"{'runs':<10} {left}, of runs in progress or killed")
    if found.foreign:
        print_line(f"{'foreign':<10} {quantity(found.foreign, 'object')} that are no part of it")
    for plan in found.plans[:1]:
        for failure in plan.failures:
            print_value(f"{'failed':<10} ", failure.reason)


def _row(plan: "PlanStatus") -> tuple[str, ...]:
    numbers = (plan.units, plan.done, plan.missing, plan.failed, plan.missing_bytes)
    texts = [f"{number:,}" for number in (*numbers, plan.result_bytes)]
    return _time(plan.began), *texts, plan.configuration


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _prune(args: argparse.Namespace) -> int:
    from netwatch.cluster.ledger import unneeded
    from netwatch.cluster.storage import open_storage

    storage = open_storage(args.ledger)
    objects = unneeded(storage, args.days)
    for each in objects:
        if args.dry_run:
            print_line(each.name)
        else:
            storage.remove(each.name)
    done = "would be deleted" if args.dry_run else "deleted"
    size = quantity(sum(each.size for each in objects), "byte")
    print_message(f"netwatch: {quantity(len(objects), 'object')}, {size}, {done}")
    return 0


@contextlib.contextmanager
def scan(
    args: argparse.Namespace,
    captures: Sequence[Sequence[CaptureFile]],
    logs: "Sequence[LogUnit]",
    config: Config,
    statistics: RunStatistics,
    coverage: Coverage | None,
) -> "Iterator[tuple[ScanResult, UnitCounts]]":
    """The results of an archive, and how much of it was done now. The alerts can be read until the
    context ends. Raises `ConfigError` and `NetwatchError`."""
    from netwatch.cluster.archive import Archive
    from netwatch.cluster.signatures import LedgerKey

    key = LedgerKey.new() if args.ledger is None else LedgerKey.of_file(args.ledger_key)
    with (
        contextlib.closing(_workers(args, config)) as workers,
        Archive(args.ledger, workers, config, key=key, keep_frames=bool(args.evidence)) as archive,
    ):
        with progress(args) as archive.progress:
            result = archive.scan(captures, logs, statistics, coverage)
        yield result, archive.counts


def _workers(args: argparse.Namespace, config: Config) -> "Workers":
    if args.cluster is None:
        from netwatch.cluster.workers import Processes, ThisProcess

        return ThisProcess(config) if args.jobs == 1 else Processes(config, args.jobs)
    from netwatch.cluster.dask_workers import DaskWorkers
    from netwatch.cluster.workers import TlsFiles

    tls = TlsFiles(args.cluster_ca, args.cluster_cert, args.cluster_key)
    workers = DaskWorkers(config, args.cluster, args.jobs, tls)
    if workers.dashboard is not None:
        terminal.note(args, f"the dashboard of the cluster is at {workers.dashboard}")
    return workers


@contextlib.contextmanager
def progress(args: argparse.Namespace) -> "Iterator[Progress]":
    """Shows a progress bar with units, bytes, rate and time left; nothing without a terminal and
    with ``--quiet``."""
    if args.quiet or not sys.stderr.isatty():
        yield lambda counts: None
        return
    with terminal.progress_bar() as bar:
        task = bar.add_task("reading", total=None, counted="")

        def update(counts: "UnitCounts") -> None:
            # What earlier runs have done took no time now, so it would distort the rate.
            there = counts.size_done - counts.size_judged
            bar.update(
                task,
                total=counts.size - there,
                completed=counts.size_judged,
                counted=f"{counts.done:,} of {quantity(counts.units, 'unit')}",
            )

        yield update
