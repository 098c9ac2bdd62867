"""Delivery as the rest of netwatch sees it: alerts go in, and arrive.

Everything that waits for a receiver is in threads of its own; `put` costs one
transaction on the local disk. Where even that is refused (a full disk), alerts wait in
memory, bounded and told, until it works again.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.delivery.lock import Lock
from netwatch.delivery.outbox import DamagedError, Spool, Status, set_aside
from netwatch.delivery.worker import Courier, Timing
from netwatch.sinks.base import Outbox, Output, Record

MAX_UNWRITTEN = 10_000
"""Alerts that wait in memory where the outbox cannot be written; then the oldest goes."""

_CHUNK = 500
_PATIENCE = 0.25


@dataclass(frozen=True, slots=True)
class Left:
    """What is not delivered yet: alerts by output, and alerts that could not even be
    written to the outbox and are in memory alone. False where nothing is left."""

    queued: Mapping[str, int]
    unwritten: int

    def __bool__(self) -> bool:
        return bool(self.unwritten or any(self.queued.values()))


class Delivery:
    """Outputs behind one outbox. `tell` takes sentences for the log, from several threads.

    Raises `ConfigError` where a secret of an output cannot be had, `NetwatchError` where
    the outbox cannot be opened. Several processes with the same outputs may use one
    outbox: one of them delivers for all, and another goes on when it ends. `lost` counts
    alerts for which there was no place, neither on disk nor in memory.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        outbox: Outbox,
        tell: Callable[[str], None] = lambda _: None,
        timing: Timing | None = None,
    ) -> None:
        wrong = [problem for output in outputs for problem in output.problems()]
        if wrong:
            raise ConfigError(wrong)
        self.outputs = tuple(outputs)
        self._outbox = outbox
        self._tell = tell
        self._timing = timing or Timing()
        self._lock = Lock(outbox.folder)
        self._writer = self._opened()
        try:
            self._writer.configure(self.outputs)
            self._reader = Spool(outbox, sync=False)
        except (sqlite3.Error, NetwatchError) as error:
            self._writer.close()
            raise NetwatchError(f"the outbox in {outbox.folder}: {error}") from None
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._unwritten: deque[Record] = deque()
        self.lost = 0
        self._stuck = False
        self._stopping = threading.Event()
        self._couriers: list[Courier] = []
        self._keeper = threading.Thread(target=self._keep, name="netwatch-outbox", daemon=True)

    def _opened(self) -> Spool:
        try:
            return Spool(self._outbox, create=True, patience=_PATIENCE)
        except DamagedError as error:
            if not self._lock.acquire():
                raise
            aside = set_aside(self._outbox.folder, time.time())
            self._tell(f"{error}; it is kept as {aside} and a new one begins")
            return Spool(self._outbox, create=True, patience=_PATIENCE)

    def start(self) -> None:
        """Start to deliver what is in the outbox and what comes. Once."""
        for output in self.outputs:
            courier = Courier(
                output,
                self._outbox.folder,
                lambda: Spool(self._outbox, sync=False),
                self._lock,
                self._timing,
                self._tell,
            )
            self._couriers.append(courier)
            courier.start()
        self._keeper.start()

    def put(self, *records: Record) -> None:
        """Write alerts to the outbox; never waits for a receiver, never raises for what a
        disk does."""
        if not self.outputs:
            return
        with self._writing:
            self._unwritten.extend(records)
            if not self._stuck:
                self._flush()
            self._bound()
        self._wake()

    def _bound(self) -> None:
        over = len(self._unwritten) - MAX_UNWRITTEN
        for _ in range(over):
            self._unwritten.popleft()
            if not self.lost:
                self._tell("outbox: no place in memory either, alerts are lost")
            self.lost += 1

    def _flush(self) -> None:
        """Write what waits in memory; where that fails the keeper tries again."""
        try:
            while self._unwritten:
                some = list(islice(self._unwritten, _CHUNK))
                gone = self._writer.put(some, time.time())
                for _ in some:
                    self._unwritten.popleft()
                if gone:
                    self._tell(f"outbox: full, {gone:,} of the oldest alerts dropped undelivered")
        except (sqlite3.Error, OSError) as error:
            if not self._stuck:
                waiting = len(self._unwritten)
                self._tell(f"outbox: cannot be written ({error}), {waiting:,} wait in memory")
            self._stuck = True
            self._writer.shrink()
        else:
            if self._stuck:
                self._tell("outbox: written again")
            self._stuck = False

    def _keep(self) -> None:
        """Write what could not be written before, delete what is delivered or too old."""
        spool = Spool(self._outbox, sync=False)
        try:
            while not self._stopping.wait(self._timing.poll):
                if self._unwritten:
                    with self._writing:
                        self._flush()
                    self._wake()
                with suppress(sqlite3.Error):
                    gone = spool.tidy(time.time() - self._outbox.max_age)
                    if gone:
                        self._tell(f"outbox: {gone:,} alerts dropped undelivered, too old")
        finally:
            spool.close()

    def _wake(self) -> None:
        for courier in self._couriers:
            courier.wake()

    def status(self) -> list[Status]:
        """What the outbox knows of its outputs, those of this configuration alone."""
        names = {output.name for output in self.outputs}
        with self._reading:
            return [each for each in self._reader.status() if each.name in names]

    def left(self) -> Left:
        """What is not delivered yet."""
        return Left({each.name: each.queued for each in self.status()}, len(self._unwritten))

    def drain(self, timeout: float) -> Left:
        """Wait until all is delivered, at most `timeout` s, or nothing is left but for
        paused outputs; digests are sent at once. What is left."""
        deadline = time.monotonic() + timeout
        for courier in self._couriers:
            courier.hurry(True)
        try:
            while True:
                left = self.left()
                paused = left and not left.unwritten and self._paused(left)
                rest = deadline - time.monotonic()
                if not left or paused or rest <= 0:
                    return left
                self._stopping.wait(min(rest, 0.05))
        finally:
            for courier in self._couriers:
                courier.hurry(False)

    def _paused(self, left: Left) -> bool:
        if self._lock.held:
            paused = {each.output.name for each in self._couriers if each.paused}
        else:
            paused = {each.name for each in self.status() if each.state == "paused"}
        return all(name in paused for name, queued in left.queued.items() if queued)

    def reopen(self) -> None:
        """Open files and connections anew, and try again at once where an output waits."""
        for courier in self._couriers:
            courier.reopen()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop to deliver; what is left stays in the outbox for the next start. An output
        that is in the middle of an attempt behind `timeout` s is left to end with the
        process: what it was sending is sent again."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        threads: Iterable[threading.Thread] = [*self._couriers, self._keeper]
        for courier in self._couriers:
            courier.stop()
        for thread in threads:
            if thread.is_alive():
                thread.join(max(0, deadline - time.monotonic()))
        with self._writing:
            if self._unwritten:
                self._flush()
            self._writer.close()
        with self._reading:
            self._reader.close()
        if not any(thread.is_alive() for thread in threads):
            self._lock.release()
