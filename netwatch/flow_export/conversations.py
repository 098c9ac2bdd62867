"""Flow records put together: what both sides of a conversation have sent, and who opened it.

Most exporters send a record for each direction, and of a long conversation one for each interval of
their active timeout. Here the records of the two directions find each other, and a record that goes
on where an earlier one ended gets the number of that conversation.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from netwatch.flow_export import FlowRecord
from netwatch.flow_export.known_exporters import MOST_SAMPLING

MAX_WAITING = 1 << 18
"""Records that wait for those of the other direction."""

MAX_KNOWN = 1 << 18
"""Conversations that may go on."""

WAIT = 60_000_000_000
"""How long a record waits for the other direction after it ended, ns of the exporter's clock."""

AHEAD = 3_600_000_000_000
"""A record that waits and is so far behind the present one in time, ns, is of a clock that lies: it
would wait until that time has come."""

GOES_ON = 60_000_000_000
"""A record that begins so soon after the end of another with the same addresses and ports is of the
same conversation, ns."""

MOST_COUNTED = (1 << 46) - 1
"""Bytes or packets of a record: at 400 Gbit/s 70 TB take 23 minutes, and records are sent more
often. Thousands of them fit into the 64 bits of a sum."""

SYN = 0x02
WELL_KNOWN_PORTS = 1024
_LAST_PORT = 0xFFFF
_LAST_VLAN = 0xFFF

_TRANSPORTS: dict[int, Literal["tcp", "udp"]] = {6: "tcp", 17: "udp"}


@dataclass(frozen=True, slots=True)
class Conversation:
    """Packets between two ports, one of `sampling` of which was looked at. `first` and `last` are
    ns since the epoch, `bytes_out` and `bytes_in` payload of the client and of the server in these
    packets (`payload`). `number` is the same for the parts of one conversation; `goes_on` says that
    this is not its first part."""

    number: int
    first: int
    last: int
    transport: Literal["tcp", "udp"]
    client: tuple[bytes, int]
    server: tuple[bytes, int]
    bytes_out: int
    bytes_in: int
    goes_on: bool
    vlan: int | None
    client_mac: bytes | None
    sampling: int


Key = tuple[bytes, bytes, int, int, int]


