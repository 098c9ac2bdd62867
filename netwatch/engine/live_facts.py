"""The writer of a live capture's store, which is restarted when it dies.

Meanwhile facts wait in the queues of the workers, and decisions wait here; both are bounded
(`netwatch.engine.fact_sinks`, `netwatch.live.live_store`). What the writer had not written when it
died is lost and counted. A decision is sent again until a writer has taken it: storing one twice
has the same result as once.
"""

import math
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Self

from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import PrivateFolder
from netwatch.engine.facts_process import (
    Recording,
    Start,
    WriterHost,
    described,
    died,
    listen,
    load_arrow,
    new_counts,
    no_socket,
    run_description,
)
from netwatch.formats.bypass import BypassRecord
from netwatch.store import compaction, messages
from netwatch.store.bypass_days import judge_days
from netwatch.store.bypass_rows import claim_news
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import FactRemoval
from netwatch.store.hour_rows import LossCounter
from netwatch.store.opening import UseLock, open_catalogue
from netwatch.store.options import Retention, StoreOptions
from netwatch.store.pruning import Pruning
from netwatch.store.service import Maintain
from netwatch.store.unheard import close_of_ended_runs
from netwatch.store.writer import RunDescription, Writer

END_TIMEOUT = 20.0
"""How long to wait for a silent writer when the capture has ended, in s."""

