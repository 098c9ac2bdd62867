"""Takes the messages of the workers: their findings become open incidents.

The packets of one device may reach several workers, and the first contact of an incident determines
its id. So findings are delayed for as long as a worker may take to send a block, and then released
in the order of their packet times. The clock of the packets is followed here too, because all
workers' findings and reports pass through.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from netwatch.core.alert import Sensor
from netwatch.core.verdict import Contact
from netwatch.live.events import Listener, Note
from netwatch.live.messages import AddressClaims, Findings, FollowUp, StatusReport, WorkerEnded
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.packet_clock import PacketClock
from netwatch.live.worker_pool import WorkerPool

T = TypeVar("T")

DELAY = 0.1
"""Seconds that findings are delayed if there are several workers."""

DUPLICATE_NOTE_WINDOW = 5.0
"""Seconds within which the same note from another worker is a duplicate: all workers watch
the same interfaces."""


class ReorderBuffer(Generic[T]):
    """Items ordered by packet time, each delayed by `delay` seconds. With a delay of 0 only the
    items that are added between two calls of `release` are sorted."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._items: list[tuple[int, int, T]] = []
        self._arrivals: deque[tuple[float, int]] = deque()
        self._added = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, packet_time: int, item: T, at: float) -> None:
        """Add an item that arrived at `at`, in seconds of the monotonic clock."""
        self._added += 1
        # The running number keeps items of the same time in the order of their arrival.
        heapq.heappush(self._items, (packet_time, self._added, item))
        self._arrivals.append((at, packet_time))

    def release(self, at: float) -> Iterator[T]:
        """The items whose delay is over at `at`, and all with an earlier packet time than
        one of these, in the order of packet time."""
        until = None
        while self._arrivals and self._arrivals[0][0] + self._delay <= at:
            _, packet_time = self._arrivals.popleft()
            until = packet_time if until is None else max(until, packet_time)
        while until is not None and self._items and self._items[0][0] <= until:
            yield heapq.heappop(self._items)[2]


class FindingsReceiver:
    """Adds the findings of `pool` to `incidents`.

    `sensor` names the versions of the configuration with which the workers started, `live`
    is as in `netwatch.live.packet_clock`. `worker_error` becomes the reason why a worker
    failed.
    """

    def __init__(
        self,
        pool: WorkerPool,
        incidents: OpenIncidents,
        emit: Listener,
        sensor: Sensor,
        *,
        live: bool,
    ) -> None:
        self.clock = PacketClock(live)
        self.worker_error: str | None = None
        self._pool = pool
        self._incidents = incidents
        self._emit = emit
        self._sensors = {0: sensor}
        self._config_serials = [0] * len(pool)
        self._buffer: ReorderBuffer[tuple[Sensor, Contact | FollowUp]] = ReorderBuffer(
            DELAY if len(pool) > 1 else 0
        )
        self._recent_notes: dict[str, tuple[int, float]] = {}
        self._positions: dict[str, str | None] = {}

    @property
    def has_delayed(self) -> bool:
        """Whether findings wait for those of other workers."""
        return len(self._buffer) > 0

    def add_config(self, serial: int, sensor: Sensor) -> None:
        """Register the versions of a configuration before it is sent to the workers. They begin to
        use it one after the other, and their findings name the one they used."""
        oldest = min(self._config_serials)
        self._sensors = {n: known for n, known in self._sensors.items() if n >= oldest}
        self._sensors[serial] = sensor

    def receive(self, worker: int, message: object, at: int) -> None:
        """Handle a message of a worker that arrived at `at`, in ns of the monotonic clock."""
        if isinstance(message, Findings):
            self._update_clock(message.packet_time, at)
            sensor = self._sensors[message.config_serial]
            for item in message.items:
                time = item.progress.time if isinstance(item, FollowUp) else item.observation.time
                self._buffer.add(time, (sensor, item), at / 1e9)
            self._positions.update(message.positions)
        elif isinstance(message, StatusReport):
            if message.packet_time is not None:
                self._update_clock(message.packet_time, at)
            for text in message.notes:
                self._emit_note(worker, text, at / 1e9)
            self._config_serials[worker] = message.config_serial
        elif isinstance(message, AddressClaims):
            self._pool.forward(worker, message)
        elif isinstance(message, WorkerEnded) and message.error:
            self.worker_error = message.error
            if self._pool.is_stopping:
                # Otherwise it is the reason why the capture ends, which is reported.
                self._emit(Note(message.error))
            for line in message.traceback:
                self._emit(Note(line))

    def release(self, now: float) -> None:
        """Add the findings to the incidents that have been delayed long enough at `now`, in
        seconds of the monotonic clock."""
        for sensor, item in self._buffer.release(now):
            if isinstance(item, FollowUp):
                self._incidents.add_progress(item.contact, item.progress, item.bans)
            else:
                self._incidents.add(item, sensor, self.clock.offset)

    def take_positions(self) -> dict[str, str | None]:
        """How far logs were read, as far as that has changed since the last call: with all findings
        that have been added to the incidents, and no others."""
        if len(self._buffer):
            return {}
        positions, self._positions = self._positions, {}
        return positions

    def _update_clock(self, packet_time: int, at: int) -> None:
        if self.clock.update(packet_time, at):
            self._emit(Note("the clock of the packets was set; open incidents stay open"))

    def _emit_note(self, worker: int, text: str, at: float) -> None:
        self._recent_notes = {
            recent: (first, since)
            for recent, (first, since) in self._recent_notes.items()
            if at - since < DUPLICATE_NOTE_WINDOW
        }
        first, _ = self._recent_notes.get(text, (worker, at))
        if first == worker:
            self._recent_notes[text] = worker, at
            self._emit(Note(text))
