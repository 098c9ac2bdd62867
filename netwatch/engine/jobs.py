"""Several captures at once, each in a worker of its own.

A worker takes a whole capture and hands back what it gathered; the order of the
captures, never that of the workers, decides what comes out. Observations, of which
there can be any number, come back through a file on disk.
"""

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from netwatch.capture.files import STDIN, Found
from netwatch.config import Config
from netwatch.core.observation import Observation
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine import pipeline
from netwatch.engine.observe import Progress
from netwatch.incidents.aggregate import Incidents

Capture = Sequence[Found]

BATCH = 512
"""Observations that go to disk together."""


def scan(
    captures: Sequence[Capture],
    config: Config,
    statistics: RunStatistics,
    jobs: int = 1,
    progress: Progress | None = None,
    coverage: Coverage | None = None,
    keep_frames: bool = False,
) -> Incidents:
    """The incidents of all captures together, read by up to `jobs` workers; their flows are
    counted in `coverage`, where one is given. With `keep_frames` the packets that prove them are
    kept."""
    incidents = Incidents(config.quiet_gap)
    if _workers(captures, jobs) == 1:
        for capture in captures:
            incidents.merge(
                pipeline.scan(capture, config, statistics, progress, coverage, keep_frames)
            )
        return incidents
    with ProcessPoolExecutor(_workers(captures, jobs)) as pool:
        work = partial(_scan, config=config, counting=coverage is not None, keep_frames=keep_frames)
        for found, counts, flows in pool.map(work, captures):
            incidents.merge(found)
            statistics.merge(counts)
            if coverage is not None and flows is not None:
                coverage.merge(flows)
    return incidents


def names(
    captures: Sequence[Capture],
    statistics: RunStatistics,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Iterator[Observation]:
    """The observations of all captures, one capture after the other."""
    if _workers(captures, jobs) == 1:
        for capture in captures:
            yield from pipeline.names(capture, statistics, progress)
        return
    with (
        tempfile.TemporaryDirectory(prefix="netwatch-") as folder,
        ProcessPoolExecutor(_workers(captures, jobs)) as pool,
    ):
        files = [Path(folder, str(number)) for number in range(len(captures))]
        for file, counts in zip(files, pool.map(_names, captures, files), strict=True):
            statistics.merge(counts)
            with file.open("rb") as stream:
                while batch := pickle.load(stream):
                    yield from batch
            file.unlink()


def _workers(captures: Sequence[Capture], jobs: int) -> int:
    if any(found.path == STDIN for capture in captures for found in capture):
        return 1  # standard input belongs to this process
    return max(1, min(jobs, len(captures)))


def _scan(
    capture: Capture, config: Config, counting: bool, keep_frames: bool
) -> tuple[Incidents, RunStatistics, Coverage | None]:
    statistics, coverage = RunStatistics(), Coverage() if counting else None
    found = pipeline.scan(capture, config, statistics, coverage=coverage, keep_frames=keep_frames)
    return found, statistics, coverage


def _names(capture: Capture, file: Path) -> RunStatistics:
    statistics = RunStatistics()
    with file.open("wb") as stream:
        batch: list[Observation] = []
        for observation in pipeline.names(capture, statistics):
            batch.append(observation)
            if len(batch) == BATCH:
                pickle.dump(batch, stream)
                batch.clear()
        if batch:
            pickle.dump(batch, stream)
        pickle.dump([], stream)
    return statistics
