"""The life of the writer of a store: a process of its own that takes rows from the processes that
read captures.

Sockets bound the data in transit. For captures that end (`RunService`) the sender waits if the
writer is behind, and nothing is lost; a write error is reported at once, and the writer ends. If a
process that reads a capture dies, the capture is `partial`; if the writer dies, captures stay
`open`, and the other side knows how many rows were stored.

For a live capture (`LiveService`) nobody waits for the writer. What it cannot write now it keeps,
up to `KEPT_ROWS`, and tries again; further rows are counted as lost. Every quarter of an hour it
compacts the files in a thread. If it dies, another one continues the run
(`netwatch.engine.live_facts`). If the process that started it is killed, it takes what the workers
send at their end, which are all open flows.
"""

import contextlib
import pickle
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.formats.bypass import BypassRecord
from netwatch.store import messages
from netwatch.store.writer import Writer

KEPT_ROWS = 2_000_000
"""Rows of a live capture to keep in memory while they cannot be written."""

KEPT_MESSAGES = 100_000
"""Messages to keep meanwhile."""

FLUSH_INTERVAL = 2.5
"""Seconds after which rows of a live capture are written, however few they are."""

RETRY_INTERVAL = 5.0
"""Seconds between two attempts to write."""

MAINTENANCE_INTERVAL = 900.0
"""Seconds between two compactions of a live capture."""

_TICK = 0.5


class Counts(Protocol):
    """Integers in shared memory that the process that started the writer reads at any time."""

    stored: int
    """Rows in files that readers can see."""
    claimed: int
    """Their number once the file at the path `claim` is one of them."""
    claim: bytes
    lost: int
    """Rows that were dropped."""
    received: int
    """Rows that have arrived from a live capture."""
    decided: int
    """Decisions of a live capture that were taken, or dropped."""
    decisions_lost: int
    """Records of them that were dropped."""
    steps: int
    """Grows as long as the writer makes progress."""


Maintain = Callable[[messages.Known], Sequence[BypassRecord]]
"""Compacts and prunes the store, with connections of its own, and returns findings for the outputs.
Raises `NetwatchError`."""


def serve(
    control: Connection,
    listener: socket.socket,
    counts: Counts,
    make_writer: Callable[[], Writer],
    maintain: Maintain | None = None,
    senders: Connection | None = None,
) -> None:
    """Open the store, take messages until the run ends or the process that started it does, and
    answer over `control`. With `maintain`, the run is a live capture; the other end of `senders` is
    open as long as any process may send facts. It is not an error if nobody reads the answers any
    more: what others send is stored."""
    try:
        writer = make_writer()
        unseen = _settled(counts, writer)
    except (ConfigError, NetwatchError) as error:
        _send(control, messages.Failed(error))
        return
    with contextlib.closing(writer):
        _send(control, messages.Opened(writer.run, unseen))
        service = (
            RunService(control, listener, counts, writer)
            if maintain is None or senders is None
            else LiveService(control, listener, counts, writer, maintain, senders)
        )
        try:
            service.run()
        except NetwatchError as error:
            _send(control, messages.Failed(error))


def _settled(counts: Counts, writer: Writer) -> int:
    """The rows that the previous writer was about to make visible when it died, unless they are."""
    rows = counts.claimed - counts.stored
    if rows > 0 and writer.has_file(counts.claim.decode()):
        counts.stored, rows = counts.claimed, 0
    counts.claimed = counts.stored
    return max(0, rows)


def _send(control: Connection, message: object) -> None:
    with contextlib.suppress(OSError):
        control.send(message)


class _Service:
    """Receives the messages of all connections in turn."""

    def __init__(
        self, control: Connection, listener: socket.socket, counts: Counts, writer: Writer
    ) -> None:
        self._control = control
        self._listener = listener
        self._counts = counts
        self._writer = writer
        self._readers: list[Connection] = []
        # Processes that may request the end, or are gone when these are closed.
        self._askers = [control]
        self._is_ending = False
        self._is_abandoned = False
        # Another writer of the same run may have died.
        self._stored_before = counts.stored
        self._recorded = 0

    def _note_stored(self) -> None:
        self._counts.stored = self._stored_before + self._writer.stored

    def _receive(self, timeout: float | None) -> list[Any] | None:
        """The messages that have arrived, at most one from each connection; None at the end.

        All readers of captures have connected before the end is requested. If the process that
        started this one is gone, there is no waiting.
        """
        is_last = self._is_ending and (self._is_abandoned or not self._readers)
        sources: list[Any] = [self._listener, *self._readers]
        if not self._is_ending:
            sources += self._askers
        ready: list[Any] = wait(sources, 0.0 if is_last else timeout)
        if is_last and not ready:
            return None
        received = []
        for each in ready:
            if each is self._listener:
                accepted, _ = self._listener.accept()
                self._readers.append(Connection(accepted.detach()))
                continue
            try:
                message = each.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                self._closed(each)
                continue
            if isinstance(message, messages.End):
                self._is_ending, self._recorded = True, message.recorded
            else:
                received.append(message)
        return received

    def _closed(self, connection: Connection) -> None:
        if connection in self._askers:
            self._askers.remove(connection)
            if not self._askers:
                # Nobody is left: what they had sent is stored.
                self._is_ending = self._is_abandoned = True
            return
        self._readers.remove(connection)
        connection.close()

    def _answer(self, message: object) -> None:
        _send(self._control, message)


