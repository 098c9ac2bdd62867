"""Blocks in, messages out: the kernel's rows, put together and read.

One dissector is one capture: its flows, its unfinished messages, its counts. The
parsers are handed in, so that this room knows bytes and flows and no protocol.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from netwatch.capture.block import Block
from netwatch.dissect.ended import Over
from netwatch.dissect.fragments import Datagram, Fragments, datagram
from netwatch.dissect.handshakes import Connection, Handshakes, Known
from netwatch.dissect.kernel import COLUMNS, FRAGMENT, MORE, OPENING, Kernel
from netwatch.dissect.packets import packet_of
from netwatch.dissect.streams import Streams
from netwatch.dissect.trails import Kept
from netwatch.errors import ParseError
from netwatch.model import LEARNABLE, OUTCOMES, Flow, Message, Observation, Packet

FOREVER = 0x7FFFFFFFFFFFFFFF
"""Later than any packet, ns."""

MAX_NESTED = 8
"""Packets put together of fragments that were in one another."""

_NAMED, _TRUNCATED = OUTCOMES.index("named"), OUTCOMES.index("truncated")


class Parser(Protocol):
    """A row of the protocol table, as far as this room needs it: how one kind of
    candidate is read. Of `parse` (a datagram that stands alone), `parse_stream` (bytes
    of a stream; true says that no more will come) and `connect` (the state of one
    client's handshake) one is not None."""

    @property
    def parse(self) -> Callable[[bytes], Message] | None: ...  # noqa: D102

    @property
    def parse_stream(self) -> Callable[[bytes, bool], Message] | None: ...  # noqa: D102

    @property
    def connect(self) -> Callable[[Known], Connection] | None: ...  # noqa: D102

    @property
    def persistent(self) -> bool:
        """Whether the next message of a stream starts where one ends."""
        ...


class Dissector:
    """The messages of one capture.

    `parsers` by the kind that the kernel gives, `looks` as `Streams` wants it. A message
    for which `wanted` is false is counted and dropped, and names that it shows are known
    to be unwanted from then on; None wants all. `outcome` tells the number in
    `model.OUTCOMES` of what a message says of its flow's name; with it flows are recorded,
    and only names whose outcome is plainly `named` are taken for known. With `proving`,
    which says whether a flow with a packed address may be known by it later, what is told
    comes with the packets that prove it. Messages that claim addresses are told whether
    wanted or not; `learning` names of `model.LEARNABLE` what they are looked for in.
    """

    def __init__(
        self,
        parsers: Mapping[int, Parser],
        looks: Callable[[bytes], int],
        wanted: Callable[[Message], bool] | None = None,
        outcome: Callable[[Message], int] | None = None,
        seed: int = 0,
        proving: Callable[[bytes], bool] | None = None,
        learning: Collection[str] = (),
    ) -> None:
        self._kept = None if proving is None else Kept(proving)
        self.kernel = Kernel(
            seed=seed,
            filtering=wanted is not None,
            recording=outcome is not None,
            opening=proving is not None,
            learning=learning_bits(learning),
        )
        self._outcome = outcome
        self._sources: list[str] = []
        self._numbers: dict[str, int] = {}
        self._over = Over(self.kernel, self._sources)
        self._wanted = wanted
        self._parsers = {kind: each.parse for kind, each in parsers.items() if each.parse}
        self._streams = Streams(
            {kind: each.parse_stream for kind, each in parsers.items() if each.parse_stream},
            frozenset(kind for kind, each in parsers.items() if each.persistent),
            looks,
            self._over.known_stream,
        )
        self._handshakes = {
            kind: Handshakes(each.connect, partial(self._over.known, kind))
            for kind, each in parsers.items()
            if each.connect
        }
        self._fragments = Fragments()
        self._nested = 0
        self._oddities: Counter[str] = Counter()
        self._shown: Counter[str] = Counter()

    def shown(self) -> Counter[str]:
        """How many names were shown, wanted or not, by evidence."""
        return self._shown + Counter(self.kernel.shown())

    def oddities(self) -> Counter[str]:
        """How often each thing that is not as it should be was met, by its name."""
        total = self._oddities + self._streams.oddities + self._fragments.oddities
        for handshakes in self._handshakes.values():
            total += handshakes.oddities
        total.update(self.kernel.oddities())
        if self.kernel.flows.evicted:
            total["flow-table-full"] += self.kernel.flows.evicted
        if self._kept is not None:
            total += self._kept.oddities
        return total

    def bytes_of(self, observation: Observation) -> tuple[int, int]:
        """Transport payload that the flow of an observation carried so far, out of and
        into its client; zeros where the flow table let it go."""
        low, high = self.kernel.flows.bytes_of(observation.flow)
        client = observation.client_ip, observation.client_port
        greater = client > (observation.server_ip, observation.server_port)
        return (high, low) if greater else (low, high)

    def messages(self, block: Block, source: str) -> Iterator[tuple[Packet, Message]]:
        """The messages that became whole with the packets of `block`, in its order."""
        data, kept = block.data, self._kept
        number = self._numbers.get(source)
        if number is None:
            number = self._numbers[source] = len(self._sources)
            self._sources.append(source)
        for rows in self.kernel.walk(block, number):
            self._over.take()
            for row in zip(*[iter(rows)] * COLUMNS, strict=True):
                kind, _, at, size, wire = row[:5]
                if kept is not None and kind == OPENING:
                    kept.opening(row, block, source)
                    continue
                payload = bytes(data[at : at + size])
                parse = self._parsers.get(kind)
                if parse is not None:
                    try:
                        message = parse(payload)
                    except ParseError as error:
                        self._oddities[error.oddity] += 1
                        continue
                    if self._tells(message, row[13]):
                        packet = packet_of(row, block, source)
                        if kept is not None:
                            packet = replace(packet, frames=kept.frames(row, block, source))
                        yield packet, message
                    continue
                packet = packet_of(row, block, source)
                if kind == FRAGMENT:
                    if kept is not None:
                        frames = kept.frames(row, block, source)
                        kept.fragment(datagram(row, packet), packet.time, frames)
                    for whole in self._fragments.feed(row, payload, packet):
                        yield from self._again(*whole)
                    continue
                if kept is not None:
                    kept.follow(packet, kept.frames(row, block, source))
                handshakes = self._handshakes.get(kind)
                if handshakes is not None:
                    found = handshakes.feed(packet.flow, row[14], payload, packet)
                else:
                    side = (packet.flow, row[14])
                    kind = 0 if kind == MORE else kind
                    found = self._streams.feed(kind, side, row[12], payload, size < wire, packet)
                if kind and size < wire and self._outcome is not None:
                    # whatever its messages tell all the same stands over this
                    self._over.mark(packet.flow, _TRUNCATED)
                if found:
                    yield from self._told(found)
                if kept is not None and not (
                    handshakes.waits(packet.flow, row[14])
                    if handshakes is not None
                    else self._streams.waits((packet.flow, row[14]))
                ):
                    kept.forget(packet)

    def _again(self, block: Block, source: str, key: Datagram) -> Iterator[tuple[Packet, Message]]:
        """What a packet shows that was put together of fragments, which are counted."""
        if self._nested >= MAX_NESTED:
            self._oddities["wrapped-too-deep"] += 1
            return
        packets, octets = self.kernel.packets, self.kernel.octets
        self._nested += 1
        kept = self._kept
        around = None if kept is None else kept.within
        if kept is not None:
            kept.within = kept.whole(key)
        yield from self.messages(block, source)
        if kept is not None:
            kept.within = around
        self._nested -= 1
        self.kernel.packets, self.kernel.octets = packets, octets

    def flush(self) -> Iterator[tuple[Packet, Message]]:
        """The capture is over: what messages cut short show."""
        for whole in self._fragments.flush():
            yield from self._again(*whole)
        yield from self._told(self._streams.flush())
        for handshakes in self._handshakes.values():
            yield from self._told(handshakes.flush())

    def _told(self, found: Iterable[tuple[Packet, Message]]) -> Iterator[tuple[Packet, Message]]:
        for packet, message in found:
            if self._tells(message, packet.flow):
                yield packet if self._kept is None else self._kept.proven(packet), message

    def _tells(self, message: Message, flow: int) -> bool:
        """Count what a message shows, and what it tells of its flow's name; whether it is
        wanted."""
        if message.oddities:
            self._oddities.update(message.oddities)
        for shown in message.shown:
            self._shown[shown.evidence] += 1
        told = _NAMED
        if self._outcome is not None:
            told = self._outcome(message)
            self._over.mark(flow, told)
        if self._wanted is None or not message.shown:
            return bool(message.shown or message.claims)
        if self._wanted(message):
            return True
        if message.claims:
            return True
        if told == _NAMED:
            for shown in message.shown:
                self.kernel.learn(shown.name.encode())
        return False

    def flows(self) -> Iterator[Flow]:
        """The flows that are over since the last call."""
        for flow in self._over.flows():
            yield flow if self._kept is None else self._kept.first(flow)

    def finish(self, before: int = FOREVER) -> Iterator[Flow]:
        """Flows whose last packet came earlier than `before` (ns) are over; all that are
        left where nothing is said: the capture is over and flushed. None of them has bytes
        to ask for after this."""
        whole = False
        while self._outcome is not None and not whole:
            whole = self.kernel.flows.drain(before)
            self._over.take()
            yield from self.flows()


def learning_bits(learning: Collection[str]) -> int:
    """Names of `model.LEARNABLE` as the bits that the kernel has them in."""
    return sum(1 << bit for bit, word in enumerate(LEARNABLE) if word in learning)
