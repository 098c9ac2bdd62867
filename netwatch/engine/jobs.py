"""Several worker processes, by captures or for one capture.

Of as many captures as there are workers, or more, each worker reads a whole one at a time and
returns its results. They come out in the order of the captures, whichever worker finishes first.
Observations, of which there can be any number, come back through temporary files.

A scan of fewer captures reads one after the other, and shares out the clients in each among all
workers (`netwatch.engine.scan_share`), unless all of them are small. For the names in one capture,
a second process reads what this one writes (`netwatch.engine.names_process`).
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.capture.files import STDIN, CaptureFile
from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine import pipeline
from netwatch.engine.capture_files import Progress, expected_packets
from netwatch.incidents.scan import ScanIncidents
from netwatch.incidents.spill import SpillFolder

if TYPE_CHECKING:
    from netwatch.engine.facts_process import Recording

Capture = Sequence[CaptureFile]

LEAST_SHARED = 250_000
"""Packets that captures must have, about, for several workers to share out the clients in each:
to make these workers takes as long as to scan some hundred thousand packets."""


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
    recording: "Recording | None" = None,
) -> None:
    """Judge all captures, read by up to `workers` processes. Their contacts are added to
    `incidents`, their flows to `coverage`, if given; with `keep_frames` the contacts come with the
    captured frames that prove them. Their facts go to the store that `recording` leads to."""
    is_shared = len(captures) < workers or any(map(_has_stdin, captures))
    if workers == 1 or not captures or (is_shared and not recording and _are_small(captures)):
        for position, capture in enumerate(captures):
            pipeline.scan(
                capture,
                config,
                statistics,
                incidents,
                progress=progress,
                coverage=coverage,
                keep_frames=keep_frames,
                recorder=recording.recorder(position, capture, statistics) if recording else None,
            )
        return
    # What several processes need is not imported at the top, because it imports much.
    if is_shared:
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
            recording=recording,
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
            recording=recording,
        )
        for found, counts, flows in pool.map(work, enumerate(captures)):
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
    recording: "Recording | None" = None,
) -> Iterator[ObservationBatch]:
    """The observations of all captures, one capture after the other, read by up to `workers`
    processes. A batch is valid until the next one is asked for. The facts of the captures go to
    the store that `recording` leads to."""
    if workers == 1 or not captures or any(map(_has_stdin, captures)):
        # Only this process can read its standard input.
        for position, capture in enumerate(captures):
            recorder = recording.recorder(position, capture, statistics) if recording else None
            yield from pipeline.names(capture, statistics, progress, recorder)
        return
    if len(captures) == 1:
        from netwatch.engine.names_process import names_of

        yield from names_of(captures[0], statistics, recording)
        return
    import pickle
    import tempfile
    from concurrent.futures import ProcessPoolExecutor

    with (
        tempfile.TemporaryDirectory(prefix="netwatch-") as folder,
        ProcessPoolExecutor(min(workers, len(captures))) as pool,
    ):
        files = [Path(folder, str(number)) for number in range(len(captures))]
        work = partial(_write_batches, recording=recording)
        all_counts = pool.map(work, enumerate(captures), files)
        for file, counts in zip(files, all_counts, strict=True):
            statistics.merge(counts)
            with file.open("rb") as stream:
                while (batch := pickle.load(stream)) is not None:
                    yield batch
            file.unlink()


def _are_small(captures: Sequence[Capture]) -> bool:
    return sum(map(expected_packets, captures)) < LEAST_SHARED


def _has_stdin(capture: Capture) -> bool:
    return any(found.path == STDIN for found in capture)


def _scan_capture(
    numbered: tuple[int, Capture],
    config: Config,
    folder: SpillFolder,
    with_coverage: bool,
    keep_frames: bool,
    recording: "Recording | None",
) -> tuple[ScanIncidents, RunStatistics, Coverage | None]:
    """Scan one capture, given with its position, in a worker."""
    position, capture = numbered
    statistics, coverage = RunStatistics(), Coverage() if with_coverage else None
    found = ScanIncidents(config.quiet_gap, folder)
    pipeline.scan(
        capture,
        config,
        statistics,
        found,
        coverage=coverage,
        keep_frames=keep_frames,
        recorder=recording.recorder(position, capture, statistics) if recording else None,
    )
    return found, statistics, coverage


def _write_batches(
    numbered: tuple[int, Capture], file: Path, recording: "Recording | None"
) -> RunStatistics:
    """Write the batches of one capture, given with its position, to a file, in a worker, and None
    behind the last. Raises `NetwatchError` where the file cannot be written."""
    import pickle

    statistics = RunStatistics()
    position, capture = numbered
    recorder = recording.recorder(position, capture, statistics) if recording else None
    try:
        with file.open("wb") as stream:
            for batch in pipeline.names(capture, statistics, recorder=recorder):
                pickle.dump(batch, stream)
            pickle.dump(None, stream)
    except OSError as error:
        raise NetwatchError(f"{file}: cannot be written: {error.strerror}") from None
    return statistics
