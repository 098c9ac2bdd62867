"""The receive ring of one AF_PACKET socket (packet(7), Documentation/networking/packet_mmap.rst).

The kernel writes packets into memory that it shares with this process, in blocks (TPACKET_V3). It
passes a block to the process when the block is full or its timeout expires, and gets it back after
the packets were read. A ring belongs to one interface. If the interface is removed and created
again, the same socket is bound to the new one, which needs no privileges.
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
"""Maximum number of packets to return at once."""

MAX_SNAPLEN = 262144
"""Maximum captured length of a packet in bytes (MAXIMUM_SNAPLEN of libpcap)."""

# linux/if_packet.h
_SOL_PACKET = 263
_ADD_MEMBERSHIP, _DROP_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _FANOUT = 1, 2, 5, 6, 10, 18
_TPACKET_V3 = 2
_PROMISC = 1
_ALL_PROTOCOLS = 3  # ETH_P_ALL
_FRAME = 2048
_HASH = 0
_FANOUT_DEFRAG, _FANOUT_UNIQUE = 0x8000, 0x2000
_BLOCK_IS_READABLE = 1  # TP_STATUS_USER

# Indexes into struct tpacket_block_desc, as words of 32 bits.
_STATUS, _PACKET_COUNT, _FIRST_PACKET, _USED_BYTES = 2, 3, 4, 5

_BIG_ENDIAN = sys.byteorder == "big"


@dataclass(frozen=True, slots=True)
class RingOptions:
    """How rings are set up.

    `blocks` is the number of their blocks and `block_size` the size of each in bytes; a block that
    is not full is passed on after `timeout` milliseconds. The other options are those of
    `netwatch.capture.ring_source.RingSource`.
    """

    blocks: int
    block_size: int
    timeout: int
    snaplen: int
    promiscuous: bool
    outgoing: bool
    filtered: bool


class PacketRing:
    """The ring of the interface `name`. Raises `CaptureError`.

    `fanout_groups` are the numbers of the fanout groups by interface, which the rings of several
    workers share; None for a ring that shares no packets. `received`, `dropped` and `freezes` are
    totals of the kernel's counters: packets that passed the filter and were stored, packets without
    space, and how often the ring became full. `bytes_read` is the number of bytes in all blocks
    that were read.
    """

    def __init__(
        self,
        name: str,
        state: interfaces.InterfaceState,
        options: RingOptions,
        fanout_groups: dict[str, int] | None,
    ) -> None:
        self.name = name
        self.received = 0
        self.dropped = 0
        self.freezes = 0
        self._options = options
        self._fanout_groups = fanout_groups
        self.bytes_read = 0
        self.records = array("q", bytes(8 * FIELDS * RECORDS))
        self.open(state)

    def fileno(self) -> int:
        """The file descriptor of the socket for poll(), -1 if the ring is closed."""
        return self._socket.fileno()

    def open(self, state: interfaces.InterfaceState) -> None:
        """Open the socket and map the ring. Raises `CaptureError` and then leaves nothing open."""
        options = self._options
        self._socket_type = _socket_type(state)
        self._memory: mmap.mmap | None = None
        self._views: list[memoryview] = []
        self._words: list[memoryview] = []
        self._at = 0
        self._index = 0
        self._socket = _open_socket(self.name, self._socket_type)
        try:
            step = "has no TPACKET_V3, expected Linux 3.2 or newer"
            self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
            size = options.blocks * options.block_size
            step = f"cannot allocate a ring of {size:,} bytes (use fewer or smaller blocks)"
            frames = size // _FRAME
            request = (options.block_size, options.blocks, _FRAME, frames, options.timeout, 0, 0)
            self._socket.setsockopt(_SOL_PACKET, _RX_RING, struct.pack("=7I", *request))
            self._memory = memory = mmap.mmap(self._socket.fileno(), size)
            whole = memoryview(memory)
            self._views = [
                whole[at : at + options.block_size] for at in range(0, size, options.block_size)
            ]
            self._words = [view.cast("I") for view in self._views]
            step = "refuses to capture"
            self._bind(state)
            if self._fanout_groups is not None:
                step = "cannot create a fanout group (older kernels need the interface to be up)"
                self._join_fanout(self._fanout_groups)
        except OSError as error:
            self.close()
            raise CaptureError(f"{self.name}: the kernel {step}: {error.strerror}") from None

    def bind(self, state: interfaces.InterfaceState) -> bool:
        """Continue with a new interface of the same name; false if that needs a new ring. Raises
        `OSError`."""
        if (
            self._fanout_groups is not None
            or self.fileno() < 0
            or _socket_type(state) != self._socket_type
        ):
            return False
        self._bind(state)
        return True

    def _bind(self, state: interfaces.InterfaceState) -> None:
        options = self._options
        link_type = state.link_type or 0
        outgoing = options.outgoing and state.hardware != interfaces.LOOPBACK
        code = bpf.program(link_type, options.snaplen, filtered=options.filtered, outgoing=outgoing)
        bpf.attach(self._socket, code)
        self._socket.bind((self.name, _ALL_PROTOCOLS))
        self._index = state.index
        self.interfaces = (Interface(link_type, 9, self.name),)
        if options.promiscuous:
            self._change_membership(_ADD_MEMBERSHIP)

    def _change_membership(self, action: int) -> None:
        self._socket.setsockopt(
            _SOL_PACKET, action, struct.pack("=iHH8x", self._index, _PROMISC, 0)
        )

    def _join_fanout(self, groups: dict[str, int]) -> None:
        """Join a fanout group, which distributes the packets of the interface to its sockets by
        flow: both directions of a flow go to the same socket. The kernel reassembles fragments of
        IPv4 before."""
        known = groups.get(self.name)
        flags = _HASH | _FANOUT_DEFRAG | (_FANOUT_UNIQUE if known is None else 0)
        request = struct.pack("=I", (known or 0) | flags << 16)
        self._socket.setsockopt(_SOL_PACKET, _FANOUT, request)
        groups[self.name] = self._socket.getsockopt(_SOL_PACKET, _FANOUT) & 0xFFFF

    def next_block_time(self) -> int | None:
        """The time (ns) of the first packet in the next block, None if no block is readable. A
        block may have no packets, if the first one was too large for the space in it."""
        if not self._words or not self._words[self._at][_STATUS] & _BLOCK_IS_READABLE:
            return None
        words = self._words[self._at]
        # The block descriptor has a time too, but it is when the block was opened.
        first = words[_FIRST_PACKET] // 4
        return words[first + 1] * 1_000_000_000 + words[first + 2]

    def waiting(self) -> int:
        """The number of unread packets in readable blocks."""
        total = 0
        for place in range(len(self._words)):
            words = self._words[(self._at + place) % len(self._words)]
            if not words[_STATUS] & _BLOCK_IS_READABLE:
                break
            total += words[_PACKET_COUNT]
        return total

    def read_block(self) -> Iterator[tuple[memoryview, "array[int]", int, bool]]:
        """Read the next block, which must be readable, in parts.

        Yields the memory of the block, the records of a part, their number, and whether the rest
        of the block is damaged. The block returns to the kernel when the iteration ends.
        """
        view, words = self._views[self._at], self._words[self._at]
        self._at = (self._at + 1) % len(self._views)
        self.bytes_read += words[_USED_BYTES]
        left, at, status = words[_PACKET_COUNT], words[_FIRST_PACKET], ARRAY_FULL
        try:
            while status == ARRAY_FULL:
                count, at, status, _ = walk_ring(view, at, left, self.records, _BIG_ENDIAN)  # type: ignore[arg-type]
                left -= count
                yield view, self.records, count, status == PACKET_TOO_LONG
        finally:
            words[_STATUS] = 0

    def update_counters(self) -> None:
        """Add the kernel's counters, which reading resets."""
        if self.fileno() >= 0:
            # Only a descriptor that is no longer this socket is refused; it counts nothing.
            with contextlib.suppress(OSError):
                counters = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12)
                received, dropped, freezes = struct.unpack("=3I", counters)
                self.received += received - dropped
                self.dropped += dropped
                self.freezes += freezes

    def clear_socket_error(self) -> None:
        """Clear the error of the socket, which poll() would otherwise report again."""
        if self.fileno() >= 0:
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def stop_receiving(self) -> None:
        """Attach a filter that rejects all packets."""
        if self.fileno() >= 0:
            with contextlib.suppress(OSError):
                bpf.attach(self._socket, bpf.NOTHING)

    def close(self) -> None:
        """Close the socket and unmap the ring; may be called twice.

        The kernel keeps the socket as long as a view of the memory exists. The socket therefore
        stops receiving and leaves promiscuous mode first.
        """
        self.update_counters()
        self.stop_receiving()
        if self._options.promiscuous and self.fileno() >= 0:
            with contextlib.suppress(OSError):
                self._change_membership(_DROP_MEMBERSHIP)
        self.detach()

    def detach(self) -> None:
        """Close the socket and unmap the ring in this process only, after a fork."""
        for view in [*self._words, *self._views]:
            with contextlib.suppress(BufferError):
                view.release()
        self._words, self._views = [], []
        if self._memory is not None:
            with contextlib.suppress(BufferError):
                self._memory.close()
            self._memory = None
        self._socket.close()


def _socket_type(state: interfaces.InterfaceState) -> int:
    """The type of the socket: for raw IP, the kernel removes the headers before IP."""
    return socket.SOCK_DGRAM if state.link_type == interfaces.RAW else socket.SOCK_RAW


def _open_socket(name: str, socket_type: int) -> socket.socket:
    family = getattr(socket, "AF_PACKET", None)
    if family is None:
        raise CaptureError(f"{name}: this system has no AF_PACKET, use --source scapy")
    interfaces.use_permitted()
    try:
        return socket.socket(family, socket_type, 0)
    except OSError as error:
        reason = error.strerror
        if error.errno in (errno.EPERM, errno.EACCES):
            reason = "CAP_NET_RAW is required (`netwatch doctor` shows how to grant it)"
        raise CaptureError(f"{name}: cannot be captured: {reason}") from None
