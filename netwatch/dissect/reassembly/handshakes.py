"""QUIC handshakes in flight: which datagrams belong to one client's hello.

A hello may be spread over several Initial packets and datagrams, and a server's look
the same from outside; so each conversation has a connection, opened by the first
datagram that decrypts with keys from its own destination connection id (RFC 9001
section 5.2), and fed with what the same side sends. The table is bounded by number and
age; what a cut hello shows is told when its connection is dropped.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from netwatch.core.errors import ParseError
from netwatch.core.message import Message
from netwatch.dissect.candidate import Seen

Found = tuple[Seen, Message]


AGAIN = 10_000_000_000
"""Silence, in ns, after which the same ports may start another connection."""


Idle = Callable[[bytes], bool]
"""Whether a hello, from its handshake header on, is of no interest and needs no parsing."""


class Connection(Protocol):
    """The pure state of one client's handshake."""

    @property
    def done(self) -> bool:
        """Whether its hello was told, so that nothing more will come."""
        ...

    def feed(self, datagram: bytes) -> Message | None:
        """Take a datagram of the client; its hello once that is whole."""
        ...

    def finish(self) -> Message | None:
        """What the hello shows as far as it came."""
        ...


class _Handshake:
    __slots__ = ("connection", "packet", "side", "time")

    def __init__(self, connection: Connection, side: int, packet: Seen) -> None:
        self.connection = connection
        self.side = side
        self.packet = packet
        self.time = packet.time


class Handshakes:
    """The handshakes of one capture.

    `opened` makes a connection, given what says that a hello of its flow is of no
    interest (`idle`). Limits: how many, and age in ns of packet time. What was
    dropped or could not be read is counted in `anomalies`.
    """

    def __init__(
        self,
        opened: Callable[[Idle], Connection],
        idle: Callable[[int, bytes], bool] = lambda flow, hello: False,
        *,
        limit: int = 4096,
        age: int = 60_000_000_000,
    ) -> None:
        self._opened = opened
        self._idle = idle
        self._limit = limit
        self._age = age
        self._gone = 0
        self._table: OrderedDict[int, _Handshake] = OrderedDict()
        self.anomalies: Counter[str] = Counter()

    def table(self) -> tuple[int, int, int]:
        """Handshakes now, at most, and how many had to go before their hello was whole."""
        return len(self._table), self._limit, self._gone

    def answers(self, flow: int, side: int, time: int) -> bool:
        """Whether a datagram of `side` of `flow` comes from the server, by what was read
        before, so that it shows nothing."""
        known = self._table.get(flow)
        if known is None or known.side == side:
            return False
        return not known.connection.done or time - known.time <= AGAIN

    def feed(self, flow: int, side: int, datagram: bytes, packet: Seen) -> list[Found]:
        """Take a datagram with a long header that `side` of `flow` sent, unless that is the
        server (`answers`)."""
        found: list[Found] = []
        known = self._table.get(flow)
        if known is not None and known.connection.done and packet.time - known.time > AGAIN:
            del self._table[flow]
            known = None
        handshake = known or _Handshake(self._opened(partial(self._idle, flow)), side, packet)
        try:
            message = handshake.connection.feed(datagram)
        except ParseError as error:
            self.anomalies[error.anomaly] += 1
            return found
        if message is not None:
            found.append((packet, message))
        handshake.time = packet.time
        if known is None:
            self._table[flow] = handshake
            self._expire(packet.time, found)
        else:
            self._table.move_to_end(flow)
        return found

    def aged(self, flow: int, now: int) -> list[Found]:
        """What those show that waited too long by `now`, ns, but for this flow, in which
        something was sent now."""
        found: list[Found] = []
        oldest = next(iter(self._table.values()), None)
        if oldest is None or oldest.time + self._age >= now:
            return found
        own = self._table.pop(flow, None)
        self._expire(now, found)
        if own is not None:
            self._table[flow] = own
            self._table.move_to_end(flow, last=False)
        return found

    def waits(self, flow: int, side: int) -> bool:
        """Whether a hello that this side of the flow began is not whole."""
        known = self._table.get(flow)
        return known is not None and known.side == side and not known.connection.done

    def flush(self) -> Iterator[Found]:
        """The capture is over: what the hellos still open show."""
        found: list[Found] = []
        while self._table:
            self._drop(found)
        yield from found

    def _expire(self, now: int, found: list[Found]) -> None:
        while self._table:
            oldest = next(iter(self._table.values()))
            if oldest.time + self._age >= now and len(self._table) <= self._limit:
                return
            self._drop(found)

    def _drop(self, found: list[Found]) -> None:
        _, handshake = self._table.popitem(last=False)
        self._gone += not handshake.connection.done
        try:
            message = handshake.connection.finish()
        except ParseError as error:
            self.anomalies[error.anomaly] += 1
            return
        if message is not None:
            found.append((handshake.packet, message))
