"""Which packets prove a message: kept while it is put together, so that they can be written.

A message that is whole in its packet is proven by that packet. One that came in several
needs them all, and they came earlier, maybe blocks ago: so where proof is wanted, what is
handed to streams, handshakes and fragments leaves a trail of its packets until the message
is whole. A TCP message is told with the first packet of its flow, and a flow that may be
known by its address later is remembered by that. Every trail is bounded by packets, all of
them by number, bytes and age; what had to go is counted, and its message is told without
proof.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace

from netwatch.capture.block import FIELDS, TIME, Block
from netwatch.core.flow import Flow
from netwatch.core.frame import Frame
from netwatch.core.packet import Packet
from netwatch.dissect.candidate import Row, Seen, frame_of
from netwatch.dissect.reassembly.fragments import Datagram

Frames = tuple[Frame, ...]

MAX_OPENINGS = 16384
"""First packets of flows that are kept: for TCP messages, and for flows by address."""

MAX_OPENING_BYTES = 16 << 20
"""Bytes of either."""

DAY = 86_400_000_000_000
"""How long the first packet of a flow is kept that may be known by its address, ns."""


class Trails:
    """Packets by what they are kept for.

    Limits: trails, bytes in all, packets of one, age in ns of packet time. What was dropped
    is counted in `lost`. With `whole` a trail that lost packets is not begun anew before it is
    forgotten: a part of it would prove nothing.
    """

    def __init__(
        self,
        *,
        limit: int = 8192,
        limit_bytes: int = 32 << 20,
        limit_frames: int = 256,
        age: int = 60_000_000_000,
        whole: bool = False,
    ) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._limit_frames = limit_frames
        self._age = age
        self._table: OrderedDict[Hashable, tuple[int, list[Frame]]] = OrderedDict()
        self._whole = whole
        self._broken: OrderedDict[Hashable, None] = OrderedDict()
        self._bytes = 0
        self.lost = 0

    def follow(self, key: Hashable, now: int, frames: Frames) -> None:
        """Keep these packets behind those that are kept for `key`, each once."""
        if key in self._broken:
            return
        _, kept = self._table.pop(key, (now, []))
        # the frames of an aggregate are parts of one packet
        new = [frame for frame in frames if frame not in kept]
        kept += new
        self._bytes += _size(new)
        self._table[key] = now, kept
        if len(kept) > self._limit_frames:
            self.lose(key)
        while self._table:
            then, _ = next(iter(self._table.values()))
            full = len(self._table) > self._limit or self._bytes > self._limit_bytes
            if not full and then + self._age >= now:
                return
            oldest = next(iter(self._table))
            if full:
                self.lose(oldest)
            else:
                self.forget(oldest)

    def lose(self, key: Hashable) -> None:
        """Packets of `key` are missing."""
        self.lost += 1
        self.forget(key)
        if self._whole:
            self._broken[key] = None
            if len(self._broken) > self._limit:
                self._broken.popitem(last=False)

    def of(self, key: Hashable) -> Frames:
        """What is kept for `key`, in the order it came."""
        _, kept = self._table.get(key, (0, []))
        return tuple(kept)

    def forget(self, key: Hashable) -> None:
        """Nothing more is kept for `key`."""
        _, kept = self._table.pop(key, (0, []))
        self._bytes -= _size(kept)
        self._broken.pop(key, None)


class Kept:
    """The packets of one capture that may prove something.

    `concerns` says whether a flow with a packed address may be known by it later. `within`
    are the packets of the fragments that are read now, None where a packet itself is.
    """

    def __init__(self, concerns: Callable[[bytes], bool]) -> None:
        self._concerns = concerns
        self._messages = Trails(whole=True)
        self._fragments = Trails(whole=True)
        self._openings = Trails(limit=MAX_OPENINGS, limit_bytes=MAX_OPENING_BYTES)
        self._firsts = Trails(limit=MAX_OPENINGS, limit_bytes=MAX_OPENING_BYTES, age=DAY)
        self.within: Frames | None = None

    @property
    def anomalies(self) -> Counter[str]:
        """How many trails had to go before their message was whole, and first packets of
        flows before the flow was over."""
        lost = self._messages.lost + self._fragments.lost
        return +Counter({"proof-trail-lost": lost, "proof-first-packet-lost": self._firsts.lost})

    def frames(self, row: Row, block: Block, source: str) -> Frames:
        """What the payload of a row came in."""
        return (frame_of(row[1], block, source),) if self.within is None else self.within

    def opening(self, row: Row, block: Block, source: str) -> None:
        """Remember the first packet of a flow."""
        frames, at, size = self.frames(row, block, source), row[7], row[8]
        now = block.records[row[1] * FIELDS + TIME]
        self._openings.follow(row[13], now, frames)
        ends = (bytes(block.data[at + n * size : at + (n + 1) * size]) for n in (0, 1))
        if any(map(self._concerns, ends)):
            self._firsts.follow((source, block.first + row[1]), now, frames)

    def first(self, flow: Flow) -> Flow:
        """A flow that is over, with the first packet that is remembered of it."""
        frames = self._firsts.of((flow.source, flow.packet))
        return replace(flow, frames=frames) if frames else flow

    def follow(self, seen: Seen, frames: Frames) -> None:
        """Keep what a part of a message came in."""
        self._messages.follow((seen.flow, seen.side), seen.time, frames)

    def proven(self, seen: Seen) -> Packet:
        """The packet that made a message whole, or is told for it, with all that it needs."""
        trail = self._messages.of((seen.flow, seen.side))
        packet = seen.packet(trail)
        if trail and packet.transport == "tcp":
            known = {(each.source, each.number) for each in trail}
            first = self._openings.of(seen.flow)
            new = tuple(each for each in first if (each.source, each.number) not in known)
            return replace(packet, frames=new + trail)
        return packet

    def lose(self, seen: Seen) -> None:
        """What the messages to come from the side that sent a packet need is not kept."""
        self._messages.lose((seen.flow, seen.side))

    def forget(self, seen: Seen) -> None:
        """Nothing more is waited for from the side of its flow that sent a packet."""
        self._messages.forget((seen.flow, seen.side))

    def fragment(self, key: Datagram, now: int, frames: Frames) -> None:
        """Keep what a fragment came in."""
        self._fragments.follow(key, now, frames)

    def whole(self, key: Datagram) -> Frames:
        """What the fragments of a datagram came in, which is done with."""
        frames = self._fragments.of(key)
        self._fragments.forget(key)
        return frames


def _size(frames: Frames | list[Frame]) -> int:
    return sum(len(frame.data) for frame in frames)
