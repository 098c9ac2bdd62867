"""The process of a worker: its signals, its end, and what is said of a defect."""

import os
import signal
import traceback
from types import FrameType
from typing import Protocol

from netwatch.core.system.processes import end_with_parent
from netwatch.live.channel import Channel
from netwatch.live.messages import WorkerEnded


class CaptureWorker(Protocol):
    """A worker as its process runs it."""

    def run(self) -> None:
        """Read until the end, and say why that is reached."""
        ...

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End soon; may be called from a signal handler."""
        ...


def main(worker: CaptureWorker, channel: Channel) -> None:
    """Run a worker in its process, and end the process."""
    # A terminal or systemd sends these to all processes; only the aggregator handles them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # A read from a silent pipe is interrupted too when the aggregator dies. On other systems the
    # closed channel is noticed with the next block.
    end_with_parent(signal.SIGTERM)
    try:
        worker.run()
    except Exception as error:  # A defect: the aggregator logs it and ends.
        _report_failure(error, channel)
        os._exit(1)
    os._exit(0)


def _report_failure(error: Exception, channel: Channel) -> None:
    """Send the traceback of a defect as the last message. The aggregator writes it: standard error
    may be a pipe that nobody reads, and then this process would never end."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    text = f"a worker failed: {type(error).__name__}: {error}"
    channel.send(WorkerEnded(text, tuple(lines)), required=True)
    channel.finish()
