# cython: language_level=3
"""Flow records put together: what both sides of a conversation have sent, and who opened it.

Most exporters send a record for each direction, and of a long conversation one for each interval of
their active timeout. Here the records of the two directions find each other, and a record that goes
on where an earlier one ended gets the number of that conversation.
"""

from collections import Counter
from collections.abc import Container, Iterable
from typing import NamedTuple

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.flow_export.pair_table import (
        Entry,
        PairTable,
        entry_of,
        pair_hash,
    )
    from cython.cimports.netwatch.flow_export.records import FlowRecord
else:
    from netwatch.flow_export.pair_table import Entry, PairTable, entry_of, pair_hash
    from netwatch.flow_export.records import FlowRecord

from netwatch.flow_export.records import UNTAGGED

MAX_WAITING = 1 << 18
"""Records that wait for those of the other direction."""

MAX_KNOWN = 1 << 18
"""Conversations that may go on."""

WAIT = 60_000_000_000
"""How long a record waits for the other direction, ns of the exporter's clock, after it came. An
exporter may send a record minutes after its end: it came when those before it ended."""

AHEAD = 3_600_000_000_000
"""A record that waits and is so far behind the present one in time, ns, is of a clock that lies: it
would wait until that time has come."""

GOES_ON = 60_000_000_000
"""A record that begins so soon after the end of another with the same addresses and ports is of the
same conversation, ns."""

_AHEAD = cython.declare(cython.longlong, AHEAD)
_WAIT = cython.declare(cython.longlong, WAIT)
_GOES_ON = cython.declare(cython.longlong, GOES_ON)
_WELL_KNOWN_PORTS = cython.declare(cython.int, 1024)
_TCP = cython.declare(cython.int, 6)
_UDP = cython.declare(cython.int, 17)

Found = list["Conversation"]
"""Conversations that are complete."""


class Place(NamedTuple):
    """A record of a log: the path of its file, its number there from 1, its bytes, and whether its
    exporter is doubted."""

    source: str
    line: int
    record: bytes
    is_doubted: bool = False


@cython.final
@cython.no_gc
@cython.cclass
class Conversation:
    """Packets between two ports, one of `sampling` of which was looked at. `first` and `last` are
    ns since the epoch, `bytes_out` and `bytes_in` payload of the client and of the server in these
    packets (`payload`). `number` is the same for the parts of one conversation; `goes_on` says that
    this is not its first part. Whoever reads a log
    notes in `shown_in` which record was the last to say something of it."""

    def __init__(self) -> None:
        self.number = self.first = self.last = 0
        self.is_tcp = self.goes_on = False
        self.client_ip = self.server_ip = b""
        self.client_port = self.server_port = 0
        self.bytes_out = self.bytes_in = 0
        self.vlan = UNTAGGED
        self.client_mac: bytes | None = None
        self.sampling = 1
        self.shown_in: Place | None = None


