"""Live capture through scapy, on any system that it knows.

It asks for a packet at a time and copies each, so it is for where there is no
`netwatch.capture.ring_source`, and for comparing with it. What comes within a moment is handed
on as one block.
"""

import contextlib
import socket
import struct
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from netwatch.capture import interfaces as links
from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.live_source import IDLE, Notes
from netwatch.core.errors import CaptureError

SNAPLEN = 262144
"""Bytes of a packet that are asked for."""

RECORDS = 1024
"""Packets of a block at most."""

GATHER = 0.02
"""Seconds for which packets are gathered into a block."""

BUFFER = 1 << 25
"""Bytes of packets that Linux is asked to hold for us, which it may not grant."""

_SOL_PACKET, _STATISTICS, _IGNORE_OUTGOING = 263, 6, 23  # linux/if_packet.h
_TUNNELS = frozenset({768, 769, 776, 778, 823})


@dataclass(frozen=True, slots=True)
class _Listener:
    """A socket of scapy and what it listens to; `index` is the interface's, 0 where the
    system is not asked."""

    name: str
    socket: Any
    interfaces: tuple[Interface, ...]
    index: int


class PortableSource:
    """Packets of `interfaces` as a `netwatch.capture.live_source.LiveSource`, with times as fine
    as µs. The length on the wire of a packet that is longer than `snaplen` bytes is not
    known. Only on Linux can packets that this host sends be left out (`outgoing`), which
    on loopback they always are, and is it known how many were dropped; elsewhere a note
    says that it is not, nor which interfaces are `down`. `freezes` is 0. An interface that
    is removed and made anew is not captured again. Raises `CaptureError`.
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
            raise CaptureError("no interface is named")
        self.name = ",".join(interfaces)
        self.notes = Notes()
        self.events: Counter[str] = Counter()
        self.received = 0
        self.dropped = 0
        self._snaplen = snaplen
        self._stopping = False
        self._closed = False
        self._listeners: list[_Listener] = []
        self._asked = links.asked() if sys.platform == "linux" else None
        try:
            for name in interfaces:
                self._listeners.append(_open(name, promiscuous, outgoing))
        except BaseException:
            self.close()
            raise
        if sys.platform != "linux":
            self.notes.append(f"{self.name}: this system does not tell how much it drops")

    @property
    def down(self) -> tuple[str, ...]:
        """The interfaces that are gone, made anew, set down or without a link."""
        return tuple(each.name for each in self._listeners if not self._carries(each))

    def _carries(self, listener: _Listener) -> bool:
        if self._asked is None or self._closed:
            return True
        state = links.look(self._asked, listener.name)
        return links.carries(state) and state is not None and state.index == listener.index

    def stop(self) -> None:
        """End the iteration within `IDLE` milliseconds. May be called from a signal
        handler or another thread, and twice."""
        self._stopping = True

    def close(self) -> None:
        """Give back the interfaces; the counters stay."""
        if self._closed:
            return
        self._closed = True
        for each in self._listeners:
            self._count(each)
            each.socket.close()
        if self._asked is not None:
            self._asked.close()

    def release(self) -> None:
        """Let go of it in this process: another one goes on with it. Elsewhere than on Linux
        its sockets stay open here too, since closing one changes what it listens to."""
        if not self._closed and self._asked is not None:
            self._closed = True
            for each in self._listeners:
                each.socket.ins.close()
                each.socket.closed = True
            self._asked.close()

    def blocks(self) -> Iterator[Block]:
        """What comes, block by block, until `stop`; a block without packets at least every
        `IDLE` milliseconds where nothing comes."""
        try:
            yield from self._blocks()
        finally:
            self.close()

    def _blocks(self) -> Iterator[Block]:
        first, position = 1, 0
        while not self._closed:
            stopping = self._stopping
            ready = self._ready(0 if stopping else IDLE / 1000)
            came = 0
            for each in ready:
                data, records = self._gather(each)
                self._count(each)
                count = len(records) // FIELDS
                if count:
                    came += count
                    position += len(data)
                    yield Block(bytes(data), records, count, each.interfaces, first, position)
                    first += count
            if came:
                self.received += came
            elif stopping:
                return
            else:
                yield Block(b"", array("q"), 0, self._listeners[0].interfaces, first, position)

    def _ready(self, seconds: float) -> list[_Listener]:
        """Those with packets, after `seconds` at most."""
        sockets = [each.socket for each in self._listeners]
        ready = sockets[0].select(sockets, seconds)
        return [each for each in self._listeners if each.socket in ready]

    def _gather(self, listener: _Listener) -> tuple[bytearray, "array[int]"]:
        """What comes to one within a moment, and its records."""
        data, records = bytearray(), array("q")
        until = time.monotonic() + GATHER
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

    def _count(self, listener: _Listener) -> None:
        """Add up what Linux dropped, which it counts anew each time it is asked."""
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                told = listener.socket.ins.getsockopt(_SOL_PACKET, _STATISTICS, 8)
                self.dropped += struct.unpack("=2I", told)[1]


def _open(name: str, promiscuous: bool, outgoing: bool) -> _Listener:
    from scapy.all import conf
    from scapy.error import Scapy_Exception

    state = _state(name)
    try:
        made: Any = conf.L2listen(iface=name, promisc=promiscuous)
    except PermissionError:
        told = "it takes rights that are not there, `netwatch doctor` says how to grant them"
        raise CaptureError(f"{name}: cannot be captured: {told}") from None
    except (OSError, ValueError, Scapy_Exception) as error:
        raise CaptureError(f"{name}: cannot be captured: {error}") from None
    link_type = state.link_type if state else conf.l2types.layer2num.get(made.LL)
    if link_type is None:
        made.close()
        raise CaptureError(f"{name}: scapy reads it as {made.LL.__name__}, which is not read here")
    if state is not None:
        with contextlib.suppress(OSError):
            made.ins.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        if not outgoing or state.hardware == links.LOOPBACK:
            made.ins.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    return _Listener(name, made, (Interface(link_type, 6, name),), state.index if state else 0)


def _state(name: str) -> links.State | None:
    """The interface on Linux, where its hardware type is known; else None."""
    if sys.platform != "linux":
        return None
    with links.asked() as asked:
        state, _ = links.need(asked, name)
    if state.hardware in _TUNNELS:
        raise CaptureError(f"{name}: is a tunnel, which the source ring reads and scapy does not")
    return state
