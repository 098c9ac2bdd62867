"""Several worker processes, by captures or for one capture.

If there are at least as many captures as workers, each worker reads a whole one at a time and
returns its results. They come out in the order of the captures, whichever worker finishes first.
Observations, of which there can be any number, come back through temporary files.

A scan of fewer captures reads one after the other, and divides the clients in each among all
workers (`netwatch.engine.scan_share`), unless all of them are small. For the names in one capture,
a second process reads what this one writes (`netwatch.engine.sharing`). Both need forked workers:
if the system cannot fork (`netwatch.core.system.kernel`), one process reads one capture.

Logs come after the captures of a run. A log is always read by one worker, because it has state.
"""

import contextlib
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.capture.files import STDIN
from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.private_files import PrivateFolder
from netwatch.core.statistics import RunStatistics
from netwatch.core.system import kernel
from netwatch.coverage.counts import Coverage
from netwatch.engine import pipeline
from netwatch.engine.capture_files import (
    Capture,
    LogUnit,
    Progress,
    Unit,
    expected_packets,
    find_units,
)
from netwatch.incidents.scan import ScanIncidents, ScanResult
from netwatch.incidents.spill import SpillFolder
from netwatch.logs import LogOptions

if TYPE_CHECKING:
    from netwatch.engine.facts_process import Recording

MOST_WORKERS = 256
"""The most processes that a run can be asked for."""

LEAST_SHARED = 1_000_000
"""Roughly how many packets captures must have for several workers to share the clients in each: two
workers and the process that divides the packets take twice the CPU time, so that a smaller capture
of ordinary traffic is scanned sooner by one process."""


@contextlib.contextmanager
def scanned(
    captures: Sequence[Capture],
    config: Config,
    statistics: RunStatistics,
    *,
    logs: Sequence[LogUnit] = (),
    workers: int = 1,
    progress: Progress | None = None,
    coverage: Coverage | None = None,
    keep_frames: bool = False,
    recording: "Recording | None" = None,
) -> Iterator[ScanResult]:
    """The results of this process and its workers; the arguments are those of `scan`. The alerts
    can be read until the context ends, which deletes their files."""
    with ScanIncidents(config.quiet_gap, client_limit=config.client_limit) as incidents:
        scan(
            captures,
            config,
            statistics,
            incidents,
            logs=logs,
            workers=workers,
            progress=progress,
            coverage=coverage,
            keep_frames=keep_frames,
            recording=recording,
        )
        found = incidents.result(config.geo, config.sensor)
        statistics.anomalies.update(found.contradictions)
        statistics.anomalies.update(found.anomalies)
        statistics.anomalies += incidents.senders.anomalies()
        yield found


def scan(
    captures: Sequence[Capture],
    config: Config,
    statistics: RunStatistics,
    incidents: ScanIncidents,
    *,
    logs: Sequence[LogUnit] = (),
    workers: int = 1,
    progress: Progress | None = None,
    coverage: Coverage | None = None,
    keep_frames: bool = False,
    recording: "Recording | None" = None,
) -> None:
    """Judge all captures and logs, read by up to `workers` processes. Their contacts are added to
    `incidents`, their flows to `coverage`, if given; with `keep_frames` the contacts come with the
    captured frames that prove them. Their facts go to the store of `recording`."""
    here = partial(
        pipeline.scan,
        config=config,
        statistics=statistics,
        collector=incidents,
        progress=progress,
        coverage=coverage,
        keep_frames=keep_frames,
        recording=recording,
    )
    units: list[Unit] = [*captures, *logs]
    has_stdin = any(map(_has_stdin, units))
    is_shared = (len(units) < workers and kernel.CAN_FORK) or has_stdin
    is_small = not logs and is_shared and not recording and _are_small(captures)
    # Several logs cannot be shared out, but each can have a worker.
    shared = captures if is_shared else ()
    is_alone = len(units) == 1 or has_stdin
    if not kernel.CAN_FORK and is_alone:
        workers = 1
    if workers == 1 or not units or is_small or (has_stdin and not captures):
        for position, unit in enumerate(units):
            here(unit, position=position)
        return
    # Code for several processes is not imported at the top, because it imports much.
    if shared:
        from netwatch.engine.scan_share import scan_together

        scan_together(
            shared,
            config,
            statistics,
            incidents,
            workers=workers,
            progress=progress,
            coverage=coverage,
            keep_frames=keep_frames,
            recording=recording,
        )
    rest = list(enumerate(units))[len(shared) :]
    if any(_has_stdin(unit) for _, unit in rest):
        for position, unit in rest:
            here(unit, position=position)
        return
    if not rest:
        return
    from netwatch.core.system.workers import Workers

    incidents.folder.share()
    work = partial(
        _scan_unit,
        config=config,
        folder=incidents.folder,
        like=coverage and coverage.another(),
        keep_frames=keep_frames,
        recording=recording,
    )
    with Workers(_pool_size(workers, rest), work) as pool:
        for found, counts, flows in pool.results(rest):
            incidents.merge(found)
            statistics.merge(counts)
            if coverage is not None and flows is not None:
                coverage.merge(flows)


