"""Events of a log for the store: all that its records show, whatever the configuration says.

They are numbered in the order in which they are judged, so that they give the same incidents when
they are judged again (`netwatch.rejudge`).
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence

from netwatch.capture.files import STDIN, CaptureFile
from netwatch.core.flow import Flow
from netwatch.core.observation import Observation
from netwatch.core.statistics import RunStatistics
from netwatch.engine.fact_sinks import FactSink, RowBuffer, claim_row, flow_row, stream_of
from netwatch.engine.replay import ClaimEvent, Event, EventBatch
from netwatch.store.hour_rows import LossCounter
from netwatch.store.messages import CaptureBegun, CaptureEnded, CaptureLosses, Chunk, Clients
from netwatch.store.observation_rows import observation_columns

CHUNK_ROWS = 8192
"""Rows of a table after which they are sent to the writer."""


class EventRecorder:
    """Sends the events of one log, the one at `position` of the run, to `sink`.

    `statistics` are those of the run: what they note of the log while it is recorded says whether
    it was read as a whole, and rows that were recorded or lost are counted there.
    """

    def __init__(
        self,
        sink: FactSink,
        position: int,
        files: Sequence[CaptureFile],
        statistics: RunStatistics,
    ) -> None:
        self._sink = sink
        self._position = position
        self._statistics = statistics
        self._unread = len(statistics.unread)
        self._sequence = 0
        self._first: int | None = None
        self._last: int | None = None
        self._losses = LossCounter()
        self._rows = EventBatch()
        self._numbers = array("q")
        self._flows = RowBuffer("flow", flow_row)
        self._claims = RowBuffer("claim", claim_row)
        paths = [file.path for file in files if file.path != STDIN and not file.error]
        sink.send(CaptureBegun(position, paths))

    def recorded(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events, each of which is recorded before it is handed on."""
        for event in events:
            if isinstance(event, Observation):
                self._note_time(event.time)
                self._rows.batch.add_span(*self._rows.append(event))
                self._numbers.append(self._sequence)
                self._sequence += 1
                if len(self._numbers) >= CHUNK_ROWS:
                    self._send_observations()
            elif isinstance(event, Flow):
                self._note_time(event.first)
                self._flows.add(self._sequence, event)
                self._sequence += 1
                if len(self._flows) >= CHUNK_ROWS:
                    # A name comes before the end of its flow, and has to be known first.
                    self.checkpoint()
            else:
                self._claim(event)
            yield event

    def checkpoint(self) -> None:
        """Send what waits to be sent: nobody waits for the end of a log that has none."""
        if self._numbers:
            self._send_observations()
        for buffer in (self._flows, self._claims):
            if len(buffer):
                self._send_rows(buffer)
        if self._losses.is_new:
            self._sink.send(CaptureLosses(self._position, self._losses.take()))

    def finish(self) -> None:
        """The log has ended."""
        self.checkpoint()
        is_whole = len(self._statistics.unread) == self._unread
        lost = self._losses.total("rows")
        self._sink.send(CaptureEnded(self._position, is_whole, self._first, self._last, lost))
        self._sink.close()

    def _claim(self, event: ClaimEvent) -> None:
        self._note_time(event.packet.time)
        for claim in event.claims:
            self._claims.add(self._sequence, (event.packet, claim))
            self._sequence += 1
        if len(self._claims) >= CHUNK_ROWS:
            self._send_rows(self._claims)

    def _note_time(self, time: int) -> None:
        self._first = time if self._first is None else min(self._first, time)
        self._last = time if self._last is None else max(self._last, time)

    def _send_observations(self) -> None:
        import pyarrow as pa

        clients = Clients()
        numbers = pa.array(self._numbers, pa.int64())
        rows = stream_of([observation_columns(self._rows.batch, numbers, clients)])
        self._send("observation", len(self._numbers), rows, clients)
        self._rows.batch.clear()
        del self._numbers[:]

    def _send_rows(self, buffer: RowBuffer) -> None:
        rows = stream_of([buffer.batch()])
        self._send(buffer.table, len(buffer), rows, buffer.clients)
        buffer.clear()

    def _send(self, table: str, count: int, rows: bytes, clients: Clients) -> None:
        self._statistics.recorded_rows += count
        if not self._sink.send(Chunk(self._position, table, count, rows, tuple(clients.keys))):
            self._losses.add("rows", self._last or 0, count)
            self._statistics.lost_rows += count
