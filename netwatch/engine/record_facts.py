"""Facts of a capture or a log for the store: everything that packets and records show, whatever the
configuration.

The recorder of a capture sees the blocks that an engine judges, with an observer of its own that
wants everything and reports every flow and every address claim. So what is stored does not depend
on the configuration, and storing it cannot change what is judged. Observations go from the batch
into columns without an object per row.

Events of a log are numbered in the order in which they are judged, so that judging them again gives
the same incidents (`netwatch.rejudge`).
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from netwatch.capture.block import FIELDS, TIME, Block
from netwatch.capture.files import STDIN, CaptureFile
from netwatch.capture.framing import latest_time
from netwatch.core.flow import Flow
from netwatch.core.message import LEARNING_SOURCES, Message, Observation, Packet
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Network
from netwatch.coverage.flow_visibility import message_name_status
from netwatch.dissect.consumer import DissectorOptions, WantsEverything
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.dissect.loop.layout import FLOW_WORDS
from netwatch.engine.capture_files import capture_seed
from netwatch.engine.fact_sinks import FactSink, RowBuffer, claim_row, flow_row
from netwatch.engine.observe import Observer
from netwatch.engine.replay import ClaimEvent, Event, EventBatch, LossEvent
from netwatch.store.fact_tables import stream_of
from netwatch.store.flow_rows import FlowNames, flow_columns, new_key
from netwatch.store.hour_rows import LossCounter
from netwatch.store.messages import (
    CaptureBegun,
    CaptureEnded,
    CaptureLosses,
    Chunk,
    Clients,
    OneOfNames,
)

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_ROWS = 16_384
"""Rows of a table after which they are sent to the writer, and observations that become columns at
a time: columns of a few rows cost as much as columns of thousands."""

EVENT_CHUNK_ROWS = 8192
"""Rows of a table after which they are sent to the writer."""

LONGEST_LOSS = 7 * 86_400_000_000_000
"""How long before its end a time without records may begin in which some are lost, ns."""

SAMPLED_PAUSE = 3_600_000_000_000
"""How long an exporter that samples packets may have none to report without having stopped, ns."""

MAX_LOST_QUARTERS = 10_000
"""Quarters of an hour in which records of a log are lost."""


class _EveryFact(WantsEverything):
    """The consumer of a recorder, which hands claims to it."""

    def __init__(self, claimed: Callable[[Packet, Message], None]) -> None:
        self._claimed = claimed

    def name_status(self, message: Message) -> int:
        """What the message itself reveals, without a signature."""
        return message_name_status(message, lambda name: None)

    def address_claimed(self, packet: Packet, message: Message) -> None:
        """Record the claims."""
        self._claimed(packet, message)


class _Sender:
    """Sends the facts of one capture or log, at `position` of the run, to `sink`. `statistics` are
    the run's: what they note about it while it is recorded tells whether it was read as a whole,
    and they count recorded and lost rows."""

    def __init__(
        self,
        sink: FactSink,
        position: int,
        files: Sequence[CaptureFile],
        statistics: RunStatistics,
    ) -> None:
        self._sink = sink
        self._position = position
        self._paths = [file.path for file in files if file.path != STDIN and not file.error]
        self._statistics = statistics
        self._unread = len(statistics.unread)
        self._sequence = 0
        self._first: int | None = None
        self._last: int | None = None
        self._losses = LossCounter()
        self._claims = RowBuffer("claim", claim_row)

    def _send_begin(self) -> None:
        self._sink.send(CaptureBegun(self._position, self._paths))

    def _send_rows(self, table: str, count: int, rows: bytes, clients: Clients) -> None:
        self._statistics.recorded_rows += count
        if not self._sink.send(Chunk(self._position, table, count, rows, tuple(clients.keys))):
            self._losses.add("rows", self._last or 0, count)
            self._statistics.lost_rows += count

    def _send_buffer(self, buffer: RowBuffer) -> None:
        rows = stream_of([buffer.batch()])
        self._send_rows(buffer.table, len(buffer), rows, buffer.clients)
        buffer.clear()

    def _send_losses(self) -> None:
        if self._losses.is_new:
            self._sink.send(CaptureLosses(self._position, self._losses.take()))

    def _send_end(self) -> None:
        is_whole = len(self._statistics.unread) == self._unread
        lost = self._losses.total("rows")
        self._sink.send(CaptureEnded(self._position, is_whole, self._first, self._last, lost))
        self._sink.close()

    def _note_times(self, first: int, last: int) -> None:
        self._first = first if self._first is None else min(self._first, first)
        self._last = last if self._last is None else max(self._last, last)


class Recorder(_Sender):
    """Sends the facts of one capture. `process` takes the blocks, `finish` ends the capture."""

    def __init__(
        self,
        sink: FactSink,
        position: int,
        files: Sequence[CaptureFile],
        statistics: RunStatistics,
    ) -> None:
        super().__init__(sink, position, files, statistics)
        self._files = statistics.files
        self._observer: Observer | None = None
        # Rows of the batch before claims and flows, the number of these, and of all.
        self._marks: list[tuple[int, int]] = []
        self._marked = 0
        self._has_begun = False
        self._observations: list[pa.RecordBatch] = []
        self._waiting = 0
        self._clients = Clients()
        # The slots of flows, and the runs of their places.
        self._flows = array("q")
        self._flow_places: list[tuple[int, int]] = []
        self._flows_are_due = False
        self._flow_names = FlowNames(new_key())
        # The sampling of the last block, and of each source of sampled packets.
        self._sampling = 1
        self._sampled: dict[str, int] = {}

    def process(self, block: Block, source: str) -> None:
        """Record the next block of `source`. Initial blocks without packets, as from a live source
        that has none yet, show nothing."""
        if self._observer is None:
            if not block.count:
                return
            self._begin(block)
        assert self._observer is not None
        if block.count:
            self._note_block(block)
        if block.sampling != self._sampling:
            self._record(self._observer.waiting())
            self._sampling = block.sampling
        if block.sampling > 1:
            self._sampled[source] = max(block.sampling, self._sampled.get(source, 1))
        if self._flows_are_due:
            # A name comes before the end of its flow, and the counter of flows must know it.
            self._record(self._observer.waiting())
            self._send_all()
        self._record(self._observer.batches(block, source, CHUNK_ROWS))

    def skip(self, block: Block) -> None:
        """Count the packets of a block that are not recorded."""
        if not block.count:
            return
        self._begin_capture()
        self._note_block(block)
        self._statistics.unrecorded_packets += block.count
        time = latest_time(block.records, block.count)  # type: ignore[arg-type]
        self._losses.add("skipped", time, block.count)

    def note_sampled(self, block: Block) -> None:
        """Note that other packets than those of a block were not looked at then."""
        if block.count:
            self._begin_capture()
            time = latest_time(block.records, block.count)  # type: ignore[arg-type]
            self._losses.add("sampled", time, block.count)

    def finish(self) -> None:
        """Record what is incomplete at the end of the capture and all flows; the capture has
        ended."""
        if not self._has_begun and self._statistics.files == self._files:
            self._sink.close()
            return  # It was not a capture.
        self._begin_capture()
        if self._observer is not None:
            self._record(self._observer.flush())
            self._observer.close()
        self._send_all()
        self._send_end()

    def checkpoint(self, before: int) -> None:
        """Send what is waiting, with the flows without a packet since `before` (ns since the
        epoch): a capture that never ends cannot wait for it."""
        if self._observer is not None:
            self._observer.end_flows(before)
        self.send_waiting()

    def send_waiting(self) -> None:
        """Send what is waiting, except open flows."""
        if self._observer is not None:
            self._record(self._observer.waiting())
        self._send_all()

    def _begin_capture(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._send_begin()

    def _begin(self, block: Block) -> None:
        self._observer = Observer(
            _EveryFact(self._address_claimed),
            RunStatistics(),
            DissectorOptions(
                fingerprints=True,
                knows_bypasses=False,
                learn_from=LEARNING_SOURCES,
                flows=FlowOptions(slots_ended=self._flows_ended),
            ),
            seed=capture_seed(block),
        )
        self._begin_capture()

    def _note_block(self, block: Block) -> None:
        records = block.records
        first, last = records[TIME], records[(block.count - 1) * FIELDS + TIME]
        self._note_times(min(first, last), max(first, last))

    def _record(self, batches: Iterable[ObservationBatch]) -> None:
        """Take batches of observations, each before the next is asked for."""
        from netwatch.store.observation_rows import observation_columns  # it needs pyarrow

        for batch in batches:
            places, rows, others = list[tuple[int, int]](), 0, 0
            for before, count in [*self._marks, (_rows_of(batch), 0)]:
                if before > rows:
                    places.append((self._sequence + rows + others, before - rows))
                    rows = before
                others += count
            columns = observation_columns(batch, _sequence(places), self._clients, self._sampling)
            self._observations.append(self._flow_names.renamed(columns, self._position))
            self._waiting += rows
            self._sequence += rows + others
            self._marks.clear()
            self._marked = 0
            if self._waiting >= CHUNK_ROWS:
                self._send_observations()

    def _next_place(self, count: int) -> int:
        """The place of the first of so many claims or flows, which come after the rows so far in
        the batch."""
        assert self._observer is not None
        rows = self._observer.listed
        place = self._sequence + rows + self._marked
        self._marked += count
        if self._marks and self._marks[-1][0] == rows:
            count += self._marks.pop()[1]
        self._marks.append((rows, count))
        return place

    def _flows_ended(self, slots: memoryview) -> None:
        count = len(slots) // FLOW_WORDS
        self._flow_places.append((self._next_place(count), count))
        self._flows.frombytes(slots.cast("B"))
        self._flows_are_due = len(self._flows) >= CHUNK_ROWS * FLOW_WORDS

    def _address_claimed(self, packet: Packet, message: Message) -> None:
        place = self._next_place(len(message.claims))
        for number, claim in enumerate(message.claims):
            self._claims.add(place + number, (packet, claim, ""))
        if len(self._claims) >= CHUNK_ROWS:
            self._send_buffer(self._claims)

    def _send_observations(self) -> None:
        batches, self._observations = self._observations, []
        clients, self._clients = self._clients, Clients()
        self._waiting = 0
        self._send("observation", batches, clients)

    def _send_flows(self) -> None:
        assert self._observer is not None
        slots, self._flows = self._flows, array("q")
        self._flows_are_due = False
        places, self._flow_places = self._flow_places, []
        clients, sources = Clients(), self._observer.batch.sources
        columns = flow_columns(slots, _sequence(places), sources, clients, self._sampled)
        self._send("flow", [self._flow_names.renamed(columns, self._position)], clients)

    def _send_all(self) -> None:
        if self._observations:
            self._send_observations()
        if self._flows:
            self._send_flows()
        if len(self._claims):
            self._send_buffer(self._claims)
        self._send_losses()

    def _send(self, table: str, batches: "list[pa.RecordBatch]", clients: Clients) -> None:
        count = sum(batch.num_rows for batch in batches)
        self._send_rows(table, count, stream_of(batches), clients)


def _rows_of(batch: ObservationBatch) -> int:
    return sum(stop - start for start, stop in batch.spans)


@cache
def _counting() -> "pa.Array":
    import pyarrow as pa

    return pa.Array.from_buffers(
        pa.int64(), CHUNK_ROWS, [None, pa.py_buffer(array("q", range(CHUNK_ROWS)))]
    )


def _sequence(places: Iterable[tuple[int, int]]) -> "pa.Array":
    """The numbers of runs of rows, each from its first one on."""
    import pyarrow as pa
    from pyarrow import compute

    parts = []
    for first, count in places:
        for at in range(0, count, CHUNK_ROWS):
            size = min(CHUNK_ROWS, count - at)
            parts.append(compute.add(_counting().slice(0, size), first + at))
    return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)


class EventRecorder(_Sender):
    """Sends the events of one log."""

    def __init__(
        self,
        sink: FactSink,
        position: int,
        files: Sequence[CaptureFile],
        statistics: RunStatistics,
    ) -> None:
        super().__init__(sink, position, files, statistics)
        self._rows = EventBatch()
        self._numbers = array("q")
        self._flows = RowBuffer("flow", flow_row)
        self._one_of = Counter[tuple[str, str, int, int]]()
        self._sampled = 0
        self._send_begin()

    def recorded(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events, each recorded before it is handed on."""
        for event in events:
            if isinstance(event, Observation):
                self._note_times(event.time, event.time)
                self._rows.batch.add_span(*self._rows.append(event))
                self._numbers.append(self._sequence)
                self._sequence += 1
                if len(self._numbers) >= EVENT_CHUNK_ROWS:
                    self._send_observations()
            elif isinstance(event, Flow):
                self._note_times(event.first, event.first)
                if event.sampling > 1:
                    self._note_sampled(event)
                self._flows.add(self._sequence, event)
                self._sequence += 1
                if len(self._flows) >= EVENT_CHUNK_ROWS:
                    # A name comes before the end of its flow, and must be known first.
                    self.checkpoint()
            elif isinstance(event, LossEvent):
                self._lose(event)
            elif isinstance(event, ClaimEvent):
                self._claim(event)
            yield event

    def _note_sampled(self, flow: Flow) -> None:
        """Note that other packets than those of a sample were not looked at while a flow lasted,
        nor since the sampled flow before it, unless that is long ago."""
        is_near = abs(flow.first - self._sampled) <= SAMPLED_PAUSE
        since = min(flow.first, self._sampled) if is_near else flow.first
        if self._losses.quarters("sampled") >= MAX_LOST_QUARTERS:
            since = flow.last
        self._losses.add_time("sampled", max(since, flow.last - LONGEST_LOSS), flow.last, 1)
        self._sampled = flow.last

    def note_one_of(self, network: Network, hour: int, names: int) -> None:
        """Note that a flow record is one of so many names, as it is judged."""
        self._one_of[network.name, network.device_class, hour, names] += 1

    def _lose(self, event: LossEvent) -> None:
        """Count records that the log lacks. Who writes it may say of any time that it lacks some:
        beyond a limit it counts for the time of the last fact."""
        first, last = max(event.first, event.last - LONGEST_LOSS), event.last
        if self._losses.quarters("unreceived") >= MAX_LOST_QUARTERS:
            first = last = self._last or event.last
        self._losses.add_time("unreceived", first, last, event.count)

    def checkpoint(self) -> None:
        """Send what is waiting: a log that never ends cannot wait for it."""
        if self._numbers:
            self._send_observations()
        for buffer in (self._flows, self._claims):
            if len(buffer):
                self._send_buffer(buffer)
        if self._one_of:
            found = [(*key, flows) for key, flows in self._one_of.items()]
            self._sink.send(OneOfNames(self._position, found))
            self._one_of.clear()
        self._send_losses()

    def finish(self) -> None:
        """The log has ended."""
        self.checkpoint()
        self._send_end()

    def _claim(self, event: ClaimEvent) -> None:
        self._note_times(event.packet.time, event.packet.time)
        for claim in event.claims:
            self._claims.add(self._sequence, (event.packet, claim, event.log))
            self._sequence += 1
        if len(self._claims) >= EVENT_CHUNK_ROWS:
            self._send_buffer(self._claims)

    def _send_observations(self) -> None:
        import pyarrow as pa

        from netwatch.store.observation_rows import observation_columns

        clients = Clients()
        numbers = pa.array(self._numbers, pa.int64())
        rows = stream_of([observation_columns(self._rows.batch, numbers, clients)])
        self._send_rows("observation", len(self._numbers), rows, clients)
        self._rows.batch.clear()
        del self._numbers[:]
