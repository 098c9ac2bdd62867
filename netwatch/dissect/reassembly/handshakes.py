"""Handshakes over UDP (QUIC, Google's QUIC, DTLS): which datagrams contain one client's hello.

A hello may span several datagrams, and a server's datagrams look the same from outside. So each
flow has one connection: the first datagram that a connection accepts tells which side is the client
(for QUIC, one that decrypts with keys from its own destination connection id, RFC 9001 section
5.2), and the connection is fed with what that side sends. The table is limited by number and age;
what an incomplete hello shows is read when its connection is dropped.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from netwatch.core.errors import ParseError
from netwatch.core.message import Message
from netwatch.core.statistics import TableUsage
from netwatch.dissect.candidate import Candidate
from netwatch.dissect.reassembly.stream import NEVER

Found = tuple[Candidate, Message]

PORT_REUSE_DELAY = 10_000_000_000
"""Time without datagrams, in ns, after which the same ports may start another connection."""

IsUninteresting = Callable[[bytes], bool]
"""Whether a hello, from its handshake header on, shows only uninteresting names, so that no parser
has to read it."""


class Connection(Protocol):
    """The state of the handshake of one client; it does no input or output."""

    @property
    def done(self) -> bool:
        """Whether a hello was returned."""
        ...

    @property
    def unread(self) -> bool:
        """Whether a hello was returned, and there is another one that could not be read."""
        ...

    def remember(self, hello: bytes) -> None:
        """A hello of this client, from its handshake header on, was read elsewhere."""
        ...

    def answered(self) -> None:
        """The server has sent something."""
        ...

    def feed(self, datagram: bytes) -> Message | None:
        """Take a datagram of the client; returns the hello once it is complete."""
        ...

    def finish(self) -> Message | None:
        """What the hello shows so far: no more datagrams will come."""
        ...


class _Handshake:
    """A connection with the side of the flow that is its client, and its first candidate."""

    __slots__ = ("candidate", "connection", "side", "time")

    def __init__(self, connection: Connection, side: int, candidate: Candidate) -> None:
        self.connection = connection
        self.side = side
        self.candidate = candidate
        self.time = candidate.time


class HandshakeTable:
    """The handshakes of one kind in one capture, by flow.

    `connect` makes a connection, given a function that tells whether its hello is uninteresting;
    `note_unread` is called for flows whose client has sent a hello, and another one that could not
    be read. Limits: connections, and ns of packet time without a datagram. What could not be parsed
    is counted in `anomalies`.
    """

    def __init__(
        self,
        connect: Callable[[IsUninteresting], Connection],
        is_uninteresting: Callable[[int, bytes], bool] = lambda flow, hello: False,
        note_unread: Callable[[int], None] = lambda flow: None,
        *,
        max_connections: int = 4096,
        timeout: int = 60_000_000_000,
    ) -> None:
        self._connect = connect
        self._is_uninteresting = is_uninteresting
        self._note_unread = note_unread
        self._max_connections = max_connections
        self._timeout = timeout
        self._evicted = 0
        self._table: OrderedDict[int, _Handshake] = OrderedDict()
        self.anomalies: Counter[str] = Counter()

    def usage(self) -> TableUsage:
        """The number of connections; evicted ones had an incomplete hello."""
        return TableUsage(len(self._table), self._max_connections, self._evicted)

    def is_from_server(self, flow: int, side: int, time: int) -> bool:
        """Whether a datagram of `side` at a time comes from the server of a known connection,
        so that it shows nothing."""
        known = self._table.get(flow)
        if known is None or known.side == side:
            return False
        known.connection.answered()
        return not known.connection.done or time - known.time <= PORT_REUSE_DELAY

    def feed(
        self,
        flow: int,
        side: int,
        datagram: bytes,
        candidate: Candidate,
        read: Sequence[bytes] = (),
    ) -> list[Found]:
        """The hello, if a datagram of `side`, which is not the server, completes it. Other
        connections that are dropped to make room add what their hellos show. `read` are hellos of a
        new connection that were read elsewhere."""
        found: list[Found] = []
        known = self._table.get(flow)
        if (
            known is not None
            and known.connection.done
            and candidate.time - known.time > PORT_REUSE_DELAY
        ):
            del self._table[flow]
            known = None
        handshake = known
        if handshake is None:
            connection = self._connect(partial(self._is_uninteresting, flow))
            for hello in read:
                connection.remember(hello)
            handshake = _Handshake(connection, side, candidate)
        try:
            message = handshake.connection.feed(datagram)
        except ParseError as error:
            self.anomalies[error.anomaly] += 1
            return found
        if message is not None:
            found.append((candidate, message))
        handshake.time = candidate.time
        if known is None:
            self._table[flow] = handshake
            self._expire(candidate.time, found)
        else:
            self._table.move_to_end(flow)
        return found

    def expire(self, flow: int, now: int) -> list[Found]:
        """What incomplete hellos show that time out at `now` (ns of packet time), when a datagram
        of `flow` came. The hello of `flow` is included whether or not a datagram of another flow
        came before."""
        found: list[Found] = []
        own = self._table.get(flow)
        if own is not None and own.time + self._timeout < now:
            self._table.move_to_end(flow, last=False)
        oldest = next(iter(self._table.values()), None)
        if oldest is not None and oldest.time + self._timeout < now:
            self._expire(now, found)
        return found

    def next_timeout(self) -> int:
        """The time (ns) after which the least recent connection times out."""
        oldest = next(iter(self._table.values()), None)
        return NEVER if oldest is None else oldest.time + self._timeout

    def sort(self) -> None:
        """Sort the connections by their last datagrams."""
        self._table = OrderedDict(sorted(self._table.items(), key=lambda item: item[1].time))

    def expects_more(self, flow: int, side: int) -> bool:
        """Whether this side of the flow began a hello that is incomplete."""
        known = self._table.get(flow)
        return known is not None and known.side == side and not known.connection.done

    def flush(self) -> Iterator[Found]:
        """What hellos show that are incomplete at the end of the capture."""
        found: list[Found] = []
        while self._table:
            self._drop_oldest(found)
        yield from found

    def _expire(self, now: int, found: list[Found]) -> None:
        """Drop connections that time out at `now` or exceed the limit."""
        while self._table:
            oldest = next(iter(self._table.values()))
            if oldest.time + self._timeout >= now and len(self._table) <= self._max_connections:
                return
            self._drop_oldest(found)

    def _drop_oldest(self, found: list[Found]) -> None:
        flow, handshake = self._table.popitem(last=False)
        self._evicted += not handshake.connection.done
        try:
            message = handshake.connection.finish()
        except ParseError as error:
            self.anomalies[error.anomaly] += 1
            return
        if handshake.connection.unread:
            self._note_unread(flow)
        if message is not None:
            found.append((handshake.candidate, message))