class RunService(_Service):
    """Writes captures that end."""

    def run(self) -> None:
        """Until the run has ended; then the days with its rows are compacted."""
        while (received := self._receive(None)) is not None:
            for message in received:
                self._writer.take(message)
            self._writer.write_due()
            self._note_stored()
        ended = self._writer.end()
        self._note_stored()
        self._answer(ended)
        self._writer.compact()


class LiveService(_Service):
    """Writes a live capture."""

    def __init__(
        self,
        control: Connection,
        listener: socket.socket,
        counts: Counts,
        writer: Writer,
        maintain: Maintain,
        senders: Connection,
    ) -> None:
        super().__init__(control, listener, counts, writer)
        self._askers.append(senders)
        self._kept: deque[Any] = deque()
        self._kept_rows = 0
        self._lost_rows = 0
        self._problem = ""
        self._maintenance = _Maintenance(maintain)
        now = time.monotonic()
        self._retry_at = now
        self._flush_at = now + FLUSH_INTERVAL
        self._maintain_at = now + MAINTENANCE_INTERVAL
        writer.note_progress(self._progress, self._claim)

    def _progress(self) -> None:
        self._note_stored()
        self._counts.steps += 1

    def _claim(self, path: str, rows: int) -> None:
        self._counts.claim = path.encode()
        self._counts.claimed = self._stored_before + self._writer.stored + rows

    def run(self) -> None:
        """Until the capture has ended; what cannot be written then is lost."""
        while (received := self._receive(_TICK)) is not None:
            for message in received:
                self._keep(message)
            self._work(time.monotonic())
        # Data that cannot be obtained again comes first, in case there is not enough time for
        # everything.
        self._kept = deque(sorted(self._kept, key=_rank))
        self._flush_at = self._retry_at = 0.0
        self._work(time.monotonic())
        if self._is_abandoned:
            self._writer.lose("killed", 0)
        if self._problem:
            raise NetwatchError(self._problem)
        ended = self._writer.end(max(0, self._recorded - self._stored_before))
        self._note_stored()
        self._answer(ended)

    def _keep(self, message: Any) -> None:
        rows = message.rows if isinstance(message, messages.Chunk) else 0
        self._counts.received += rows
        is_full = rows and self._kept_rows + self._writer.waiting + rows > KEPT_ROWS
        if is_full or len(self._kept) >= KEPT_MESSAGES:
            self._counts.lost += rows
            self._lost_rows += rows
            if isinstance(message, messages.Decision):
                self._counts.decided += 1
                self._counts.decisions_lost += messages.records_in(message)
            return
        self._kept.append(message)
        self._kept_rows += rows

    def _work(self, now: float) -> None:
        """Write what is kept, unless that just failed."""
        if now < self._retry_at:
            return
        try:
            while self._kept:
                message = self._kept[0]
                self._writer.take(message)
                self._kept.popleft()
                self._progress()
                if isinstance(message, messages.Chunk):
                    self._kept_rows -= message.rows
                    self._writer.write_due()
                elif isinstance(message, messages.Decision):
                    self._counts.decided += 1
            self._writer.write_due()
            if self._lost_rows:
                self._writer.lose("rows", self._lost_rows)
                self._lost_rows = 0
            if now >= self._flush_at:
                self._writer.flush()
                self._flush_at = now + FLUSH_INTERVAL
            problem = ""
        except NetwatchError as error:
            self._retry_at = now + RETRY_INTERVAL
            problem = str(error)
        self._note_stored()
        if now >= self._maintain_at:
            self._maintain_at = now + MAINTENANCE_INTERVAL
            self._maintenance.start(self._writer.known)
        if found := self._maintenance.take():
            self._answer(messages.Bypasses(found))
        problem = problem or self._maintenance.problem
        if bool(problem) != bool(self._problem):
            self._answer(messages.Trouble(problem))
        self._problem = problem


def _rank(message: object) -> int:
    """The priority of a message at the end: incidents, then coverage and losses, then facts, which
    the preceding configuration describes."""
    if isinstance(message, messages.Incidents | messages.EvidenceFile):
        return 0
    if isinstance(message, messages.Chunk | messages.Described):
        return 2
    is_fact = isinstance(message, messages.CaptureBegun | messages.CaptureEnded)
    return 2 if is_fact else 1


class _Maintenance:
    """Runs the maintenance in a thread, one at a time. `problem` is why the last one failed."""

    def __init__(self, maintain: Maintain) -> None:
        self._maintain = maintain
        self._thread: threading.Thread | None = None
        self._found: deque[BypassRecord] = deque()
        self.problem = ""

    def start(self, known: messages.Known) -> None:
        """Start, unless the last one still runs."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, args=(known,), daemon=True)
            self._thread.start()

    def take(self) -> list[BypassRecord]:
        """The findings since the last call."""
        return [self._found.popleft() for _ in range(len(self._found))]

    def _run(self, known: messages.Known) -> None:
        try:
            self._found.extend(self._maintain(known))
            self.problem = ""
        except NetwatchError as error:
            self.problem = f"compaction: {error}"
