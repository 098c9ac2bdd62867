"""Live capture of packets that agents of sFlow sample: a socket in place of an interface.

An agent sends the first bytes of one packet in N (`netwatch.capture.sflow`), so what is not
seen may have happened all the same; that is noted with the rate, and a store counts no such time as
whole. Samples have no time of their own:
that of a packet is when its datagram was received.

Everybody who reaches the socket may send, so agents have a limit, and what is no datagram is
counted. Datagrams that did not arrive are seen by the numbers of those that did.
"""

import contextlib
import ipaddress
import select
import socket
import struct
import time
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Protocol

from netwatch.capture.block import IDLE_INTERVAL, Block, Interface, RecentNotes
from netwatch.capture.sflow import Datagram, SampledPacket, read
from netwatch.core.addresses import ip_text
from netwatch.core.errors import CaptureError, ParseError

PORT = 6343
"""The port of sFlow by IANA's registry."""

RECEIVE_BUFFER = 8 << 20
"""Bytes of datagrams that the kernel keeps while nobody reads."""

DATAGRAM = 1 << 16
"""Bytes of a datagram."""

DATAGRAMS = 256
"""Datagrams of a block at most."""

MAX_AGENTS = 1024
"""Agents whose numbers are known at a time; the one that was silent longest is forgotten."""

MAX_GAP = 1 << 16
"""Datagrams that may be missing between two; a greater step says that the agent was restarted."""

MAX_RATES = 16
"""Rates that are told apart in the datagrams that are read at once; if there are more, all packets
have the greatest of them."""

MAX_REFUSED = 8
"""Senders that are none of the configured ones, of which the address is said."""

_SO_RXQ_OVFL = 40
_MAX_SOURCES = 256


class KnownAgent(Protocol):
    """What the configuration says of an agent: one packet of how many it takes, None if that is
    what it says itself."""

    sampling: int | None


class KnownAgents(Protocol):
    """The agents that the configuration names."""

    def of(self, sender: str) -> KnownAgent | None:
        """The one that sends from an address, None if it is none of these."""
        ...


class _Agent:
    """What is known of an agent: the number that follows, and what its sources have dropped."""

    __slots__ = ("dropped", "following", "rate")

    def __init__(self) -> None:
        self.following: int | None = None
        self.dropped: dict[int, int] = {}
        self.rate = 0


