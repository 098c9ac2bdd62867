"""The captured frames that prove what a message shows, buffered while it is reassembled.

A message that is complete in its packet is proven by that packet. One that spans several needs all
of them, and they may have come blocks ago. So if frames are kept, everything that is handed to
streams, handshakes and the defragmenter leaves its frames here until the message is complete. A TCP
message also comes with the first packet of its flow, and so does a flow that may later be
identified by its address. All buffers are limited by number and bytes; evicted entries are counted,
and their messages come without proof. Time alone only ends what belongs to the same flow: other
traffic, which another worker may read, changes no proof, nor does a clock that jumps.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace

from netwatch.capture.block import FIELDS, TIME, Block
from netwatch.core.flow import Flow, Frame
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import Packet
from netwatch.dissect.candidate import Candidate, Row, copy_frame
from netwatch.dissect.loop import layout
from netwatch.dissect.reassembly.fragments import DatagramKey

Frames = tuple[Frame, ...]

MAX_FIRST_PACKETS = 16384
"""First packets of flows to buffer: for TCP messages, and for flows by address."""

MAX_FIRST_PACKET_BYTES = 16 << 20
"""Bytes of either, at most."""

MAX_ANSWERS = 4
"""Packets of one flow that acknowledge or refuse something, to buffer at most."""

DAY = 86_400_000_000_000
"""How long what may be needed at the end of a flow is not the first to make room, ns."""


class FrameBuffer:
    """Captured frames, buffered by what they are part of.

    Limits: entries, bytes of all entries, and frames of one. `evicted` counts the entries that
    exceeded a limit, except those that have timed out: they had no new frame for `timeout` ns of
    packet time. With `complete_only` an entry that lost frames stays empty until it is discarded,
    because a part of them would prove nothing.
    """

    def __init__(
        self,
        *,
        max_entries: int = 8192,
        max_bytes: int = 32 << 20,
        max_frames: int = 256,
        timeout: int = 60_000_000_000,
        complete_only: bool = False,
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_frames = max_frames
        self._timeout = timeout
        self._complete_only = complete_only
        self._entries: OrderedDict[Hashable, tuple[int, list[Frame]]] = OrderedDict()
        self._incomplete: LimitedDict[Hashable, None] = LimitedDict(max_entries)
        self._bytes = 0
        self.evicted = 0

    def append(self, key: Hashable, now: int, frames: Frames) -> None:
        """Append frames to an entry, each only once."""
        if key in self._incomplete:
            return
        _, buffered = self._entries.pop(key, (now, list[Frame]()))
        # The subframes of an A-MSDU are all in the same captured frame.
        new = [frame for frame in frames if frame not in buffered]
        buffered += new
        self._bytes += _size(new)
        self._entries[key] = now, buffered
        if len(buffered) > self._max_frames:
            self.evict(key)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            oldest, (time, _) = next(iter(self._entries.items()))
            if time + self._timeout < now:
                self.discard(oldest)
            else:
                self.evict(oldest)

    def __contains__(self, key: Hashable) -> bool:
        """Whether there is such an entry, or one that lost its frames."""
        return key in self._entries or key in self._incomplete

    def expire(self, key: Hashable, now: int) -> None:
        """Discard an entry if it has timed out at `now`."""
        if key in self._entries and self._entries[key][0] + self._timeout < now:
            self.discard(key)

    def evict(self, key: Hashable) -> None:
        """Discard and count an entry that has lost frames."""
        self.evicted += 1
        self.discard(key)
        if self._complete_only:
            self._incomplete[key] = None

    def frames(self, key: Hashable, now: int = 0) -> Frames:
        """The frames of an entry, in the order they came; none if there is no such entry, or if it
        has timed out at `now`."""
        time, buffered = self._entries.get(key, (0, []))
        return () if time + self._timeout < now else tuple(buffered)

    def move(self, key: Hashable, to: "FrameBuffer") -> None:
        """Move an entry, if there is one, to another buffer."""
        if key in self._entries:
            time, buffered = self._entries[key]
            self.discard(key)
            to.append(key, time, tuple(buffered))

    def shorten(self, key: Hashable, length: int) -> None:
        """Discard the newest frames of an entry, so that at most so many remain."""
        _, buffered = self._entries.get(key, (0, []))
        self._bytes -= _size(buffered[length:])
        del buffered[length:]

    def discard(self, key: Hashable) -> None:
        """Discard an entry, if there is one."""
        _, buffered = self._entries.pop(key, (0, []))
        self._bytes -= _size(buffered)
        self._incomplete.pop(key, None)


class PacketProvenance:
    """The frames of one capture that may prove something.

    `keeps_frames_for` tells whether a flow with a packed address may later be identified by it.
    `datagram_frames` are the frames of the fragments of the datagram that is being read, None if a
    packet is read as captured.
    """

    def __init__(self, keeps_frames_for: Callable[[bytes], bool]) -> None:
        self._keeps_frames_for = keeps_frames_for
        self._messages = FrameBuffer(complete_only=True)
        self._fragments = FrameBuffer(complete_only=True)
        self._flow_starts = FrameBuffer(
            max_entries=MAX_FIRST_PACKETS, max_bytes=MAX_FIRST_PACKET_BYTES
        )
        self._flows_by_address = FrameBuffer(
            max_entries=MAX_FIRST_PACKETS, max_bytes=MAX_FIRST_PACKET_BYTES, timeout=DAY
        )
        # Of any flow, until it is known whether it has a contact, and of those that have one.
        self._answers, self._contact_answers = (
            FrameBuffer(
                max_entries=MAX_FIRST_PACKETS,
                max_bytes=MAX_FIRST_PACKET_BYTES,
                max_frames=MAX_ANSWERS,
                timeout=DAY,
            )
            for _ in range(2)
        )
        self.datagram_frames: Frames | None = None

    def anomalies(self, with_fragments: bool = True) -> Counter[str]:
        """How many messages lost frames before they were complete, and how many flows their
        first packet before they ended."""
        fragments = self._fragments.evicted if with_fragments else 0
        return +Counter(
            {
                "proof-trail-lost": self._messages.evicted + fragments,
                "proof-first-packet-lost": self._flows_by_address.evicted,
            }
        )

    def frames_of(self, row: Row, block: Block, source: str) -> Frames:
        """The frames that the payload of a candidate row came in."""
        if self.datagram_frames is not None:
            return self.datagram_frames
        return (copy_frame(row[layout.ROW_RECORD], block, source),)

    def add_first_packet(self, row: Row, block: Block, source: str) -> None:
        """Buffer the first packet of a flow."""
        frames, record = self.frames_of(row, block, source), row[layout.ROW_RECORD]
        at, size = row[layout.ROW_ADDRESSES], row[layout.ROW_ADDRESS_SIZE]
        now = block.records[record * FIELDS + TIME]
        self._flow_starts.expire(row[layout.ROW_FLOW], now)
        self._flow_starts.append(row[layout.ROW_FLOW], now, frames)
        addresses = (bytes(block.data[at + n * size : at + (n + 1) * size]) for n in (0, 1))
        if any(map(self._keeps_frames_for, addresses)):
            self._flows_by_address.append((source, block.first + record), now, frames)

    def add_answer(self, row: Row, block: Block, source: str) -> None:
        """Buffer a packet that acknowledges or refuses what the other side of its flow has sent:
        the first ones, and instead of the last of these the newest, which acknowledges everything
        before it."""
        flow = row[layout.ROW_FLOW]
        now = block.records[row[layout.ROW_RECORD] * FIELDS + TIME]
        frames = self.frames_of(row, block, source)[:MAX_ANSWERS]
        buffer = self._contact_answers if flow in self._contact_answers else self._answers
        buffer.shorten(flow, MAX_ANSWERS - len(frames))
        buffer.append(flow, now, frames)

    def follow(self, flow: int) -> None:
        """Keep the answers in a flow, which has a contact, longer than those in others."""
        self._answers.move(flow, self._contact_answers)

    def answers(self, flow: int) -> Frames:
        """The packets that acknowledge or refuse what was sent in a flow, as far as they are
        buffered."""
        return self._contact_answers.frames(flow) or self._answers.frames(flow)

    def with_first_packet(self, flow: Flow) -> Flow:
        """An ended flow with its first packet, if that is buffered, and those that answer it."""
        frames = self._flows_by_address.frames((flow.source, flow.packet))
        if not frames:
            return flow
        answers = (answer for answer in self.answers(flow.flow_id) if answer not in frames)
        return replace(flow, frames=(*frames, *answers))

    def add(self, candidate: Candidate, frames: Frames) -> None:
        """Buffer the frames of a part of a message."""
        self._messages.append((candidate.flow, candidate.side), candidate.time, frames)

    def has(self, candidate: Candidate) -> bool:
        """Whether there are frames of the side of this candidate, or are known to be missing."""
        return (candidate.flow, candidate.side) in self._messages

    def packet(self, candidate: Candidate) -> Packet:
        """The packet that completed a message, with all frames that the message needed."""
        frames = self._messages.frames((candidate.flow, candidate.side))
        packet = candidate.to_packet(frames)
        if not frames or packet.transport != "tcp":
            return packet
        known = {(frame.source, frame.number) for frame in frames}
        flow_start = tuple(
            frame
            for frame in self._flow_starts.frames(candidate.flow, candidate.time)
            if (frame.source, frame.number) not in known
        )
        return replace(packet, frames=flow_start + frames)

    def mark_incomplete(self, candidate: Candidate, *, counting: bool) -> None:
        """Frames of the next messages from the side of this candidate are missing; with `counting`
        that is an anomaly."""
        self._messages.evict((candidate.flow, candidate.side))
        self._messages.evicted -= not counting

    def discard(self, candidate: Candidate) -> None:
        """Discard the frames of the side of this candidate: its messages are complete."""
        self._messages.discard((candidate.flow, candidate.side))

    def add_fragment(self, key: DatagramKey, now: int, frames: Frames) -> None:
        """Buffer the frames of a fragment."""
        self._fragments.expire(key, now)
        self._fragments.append(key, now, frames)

    def pop_fragments(self, key: DatagramKey) -> Frames:
        """The frames of all fragments of a datagram; they are discarded here."""
        frames = self._fragments.frames(key)
        self._fragments.discard(key)
        return frames


def _size(frames: Frames | list[Frame]) -> int:
    return sum(len(frame.data) for frame in frames)