@cython.final
@cython.cclass
class Conversations:
    """Puts the records of one exporter together. `evicted` counts those that did not find the other
    direction because too many waited, `impossible` those with a number that cannot be."""

    def __init__(self) -> None:
        self.waiting = PairTable()
        self.known = PairTable()
        self.last_number = 0
        self.now = 0
        self.evicted = self.impossible = 0
        self.taken: Counter[str] = Counter()

    def take_anomalies(self) -> Counter[str]:
        """What was counted since this was asked."""
        found = Counter(
            {"flow-records-full": self.evicted, "flow-number-impossible": self.impossible}
        )
        new, self.taken = found - self.taken, found
        return new

    def add(self, records: Iterable[FlowRecord]) -> list[Conversation]:
        """Take records; the conversations that are complete now. Records of other protocols than
        TCP and UDP are none."""
        found: list[Conversation] = []
        for record in records:
            self.take(record, found)
        return found

    def flush(self) -> list[Conversation]:
        """The records that still wait: the log has ended."""
        found: list[Conversation] = []
        while self.oldest_goes(found):
            pass
        return found

    def take(self, record: FlowRecord, found: "Found") -> cython.void:
        """Take one record."""
        if record.protocol != _TCP and record.protocol != _UDP:
            return
        if not record.is_possible():
            # Whoever sends such a number may be wrong in all the others.
            self.impossible += 1
            return
        if record.mend():
            self.impossible += 1
        came: cython.longlong = record.last
        if came < self.now <= came + _AHEAD:
            came = self.now
        self.now = record.last
        if record.is_biflow:
            found.append(self.made(record, None, pair_hash(record)))
        else:
            self.pair(record, came, found)
        self.expire(found)

    def pair(self, record: FlowRecord, came: cython.longlong, found: "Found") -> cython.void:
        """Take a record of one direction that came at a time."""
        ports: cython.longlong = record.protocol
        source: cython.longlong = record.source_port
        destination: cython.longlong = record.destination_port
        ports = ports << 32
        hash_: cython.ulonglong = pair_hash(record)
        back: cython.longlong = ports | destination << 16 | source
        other: FlowRecord
        entry: Entry | None = self.waiting.get(hash_, record.destination, record.source, back)
        if entry is not None:
            other = entry.record
            # Answers follow within the time of waiting.
            if record.first <= other.last + _WAIT and other.first <= record.last + _WAIT:
                self.waiting.drop(entry)
                found.append(self.made(record, other, hash_))
                return
        ports |= source << 16 | destination
        entry = self.waiting.get(hash_, record.source, record.destination, ports)
        if entry is not None:
            # This is the next part of this direction, before any of the other.
            self.waiting.drop(entry)
            found.append(self.made(entry.record, None, hash_))
        entry = entry_of(hash_, record.source, record.destination, ports)
        entry.record, entry.ended = record, came
        self.waiting.put(entry)
        if self.waiting.count > MAX_WAITING:
            self.evicted += 1
            self.oldest_goes(found)

    def expire(self, found: "Found") -> cython.void:
        """End the waiting of the records that have waited too long."""
        entry: Entry | None = self.waiting.oldest()
        while entry is not None:
            if self.now - _WAIT <= entry.ended <= self.now + _AHEAD:
                return
            self.oldest_goes(found)
            entry = self.waiting.oldest()

    def oldest_goes(self, found: "Found") -> cython.bint:
        """End the waiting of the record that came first; false where none waits."""
        entry: Entry | None = self.waiting.oldest()
        if entry is None:
            return False
        self.waiting.drop(entry)
        found.append(self.made(entry.record, None, entry.hash))
        return True

    def made(
        self, record: FlowRecord, other: FlowRecord | None, hash_: cython.ulonglong
    ) -> Conversation:
        """The conversation of a record and, if there is one, of the record of the other direction.
        `hash_` is the pair hash, the same for both."""
        made: Conversation = Conversation.__new__(Conversation)
        client: FlowRecord | None = record
        server: FlowRecord | None = other
        made.first, made.last = record.first, record.last
        made.bytes_out, made.goes_on = 0, False
        made.client_mac = made.shown_in = None
        made.sampling = record.sampling
        if other is not None:
            made.sampling = max(record.sampling, other.sampling)
            made.first = min(record.first, other.first)
            made.last = max(record.last, other.last)
        if not is_from_client(record, other):
            client, server = other, record
        made.is_tcp = record.protocol == _TCP
        if client is None:
            made.client_ip, made.client_port = record.destination, record.destination_port
            made.server_ip, made.server_port = record.source, record.source_port
            made.vlan = record.vlan
        else:
            made.client_ip, made.client_port = client.source, client.source_port
            made.server_ip, made.server_port = client.destination, client.destination_port
            made.vlan, made.client_mac = client.vlan, client.source_mac
            made.bytes_out = payload(client.protocol, client.source, client.octets, client.packets)
        if server is None:
            made.bytes_in = payload(
                record.protocol, record.source, record.reverse_octets, record.reverse_packets
            )
        else:
            made.bytes_in = payload(server.protocol, server.source, server.octets, server.packets)
        self.number_of(made, record.protocol, hash_)
        return made

    def number_of(
        self, made: Conversation, protocol: cython.longlong, hash_: cython.ulonglong
    ) -> cython.void:
        """Give a conversation its number, which may be known."""
        client: cython.longlong = made.client_port
        ports: cython.longlong = protocol << 32 | client << 16 | made.server_port
        entry: Entry | None = self.known.get(hash_, made.client_ip, made.server_ip, ports)
        ended: cython.longlong = made.last
        if entry is None:
            entry = entry_of(hash_, made.client_ip, made.server_ip, ports)
        else:
            self.known.drop(entry)
            made.goes_on = made.first <= entry.ended + _GOES_ON
        if made.goes_on:
            ended = max(ended, entry.ended)
        else:
            self.last_number += 1
            entry.number = self.last_number
        made.number, entry.ended = entry.number, ended
        self.known.put(entry)
        if self.known.count > MAX_KNOWN:
            entry = self.known.oldest()
            if entry is not None:
                self.known.drop(entry)


