"""Live capture on Linux from AF_PACKET rings.

Each interface has a ring (`netwatch.capture.packet_ring`), whose memory is the buffer of the
blocks, so that packets are not copied. If several rings have packets, the one with the oldest
packets is read first. Changes of the interfaces are noted, and an interface that disappears is
captured again when it returns.
"""

import contextlib
import os
import select
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from netwatch.capture import interfaces as links
from netwatch.capture.block import Block, RecentNotes
from netwatch.capture.packet_ring import MAX_SNAPLEN, PacketRing, RingOptions
from netwatch.core.errors import CaptureError

BLOCKS, BLOCK_SIZE = 16, 1 << 22
"""Number of blocks of a ring and their size in bytes, 64 MiB in total. Each block passed on wakes
the reader up, which costs as much as some hundred packets: so a block holds what arrives within
`TIMEOUT` at a quarter of a gigabit per second. There are enough of them that a ring stores two
seconds of sparse traffic, whose blocks are not full, when its blocks are not read."""

SMALLEST_BLOCK = 1 << 18
"""The size in bytes down to which the blocks of a smaller ring shrink, so that their number stays
the same; a packet of the largest captured length still fits."""

MEMORY_SHARE = 2
"""Rings may use one part in so many of the machine's memory. The kernel itself has no limit and
would allocate them at the expense of all other programs."""

TIMEOUT = 125
"""Milliseconds after which the kernel passes on a block that is not full."""

_STATE_INTERVAL = 1.0
"""Seconds between queries of the interface states."""