RESTART_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds until a writer is restarted, after one failure, two, and so on."""

STEADY = 300.0
"""Seconds after which a running writer counts as one that has not failed."""

IN_MEMORY = 60_000_000_000
"""How old rows other than flows may be that a writer had in memory when it died, in ns."""

RESENT = 3
"""How many writers may die of a decision before it is given up."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the facts of a live capture go: the store or its substitute (`what`, with an article),
    and where that is. `make_writer` opens it in the writer's process, `maintain` maintains it every
    hour, and `lock` keeps others from erasing."""

    what: str
    place: str
    make_writer: Callable[[Start], Any]
    maintain: Maintain
    lock: Callable[[], AbstractContextManager[object]]


def store_destination(options: StoreOptions, config: Config) -> Destination:
    """A store."""
    return Destination(
        "the store",
        options.shown,
        partial(_make_writer, options, run_description("live", config)),
        partial(maintain, options),
        partial(UseLock, options),
    )


class LiveFacts:
    """The writer of a live capture's facts. A context manager, which stops the writer. No thread
    may run when it is made; from then on one thread at a time may call it. Raises `ConfigError` and
    `NetwatchError` if the destination cannot be opened at first.

    `report` takes a sentence when the store cannot be written to, and when it can be again;
    `problem` says why it cannot be now. `restarts` counts writers that were restarted. `clock` is
    the time of packets (ns), by which losses are noted. `tell` takes records of devices that hid
    their lookups, for the outputs.
    """

    def __init__(
        self,
        destination: Destination,
        config: Config,
        report: Callable[[str], None],
        clock: Callable[[], int] = time.time_ns,
        tell: Callable[[Sequence[BypassRecord]], bool] = lambda records: True,
    ) -> None:
        load_arrow()
        self._clock = clock
        self._tell = tell
        self._losses = LossCounter()
        self._ended_by_us = ""
        self._report = report
        self.what = destination.what
        self._place = destination.place
        self._counts: Any = new_counts()
        self._run: int | None = None
        self._described = described(config, "live")
        self._control: Connection | None = None
        self._unconfirmed = deque[object]()
        self._sent = 0
        self._failures = 0
        self._stuck = (-1, 0)
        self._started_at = self._retry_at = 0.0
        self.problem = ""
        self.restarts = 0
        try:
            self._folder = PrivateFolder(is_short=True)
        except OSError as without:
            raise no_socket(without) from None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                self.recording = Recording(listen(listener, self._folder.path), is_live=True)
                self._host = WriterHost(
                    listener, self._counts, destination.make_writer, destination.maintain
                )
        except BaseException:
            self._folder.remove()
            raise
        error = self._start()
        if error is not None:
            self._host.stop(END_TIMEOUT)
            self._folder.remove()
            raise error
        # The writer has the lock, too, but there are times without one.
        self._lock = destination.lock()
        if isinstance(self._lock, UseLock) and self._run is not None:
            self._lock.hold_run(self._run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._control is not None:
            self._control.close()
        self._host.stop(END_TIMEOUT)
        self._folder.remove()
        self._lock.__exit__(None, None, None)

    @property
    def stored(self) -> int:
        """Rows in files that readers can see."""
        return int(self._counts.stored)

    @property
    def lost(self) -> int:
        """Rows that writers could not keep, or had in memory when they died."""
        return int(self._counts.lost)

    @property
    def decisions_lost(self) -> int:
        """Decisions that no writer could keep."""
        return int(self._counts.decisions_lost)

    @property
    def progress(self) -> tuple[int, ...]:
        """Numbers that change as long as the writer makes progress."""
        counts = self._counts
        return counts.stored, counts.decided, counts.received, counts.steps, self.restarts

    @property
    def is_down(self) -> bool:
        """Whether there is no writer now."""
        return self._control is None

    def poll(self) -> None:
        """Process the writer's messages, and start a writer if it is time to."""
        while self._control is not None and self._control.poll():
            self._take(self._receive())
        if self._control is None:
            if time.monotonic() >= self._retry_at:
                self._restart()
            return
        self._confirm()
        self._send_losses()
        if self._failures and time.monotonic() - self._started_at >= STEADY:
            self._failures = 0

    def send(self, decision: object) -> None:
        """Send a decision, now or to the next writer."""
        if isinstance(decision, messages.Described):
            self._described = decision
        self._unconfirmed.append(decision)
        self._sent += 1
        self._send(decision)
        self.poll()

    def lose(self, count: int) -> None:
        """Note that so many records of decisions are lost."""
        self._losses.add("records", self._clock(), count)

    def end(self, recorded: int) -> None:
        """End the run, with so many recorded rows. If there is no writer, one more is started for
        this."""
        if self._control is None and self._retry_at < math.inf:
            self._restart()
        self._send_losses()
        self._send(messages.End(recorded))
        while self._control is not None:
            answer = self._receive()
            if isinstance(answer, messages.Ended):
                break
            self._take(answer)
        self._count_killed(self._counts.claimed - self._counts.stored)
        self._confirm()
        self._counts.decisions_lost += sum(map(messages.records_in, self._unconfirmed))
        self._unconfirmed.clear()

    def kill(self, reason: str) -> None:
        """Kill the writer, for this reason, and start no more; from any thread."""
        self._retry_at = math.inf
        self._ended_by_us = reason
        try:
            self._host.kill()
        except OSError:
            return  # The host is gone, and its writers will end.

    def _send(self, message: object) -> None:
        if self._control is None:
            return
        try:
            self._control.send(message)
        except OSError:
            self._take(self._receive())

    def _receive(self) -> object:
        """The next message of the writer; None if it has died."""
        assert self._control is not None
        try:
            return self._control.recv()
        except (EOFError, OSError):
            return None

    def _confirm(self) -> None:
        """Forget the decisions that a writer has taken."""
        while self._unconfirmed and self._sent - len(self._unconfirmed) < self._counts.decided:
            self._unconfirmed.popleft()

    def _take(self, answer: object) -> None:
        if isinstance(answer, messages.Trouble):
            self._set_problem(answer.problem)
            return
        if isinstance(answer, messages.Bypasses):
            if not self._tell(answer.records):
                return
            told = messages.BypassesTold([each["id"] for each in answer.records])
            self._unconfirmed.append(told)
            self._sent += 1
            self._send(told)
            return
        status = self._end_writer()
        self._drop_deadly()
        error = answer.error if isinstance(answer, messages.Failed) else None
        reason = self._ended_by_us or died(self._place, status)
        self._set_problem(reason if error is None else str(error))

    def _set_problem(self, problem: str) -> None:
        """Report when the store cannot be written to any more, or can be again."""
        if bool(problem) != bool(self.problem):
            now = f"cannot be written to: {problem}" if problem else "is written to again"
            self._report(f"{self.what} {now}")
        self.problem = problem

    def _end_writer(self) -> int | None:
        """The exit status of a writer that has ended, or is about to. What it had in memory is
        lost; another one is to follow."""
        assert self._control is not None
        self._control.close()
        self._control = None
        delay = RESTART_DELAYS[min(self._failures, len(RESTART_DELAYS) - 1)]
        self._failures += 1
        try:
            exited = self._host.exited(END_TIMEOUT)
            if exited is None:
                self._host.kill()
                exited = self._host.exited(END_TIMEOUT)
        except (EOFError, OSError):
            exited, delay = None, math.inf  # The host is gone, and only it could start another one.
        self._retry_at = max(time.monotonic() + delay, self._retry_at)
        counts = self._counts
        # What it was about to make visible, the next one will report.
        self._count_killed(counts.received - max(counts.stored, counts.claimed) - counts.lost)
        self._confirm()
        return exited.status if exited is not None else None

    def _count_killed(self, rows: int) -> None:
        """Count the rows that a writer had in memory when it died."""
        if rows > 0:
            self._counts.lost += rows
            now = self._clock()
            self._losses.add_killed(now - IN_MEMORY, now, rows)

    def _drop_deadly(self) -> None:
        """Give up a decision that several writers in a row have died of."""
        decided, times = self._stuck
        is_same = decided == self._counts.decided and bool(self._unconfirmed)
        self._stuck = self._counts.decided, times + 1 if is_same else 1
        if is_same and times >= RESENT:
            lost = messages.records_in(self._unconfirmed.popleft())
            self._counts.decided += 1
            self._counts.decisions_lost += lost
            self.lose(lost)

    def _send_losses(self) -> None:
        """Tell the writer what was lost, if there is more than it knows."""
        if self._losses.is_new and self._control is not None:
            losses = messages.RunLosses(self._losses.take())
            self._unconfirmed.append(losses)
            self._sent += 1
            self._send(losses)

    def _restart(self) -> None:
        error = self._start()
        if error is not None:
            self._set_problem(str(error))
            return
        self.restarts += 1
        self._set_problem("")
        for decision in tuple(self._unconfirmed):
            self._send(decision)

    def _start(self) -> Exception | None:
        """Start a writer; returns why that was not possible."""
        try:
            self._control = self._host.start(Start(self._run, self._described))
        except (EOFError, OSError) as error:
            self._retry_at = math.inf
            reason = getattr(error, "strerror", None) or "it has ended"
            return NetwatchError(f"the host of its writer is gone ({reason}): restart live")
        answer = self._receive()
        if isinstance(answer, messages.Opened):
            self._run, self._started_at = answer.run, time.monotonic()
            self._count_killed(answer.unseen)
            return None
        status = self._end_writer()
        if isinstance(answer, messages.Failed):
            return answer.error
        return NetwatchError(died(self._place, status))


def _make_writer(options: StoreOptions, run: RunDescription, request: Start) -> Writer:
    how = request.described
    return Writer(
        options, run, how.locate, how.seal, how.hides, resumed=request.run, known=how.known
    )


def maintain(options: StoreOptions, known: messages.Known) -> Sequence[BypassRecord]:
    """Compact and prune a store, remove what killed processes left, and judge the days that are
    complete. Returns findings that the outputs are to be told of; once they have them,
    `netwatch.store.bypass_rows.note_told` has to be called."""
    files = FactFiles(options.path)
    with open_catalogue(options) as catalogue:
        compaction.compact(files, catalogue)
        compaction.sweep(files, catalogue)
        with UseLock(options) as lock:
            close_of_ended_runs(catalogue, lock, time.time_ns() - options.unheard)
        if options.retention != Retention():
            pruning = Pruning(FactRemoval(catalogue, files), options.retention, time.time())
            pruning.prune("live")
        judge_days(catalogue, options, known, time.time_ns())
        return claim_news(catalogue)