def payload(
    protocol: cython.int, address: bytes, octets: cython.longlong, packets: cython.longlong
) -> cython.longlong:
    """The bytes of payload in packets of one side, estimated from their bytes in all.

    A TCP segment has 20 bytes of header, or 32 where it has timestamps (RFC 7323), a SYN up to 40;
    nobody says which. What is left with 32 bytes in each is payload; where nothing is, what is left
    with 20 counts if it is more than what the options of a handshake and its acknowledgements may
    be, so that a connection that was only opened has none.
    """
    left: cython.longlong
    of_ip: cython.longlong = 20 if len(address) == 4 else 40
    if protocol != _TCP:
        left = octets - packets * (of_ip + 8)
        return left if left > 0 else 0
    left = octets - packets * (of_ip + 32) - 8
    if left > 0:
        return left
    left = octets - packets * (of_ip + 20)
    return left if left >= 200 else 0


def is_from_client(record: FlowRecord, other: FlowRecord | None) -> cython.bint:
    """Whether the source of a record opened the conversation: the exporter says so of a biflow;
    else it is the side without the well-known port, or that was seen first, or with the higher
    port."""
    if record.is_biflow:
        return True
    source: cython.int = record.source_port
    destination: cython.int = record.destination_port
    if (source < _WELL_KNOWN_PORTS) != (destination < _WELL_KNOWN_PORTS):
        return destination < _WELL_KNOWN_PORTS
    if other is not None and record.first != other.first:
        return record.first < other.first
    return source >= destination


def without_port(conversations: list[Conversation], port: cython.int) -> list[Conversation]:
    """The conversations of which neither side has a port."""
    each: Conversation
    found: list[Conversation] = []
    for each in conversations:
        if each.client_port != port and each.server_port != port:
            found.append(each)  # noqa: PERF401 - a comprehension has no types
    return found


def to_servers(
    conversations: list[Conversation], addresses: Container[bytes]
) -> list[Conversation]:
    """The conversations with a server at one of some packed addresses."""
    return [each for each in conversations if each.server_ip in addresses]


def note_place(conversations: list[Conversation], place: Place) -> None:
    """Note in which record all of them were shown."""
    each: Conversation
    for each in conversations:
        each.shown_in = place


def lasts_until(conversations: list[Conversation]) -> int:
    """When the last of them has ended, ns since the epoch."""
    each: Conversation
    last: cython.longlong = 0
    for each in conversations:
        last = max(last, each.last)
    return last


def ended_by(conversations: list[Conversation], time: int) -> list[Conversation]:
    """The conversations that have ended by a time, ns since the epoch."""
    return [each for each in conversations if each.last <= time]
