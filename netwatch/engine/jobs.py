"""Several worker processes, by captures or for one capture.

Of as many captures as there are workers, or more, each worker reads a whole one at a time and
returns its results. They come out in the order of the captures, whichever worker finishes first.
Observations, of which there can be any number, come back through temporary files.

A scan of fewer captures reads one after the other, and shares out the clients in each among all
workers (`netwatch.engine.scan_share`). For the names in one capture, a second process reads what
this one writes (`netwatch.engine.names_process`).
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from netwatch.capture.files import STDIN, CaptureFile
from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine import pipeline
from netwatch.engine.capture_files import Progress
from netwatch.incidents.scan import ScanIncidents
from netwatch.incidents.spill import SpillFolder

Capture = Sequence[CaptureFile]


def scan(
    captures: Sequence[Capture],
    config: Config,
    statistics: RunStatistics,
    incidents: ScanIncidents,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    coverage: Coverage | None = None,
    keep_frames: bool = False,
) -> None:
    """Judge all captures, read by up to `workers` processes. Their contacts are added to
    `incidents`, their flows to `coverage`, if given; with `keep_frames` the contacts come with the
    captured frames that prove them."""
    if workers == 1 or not captures:
        for capture in captures:
            pipeline.scan(
                capture,
                config,
                statistics,
                incidents,
                progress=progress,
                coverage=coverage,
                keep_frames=keep_frames,
            )
        return
    # What several processes need is not imported at the top, because it imports much.
    if len(captures) < workers or any(map(_has_stdin, captures)):
        from netwatch.engine.scan_share import scan_together

        scan_together(
            captures,
            config,
            statistics,
            incidents,
            workers=workers,
            progress=progress,
            coverage=coverage,
            keep_frames=keep_frames,
        )
        return
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as pool:
        work = partial(
            _scan_capture,
            config=config,
            folder=incidents.folder,
            with_coverage=coverage is not None,
            keep_frames=keep_frames,
        )
        for found, counts, flows in pool.map(work, captures):
            incidents.merge(found)
            statistics.merge(counts)
            if coverage is not None and flows is not None:
                coverage.merge(flows)


def names(
    captures: Sequence[Capture],
    statistics: RunStatistics,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> Iterator[ObservationBatch]:
    """The observations of all captures, one capture after the other, read by up to `workers`
    processes. A batch is valid until the next one is asked for."""
    if workers == 1 or not captures or any(map(_has_stdin, captures)):
        # Only this process can read its standard input.
        for capture in captures:
            yield from pipeline.names(capture, statistics, progress)
        return
    if len(captures) == 1:
        from netwatch.engine.names_process import names_of

        yield from names_of(captures[0], statistics)
        return
    import pickle
    import tempfile
    from concurrent.futures import ProcessPoolExecutor

    with (
        tempfile.TemporaryDirectory(prefix="netwatch-") as folder,
        ProcessPoolExecutor(min(workers, len(captures))) as pool,
    ):
        files = [Path(folder, str(number)) for number in range(len(captures))]
        all_counts = pool.map(_write_batches, captures, files)
        for file, counts in zip(files, all_counts, strict=True):
            statistics.merge(counts)
            with file.open("rb") as stream:
                while (batch := pickle.load(stream)) is not None:
                    yield batch
            file.unlink()


def _has_stdin(capture: Capture) -> bool:
    return any(found.path == STDIN for found in capture)


def _scan_capture(
    capture: Capture, config: Config, folder: SpillFolder, with_coverage: bool, keep_frames: bool
) -> tuple[ScanIncidents, RunStatistics, Coverage | None]:
    """Scan one capture, in a worker."""
    statistics, coverage = RunStatistics(), Coverage() if with_coverage else None
    found = ScanIncidents(config.quiet_gap, folder)
    pipeline.scan(capture, config, statistics, found, coverage=coverage, keep_frames=keep_frames)
    return found, statistics, coverage


def _write_batches(capture: Capture, file: Path) -> RunStatistics:
    """Write the batches of one capture to a file, in a worker, and None behind the last. Raises
    `NetwatchError` where the file cannot be written."""
    import pickle

    statistics = RunStatistics()
    try:
        with file.open("wb") as stream:
            for batch in pipeline.names(capture, statistics):
                pickle.dump(batch, stream)
            pickle.dump(None, stream)
    except OSError as error:
        raise NetwatchError(f"{file}: cannot be written: {error.strerror}") from None
    return statistics
