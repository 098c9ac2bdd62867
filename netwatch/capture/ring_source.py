"""Live capture on Linux: rings of AF_PACKET as a source that never ends by itself.

Each interface has a ring (`netwatch.capture.packet_ring`), whose memory is the buffer of the
blocks: nothing is copied. Where several have packets, the one whose packets are oldest
goes first. Interfaces that go down, change or disappear are told and waited for.
"""

import contextlib
import os
import select
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from netwatch.capture import interfaces as links
from netwatch.capture.block import Block
from netwatch.capture.live_source import IDLE, Notes
from netwatch.capture.packet_ring import MAX_SNAPLEN, Options, Ring
from netwatch.core.errors import CaptureError

BLOCKS, BLOCK_SIZE = 256, 1 << 18
"""Blocks of a ring and bytes of each, 64 MiB together. Small ones, so that a ring of which
few bytes are used holds a second or more when nobody takes its blocks."""

MEMORY_SHARE = 2
"""Rings may take one part in so many of the machine's memory: the kernel gives what is
asked for, at the cost of whatever else runs."""

TIMEOUT = 20
"""Milliseconds after which a block is handed over that is not full."""

_LOOK = 1.0
"""Seconds between looks at the interfaces."""


class RingSource:
    """Packets of `interfaces` as a `netwatch.capture.live_source.LiveSource`.

    `blocks` of `block_size` bytes (a power of two, 4096 at least) are each interface's
    ring. Of a packet up to `snaplen` bytes are kept. `promiscuous` takes packets that are
    for others, which a mirror port needs. Packets that this host sends are taken too with
    `outgoing`, on loopback never: there each comes in again. `filtered` keeps out of the
    ring what can carry no name (see `netwatch.capture.kernel_filter`). `fanout` are the group
    numbers by interface that the sources of several workers share (see `workers`).

    A block is of one interface, `block.interfaces[0]`. All is open when the source is
    made, so rights may be dropped then. Raises `CaptureError`.
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
        _check(interfaces, blocks, block_size, timeout, snaplen)
        self.name = ",".join(interfaces)
        self.notes = Notes()
        self.events: Counter[str] = Counter()
        self._options = Options(
            blocks, block_size, timeout, snaplen, promiscuous, outgoing, filtered
        )
        self._asked = links.asked()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._rings: list[Ring] = []
        self._states: dict[str, links.State | None] = {}
        self._stopping = False
        self._closed = False
        self._looked = time.monotonic()
        try:
            for name in interfaces:
                state, _ = links.need(self._asked, name)
                self._rings.append(Ring(name, state, self._options, fanout))
                self._states[name] = state
                if not state.up:
                    self._tell(name, "interface-down", "is down, packets come when it is set up")
        except BaseException:
            self.close()
            raise

    @property
    def down(self) -> tuple[str, ...]:
        """The interfaces that are gone, set down or without a link."""
        return tuple(name for name, state in self._states.items() if not links.carries(state))

    @property
    def received(self) -> int:
        """Packets that came into the rings."""
        return sum(ring.received for ring in self._rings)

    @property
    def dropped(self) -> int:
        """Packets for which a ring had no room."""
        return sum(ring.dropped for ring in self._rings)

    @property
    def freezes(self) -> int:
        """How often a ring was full."""
        return sum(ring.freezes for ring in self._rings)

    def stop(self) -> None:
        """End the iteration when what is in the rings was yielded. May be called from a
        signal handler or another thread, and twice."""
        self._stopping = True
        if not self._closed:
            with contextlib.suppress(OSError):
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Give back the interfaces; the counters stay."""
        if self._closed:
            return
        self._closed = True
        for ring in self._rings:
            ring.close()
        self._asked.close()
        os.close(self._wake)

    def release(self) -> None:
        """Let go of it in this process: another one goes on with it. A socket that somebody
        holds stays in its fanout group, which nobody joins on an interface made anew."""
        if not self._closed:
            self._closed = True
            for ring in self._rings:
                ring.release()
            self._asked.close()
            os.close(self._wake)

    def blocks(self) -> Iterator[Block]:
        """What comes, block by block, until `stop`; a block without packets at least every
        `IDLE` milliseconds where nothing comes."""
        try:
            yield from self._blocks()
        finally:
            self.close()

    def _blocks(self) -> Iterator[Block]:
        first = 1
        poll = self._poll()
        deaf = False
        while not self._closed:
            if self._stopping and not deaf:
                deaf = True
                for ring in self._rings:
                    ring.deafen()
                poll = self._poll()
            if time.monotonic() - self._looked >= _LOOK and self._look():
                poll = self._poll()
            found = self._next()
            if found is None:
                # The kernel hands a block over when its time was up twice at the latest.
                if self._waited(poll, 3 * self._options.timeout + 10 if deaf else IDLE):
                    poll = self._poll()
                found = self._next()
            if found is not None:
                for view, records, count, broken in found.take():
                    position = sum(ring.octets for ring in self._rings)
                    if broken:
                        self._tell(found.name, "ring-block-bad", "the kernel gave a bad block")
                    yield Block(view, records, count, found.interfaces, first, position)
                    first += count
                found.count()
            elif deaf:
                return
            else:
                for ring in self._rings:
                    ring.count()
                some, position = self._rings[0], sum(ring.octets for ring in self._rings)
                yield Block(b"", some.records, 0, some.interfaces, first, position)

    def _next(self) -> Ring | None:
        """Of the rings with a block the one whose packets are oldest."""
        ready = [(ring.ready(), n) for n, ring in enumerate(self._rings)]
        times = [(when, n) for when, n in ready if when is not None]
        return self._rings[min(times)[1]] if times else None

    def _poll(self) -> select.poll:
        poll = select.poll()
        for ring in self._rings:
            if ring.fileno() >= 0:
                poll.register(ring, select.POLLIN)
        if not self._stopping:
            poll.register(self._wake, select.POLLIN)
        return poll

    def _waited(self, poll: select.poll, milliseconds: int) -> bool:
        """Wait until something happens; whether `poll` is to be made anew."""
        found = poll.poll(milliseconds)
        if any(event & ~select.POLLIN for _, event in found):
            for ring in self._rings:
                ring.clear()
            return self._look()
        return any(number == self._wake for number, _ in found)

    def _look(self) -> bool:
        """See what became of the interfaces; whether sockets changed with it."""
        self._looked = time.monotonic()
        changed = False
        for ring in self._rings:
            name, before = ring.name, self._states[ring.name]
            now = links.look(self._asked, name)
            if now == before:
                continue
            self._states[name] = now
            if now is None:
                self._tell(name, "interface-removed", "is gone, waits for it to come back")
            elif before is None or now.index != before.index:
                changed |= self._again(ring, now)
            else:
                self._compare(name, before, now)
        return changed

    def _again(self, ring: Ring, state: links.State) -> bool:
        """An interface was made anew: capture it as before; whether its socket changed."""
        try:
            if state.link_type is None:
                raise CaptureError(f"is of hardware type {state.hardware} now, which is not read")
            changed = not ring.bind(state)
            if changed:
                ring.close()
                ring.open(state)
        except (CaptureError, OSError) as error:
            self._states[ring.name] = None  # looked at again
            told = str(error).removeprefix(f"{ring.name}: ")
            if isinstance(error, OSError):
                told = error.strerror or told
            if not self.events["interface-refused"]:
                self._tell(ring.name, "interface-refused", f"is back, and not captured: {told}")
            return True
        self._tell(ring.name, "interface-back", "is back and captured again")
        if not state.up:
            self._tell(ring.name, "interface-down", "is down, packets come when it is set up")
        return changed

    def _compare(self, name: str, before: links.State, now: links.State) -> None:
        if before.up != now.up:
            event = "up" if now.up else "down"
            self._tell(name, f"interface-{event}", f"was set {event}")
        elif before.running != now.running:
            event = "link" if now.running else "no-link"
            self._tell(name, f"interface-{event}", f"has {'a' if now.running else 'no'} link")
        if before.mtu != now.mtu:
            self._tell(name, "interface-mtu", f"has an MTU of {now.mtu} now, was {before.mtu}")

    def _tell(self, name: str, event: str, sentence: str) -> None:
        self.events[event] += 1
        self.notes.append(f"{name}: {sentence}")