class SflowSource:
    """Packets that are sampled and sent to `interfaces`, which are addresses with ports here, as a
    `netwatch.capture.block.LiveSource`; those of `agents` only, of anybody's if that is None.
    `freezes` is 0. `dropped` counts the samples that agents could not take and the datagrams that
    did not arrive. One packet of `sampling` is taken where fewest are. Raises `CaptureError`."""

    size = None
    freezes = 0
    down: tuple[str, ...] = ()

    def __init__(self, interfaces: Sequence[str], agents: KnownAgents | None = None) -> None:
        if not interfaces:
            raise CaptureError("expected at least one address with a port")
        self.name = ",".join(interfaces)
        self.notes = RecentNotes()
        self.events: Counter[str] = Counter()
        self.received = self.dropped = 0
        self.sampling = 1
        self._known = agents
        self._refused: set[str] = set()
        self._agents: OrderedDict[tuple[bytes, int], _Agent] = OrderedDict()
        self._overflows: dict[int, int] = {}
        self._stopping = self._closed = False
        self._sockets: dict[socket.socket, str] = {}
        try:
            for name in interfaces:
                self._sockets[_listen(name)] = name
        except BaseException:
            self.close()
            raise
        if agents is None and not all(map(_is_of_loopback, self._sockets)):
            self.notes.append(
                f"{self.name}: packets of all agents are taken; 'exporters' in netwatch.yaml names"
                " yours"
            )

    def reload(self, agents: KnownAgents | None) -> None:
        """Take packets of other agents from now on."""
        self._known = agents

    @property
    def ports(self) -> list[int]:
        """The ports that are listened at, for addresses with port 0."""
        return [opened.getsockname()[1] for opened in self._sockets]

    def stop(self) -> None:
        """End the iteration within `IDLE_INTERVAL` milliseconds. It may be called from a signal
        handler or another thread, and twice."""
        self._stopping = True

    def close(self) -> None:
        """Close all sockets; the counters stay."""
        self._closed = True
        for opened in self._sockets:
            opened.close()

    def detach(self) -> None:
        """Close the file descriptors of this process only, after a fork."""
        self.close()

    def blocks(self) -> Iterator[Block]:
        """The packets that arrive, block by block, until `stop`; an empty block every
        `IDLE_INTERVAL` milliseconds without packets."""
        try:
            yield from self._blocks()
        finally:
            self.close()

    def _blocks(self) -> Iterator[Block]:
        first, position = 1, 0
        name = next(iter(self._sockets.values()))
        while not self._closed:
            stopping = self._stopping
            ready, _, _ = select.select(
                list(self._sockets), [], [], 0 if stopping else IDLE_INTERVAL / 1000
            )
            for opened in ready:
                for block in self._blocks_of(opened, first, position):
                    first += block.count
                    position = block.position
                    self.received += block.count
                    yield block
            if not ready:
                if stopping:
                    return
                yield Block(b"", array("q"), 0, (Interface(1, 6, name),), first, position)

    def _blocks_of(self, opened: socket.socket, first: int, position: int) -> Iterator[Block]:
        """The packets of the datagrams that are there, a block for each rate."""
        name = self._sockets[opened]
        by_rate: dict[int, list[tuple[int, SampledPacket]]] = {}
        for _ in range(DATAGRAMS):
            datagram = self._receive(opened)
            if datagram is None:
                break
            now = time.time_ns() // 1000 * 1000
            for packet in self._packets(*datagram, name):
                by_rate.setdefault(packet.rate, []).append((now, packet))
        if len(by_rate) > MAX_RATES:
            by_rate = {max(by_rate): list(chain.from_iterable(by_rate.values()))}
        for rate, packets in (by_rate or {1: []}).items():
            block = _block_of(packets, name, rate, first, position)
            first, position = first + block.count, block.position
            yield block

    def _receive(self, opened: socket.socket) -> tuple[bytes, str] | None:
        """The next datagram and its sender, None where there is none now."""
        try:
            data, ancillary, _, sender = opened.recvmsg(DATAGRAM, 64)
        except OSError:
            return None
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, _SO_RXQ_OVFL):
                (overflows,) = struct.unpack("=I", value[:4])
                before = self._overflows.get(opened.fileno(), 0)
                self._overflows[opened.fileno()] = overflows
                self.dropped += max(0, overflows - before)
        return data, sender[0]

    def _packets(self, data: bytes, sender: str, name: str) -> Iterator[SampledPacket]:
        known = self._known.of(sender) if self._known is not None else None
        if self._known is not None and known is None:
            self._refuse(sender, name)
            return
        try:
            datagram = read(data)
        except ParseError as error:
            self.events[error.anomaly] += 1
            return
        self.events["sflow-link-type-unknown"] += datagram.unread
        sampling = known.sampling if known is not None else None
        self._follow(datagram, name, sampling)
        for packet in datagram.packets:
            yield packet if sampling is None else packet._replace(rate=sampling)

    def _refuse(self, sender: str, name: str) -> None:
        self.events["exporter-unknown"] += 1
        if sender not in self._refused and len(self._refused) < MAX_REFUSED:
            self._refused.add(sender)
            self.notes.append(
                f"{name}: {sender} is none of the 'exporters' of the configuration, and what it"
                " sends is refused"
            )

    def _follow(self, datagram: Datagram, name: str, sampling: int | None) -> None:
        """Count what did not come since the last datagram of the agent, and note its rate: the
        configured one, where there is one."""
        key = datagram.agent, datagram.domain
        agent = self._agents.pop(key, None) or _Agent()
        self._agents[key] = agent
        if len(self._agents) > MAX_AGENTS:
            self._agents.popitem(last=False)
            self.events["sflow-agents-full"] += 1
        if agent.following is not None:
            missing = datagram.sequence - agent.following & 0xFFFFFFFF
            if missing <= MAX_GAP:
                self.dropped += missing
                self.events["sflow-datagrams-lost"] += missing
        agent.following = datagram.sequence + 1 & 0xFFFFFFFF
        for source, dropped in datagram.dropped:
            before = agent.dropped.get(source)
            if before is None and len(agent.dropped) >= _MAX_SOURCES:
                continue
            agent.dropped[source] = dropped
            if before is not None:
                self.dropped += max(0, dropped - before)
        rate = max((packet.rate for packet in datagram.packets), default=0)
        if rate and sampling is not None:
            rate = sampling
        if rate > agent.rate:
            agent.rate = rate
            self.sampling = max(self.sampling, rate)
            if rate > 1:
                self.notes.append(
                    f"{name}: {ip_text(datagram.agent)} samples one packet of {rate:,}: what it"
                    " does not sample is not seen"
                )


def _block_of(
    packets: Sequence[tuple[int, SampledPacket]], name: str, rate: int, first: int, position: int
) -> Block:
    """Packets with the times at which they arrived (ns), as a block."""
    interfaces: dict[int, int] = {}
    data, records = bytearray(), array("q")
    for now, packet in packets:
        number = interfaces.setdefault(packet.link_type, len(interfaces))
        size = len(packet.head)
        records.extend((now, len(data), size, max(size, packet.length), number, -1))
        data += packet.head
    found = tuple(Interface(link_type, 6, name) for link_type in interfaces)
    found = found or (Interface(1, 6, name),)
    end = position + len(data)
    return Block(bytes(data), records, len(packets), found, first, end, sampling=rate)


def _is_of_loopback(opened: socket.socket) -> bool:
    return ipaddress.ip_address(opened.getsockname()[0]).is_loopback


def _listen(text: str) -> socket.socket:
    """A socket at ``ADDRESS:PORT``. Raises `CaptureError`."""
    host, _, port = text.removeprefix("udp://").rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else -1
    try:
        address = ipaddress.ip_address(host.strip("[]") or "127.0.0.1")
    except ValueError:
        address = None
    if address is None or not 0 <= number < 65536:
        raise CaptureError(f"{text}: expected an address and a port, such as 127.0.0.1:{PORT}")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        opened.bind((str(address), number))
        opened.setblocking(False)
    except OSError as error:
        opened.close()
        raise CaptureError(f"{text}: cannot listen: {error.strerror or error}") from None
    return opened