def names(
    captures: Sequence[Capture],
    statistics: RunStatistics,
    *,
    logs: Sequence[LogUnit] = (),
    workers: int = 1,
    progress: Progress | None = None,
    recording: "Recording | None" = None,
) -> Generator[ObservationBatch, None, None]:
    """The observations of all captures and logs, one after the other, read by up to `workers`
    processes. A batch is valid until the next one is requested. The facts go to the store of
    `recording`."""
    units: list[Unit] = [*captures, *logs]
    is_alone = len(units) == 1 and (bool(logs) or not kernel.CAN_FORK)
    if workers == 1 or not units or any(map(_has_stdin, units)) or is_alone:
        # Only this process can read its standard input.
        for position, unit in enumerate(units):
            yield from pipeline.names(
                unit, statistics, progress=progress, recording=recording, position=position
            )
        return
    if len(units) == 1:
        from netwatch.engine.sharing import names_of

        yield from names_of(captures[0], statistics, recording)
        return
    import pickle

    from netwatch.core.system.workers import Workers

    with (
        PrivateFolder() as folder,
        Workers(
            _pool_size(workers, units), partial(_write_batches, Path(folder), recording=recording)
        ) as pool,
    ):
        for number, counts in enumerate(pool.results(enumerate(units))):
            statistics.merge(counts)
            file = _batches_file(Path(folder), number)
            with file.open("rb") as stream:
                while (batch := pickle.load(stream)) is not None:
                    yield batch
            file.unlink()


def observations(paths: Sequence[str], statistics: RunStatistics) -> Iterator[ObservationBatch]:
    """The observations of all captures and logs in paths, for commands that only look at traffic in
    passing. A batch is valid until the next one is requested."""
    captures, logs = find_units(paths, LogOptions())
    yield from names(captures, statistics, logs=logs)


def _pool_size(workers: int, work: Sequence[object]) -> int:
    return min(workers, len(work), kernel.MAX_WORKERS)


def _are_small(captures: Sequence[Capture]) -> bool:
    return sum(map(expected_packets, captures)) < LEAST_SHARED


def _has_stdin(unit: Unit) -> bool:
    files = unit.files if isinstance(unit, LogUnit) else unit
    return any(found.path == STDIN for found in files)


def _scan_unit(
    numbered: tuple[int, Unit],
    config: Config,
    folder: SpillFolder,
    like: Coverage | None,
    keep_frames: bool,
    recording: "Recording | None",
) -> tuple[ScanIncidents, RunStatistics, Coverage | None]:
    """Scan one capture or log, given with its position, in a worker. Flows are counted `like` this
    coverage does, if it is given."""
    position, unit = numbered
    statistics, coverage = RunStatistics(), like and like.another()
    found = ScanIncidents(config.quiet_gap, folder)
    pipeline.scan(
        unit,
        config,
        statistics,
        found,
        coverage=coverage,
        keep_frames=keep_frames,
        recording=recording,
        position=position,
    )
    return found, statistics, coverage


def _batches_file(folder: Path, position: int) -> Path:
    return folder / str(position)


def _write_batches(
    folder: Path, numbered: tuple[int, Unit], recording: "Recording | None"
) -> RunStatistics:
    """Write the batches of one capture or log, given with its position, to a file, in a worker, and
    None after the last. Raises `NetwatchError` if the file cannot be written."""
    import pickle

    statistics = RunStatistics()
    position, unit = numbered
    file = _batches_file(folder, position)
    try:
        with file.open("wb") as stream:
            for batch in pipeline.names(unit, statistics, recording=recording, position=position):
                pickle.dump(batch, stream)
            pickle.dump(None, stream)
    except OSError as error:
        raise NetwatchError(f"{file}: cannot be written: {error.strerror}") from None
    return statistics