def workers(interfaces: Sequence[str], count: int, **options: Any) -> list[RingSource]:
    """`count` sources that share the packets of `interfaces` by flow (PACKET_FANOUT), each
    for a process or thread of its own. `options` are those of `RingSource`. Both
    directions of a flow come to the same one, unless UDP ports that differ by direction
    are wrapped round it. Raises `CaptureError`."""
    blocks, block_size = options.get("blocks", BLOCKS), options.get("block_size", BLOCK_SIZE)
    _afford(count * len(interfaces) * blocks * block_size)
    groups: dict[str, int] = {}
    with contextlib.ExitStack() as open_ones:
        made = []
        for _ in range(count):
            source = RingSource(interfaces, **options, fanout=groups)
            open_ones.callback(source.close)
            made.append(source)
        open_ones.pop_all()
    return made


def _check(
    interfaces: Sequence[str], blocks: int, block_size: int, timeout: int, snaplen: int
) -> None:
    """Raise `CaptureError` for what no ring can be made of."""
    doubled = [name for name, count in Counter(interfaces).items() if count > 1]
    if not interfaces:
        raise CaptureError("no interface is named")
    if doubled:
        raise CaptureError(f"{doubled[0]}: is named twice")
    if block_size < 4096 or block_size & (block_size - 1):
        raise CaptureError(f"blocks of {block_size} bytes, expected a power of two from 4096 on")
    for what, value, least, most in (
        ("blocks", blocks, 2, 1 << 16),
        ("milliseconds of a block", timeout, 1, 1000),
        ("bytes of a packet", snaplen, 64, MAX_SNAPLEN),
    ):
        if not least <= value <= most:
            raise CaptureError(f"{what}: {value}, expected {least} to {most}")
    _afford(len(interfaces) * blocks * block_size)


def _afford(size: int) -> None:
    """Raise `CaptureError` where the machine has not the memory for rings of `size` bytes
    together."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEMORY_SHARE
    if size > there:
        raise CaptureError(
            f"rings of {size:,} bytes together, expected at most {there:,}, half of the memory"
            " of this machine: take fewer or smaller blocks"
        )
