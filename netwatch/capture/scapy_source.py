"""Live capture through scapy, on every system that it supports.

It reads one packet at a time and copies each, so it is meant for systems without AF_PACKET
(`netwatch.capture.ring_source`), and for comparisons. Packets that arrive within a short time
become one block.

An interface is listened to by a packet socket of Linux, or by libpcap on other systems. On macOS
and FreeBSD libpcap opens a BPF device (bpf(4)). It hands packets out of a buffer of its own, so a
listener that has one packet may have more although nothing more arrives.
"""

import contextlib
import ctypes
import select
import socket
import struct
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from netwatch.capture import interfaces as links
from netwatch.capture.block import FIELDS, IDLE_INTERVAL, Block, Interface, RecentNotes
from netwatch.core.encapsulation import LINK_TYPES
from netwatch.core.errors import CaptureError

RECEIVE_BUFFER = 1 << 25
"""Size of the receive buffer requested from Linux in bytes; the kernel may limit it."""

LIBPCAP_TIMEOUT = 0.1
"""Seconds for which libpcap may collect packets before it hands them out, as requested by scapy."""

_SOL_PACKET, _STATISTICS, _IGNORE_OUTGOING = 263, 6, 23  # linux/if_packet.h
_TUNNELS = frozenset({768, 769, 776, 778, 823})
_DLT_RAW, _LINKTYPE_RAW = (12, 14), 101  # as numbered by BSD and OpenBSD; tcpdump.org

SNAPLEN = 262144
"""Maximum captured length of a packet in bytes."""

RECORDS = 1024
"""Maximum number of packets per block."""

MAX_BLOCK_SECONDS = 0.02
"""Seconds for which packets are collected into one block."""


class Received(NamedTuple):
    """A packet, its time in s since the epoch (None if unknown), and its original length."""

    data: bytes
    time: float | None
    length: int


class Listener(Protocol):
    """An interface that is listened on. `index` is its index on Linux, otherwise 0; `delay` is how
    many seconds a packet may take until it can be received."""

    name: str
    link_type: int
    index: int
    delay: float

    def fileno(self) -> int:
        """A descriptor that is readable when packets arrive."""
        ...

    def receive(self, snaplen: int) -> Received | None:
        """A packet, None if there is none; only called if there may be one. Raises `OSError`."""
        ...

    def has_more(self) -> bool:
        """Whether `receive` may be called again, without waiting."""
        ...

    def newly_dropped(self) -> int | None:
        """Packets dropped since the last call; None if they are not counted."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...

    def detach(self) -> None:
        """Close the descriptors of this process only, after a fork."""
        ...


class PacketSocket:
    """An AF_PACKET socket. Raises `CaptureError`."""

    delay = 0.0

    def __init__(self, name: str, promiscuous: bool, outgoing: bool) -> None:
        state = _state(name)
        self.name, self.index = name, state.index
        self._socket = _open(name, promiscuous)
        assert state.link_type is not None  # `require_state` raises for others
        self.link_type = state.link_type
        with contextlib.suppress(OSError):
            self._socket.ins.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if not outgoing or state.hardware == links.LOOPBACK:
            self._socket.ins.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return int(self._socket.fileno())

    def receive(self, snaplen: int) -> Received | None:
        """The next packet, whose original length is not known."""
        _, packet, when = self._socket.recv_raw(snaplen)
        return Received(packet, when, len(packet)) if packet else None

    def has_more(self) -> bool:
        """Whether a packet is there."""
        return bool(self._socket.select([self._socket], 0))

    def newly_dropped(self) -> int | None:
        """The counter of dropped packets, which Linux resets whenever it is read."""
        try:
            counters = self._socket.ins.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        except OSError:
            return None
        return int(struct.unpack("=2I", counters)[1])

    def close(self) -> None:
        """Close the socket, and leave promiscuous mode."""
        self._socket.close()

    def detach(self) -> None:
        """Close only the descriptor."""
        self._socket.ins.close()
        self._socket.closed = True


class Libpcap:
    """A libpcap handle. Packets that this host sends are always included. Raises `CaptureError`."""

    index = 0
    delay = LIBPCAP_TIMEOUT

    def __init__(self, name: str, promiscuous: bool) -> None:
        if name not in links.interface_names():
            existing = ", ".join(links.interface_names()) or "none"
            raise CaptureError(f"{name}: no such interface; expected one of {existing}")
        self.name = name
        self._socket = _open(name, promiscuous)
        number = self._socket.pcap_fd.datalink()
        self.link_type = _LINKTYPE_RAW if number in _DLT_RAW else number
        if self.link_type not in {row.number for row in LINK_TYPES}:
            self._socket.close()
            raise CaptureError(f"{name}: its link type {number} (DLT_ of libpcap) is not supported")
        self._socket.pcap_fd.setnonblock(True)
        self._has_more = False
        self._dropped = 0

    def fileno(self) -> int:
        """The descriptor that libpcap gives for select(2)."""
        return int(self._socket.fileno())

    def receive(self, snaplen: int) -> Received | None:
        """The next packet."""
        _, packet, when = self._socket.recv_raw(snaplen)
        self._has_more = packet is not None
        if packet is None:
            return None
        return Received(packet[:snaplen], when, int(self._socket.pcap_fd.header.contents.len))

    def has_more(self) -> bool:
        """Whether libpcap's buffer was not found empty."""
        return self._has_more

    def newly_dropped(self) -> int | None:
        """libpcap's counter, as a difference."""
        from scapy.libs import winpcapy

        counters = winpcapy.pcap_stat()
        if winpcapy.pcap_stats(self._socket.pcap_fd.pcap, ctypes.byref(counters)):
            return None
        before, self._dropped = self._dropped, int(counters.ps_drop)
        return max(0, self._dropped - before)

    def close(self) -> None:
        """Close the handle."""
        self._socket.close()

    def detach(self) -> None:
        """Does nothing: closing the handle in one process could affect the other."""


