"""Memory that a capture is read into once, for several processes to walk: a ring of windows.

The process that reads the capture takes a window for each piece of it, and a slot for the records
of each block. Both may be used again when every worker has said that it is done with their blocks.
The memory is mapped before the workers are forked; the system provides only the pages that are
written.
"""

import mmap
from collections.abc import Callable
from typing import NamedTuple

from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.capture.pcap import RECORDS
from netwatch.capture.stream import MAX_BUFFER_SIZE
from netwatch.core.buffers import Words, array
from netwatch.dissect.loop.division import Division
from netwatch.dissect.loop.loop import outermost_layers

WINDOWS = 8
"""Windows of the ring: pieces of the capture that workers may be behind its reader."""

WINDOW_BYTES = 1 << 21
"""Bytes that are read into a window at a time. Each block is a message to every worker, so a window
is larger than what one process reads alone, for which it would have to fit into its cache."""

SLOTS = 16
"""Slots of the ring: blocks that workers may be behind."""

_RECORD_BYTES = 8 * FIELDS * RECORDS
_SLOT_BYTES = _RECORD_BYTES + 2 * RECORDS


class SharedBlock(NamedTuple):
    """Where a block is in shared memory: `size` bytes of a window, and a slot. The other fields are
    those of the block, and the name of its source. The interfaces, of which there may be thousands,
    are left out where they are those of the block before. It is a tuple because it is pickled for
    each block."""

    window: int
    size: int
    slot: int
    packets: int
    interfaces: tuple[Interface, ...] | None
    first: int
    position: int
    source: str


class SharedWindows:
    """The ring, as the process that reads the capture uses it. It is the
    `netwatch.capture.stream.Windows` of that capture.

    `wait_for` blocks until all workers are done with so many blocks, counted from the first one
    on. Workers use `block` alone.
    """

    def __init__(self, wait_for: Callable[[int], None]) -> None:
        self._wait_for = wait_for
        memory = mmap.mmap(-1, WINDOWS * MAX_BUFFER_SIZE + SLOTS * _SLOT_BYTES)
        self._memory = memoryview(memory)
        self._window = 0
        self._published = 0
        # How many blocks were published when the last one of each window was.
        self._used_until = [0] * WINDOWS
        self._interfaces: tuple[Interface, ...] | None = None
        self._layers: Words = array("i")

    def take(self, size: int) -> memoryview:
        """The next window of the ring, at least `size` bytes of it."""
        size = max(size, WINDOW_BYTES)
        self._window = (self._window + 1) % WINDOWS
        self._wait_for(self._used_until[self._window])
        at = self._window * MAX_BUFFER_SIZE
        return self._memory[at : at + size]

    def publish(self, block: Block, source: str, division: Division) -> tuple[SharedBlock, int]:
        """Copy the records of a block, whose bytes are in the window that was taken last, to a
        slot, and decide whose its packets are. Also the bytes of its packets on the wire."""
        slot = self._published % SLOTS
        self._wait_for(self._published - SLOTS + 1)
        is_same = block.interfaces is self._interfaces
        if not is_same:
            self._interfaces = block.interfaces
            self._layers = outermost_layers(block.interfaces)
        records, owners = self._slot(slot)
        octets = division.divide(
            block.data, block.records, block.count, self._layers, records, owners
        )
        self._published += 1
        self._used_until[self._window] = self._published
        shared = SharedBlock(
            window=self._window,
            size=len(block.data),
            slot=slot,
            packets=block.count,
            interfaces=None if is_same else block.interfaces,
            first=block.first,
            position=block.position,
            source=source,
        )
        return shared, octets

    def free_all(self) -> None:
        """All workers are done with all blocks; they are counted from 0 again."""
        self._published = 0
        self._used_until = [0] * WINDOWS

    def block(self, shared: SharedBlock) -> Block:
        """A published block, in a worker."""
        records, owners = self._slot(shared.slot)
        at = shared.window * MAX_BUFFER_SIZE
        if shared.interfaces is not None:
            self._interfaces = shared.interfaces
        assert self._interfaces is not None
        return Block(
            self._memory[at : at + shared.size],
            records,
            shared.packets,
            self._interfaces,
            shared.first,
            shared.position,
            owners[: 2 * shared.packets],
        )

    def _slot(self, slot: int) -> tuple[memoryview, memoryview]:
        """The records and the owners in a slot."""
        at = WINDOWS * MAX_BUFFER_SIZE + slot * _SLOT_BYTES
        middle = at + _RECORD_BYTES
        return self._memory[at:middle].cast("q"), self._memory[middle : at + _SLOT_BYTES]
