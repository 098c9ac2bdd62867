"""Blocks in, messages out: the packet loop's rows, put together and read.

One dissector is one capture: its flows, its unfinished messages, its counts. The
parsers are handed in, so that this room knows bytes and flows and no protocol.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Protocol

from netwatch.capture.block import FIELDS, TIME, Block
from netwatch.core.errors import ParseError
from netwatch.core.flow import NAME_STATUSES, Flow
from netwatch.core.message import LEARNING_SOURCES, Message
from netwatch.core.observation import Observation
from netwatch.core.packet import Packet
from netwatch.dissect.candidate import Seen
from netwatch.dissect.flows.records import Client, Over
from netwatch.dissect.loop import layout
from netwatch.dissect.loop.loop import Loop
from netwatch.dissect.provenance import Kept
from netwatch.dissect.reassembly.fragments import Datagram, Fragments, datagram
from netwatch.dissect.reassembly.handshakes import Connection, Handshakes, Idle
from netwatch.dissect.reassembly.streams import Streams

FOREVER = 0x7FFFFFFFFFFFFFFF
"""Later than any packet, ns."""

MAX_NESTED = 8
"""Packets put together of fragments that were in one another."""

_TRUNCATED = NAME_STATUSES.index("truncated")


class Parser(Protocol):
    """A row of the protocol table, as far as this room needs it: how one kind of
    candidate is read. Of `parse` (a datagram that stands alone), `parse_stream` (bytes
    of a stream; true says that no more will come), `converse` (makes one that remembers
    the messages before) and `connect` (the state of one client's handshake) one is not
    None."""

    @property
    def parse(self) -> Callable[[bytes], Message] | None: ...  # noqa: D102

    @property
    def parse_stream(self) -> Callable[[bytes, bool], Message] | None: ...  # noqa: D102

    @property
    def converse(self) -> Callable[[], Callable[[bytes, bool], Message]] | None: ...  # noqa: D102

    @property
    def connect(self) -> Callable[[Idle], Connection] | None: ...  # noqa: D102

    @property
    def persistent(self) -> bool:
        """Whether the next message of a stream starts where one ends."""
        ...


class Dissector:
    """The messages of one capture.

    `parsers` by the kind that the packet loop gives, `looks` as `Streams` wants it. A message
    for which `wanted` is false is counted and dropped; None wants all. It is asked of
    messages with names in `zones` alone: those of others it would be false for, and their
    name status `named`. `name_status` gives the number in `core.flow.NAME_STATUSES` of what
    a message says of its flow's name; with it flows are recorded. With `proving`, which says
    whether a flow with a packed address may be known by it later, what is told comes with the
    packets that prove it. Messages that claim addresses are told whether wanted or not; `learning`
    names of `core.message.LEARNING_SOURCES` what they are looked for in.
    """

    def __init__(
        self,
        parsers: Mapping[int, Parser],
        looks: Callable[[bytes], int],
        wanted: Callable[[Message], bool] | None = None,
        zones: Iterable[bytes] | None = None,
        name_status: Callable[[Message], int] | None = None,
        seed: int = 0,
        proving: Callable[[bytes], bool] | None = None,
        learning: Collection[str] = (),
    ) -> None:
        self._kept = None if proving is None else Kept(proving)
        self.loop = Loop(
            seed=seed,
            domains=zones,
            recording=name_status is not None,
            openings=proving is not None,
            learning=learning_bits(learning),
        )
        self._name_status = name_status
        self._sources: list[str] = []
        self._numbers: dict[str, int] = {}
        self._over = Over(self.loop, self._sources)
        self._wanted = wanted
        self._parsers = {kind: each.parse for kind, each in parsers.items() if each.parse}
        self._streams = Streams(
            {kind: each.parse_stream for kind, each in parsers.items() if each.parse_stream},
            frozenset(kind for kind, each in parsers.items() if each.persistent),
            looks,
            self._over.idle_stream,
            converses={kind: each.converse for kind, each in parsers.items() if each.converse},
        )
        self._handshakes = {
            kind: Handshakes(each.connect, partial(self._over.idle, kind))
            for kind, each in parsers.items()
            if each.connect
        }
        self._fragments = Fragments()
        self._nested = 0
        self._anomalies: Counter[str] = Counter()
        self._shown: Counter[str] = Counter()

    def shown(self) -> Counter[str]:
        """How many names were shown, wanted or not, by evidence."""
        return self._shown + Counter(self.loop.prefilter.names())

    def anomalies(self) -> Counter[str]:
        """How often each thing that is not as it should be was met, by its name."""
        total = self._anomalies + self._streams.anomalies + self._fragments.anomalies
        for handshakes in self._handshakes.values():
            total += handshakes.anomalies
        total.update(self.loop.anomalies())
        if self.loop.flows.evicted:
            total["flow-table-full"] += self.loop.flows.evicted
        if self.loop.addresses.evicted:
            total["resolved-addresses-full"] += self.loop.addresses.evicted
        if self._kept is not None:
            total += self._kept.anomalies
        return total

    def tables(self) -> dict[str, tuple[int, int, int]]:
        """How full the tables are, by name: entries now and at most, and how many had to go."""
        found = [each.table() for each in self._handshakes.values()]
        now, most, gone = map(sum, zip(*found, strict=True)) if found else (0, 0, 0)
        return {
            "flows": (*self.loop.flows.usage(), self.loop.flows.evicted),
            "streams": self._streams.table(),
            "handshakes": (now, most, gone),
            "fragments": self._fragments.table(),
        }

    def bytes_of(self, observation: Observation) -> tuple[int, int]:
        """Transport payload that the flow of an observation carried so far, out of and
        into its client; zeros where the flow table let it go."""
        low, high = self.loop.flows.bytes_of(observation.flow_id)
        client = observation.client_ip, observation.client_port
        greater = client > (observation.server_ip, observation.server_port)
        return (high, low) if greater else (low, high)

    def messages(self, block: Block, source: str) -> Iterator[tuple[Packet, Message]]:
        """The messages that became whole with the packets of `block`, in its order."""
        number = self._numbers.get(source)
        if number is None:
            number = self._numbers[source] = len(self._sources)
            self._sources.append(source)
        return self._read(self.loop.walk(block, number), block, source)

    def _read(
        self, parts: Iterable[list[int]], block: Block | None, source: str
    ) -> Iterator[tuple[Packet, Message]]:
        """What rows show, of packets of `block` or of such as the loop had buffered."""
        kept, within = self._kept, None if self._kept is None else self._kept.within
        for row in chain.from_iterable(map(self._taken, parts)):
            own, name = block, source
            if row[1] < 0:
                row, own, number = self.loop.buffered_packet(row)
                name = self._sources[number]
            assert own is not None
            if kept is not None:
                # what had waited came as a packet, whatever is read now
                kept.within = within if own is block else None
            kind, record, at, size, wire = row[0], row[1], row[2], row[3], row[4]
            self._over.prefiltered = row[layout.ROW_PREFILTERED] != 0
            if kept is not None and kind == layout.KIND_OPENING:
                kept.opening(row, own, name)
                continue
            handshakes = self._handshakes.get(kind)
            if handshakes and handshakes.answers(
                row[13], row[14], own.records[record * FIELDS + TIME]
            ):
                continue
            payload = bytes(own.data[at : at + size])
            parse = self._parsers.get(kind)
            if parse is not None:
                try:
                    message = parse(payload)
                except ParseError as error:
                    self._anomalies[error.anomaly] += 1
                    continue
                if self._tells(message, row[13]):
                    frames = () if kept is None else kept.frames(row, own, name)
                    yield Seen(row, own, name).packet(frames), message
                continue
            seen = Seen(row, own, name)
            if kind == layout.KIND_FRAGMENT:
                packet = seen.packet()
                # before what they came in, which is kept for as long, may be too old as well
                for whole in self._fragments.aged(seen.time):
                    yield from self._again(*whole)
                if kept is not None:
                    frames = kept.frames(row, own, name)
                    kept.fragment(datagram(row, packet), seen.time, frames)
                for whole in self._fragments.feed(row, payload, packet):
                    yield from self._again(*whole)
                continue
            aged = self._aged(seen)
            if aged:
                yield from self._told(aged)
            if kept is not None:
                if self._streams.pauses((row[13], row[14])):
                    kept.lose(seen)
                kept.follow(seen, kept.frames(row, own, name))
            if handshakes:
                found = handshakes.feed(row[13], row[14], payload, seen)
            else:
                side = (row[13], row[14])
                kind = 0 if kind == layout.KIND_MORE else kind
                found = self._streams.feed(kind, side, row[12], payload, size < wire, seen)
            if kind and size < wire and self._name_status is not None:
                # whatever its messages tell all the same stands over this
                self._over.mark(row[13], _TRUNCATED)
            if found:
                yield from self._told(found)
            if kept is not None and not (
                handshakes.waits(row[13], row[14])
                if handshakes
                else self._streams.waits((row[13], row[14]))
            ):
                kept.forget(seen)

    def _taken(self, rows: list[int]) -> Iterator[tuple[int, ...]]:
        """Each row, once the flows that were over by then are taken."""
        self._over.take()
        return zip(*[iter(rows)] * layout.ROW_COLUMNS, strict=True)

    def _again(self, block: Block, source: str, key: Datagram) -> Iterator[tuple[Packet, Message]]:
        """What a packet shows that was put together of fragments, which are counted."""
        if self._nested >= MAX_NESTED:
            self._anomalies["wrapped-too-deep"] += 1
            return
        packets, octets = self.loop.packets, self.loop.octets
        self._nested += 1
        self.loop.hellos.buffering = False
        kept = self._kept
        around = None if kept is None else kept.within
        if kept is not None:
            kept.within = kept.whole(key)
        yield from self.messages(block, source)
        if kept is not None:
            kept.within = around
        self._nested -= 1
        self.loop.hellos.buffering = self._nested == 0
        self.loop.packets, self.loop.octets = packets, octets

    def flush(self) -> Iterator[tuple[Packet, Message]]:
        """The capture is over: what messages cut short show."""
        for whole in self._fragments.flush():
            yield from self._again(*whole)
        yield from self._read(self.loop.finish(), None, "")
        yield from self._told(self._streams.flush())
        for handshakes in self._handshakes.values():
            yield from self._told(handshakes.flush())

    def _aged(self, seen: Seen) -> list[tuple[Seen, Message]]:
        """What has waited too long when a packet comes: before that one is kept as proof of
        something, for then what proves these is too old as well."""
        found = self._streams.aged((seen.flow, seen.side), seen.time)
        for handshakes in self._handshakes.values():
            found += handshakes.aged(seen.flow, seen.time)
        return found

    def _told(self, found: Iterable[tuple[Seen, Message]]) -> Iterator[tuple[Packet, Message]]:
        for seen, message in found:
            if self._tells(message, seen.flow):
                yield seen.packet() if self._kept is None else self._kept.proven(seen), message

    def _tells(self, message: Message, flow: int) -> bool:
        """Count what a message shows, and what it tells of its flow's name; whether it is
        wanted."""
        if message.anomalies:
            self._anomalies.update(message.anomalies)
        for shown in message.names:
            self._shown[shown.evidence] += 1
        if self._name_status is not None:
            self._over.mark(flow, self._name_status(message))
        if message.claims:
            return True
        return bool(message.names) and (self._wanted is None or self._wanted(message))

    def flows(self) -> Iterator[Flow]:
        """The flows that are over since the last call, but for those that `named` tells."""
        for flow in self._over.flows():
            yield flow if self._kept is None else self._kept.first(flow)

    def named(self, enough: int = 1) -> Iterator[tuple[Client, list[int]]]:
        """The clients of flows that are over, have a name and say nothing more, and when each
        of these began, ns; none while there are less than `enough` flows."""
        return self._over.named(enough)

    def follow(self, flow: int) -> None:
        """The end of this flow is told by itself, even if it has a name and says no more."""
        self._over.follow(flow)

    def learn(self, learning: Collection[str]) -> None:
        """From now on devices are learned from these of `core.message.LEARNING_SOURCES` alone."""
        self.loop.learning.sources = learning_bits(learning)

    def finish(self, before: int = FOREVER) -> Iterator[Flow]:
        """Flows whose last packet came earlier than `before` (ns) are over; all that are
        left where nothing is said: the capture is over and flushed. None of them has bytes
        to ask for after this."""
        whole = False
        while self._name_status is not None and not whole:
            whole = self.loop.flows.close_flows(before)
            self._over.take()
            yield from self.flows()


def learning_bits(learning: Collection[str]) -> int:
    """What devices are learned from as the packet loop takes it."""
    return sum(1 << bit for bit, word in enumerate(LEARNING_SOURCES) if word in learning)