def open_listener(name: str, promiscuous: bool, outgoing: bool) -> Listener:
    """Listen on an interface. Raises `CaptureError`."""
    if sys.platform == "linux":
        return PacketSocket(name, promiscuous, outgoing)
    return open_libpcap(name, promiscuous)


def open_libpcap(name: str, promiscuous: bool) -> Listener:
    """Listen on an interface through libpcap, on any system. Raises `CaptureError`."""
    from scapy.all import conf

    if not conf.use_pcap:
        conf.use_pcap = True
    if not conf.use_pcap:
        raise CaptureError(f"{name}: cannot be captured: libpcap is not installed")
    return Libpcap(name, promiscuous)


def _open(name: str, promiscuous: bool) -> Any:
    from scapy.all import conf
    from scapy.error import Scapy_Exception

    try:
        return conf.L2listen(iface=name, promisc=promiscuous)
    except (OSError, ValueError, Scapy_Exception) as error:
        reason = str(error)
        # libpcap says it in words, on Linux "permission to capture" or "permission to perform".
        if isinstance(error, PermissionError) or "permission" in reason.lower():
            reason = "more privileges are required (`netwatch doctor` shows how to grant them)"
        raise CaptureError(f"{name}: cannot be captured: {' '.join(reason.split())}") from None


def _state(name: str) -> links.InterfaceState:
    """The state of an interface on Linux. Raises `CaptureError` for a tunnel."""
    with links.open_query_socket() as query_socket:
        state, _ = links.require_state(query_socket, name)
    if state.hardware in _TUNNELS:
        raise CaptureError(f"{name}: is a tunnel, which only the source ring can capture")
    return state


class ScapySource:
    """Packets of `interfaces` as a `netwatch.capture.block.LiveSource`, with times in µs.

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
            listener.name: (Interface(listener.link_type, 6, listener.name),)
            for listener in self._listeners
        }

    @property
    def down(self) -> tuple[str, ...]:
        """The interfaces that were removed or created again, are down, or have no link."""
        return tuple(
            listener.name for listener in self._listeners if not self._can_receive(listener)
        )

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
        for listener in self._listeners:
            self._update_dropped(listener)
            listener.close()
        if self._query_socket is not None:
            self._query_socket.close()

    def detach(self) -> None:
        """Close the file descriptors of this process only, after a fork. On systems other than
        Linux they stay open, because closing one would affect the other process."""
        if not self._closed and self._query_socket is not None:
            self._closed = True
            for listener in self._listeners:
                listener.detach()
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
        longest = max(listener.delay for listener in self._listeners)
        is_last = False
        while not self._closed:
            stopping = self._stopping
            ready = self._ready(2 * longest if stopping else IDLE_INTERVAL / 1000)
            received = 0
            for listener in ready:
                data, records = self._collect(listener)
                self._update_dropped(listener)
                count = len(records) // FIELDS
                if count:
                    received += count
                    position += len(data)
                    interfaces = self._interfaces[listener.name]
                    yield Block(bytes(data), records, count, interfaces, first, position)
                    first += count
            if received:
                self.received += received
            elif stopping:
                # A listener that promised more had nothing, so there was no waiting.
                if is_last or not ready:
                    return
                is_last = True
            else:
                interfaces = self._interfaces[self._listeners[0].name]
                yield Block(b"", array("q"), 0, interfaces, first, position)

    def _ready(self, seconds: float) -> list[Listener]:
        """The listeners that may have packets, after waiting `seconds` at most."""
        waiting = {listener.name for listener in self._listeners if listener.has_more()}
        readable, _, _ = select.select(self._listeners, [], [], 0 if waiting else seconds)
        return [
            listener
            for listener in self._listeners
            if listener in readable or listener.name in waiting
        ]

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
