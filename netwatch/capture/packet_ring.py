"""One ring of AF_PACKET (packet(7), Documentation/networking/packet_mmap.rst).

Memory that the kernel writes packets to and we read them from, in blocks that go to and
fro (TPACKET_V3): the kernel hands one over when it is full or its time is up, and has it
back when we are through. A ring belongs to one interface; when that was removed and made
anew, the same socket is bound to the new one, for which nobody needs any rights.
"""

import contextlib
import errno
import mmap
import socket
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from netwatch.capture import interfaces
from netwatch.capture import kernel_filter as bpf
from netwatch.capture.block import FIELDS, Interface
from netwatch.capture.framing import ARRAY_FULL, PACKET_TOO_LONG, walk_ring
from netwatch.core.errors import CaptureError

RECORDS = 8192
"""Packets handed on at once at most."""

MAX_SNAPLEN = 262144
"""Bytes kept of a packet at most (libpcap's MAXIMUM_SNAPLEN)."""

# linux/if_packet.h
_SOL_PACKET = 263
_ADD_MEMBERSHIP, _DROP_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _FANOUT = 1, 2, 5, 6, 10, 18
_TPACKET_V3 = 2
_PROMISC = 1
_EVERYTHING = 3  # ETH_P_ALL
_FRAME = 2048
_HASH = 0
_FANOUT_DEFRAG, _FANOUT_UNIQUE = 0x8000, 0x2000
_USER = 1

# Words of struct tpacket_block_desc, 32 bits each.
_STATUS, _COUNT, _FIRST, _LENGTH = 2, 3, 4, 5

_BIG = sys.byteorder == "big"


@dataclass(frozen=True, slots=True)
class Options:
    """How rings are set up: number and size (bytes) of their blocks, after how many
    milliseconds a block is handed over that is not full, and what is captured (see
    `netwatch.capture.ring_source.RingSource`)."""

    blocks: int
    block_size: int
    timeout: int
    snaplen: int
    promiscuous: bool
    outgoing: bool
    filtered: bool