class RingSource:
    """Packets of `interfaces` as a `netwatch.capture.block.LiveSource`.

    The ring of each interface has `blocks` blocks of `block_size` bytes (a power of two, at least
    4096). Packets are truncated to `snaplen` bytes. `promiscuous` captures packets for other hosts
    too, as a mirror port needs. `outgoing` captures packets that this host sends, except on
    loopback, where each of them is received as well. `filtered` attaches a kernel filter for
    packets that cannot carry a name (see `netwatch.capture.kernel_filter`). `fanout` has the
    fanout groups by interface that several workers share (see `open_worker_sources`).

    Each block is of one interface, `block.interfaces[0]`. The constructor opens everything, so that
    privileges may be dropped afterwards. Raises `CaptureError`.
    """

    size = None

    def __init__(
        self,
        interfaces: Sequence[str],
        *,
        blocks: int = BLOCKS,
        block_size: int = BLOCK_SIZE,
        timeout: int = TIMEOUT,
        snaplen: int = MAX_SNAPLEN,
        promiscuous: bool = True,
        outgoing: bool = True,
        filtered: bool = True,
        fanout: dict[str, int] | None = None,
    ) -> None:
        _check_options(interfaces, blocks, block_size, timeout, snaplen)
        self.name = ",".join(interfaces)
        self.notes = RecentNotes()
        self.events: Counter[str] = Counter()
        self._options = RingOptions(
            blocks, block_size, timeout, snaplen, promiscuous, outgoing, filtered
        )
        self._query_socket = links.open_query_socket()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._rings: list[PacketRing] = []
        self._states: dict[str, links.InterfaceState | None] = {}
        self._stopping = False
        self._closed = False
        self._last_check = time.monotonic()
        try:
            for name in interfaces:
                state, _ = links.require_state(self._query_socket, name)
                self._rings.append(PacketRing(name, state, self._options, fanout))
                self._states[name] = state
                if not state.up:
                    self._note(name, "interface-down", "is down, it will be captured when it is up")
        except BaseException:
            self.close()
            raise

    @property
    def down(self) -> tuple[str, ...]:
        """The interfaces that do not exist, are down or have no link."""
        return tuple(name for name, state in self._states.items() if not links.can_receive(state))

    @property
    def received(self) -> int:
        """Packets that were stored in the rings."""
        return sum(ring.received for ring in self._rings)

    @property
    def dropped(self) -> int:
        """Packets that were lost because a ring was full."""
        return sum(ring.dropped for ring in self._rings)

    @property
    def freezes(self) -> int:
        """How often a ring became full."""
        return sum(ring.freezes for ring in self._rings)

    def stop(self) -> None:
        """End the iteration after the packets in the rings were yielded. It may be called from a
        signal handler or another thread, and twice."""
        self._stopping = True
        if not self._closed:
            with contextlib.suppress(OSError):
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Close all sockets; the counters stay."""
        if self._closed:
            return
        self._closed = True
        for ring in self._rings:
            ring.close()
        self._query_socket.close()
        os.close(self._wake)

    def detach(self) -> None:
        """Close the file descriptors of this process only, after a fork.

        Otherwise the sockets would stay in their fanout group when the other process closes them,
        and a fanout group cannot be joined again on an interface that was created again.
        """
        if not self._closed:
            self._closed = True
            for ring in self._rings:
                ring.detach()
            self._query_socket.close()
            os.close(self._wake)

    def waiting(self) -> int:
        """The number of packets waiting after the block that was yielded last."""
        return sum(ring.waiting() for ring in self._rings)

    def blocks(self) -> Iterator[Block]:
        """The packets that arrive, block by block, until `stop`; an empty block after
        two timeouts without packets."""
        try:
            yield from self._blocks()
        finally:
            self.close()

    def _blocks(self) -> Iterator[Block]:
        first = 1
        poll = self._new_poll()
        draining = False
        while not self._closed:
            if self._stopping and not draining:
                draining = True
                for ring in self._rings:
                    ring.stop_receiving()
                poll = self._new_poll()
            if time.monotonic() - self._last_check >= _STATE_INTERVAL and self._check_interfaces():
                poll = self._new_poll()
            ready = self._next_ring()
            if ready is None:
                # The kernel passes on a block after two timeouts at the latest.
                timeout = self._options.timeout
                if self._wait(poll, 3 * timeout + 10 if draining else 2 * timeout):
                    poll = self._new_poll()
                ready = self._next_ring()
            if ready is not None:
                for view, records, count, is_damaged in ready.read_block():
                    position = sum(ring.bytes_read for ring in self._rings)
                    if is_damaged:
                        self._note(
                            ready.name, "ring-block-bad", "the kernel passed a damaged block"
                        )
                    yield Block(view, records, count, ready.interfaces, first, position)
                    first += count
                ready.update_counters()
            elif draining:
                return
            else:
                for ring in self._rings:
                    ring.update_counters()
                some, position = self._rings[0], sum(ring.bytes_read for ring in self._rings)
                yield Block(b"", some.records, 0, some.interfaces, first, position)

    def _next_ring(self) -> PacketRing | None:
        """The ring with the oldest packets, None if no ring has any."""
        ready = [(ring.next_block_time(), n) for n, ring in enumerate(self._rings)]
        times = [(when, n) for when, n in ready if when is not None]
        return self._rings[min(times)[1]] if times else None

    def _new_poll(self) -> select.poll:
        poll = select.poll()
        for ring in self._rings:
            if ring.fileno() >= 0:
                poll.register(ring, select.POLLIN)
        if not self._stopping:
            poll.register(self._wake, select.POLLIN)
        return poll

    def _wait(self, poll: select.poll, milliseconds: int) -> bool:
        """Wait for packets or an event; returns whether `poll` has to be created again."""
        found = poll.poll(milliseconds)
        if any(event & ~select.POLLIN for _, event in found):
            for ring in self._rings:
                ring.clear_socket_error()
            return self._check_interfaces()
        return any(number == self._wake for number, _ in found)

    def _check_interfaces(self) -> bool:
        """Query the states of the interfaces; returns whether sockets changed."""
        self._last_check = time.monotonic()
        changed = False
        for ring in self._rings:
            name, before = ring.name, self._states[ring.name]
            now = links.query_state(self._query_socket, name)
            if now == before:
                continue
            self._states[name] = now
            if now is None:
                self._note(name, "interface-removed", "was removed, waiting for it to return")
            elif before is None or now.index != before.index:
                changed |= self._reopen(ring, now)
            else:
                self._note_changes(name, before, now)
        return changed

    def _reopen(self, ring: PacketRing, state: links.InterfaceState) -> bool:
        """Capture an interface that was created again; returns whether its socket changed."""
        try:
            if state.link_type is None:
                raise CaptureError(f"its new hardware type {state.hardware} is not supported")
            changed = not ring.bind(state)
            if changed:
                ring.close()
                ring.open(state)
        except (CaptureError, OSError) as error:
            self._states[ring.name] = None  # so that the next check tries again
            reason = str(error).removeprefix(f"{ring.name}: ")
            if isinstance(error, OSError):
                reason = error.strerror or reason
            if not self.events["interface-refused"]:
                self._note(
                    ring.name, "interface-refused", f"has returned but cannot be captured: {reason}"
                )
            return True
        self._note(ring.name, "interface-back", "has returned and is captured again")
        if not state.up:
            self._note(ring.name, "interface-down", "is down, it will be captured when it is up")
        return changed

    def _note_changes(
        self, name: str, before: links.InterfaceState, now: links.InterfaceState
    ) -> None:
        if before.up != now.up:
            event = "up" if now.up else "down"
            self._note(name, f"interface-{event}", f"is {event} now")
        elif before.running != now.running:
            event = "link" if now.running else "no-link"
            self._note(name, f"interface-{event}", f"has {'a' if now.running else 'no'} link")
        if before.mtu != now.mtu:
            self._note(name, "interface-mtu", f"its MTU changed from {before.mtu} to {now.mtu}")

    def _note(self, name: str, event: str, sentence: str) -> None:
        self.events[event] += 1
        self.notes.append(f"{name}: {sentence}")


def blocks_of(size: int) -> tuple[int, int]:
    """The number of blocks, and the size of each, in a ring of about `size` bytes."""
    block_size = BLOCK_SIZE
    while block_size > SMALLEST_BLOCK and size // block_size < BLOCKS:
        block_size //= 2
    return max(2, size // block_size), block_size


def open_worker_sources(interfaces: Sequence[str], count: int, **options: Any) -> list[RingSource]:
    """Open `count` sources that share the packets of `interfaces` by flow (PACKET_FANOUT), one for
    each worker process. `options` are those of `RingSource`.

    Both directions of a flow go to the same source, unless the flow is in a UDP tunnel whose ports
    differ by direction. Raises `CaptureError`.
    """
    blocks, block_size = options.get("blocks", BLOCKS), options.get("block_size", BLOCK_SIZE)
    _require_memory(count * len(interfaces) * blocks * block_size)
    groups: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        sources = []
        for _ in range(count):
            source = RingSource(interfaces, **options, fanout=groups)
            stack.callback(source.close)
            sources.append(source)
        stack.pop_all()
    return sources


def _check_options(
    interfaces: Sequence[str], blocks: int, block_size: int, timeout: int, snaplen: int
) -> None:
    """Raise `CaptureError` for impossible options."""
    duplicates = [name for name, count in Counter(interfaces).items() if count > 1]
    if not interfaces:
        raise CaptureError("expected at least one interface")
    if duplicates:
        raise CaptureError(f"duplicate interface {duplicates[0]}")
    if block_size < 4096 or block_size & (block_size - 1):
        raise CaptureError(
            f"block size: expected a power of two of at least 4096, found {block_size}"
        )
    for what, value, low, high in (
        ("blocks", blocks, 2, 1 << 16),
        ("milliseconds until a block is passed on", timeout, 1, 1000),
        ("captured bytes of a packet", snaplen, 64, MAX_SNAPLEN),
    ):
        if not low <= value <= high:
            raise CaptureError(f"{what}: expected {low} to {high}, found {value}")
    _require_memory(len(interfaces) * blocks * block_size)


def _require_memory(size: int) -> None:
    """Raise `CaptureError` if rings of `size` bytes in total are too large for this machine."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEMORY_SHARE
    if size > limit:
        raise CaptureError(
            f"rings of {size:,} bytes in total, expected at most {limit:,}, half of the memory of"
            " this machine: use fewer or smaller blocks"
        )
