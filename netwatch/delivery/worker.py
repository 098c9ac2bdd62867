"""One output's courier: takes alerts from the outbox to a sink, for as long as it takes.

A thread an output, so that none waits for another. It sends what is next, notes what
became of each alert, and moves the cursor up to the first that is left. What fails is
tried again without end, ever more slowly and never in step with others (capped backoff
with jitter), or after what the receiver asked for; what a receiver will never take goes
to the dead letters; where it refuses the output as such, the output is paused: one
attempt every so often, and told loudly.
"""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.delivery import dead_letters as deadletters
from netwatch.delivery.attempt import Result, attempt
from netwatch.delivery.lock import Lock
from netwatch.delivery.outbox import Row, Spool
from netwatch.sinks.base import Output, Sink

MAX_RETRY_AFTER = 3600.0
"""Seconds that a receiver may ask to wait."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: between attempts that fail, at `first` and at most; between those of a paused
    output; between looks for what others put into the outbox."""

    first: float = 1.0
    cap: float = 300.0
    pause: float = 300.0
    poll: float = 1.0

    def delay(self, attempt: int, after: float | None = None) -> float:
        """How long to wait behind the failed attempt number `attempt`, from 1; `after` is
        what the receiver asked for."""
        backoff = min(self.cap, self.first * 2.0 ** min(attempt - 1, 30))
        return max(backoff * random.uniform(0.5, 1), min(after or 0, MAX_RETRY_AFTER))


class Courier(threading.Thread):
    """Delivers what the outbox has for one output. `spool` opens a connection to it;
    `paused` is whether the last attempt said that a person has to mend something."""

    def __init__(
        self,
        output: Output,
        folder: Path,
        spool: Callable[[], Spool],
        lock: Lock,
        timing: Timing,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(name=f"netwatch-output-{output.name}", daemon=True)
        self.output = output
        self.paused = False
        self._state = ""
        self._reason = ""
        self._folder = folder
        self._open_spool = spool
        self._lock = lock
        self._timing = timing
        self._tell = tell
        self._wake = threading.Event()
        self._stopping = False
        self._reopen = False
        self._urgent = False
        self._hurry = False
        self._failed = 0
        # Delivered or dead, but behind one that is not: the cursor waits for that one.
        self._done: set[int] = set()
        # Fewer at once, while the one is looked for that a batch was refused for.
        self._size = 0

    def wake(self) -> None:
        """Something was put into the outbox."""
        if not self._failed:
            self._wake.set()

    def hurry(self, wanted: bool) -> None:
        """Send at once what is gathered for a digest, or gather again."""
        self._hurry = wanted
        self.wake()

    def reopen(self) -> None:
        """Open the sink anew and try at once."""
        self.paused = False
        self._reopen = self._urgent = True
        self._wake.set()

    def stop(self) -> None:
        """Stop after what is being sent."""
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        """Deliver until stopped."""
        spool: Spool | None = None
        sink: Sink | None = None
        while not self._stopping:
            self._wake.clear()
            self._urgent = False
            try:
                if not self._lock.acquire():
                    self._wait(self._timing.poll)
                    continue
                spool = spool or self._open_spool()
                sink = sink or self.output.settings.open()
                if self._reopen:
                    self._reopen, self._failed = False, 0
                    sink.close()
                wait = self._turn(spool, sink)
            except (sqlite3.Error, OSError, NetwatchError) as error:
                self._failed += 1
                self._say("retrying", str(error), None)
                wait = self._timing.delay(self._failed)
                if spool is not None:
                    spool.shrink()
            self._wait(wait)
        if sink is not None:
            sink.close()
        if spool is not None:
            spool.close()

    def _wait(self, seconds: float) -> None:
        if self._failed:
            # What was put during the attempt is no reason to try again at once.
            self._wake.clear()
        if seconds > 0 and not self._stopping and not self._urgent:
            self._wake.wait(seconds)

    def _turn(self, spool: Spool, sink: Sink) -> float:
        """Send what is next; how long to wait until the next turn, in s."""
        rows = spool.next(self.output.name, min(sink.batch, self._size or sink.batch))
        self._done.intersection_update([row.seq for row in rows])
        left = [row for row in rows if row.seq not in self._done]
        if not left:
            if rows:
                self._advance(spool, rows, Result(frozenset(), {}), 0)
                return 0
            sink.rest()
            self._failed = 0
            self._say("idle", "", spool)
            return self._timing.poll
        if self.output.every and not self._hurry:
            due = left[0].time + self.output.every - time.time()
            if due > 0:
                return min(due, self._timing.poll)
        result = attempt(self.output, sink, left)
        kept = self._bury(result)
        self._done.update(result.arrived, result.refused)
        self._advance(spool, rows, result, kept)
        if result.halve:
            self._size = max(1, len(left) // 2)
            return 0
        self._size = min(self._size * 2, sink.batch) if self._size else 0
        self._say(result.state, result.reason, spool)
        if result.state == "idle":
            self._failed = 0
            return 0
        self._failed += 1
        if result.state == "paused":
            return self._timing.pause
        return self._timing.delay(self._failed, result.after)

    def _bury(self, result: Result) -> int:
        """Write dead letters; how many had place."""
        if not result.refused:
            return 0
        letters = list(result.refused.values())
        kept = deadletters.add(self._folder, self.output.name, letters, time.time())
        self._loud(f"{len(letters):,} refused for good, the last because: {letters[-1][1]}")
        if kept < len(letters):
            self._loud(f"the dead letters are full: {len(letters) - kept:,} dropped")
        return kept

    def _advance(self, spool: Spool, rows: Sequence[Row], result: Result, kept: int) -> None:
        left = (row.seq for row in rows if row.seq not in self._done)
        first = next(left, None)
        spool.advance(
            self.output.name,
            rows[-1].seq if first is None else first - 1,
            sent=len(result.arrived),
            retried=result.state != "idle",
            dead=kept,
            dropped=len(result.refused) - kept,
            now=time.time(),
        )

    def _loud(self, text: str) -> None:
        self._tell(f"output {self.output.name}: {text}")

    def _say(self, state: str, reason: str, spool: Spool | None) -> None:
        """Note a change of state and tell it; the same trouble is told once."""
        self.paused = state == "paused"
        if (state, reason) == (self._state, self._reason):
            return
        before, self._state, self._reason = self._state, state, reason
        if state == "paused":
            self._loud(f"PAUSED until it is mended: {reason}")
        elif state == "retrying":
            self._loud(f"tries again: {reason}")
        elif before not in ("", "idle"):
            self._loud("delivers again")
        if spool is not None:
            spool.state(self.output.name, state, reason)