class Ring:
    """The ring of the interface `name`. `groups` are the fanout groups by interface that
    this process's workers share, None for a ring of its own. Raises `CaptureError`.

    `received`, `dropped` and `freezes` are sums of what the kernel tells: packets that
    passed the filter and found room, those that found none, and how often there was none.
    `octets` are the bytes of all blocks that were taken.
    """

    def __init__(
        self, name: str, state: interfaces.State, options: Options, groups: dict[str, int] | None
    ) -> None:
        self.name = name
        self.received = 0
        self.dropped = 0
        self.freezes = 0
        self._options = options
        self._groups = groups
        self.octets = 0
        self.records = array("q", bytes(8 * FIELDS * RECORDS))
        self.open(state)

    def fileno(self) -> int:
        """The socket, for poll; -1 when there is none."""
        return self._socket.fileno()

    def open(self, state: interfaces.State) -> None:
        """Make socket and ring. Raises `CaptureError`, and leaves nothing open then."""
        options = self._options
        self._kind = _kind(state)
        self._memory: mmap.mmap | None = None
        self._views: list[memoryview] = []
        self._words: list[memoryview] = []
        self._at = 0
        self._index = 0
        self._socket = _socket(self.name, self._kind)
        try:
            step = "has no TPACKET_V3, Linux 3.2 or newer is needed"
            self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
            size = options.blocks * options.block_size
            step = f"gives no ring of {size:,} bytes, take fewer or smaller blocks"
            frames = size // _FRAME
            request = (options.block_size, options.blocks, _FRAME, frames, options.timeout, 0, 0)
            self._socket.setsockopt(_SOL_PACKET, _RX_RING, struct.pack("=7I", *request))
            self._memory = memory = mmap.mmap(self._socket.fileno(), size)
            whole = memoryview(memory)
            self._views = [
                whole[at : at + options.block_size] for at in range(0, size, options.block_size)
            ]
            self._words = [view.cast("I") for view in self._views]
            step = "refuses the capture"
            self._bind(state)
            if self._groups is not None:
                step = "makes no fanout group of it (older ones want it to be up)"
                self._join(self._groups)
        except OSError as error:
            self.close()
            raise CaptureError(f"{self.name}: the kernel {step}: {error.strerror}") from None

    def bind(self, state: interfaces.State) -> bool:
        """Go on with an interface of the same name; false where that takes a new ring.
        Raises `OSError`."""
        if self._groups is not None or self.fileno() < 0 or _kind(state) != self._kind:
            return False
        self._bind(state)
        return True

    def _bind(self, state: interfaces.State) -> None:
        options = self._options
        link_type = state.link_type or 0
        outgoing = options.outgoing and state.hardware != interfaces.LOOPBACK
        code = bpf.program(link_type, options.snaplen, filtered=options.filtered, outgoing=outgoing)
        bpf.attach(self._socket, code)
        self._socket.bind((self.name, _EVERYTHING))
        self._index = state.index
        self.interfaces = (Interface(link_type, 9, self.name),)
        if options.promiscuous:
            self._membership(_ADD_MEMBERSHIP)

    def _membership(self, what: int) -> None:
        self._socket.setsockopt(_SOL_PACKET, what, struct.pack("=iHH8x", self._index, _PROMISC, 0))

    def _join(self, groups: dict[str, int]) -> None:
        """Share the interface's packets with other sockets by flow: both directions of
        one go to the same, and fragments of IPv4 are put together before."""
        known = groups.get(self.name)
        flags = _HASH | _FANOUT_DEFRAG | (_FANOUT_UNIQUE if known is None else 0)
        request = struct.pack("=I", (known or 0) | flags << 16)
        self._socket.setsockopt(_SOL_PACKET, _FANOUT, request)
        groups[self.name] = self._socket.getsockopt(_SOL_PACKET, _FANOUT) & 0xFFFF

    def ready(self) -> int | None:
        """The time (ns) of the first packet in the next block, None where none is ours. A
        block may be without packets, where the first one was too large for its rest."""
        if not self._words or not self._words[self._at][_STATUS] & _USER:
            return None
        words = self._words[self._at]
        # The block's own time of its first packet is that when it was begun.
        first = words[_FIRST] // 4
        return words[first + 1] * 1_000_000_000 + words[first + 2]

    def take(self) -> Iterator[tuple[memoryview, "array[int]", int, bool]]:
        """The next block, which must be ready, in pieces: its memory, the records of a
        piece, how many, and whether what follows in the block could not be read. It goes
        back to the kernel when the iteration ends."""
        view, words = self._views[self._at], self._words[self._at]
        self._at = (self._at + 1) % len(self._views)
        self.octets += words[_LENGTH]
        left, at, status = words[_COUNT], words[_FIRST], ARRAY_FULL
        try:
            while status == ARRAY_FULL:
                count, at, status, _ = walk_ring(view, at, left, self.records, _BIG)  # type: ignore[arg-type]
                left -= count
                yield view, self.records, count, status == PACKET_TOO_LONG
        finally:
            words[_STATUS] = 0

    def count(self) -> None:
        """Add up the kernel's counters, which begin anew each time they are read."""
        if self.fileno() >= 0:
            with contextlib.suppress(OSError):
                told = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12)
                received, dropped, freezes = struct.unpack("=3I", told)
                self.received += received - dropped
                self.dropped += dropped
                self.freezes += freezes

    def clear(self) -> None:
        """Take note of the socket's error, which poll would tell of again and again."""
        if self.fileno() >= 0:
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def deafen(self) -> None:
        """Let no more packets in."""
        if self.fileno() >= 0:
            with contextlib.suppress(OSError):
                bpf.attach(self._socket, bpf.NOTHING)

    def close(self) -> None:
        """Give back socket and memory; may be called twice.

        Where somebody still holds a view of the memory, the kernel keeps the socket: so
        it is made deaf before, and leaves promiscuous mode.
        """
        self.count()
        self.deafen()
        if self._options.promiscuous and self.fileno() >= 0:
            with contextlib.suppress(OSError):
                self._membership(_DROP_MEMBERSHIP)
        self.release()

    def release(self) -> None:
        """Give back this process's hold of socket and memory alone."""
        for view in [*self._words, *self._views]:
            with contextlib.suppress(BufferError):
                view.release()
        self._words, self._views = [], []
        if self._memory is not None:
            with contextlib.suppress(BufferError):
                self._memory.close()
            self._memory = None
        self._socket.close()


def _kind(state: interfaces.State) -> int:
    """Whether the kernel is to take off what stands before IP."""
    return socket.SOCK_DGRAM if state.link_type == interfaces.RAW else socket.SOCK_RAW


def _socket(name: str, kind: int) -> socket.socket:
    family = getattr(socket, "AF_PACKET", None)
    if family is None:
        raise CaptureError(f"{name}: this system has no AF_PACKET, take the source scapy")
    try:
        return socket.socket(family, kind, 0)
    except OSError as error:
        told = error.strerror
        if error.errno in (errno.EPERM, errno.EACCES):
            told = "it takes the capability CAP_NET_RAW, `netwatch doctor` says how to grant it"
        raise CaptureError(f"{name}: cannot be captured: {told}") from None