class Conversations:
    """Puts the records of one exporter together. `evicted` counts those that did not find the other
    direction because too many waited, `impossible` those with a number that cannot be."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Key, FlowRecord] = OrderedDict()
        self._known: OrderedDict[Key, tuple[int, int]] = OrderedDict()
        self._last_number = 0
        self._now = 0
        self.evicted = self.impossible = 0
        self._taken: Counter[str] = Counter()

    def take_anomalies(self) -> Counter[str]:
        """What was counted since this was asked."""
        found = Counter(
            {"flow-records-full": self.evicted, "flow-number-impossible": self.impossible}
        )
        new, self._taken = found - self._taken, found
        return new

    def add(self, record: FlowRecord) -> Iterator[Conversation]:
        """Take a record; the conversations that are complete now. Records of other protocols than
        TCP and UDP are none."""
        if record.protocol not in _TRANSPORTS:
            return
        if not _is_possible(record):
            self.impossible += 1
            record = _without_impossible(record)
        self._now = record.last
        if record.is_biflow:
            yield self._conversation(record, None)
        else:
            yield from self._paired(record)
        yield from self._expired()

    def flush(self) -> Iterator[Conversation]:
        """The records that still wait: the log has ended."""
        while self._waiting:
            _, record = self._waiting.popitem(last=False)
            yield self._conversation(record, None)

    def _paired(self, record: FlowRecord) -> Iterator[Conversation]:
        other = self._waiting.get(_key_back(record))
        if other is not None and _overlap(record, other):
            del self._waiting[_key_back(record)]
            yield self._conversation(record, other)
            return
        key = _key(record)
        earlier = self._waiting.pop(key, None)
        if earlier is not None:
            # The next part of this direction, before any of the other.
            yield self._conversation(earlier, None)
        self._waiting[key] = record
        if len(self._waiting) > MAX_WAITING:
            self.evicted += 1
            yield self._conversation(self._waiting.popitem(last=False)[1], None)

    def _expired(self) -> Iterator[Conversation]:
        while self._waiting:
            record = next(iter(self._waiting.values()))
            if self._now - WAIT <= record.last <= self._now + AHEAD:
                return
            self._waiting.popitem(last=False)
            yield self._conversation(record, None)

    def _conversation(self, record: FlowRecord, other: FlowRecord | None) -> Conversation:
        if not _is_from_client(record, other):
            record, other = _swapped(record, other)
        out = payload(record.protocol, record.source, record.octets, record.packets)
        if other is not None:
            back = payload(other.protocol, other.source, other.octets, other.packets)
        else:
            back = payload(
                record.protocol, record.source, record.reverse_octets, record.reverse_packets
            )
        first = min(record.first, other.first) if other is not None else record.first
        last = max(record.last, other.last) if other is not None else record.last
        number, goes_on = self._number(record, first, last)
        return Conversation(
            number,
            first,
            last,
            _TRANSPORTS[record.protocol],
            (record.source, record.source_port),
            (record.destination, record.destination_port),
            out,
            back,
            goes_on,
            record.vlan,
            record.source_mac,
            record.sampling if other is None else max(record.sampling, other.sampling),
        )

    def _number(self, record: FlowRecord, first: int, last: int) -> tuple[int, bool]:
        """The number of a conversation, and whether it was known."""
        key = _key(record)
        number, ended = self._known.pop(key, (0, 0))
        goes_on = bool(number) and first <= ended + GOES_ON
        if not goes_on:
            number = self._last_number = self._last_number + 1
        self._known[key] = number, max(last, ended) if goes_on else last
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return number, goes_on


def _is_possible(record: FlowRecord) -> bool:
    octets = record.octets | record.packets | record.reverse_octets | record.reverse_packets
    return (
        octets <= MOST_COUNTED
        and record.source_port | record.destination_port <= _LAST_PORT
        and (record.vlan or 0) <= _LAST_VLAN
        and record.sampling <= MOST_SAMPLING
    )


def _without_impossible(record: FlowRecord) -> FlowRecord:
    """A record without what cannot be: nothing is known of that, as where the record lacks it."""
    counters = ("octets", "packets", "reverse_octets", "reverse_packets")
    limits = dict.fromkeys(counters, MOST_COUNTED)
    limits |= dict.fromkeys(("source_port", "destination_port"), _LAST_PORT)
    wrong: dict[str, Any] = {
        name: 0 for name, limit in limits.items() if getattr(record, name) > limit
    }
    return record._replace(
        **wrong,
        vlan=None if (record.vlan or 0) > _LAST_VLAN else record.vlan,
        sampling=min(record.sampling, MOST_SAMPLING),
    )


def payload(protocol: int, address: bytes, octets: int, packets: int) -> int:
    """The bytes of payload in packets of one side, estimated from their bytes in all.

    A TCP segment has 20 bytes of header, or 32 where it has timestamps (RFC 7323), a SYN up to 40;
    nobody says which. What is left with 32 bytes in each is payload; where nothing is, what is left
    with 20 counts if it is more than what the options of a handshake and its acknowledgements may
    be, so that a connection that was only opened has none.
    """
    of_ip = 20 if len(address) == 4 else 40
    if protocol != 6:
        return max(0, octets - packets * (of_ip + 8))
    with_options = octets - packets * (of_ip + 32) - 8
    if with_options > 0:
        return with_options
    without = octets - packets * (of_ip + 20)
    return without if without >= 200 else 0


def _is_from_client(record: FlowRecord, other: FlowRecord | None) -> bool:
    """Whether the source of a record opened the conversation: the exporter says so of a biflow;
    else it is the side without the well-known port, or that was seen first, or with the higher
    port."""
    if record.is_biflow:
        return True
    source, destination = record.source_port, record.destination_port
    if (source < WELL_KNOWN_PORTS) != (destination < WELL_KNOWN_PORTS):
        return destination < WELL_KNOWN_PORTS
    if other is not None and record.first != other.first:
        return record.first < other.first
    return source >= destination


def _swapped(record: FlowRecord, other: FlowRecord | None) -> tuple[FlowRecord, FlowRecord | None]:
    """The direction of the client first; where no record has it, one without packets."""
    if other is not None:
        return other, record
    client = FlowRecord(
        record.first,
        record.last,
        record.destination,
        record.source,
        record.destination_port,
        record.source_port,
        record.protocol,
        0,
        0,
        vlan=record.vlan,
        sampling=record.sampling,
    )
    return client, record


def _overlap(record: FlowRecord, other: FlowRecord) -> bool:
    """Whether two directions are of one time: answers follow within the time of waiting."""
    return record.first <= other.last + WAIT and other.first <= record.last + WAIT


def _key(record: FlowRecord) -> Key:
    return (
        record.source,
        record.destination,
        record.source_port,
        record.destination_port,
        record.protocol,
    )


def _key_back(record: FlowRecord) -> Key:
    return (
        record.destination,
        record.source,
        record.destination_port,
        record.source_port,
        record.protocol,
    )
