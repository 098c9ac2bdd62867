"""The names in one capture, on two cores: another process reads it, this one writes the records.

Observations have to come in the order of packets, and one of a message that times out comes with
the next message of any flow. So the packets are not divided among workers as for a scan; the work
is. The batches come through a pipe, which bounds how far the reader is ahead.
"""

from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from netwatch.capture.files import CaptureFile
from netwatch.core.errors import NetwatchError
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.core.system import processes
from netwatch.engine import pipeline
from netwatch.engine.forking import begin_worker, forking, sendable

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
    context = processes.context()
    with forking():
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_read, args=(files, theirs, ours, recording), daemon=True)
        process.start()
        theirs.close()
        # Its finalizer would swallow an interrupt that comes while it runs.
        del theirs
    try:
        while True:
            try:
                received = ours.recv()
            except EOFError:
                process.join()
                raise NetwatchError(
                    f"the process that reads {files[0].path} died unexpectedly"
                    f" (exit status {process.exitcode})"
                ) from None
            if isinstance(received, Exception):
                raise received
            if isinstance(received, RunStatistics):
                statistics.merge(received)
                return
            yield received
    finally:
        process.kill()
        process.join()
        ours.close()


def _read(
    files: Sequence[CaptureFile],
    to: Connection,
    other: Connection,
    recording: "Recording | None",
) -> None:
    """Send the batches of a capture, and then the counts. The other process alone is interrupted
    from the keyboard."""
    begin_worker()
    other.close()
    statistics = RunStatistics()
    try:
        for batch in pipeline.names(files, statistics, recording=recording):
            to.send(batch)
        to.send(statistics)
    except BrokenPipeError:
        pass  # The other process has ended.
    except Exception as error:  # Whatever it is, the other process raises it.
        to.send(sendable(error))
