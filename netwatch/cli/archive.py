"""``scan --ledger`` and ``scan --cluster``: a scan of an archive, and its progress."""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from netwatch.capture.files import CaptureFile
from netwatch.cli import terminal
from netwatch.config import Config
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.coverage.counts import Coverage
from netwatch.incidents.scan import ScanResult

if TYPE_CHECKING:
    from netwatch.cluster.archive import Progress, UnitCounts
    from netwatch.cluster.workers import Workers
    from netwatch.engine.capture_files import LogUnit


@contextlib.contextmanager
def scan(
    args: argparse.Namespace,
    captures: Sequence[Sequence[CaptureFile]],
    logs: "Sequence[LogUnit]",
    config: Config,
    statistics: RunStatistics,
    coverage: Coverage | None,
) -> "Iterator[tuple[ScanResult, UnitCounts]]":
    """What an archive gives, and how much of it was done now. The alerts can be read until the
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
    from netwatch.cluster.dask_cluster import TlsFiles
    from netwatch.cluster.dask_workers import DaskWorkers

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
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[units]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None, units="")

        def update(counts: "UnitCounts") -> None:
            # What earlier runs have done took no time now, so it would spoil the rate.
            there = counts.size_done - counts.size_judged
            bar.update(
                task,
                total=counts.size - there,
                completed=counts.size_judged,
                units=f"{counts.done:,} of {quantity(counts.units, 'unit')}",
            )

        yield update
