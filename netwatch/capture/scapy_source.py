"""Live capture through scapy, on every system that it supports.

It reads one packet at a time and copies each, so it is meant for systems without AF_PACKET
(`netwatch.capture.ring_source`), and for comparisons. Packets that arrive within a short time
become one block.
"""

import select
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

from netwatch.capture import interfaces as links
from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.live_source import IDLE_INTERVAL, RecentNotes
from netwatch.capture.scapy_listeners import Listener, open_listener
from netwatch.core.errors import CaptureError

SNAPLEN = 262144
"""Maximum captured length of a packet in bytes."""

RECORDS = 1024
"""Maximum number of packets per block."""

MAX_BLOCK_SECONDS = 0.02
"""Seconds for which packets are collected into one block."""


class ScapySource:
    """Packets of `interfaces` as a `netwatch.capture.live_source.LiveSource`, with times in µs.

    `freezes` is 0. On Linux the original length of packets longer than `snaplen` bytes is not
    known. Elsewhere packets come through libpcap; there packets that this host sends cannot be
    excluded (`outgoing`), and `down` is empty. An interface that is removed and created again is
    not captured again. Raises `CaptureError`.
    """

    size = None
    freezes = 0

    def __init__(
        self,
        interfaces: Sequence[str],
        *,
        snaplen: int = SNAPLEN,
        promiscuous: bool = True,
        outgoing: bool = True,
    ) -> None:
        if not interfaces:
            raise CaptureError("expected at least one interface")
        self.name = ",".join(interfaces)
        self.notes = RecentNotes()
        self.events: Counter[str] = Counter()
        self.received = 0
        self.dropped = 0
        self._snaplen = snaplen
        self._stopping = False
        self._closed = False
        self._listeners: list[Listener] = []
        self._query_socket = links.open_query_socket() if sys.platform == "linux" else None
        try:
            for name in interfaces:
                self._listeners.append(open_listener(name, promiscuous, outgoing))
        except BaseException:
            self.close()
            raise
        self._interfaces = {
            each.name: (Interface(each.link_type, 6, each.name),) for each in self._listeners
        }

    @property
    def down(self) -> tuple[str, ...]:
        """The interfaces that were removed or created again, are down, or have no link."""
        return tuple(each.name for each in self._listeners if not self._can_receive(each))

    def _can_receive(self, listener: Listener) -> bool:
        if self._query_socket is None or self._closed:
            return True
        state = links.query_state(self._query_socket, listener.name)
        return links.can_receive(state) and state is not None and state.index == listener.index

    def stop(self) -> None:
        """End the iteration within `IDLE_INTERVAL` milliseconds. It may be called from a signal
        handler or another thread, and twice."""
        self._stopping = True

    def close(self) -> None:
        """Close all sockets; the counters stay."""
        if self._closed:
            return
        self._closed = True
        for each in self._listeners:
            self._update_dropped(each)
            each.close()
        if self._query_socket is not None:
            self._query_socket.close()

    def detach(self) -> None:
        """Close the file descriptors of this process only, after a fork. On systems other than
        Linux they stay open, because closing one would affect the other process."""
        if not self._closed and self._query_socket is not None:
            self._closed = True
            for each in self._listeners:
                each.detach()
            self._query_socket.close()

    def blocks(self) -> Iterator[Block]:
        """The packets that arrive, block by block, until `stop`; an empty block every
        `IDLE_INTERVAL` milliseconds without packets."""
        try:
            yield from self._blocks()
        finally:
            self.close()

    def _blocks(self) -> Iterator[Block]:
        first, position = 1, 0
        longest = max(each.delay for each in self._listeners)
        is_last = False
        while not self._closed:
            stopping = self._stopping
            ready = self._ready(2 * longest if stopping else IDLE_INTERVAL / 1000)
            received = 0
            for each in ready:
                data, records = self._collect(each)
                self._update_dropped(each)
                count = len(records) // FIELDS
                if count:
                    received += count
                    position += len(data)
                    interfaces = self._interfaces[each.name]
                    yield Block(bytes(data), records, count, interfaces, first, position)
                    first += count
            if received:
                self.received += received
            elif stopping:
                # A listener that promised more had nothing, so that nobody was waited for.
                if is_last or not ready:
                    return
                is_last = True
            else:
                interfaces = self._interfaces[self._listeners[0].name]
                yield Block(b"", array("q"), 0, interfaces, first, position)

    def _ready(self, seconds: float) -> list[Listener]:
        """The listeners that may have packets, after waiting `seconds` at most."""
        waiting = {each.name for each in self._listeners if each.has_more()}
        readable, _, _ = select.select(self._listeners, [], [], 0 if waiting else seconds)
        return [each for each in self._listeners if each in readable or each.name in waiting]

    def _collect(self, listener: Listener) -> tuple[bytearray, "array[int]"]:
        """The packets that arrive at a listener within a short time, and their records."""
        data, records = bytearray(), array("q")
        until = time.monotonic() + MAX_BLOCK_SECONDS
        while len(records) < FIELDS * RECORDS and time.monotonic() < until:
            try:
                received = listener.receive(self._snaplen)
            except OSError as error:
                self.events["interface-down"] += 1
                self.notes.append(f"{listener.name}: {error.strerror or error}")
                break
            if received is not None:
                time_ns = round(float(received.time or time.time()) * 1_000_000) * 1000
                size = len(received.data)
                records.extend((time_ns, len(data), size, received.length, 0, -1))
                data += received.data
            if not listener.has_more():
                break
        return data, records

    def _update_dropped(self, listener: Listener) -> None:
        self.dropped += listener.newly_dropped() or 0
