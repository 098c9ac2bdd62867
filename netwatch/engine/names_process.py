"""The names in one capture, on two cores: another process reads it, this one writes the records.

Observations have to come in the order of packets, and one of a message that times out comes with
the next message of any flow. So the packets are not divided among workers as for a scan; the work
is. The batches come through a pipe, which bounds how far the reader is ahead.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from netwatch.capture.files import CaptureFile
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.core.system.workers import WorkerProcess, failures_sent
from netwatch.engine import pipeline

if TYPE_CHECKING:
    from netwatch.engine.facts_process import Recording


def names_of(
    files: Sequence[CaptureFile],
    statistics: RunStatistics,
    recording: "Recording | None" = None,
) -> Iterator[ObservationBatch]:
    """Every observation of one capture, which another process reads, and whose facts it sends to
    the store that `recording` leads to. Raises `NetwatchError` where
    that dies, and its exception where it fails."""
    worker = WorkerProcess(
        partial(_read, files, recording), name=f"the process that reads {files[0].path}"
    )
    try:
        while True:
            received = worker.receive()
            if isinstance(received, RunStatistics):
                statistics.merge(received)
                return
            yield received
    finally:
        worker.end()


def _read(files: Sequence[CaptureFile], recording: "Recording | None", to: Connection) -> None:
    """Send the batches of a capture, and then the counts."""
    statistics = RunStatistics()
    with failures_sent(to):
        for batch in pipeline.names(files, statistics, recording=recording):
            to.send(batch)
        to.send(statistics)
