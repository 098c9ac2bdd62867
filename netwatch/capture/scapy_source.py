"""Live capture through scapy, on every system that it supports.

It reads one packet at a time and copies each, so it is meant for systems without AF_PACKET
(`netwatch.capture.ring_source`), and for comparisons. Packets that arrive within a short time
become one block.
"""

import contextlib
import socket
import struct
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from netwatch.capture import interfaces as links
from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.live_source import IDLE_INTERVAL, RecentNotes
from netwatch.core.dataclass import dataclass
from netwatch.core.errors import CaptureError

SNAPLEN = 262144
"""Maximum captured length of a packet in bytes."""

RECORDS = 1024
"""Maximum number of packets per block."""

MAX_BLOCK_SECONDS = 0.02
"""Seconds for which packets are collected into one block."""

RECEIVE_BUFFER = 1 << 25
"""Size of the receive buffer requested from Linux in bytes; the kernel may limit it."""

_SOL_PACKET, _STATISTICS, _IGNORE_OUTGOING = 263, 6, 23  # linux/if_packet.h
_TUNNELS = frozenset({768, 769, 776, 778, 823})


@dataclass(frozen=True, slots=True)
class _Listener:
    """A socket of scapy and its interface; `index` is that of the interface on Linux, else 0."""

    name: str
    socket: Any
    interfaces: tuple[Interface, ...]
    index: int


class ScapySource:
    """Packets of `interfaces` as a `netwatch.capture.live_source.LiveSource`, with times in µs.

    The original length of packets longer than `snaplen` bytes is not known, and `freezes` is 0.
    Three things work on Linux only: excluding packets that this host sends (`outgoing`; on
    loopback they are always excluded), counting dropped packets (elsewhere a note says that they
    are not counted), and `down`. An interface that is removed and created again is not captured
    again. Raises `CaptureError`.
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
        self._listeners: list[_Listener] = []
        self._query_socket = links.open_query_socket() if sys.platform == "linux" else None
        try:
            for name in interfaces:
                self._listeners.append(_open(name, promiscuous, outgoing))
        except BaseException:
            self.close()
            raise
        if sys.platform != "linux":
            self.notes.append(f"{self.name}: this system does not count dropped packets")

    @property
    def down(self) -> tuple[str, ...]:
        """The interfaces that were removed or created again, are down, or have no link."""
        return tuple(each.name for each in self._listeners if not self._can_receive(each))

    def _can_receive(self, listener: _Listener) -> bool:
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
            each.socket.close()
        if self._query_socket is not None:
            self._query_socket.close()

    def detach(self) -> None:
        """Close the file descriptors of this process only, after a fork. On systems other than
        Linux they stay open, because closing one would affect the other process."""
        if not self._closed and self._query_socket is not None:
            self._closed = True
            for each in self._listeners:
                each.socket.ins.close()
                each.socket.closed = True
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
        while not self._closed:
            stopping = self._stopping
            ready = self._ready(0 if stopping else IDLE_INTERVAL / 1000)
            received = 0
            for each in ready:
                data, records = self._collect(each)
                self._update_dropped(each)
                count = len(records) // FIELDS
                if count:
                    received += count
                    position += len(data)
                    yield Block(bytes(data), records, count, each.interfaces, first, position)
                    first += count
            if received:
                self.received += received
            elif stopping:
                return
            else:
                yield Block(b"", array("q"), 0, self._listeners[0].interfaces, first, position)

    def _ready(self, seconds: float) -> list[_Listener]:
        """The listeners with packets, after waiting `seconds` at most."""
        sockets = [each.socket for each in self._listeners]
        ready = sockets[0].select(sockets, seconds)
        return [each for each in self._listeners if each.socket in ready]

    def _collect(self, listener: _Listener) -> tuple[bytearray, "array[int]"]:
        """The packets that arrive at a listener within a short time, and their records."""
        data, records = bytearray(), array("q")
        until = time.monotonic() + MAX_BLOCK_SECONDS
        while len(records) < FIELDS * RECORDS and time.monotonic() < until:
            try:
                _, packet, when = listener.socket.recv_raw(self._snaplen)
            except OSError as error:
                self.events["interface-down"] += 1
                self.notes.append(f"{listener.name}: {error.strerror or error}")
                break
            if packet:
                time_ns = round(float(when or time.time()) * 1_000_000) * 1000
                records.extend((time_ns, len(data), len(packet), len(packet), 0, -1))
                data += packet
            if not listener.socket.select([listener.socket], 0):
                break
        return data, records

    def _update_dropped(self, listener: _Listener) -> None:
        """Add the counter of dropped packets, which Linux resets whenever it is read."""
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                counters = listener.socket.ins.getsockopt(_SOL_PACKET, _STATISTICS, 8)
                self.dropped += struct.unpack("=2I", counters)[1]


def _open(name: str, promiscuous: bool, outgoing: bool) -> _Listener:
    from scapy.all import conf
    from scapy.error import Scapy_Exception

    state = _state(name)
    try:
        listener: Any = conf.L2listen(iface=name, promisc=promiscuous)
    except PermissionError:
        reason = "more privileges are required (`netwatch doctor` shows how to grant them)"
        raise CaptureError(f"{name}: cannot be captured: {reason}") from None
    except (OSError, ValueError, Scapy_Exception) as error:
        raise CaptureError(f"{name}: cannot be captured: {error}") from None
    link_type = state.link_type if state else conf.l2types.layer2num.get(listener.LL)
    if link_type is None:
        listener.close()
        raise CaptureError(
            f"{name}: its link type {listener.LL.__name__} (of scapy) is not supported"
        )
    if state is not None:
        with contextlib.suppress(OSError):
            listener.ins.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if not outgoing or state.hardware == links.LOOPBACK:
            listener.ins.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    return _Listener(name, listener, (Interface(link_type, 6, name),), state.index if state else 0)


def _state(name: str) -> links.InterfaceState | None:
    """The state of an interface on Linux, else None. Raises `CaptureError` for a tunnel."""
    if sys.platform != "linux":
        return None
    with links.open_query_socket() as query_socket:
        state, _ = links.require_state(query_socket, name)
    if state.hardware in _TUNNELS:
        raise CaptureError(f"{name}: is a tunnel, which only the source ring can capture")
    return state
