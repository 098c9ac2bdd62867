"""The worker processes of a live capture, as the aggregator sees them, and how each begins and
ends.

They are forked when all sources are open and no thread runs yet. So each worker has its source from
the start, and no privileges are needed later. A worker that dies ends the whole capture: a restart
by the service manager is better than a capture that silently misses a part of the network.
"""

import os
import selectors
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, Protocol

from netwatch.config import Config
from netwatch.core.statistics import RunStatistics
from netwatch.core.system.kernel import end_with_parent
from netwatch.core.system.workers import WorkerProcess
from netwatch.coverage.counts import Coverage, FlowCounts
from netwatch.live.messages import Channel, StatusReport, Stop, WorkerEnded, WorkerOptions
from netwatch.live.source_openers import LogOpener, SourceOpener
from netwatch.live.worker import Worker


class CaptureWorker(Protocol):
    """A worker as its process runs it."""

    def run(self) -> None:
        """Read until the end, and return its reason."""
        ...

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End soon; may be called from a signal handler."""
        ...


def main(worker: CaptureWorker, channel: Channel) -> None:
    """Run a worker in its process, and end the process. A terminal or systemd sends signals to all
    processes; the aggregator handles the terminal's."""
    signal.signal(signal.SIGTERM, worker.stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # A read from a silent pipe is also interrupted when the aggregator dies. On other systems the
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
    may be an unread pipe, and then this process would never end."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    text = f"a worker failed: {type(error).__name__}: {error}"
    channel.send(WorkerEnded(text, tuple(lines)), required=True)
    channel.finish()


class WorkerPool:
    """One worker process per opener. `reports` has the last status report of each worker,
    None before the first."""

    def __init__(
        self, openers: Sequence[SourceOpener | LogOpener], config: Config, options: WorkerOptions
    ) -> None:
        self.reports: list[StatusReport | None] = [None] * len(openers)
        self._last_heard = [time.monotonic()] * len(openers)
        self._coverages: list[Coverage | None] = [None] * len(openers)
        self._open_flows: list[Coverage | None] = [None] * len(openers)
        self._channels: list[Channel] = []
        self._processes: list[WorkerProcess] = []
        self._selector = selectors.DefaultSelector()
        self._ended: set[int] = set()
        self.is_stopping = False
        for number in range(len(openers)):
            # A worker that is asked to end before it is ready must end like any other: the content
            # of its ring would be lost.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            try:
                process = WorkerProcess(
                    partial(_run_worker, number, openers, config, options),
                    name=f"netwatch-{number}",
                    is_forked=True,
                    ignored=(signal.SIGINT, signal.SIGHUP),
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._processes.append(process)
            self._channels.append(Channel(process.connection))
            self._selector.register(process.connection, selectors.EVENT_READ, number)
        for opener in openers:
            opener.release()

    def __len__(self) -> int:
        return len(self._channels)

    @property
    def has_ended(self) -> bool:
        """Whether all workers have ended."""
        return len(self._ended) == len(self)

    def receive(self, timeout: float) -> list[tuple[int, Any]]:
        """The messages that arrive within `timeout` seconds, each with the number of its
        worker. Status reports are also stored in `reports`."""
        received: list[tuple[int, Any]] = []
        for key, events in self._select(timeout):
            number: int = key.data
            if not events & selectors.EVENT_READ:
                continue
            messages, is_open = self._channels[number].receive()
            received += [(number, message) for message in messages]
            self._last_heard[number] = time.monotonic()
            for message in messages:
                if isinstance(message, StatusReport):
                    self.reports[number] = message
                    if message.coverage is not None:
                        self._coverages[number] = message.coverage
                        self._open_flows[number] = message.open_flows
                elif isinstance(message, WorkerEnded):
                    self._ended.add(number)
            if not is_open:
                self._selector.unregister(key.fileobj)
                if number not in self._ended:
                    received.append((number, self._died(number)))
        return received

    def _select(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready to be read. Meanwhile the queues are sent, as fast as workers read them: a
        worker that has the beginning of a new configuration reads no packets until it has the
        rest, so it must not be made to wait for the next turn."""
        end = time.monotonic() + timeout
        while True:
            for key in list(self._selector.get_map().values()):
                channel = self._channels[key.data]
                channel.flush()
                wanted = selectors.EVENT_READ
                if channel.queued:
                    wanted |= selectors.EVENT_WRITE
                if key.events != wanted:
                    self._selector.modify(key.fileobj, wanted, key.data)
            ready = self._selector.select(max(0.0, end - time.monotonic()))
            if any(events & selectors.EVENT_READ for _, events in ready) or not ready:
                return ready

    def _died(self, number: int) -> WorkerEnded:
        """The message that a worker could no longer send."""
        self._ended.add(number)
        status = self._processes[number].join(1)
        return WorkerEnded(f"worker {number} died unexpectedly (exit status {status})")

    def broadcast(self, message: Any) -> None:
        """Send a message to all workers; it is never discarded."""
        for channel in self._channels:
            channel.send(message, required=True)

    def forward(self, sender: int, message: Any) -> None:
        """Send a worker's message to all others; it may be discarded if a queue is full."""
        for number, channel in enumerate(self._channels):
            if number != sender:
                channel.send(message)

    def stop(self) -> None:
        """Ask all workers to end. SIGTERM wakes one that waits for a silent pipe."""
        self.is_stopping = True
        self.broadcast(Stop())
        for number, process in enumerate(self._processes):
            if number not in self._ended:
                process.terminate()

    def close(self) -> None:
        """Kill the workers that have not ended yet, and close all channels."""
        self._selector.close()
        for process in self._processes:
            process.join(0.5)
            process.end()

    def statistics(self) -> RunStatistics:
        """The sum of all workers' statistics."""
        total = RunStatistics()
        for report in filter(None, self.reports):
            total.merge(report.statistics)
        total.anomalies.update(+Counter({"capture-dropped": self.dropped}))
        return total

    def coverage(self) -> Coverage:
        """The flows of all workers that have ended, by network, device and reading, as last
        reported."""
        return _merged(self._coverages)

    def open_flows(self) -> Coverage:
        """The same for the open flows, as if they ended now."""
        return _merged(self._open_flows)

    def flows(self) -> FlowCounts:
        """The flows of all workers only by reading, as last reported."""
        return FlowCounts.sum(coverage.total() for coverage in self._coverages if coverage)

    @property
    def dropped(self) -> int:
        """Packets that the kernel dropped."""
        return sum(report.dropped for report in filter(None, self.reports))

    @property
    def ring_freezes(self) -> int:
        """How often a ring was full."""
        return sum(report.ring_freezes for report in filter(None, self.reports))

    @property
    def findings_lost(self) -> int:
        """Findings that were discarded because the channel to here was full."""
        return sum(report.findings_lost for report in filter(None, self.reports))

    def longest_silence(self) -> float:
        """Seconds since the last message of the worker that has been silent longest."""
        now = time.monotonic()
        silences = [
            now - heard
            for number, heard in enumerate(self._last_heard)
            if number not in self._ended
        ]
        return max(silences, default=0.0)


def _run_worker(
    number: int,
    openers: Sequence[SourceOpener | LogOpener],
    config: Config,
    options: WorkerOptions,
    connection: Connection,
) -> None:
    """The main function of a worker process. It closes what it inherited but does not use: the
    sources of other workers."""
    # The stream that replaces it has a thread, which this process does not have.
    sys.stderr = sys.__stderr__
    channel = Channel(connection)
    for other, opener in enumerate(openers):
        if other != number:
            opener.release()
    opener = openers[number]
    worker: CaptureWorker
    if isinstance(opener, LogOpener):
        from netwatch.live.log_worker import LogWorker

        worker = LogWorker(opener, config, channel, options)
    else:
        shares_claims = len(openers) > 1
        worker = Worker(
            opener, config, channel, options, shares_claims=shares_claims, number=number
        )
    main(worker, channel)


def _merged(counts: Iterable[Coverage | None]) -> Coverage:
    total = Coverage()
    for coverage in filter(None, counts):
        total.merge(coverage)
    return total
