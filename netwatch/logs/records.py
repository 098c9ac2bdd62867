"""The contract of all formats: what a format's reader receives, and what one record reports, which
is names that a client showed, flows, and claims of addresses.

These are values between the reader of a format and the engine, which turns them into what packets
give: observations, flows and messages that claim addresses. Missing information is left out, never
guessed; `Lack` names it, so that an alert can state it.

A new reader is made for each log (all files of one log, in order of time) and takes its records one
by one. It may keep state between records (the header of a Zeek log, a query that waits for its
answer), in tables with a limit; the last waiting records come out of `flush`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from netwatch.core.flow import MAX_RECORD, NameStatus, Sent
from netwatch.core.message import AddressClaim, DnsInfo, Evidence, QuicInfo, TlsInfo
from netwatch.core.verdict import Outcome
from netwatch.flow_export.conversations import Conversation, lasts_until
from netwatch.flow_export.records import UNTAGGED
from netwatch.logs.layout import Layout
from netwatch.logs.times import LocalTimes

if TYPE_CHECKING:
    from netwatch.flow_export.known_exporters import Exporters, KnownExporter

Lack = Literal[
    "client",
    "client-port",
    "server",
    "answer",
    "query-type",
    "year",
    "time-zone",
    "device-behind-nat",
]
"""What a log lacks about a contact. ``year`` and ``time-zone`` were then assumed, from ``--year``
and ``--timezone`` or from the time of the file. ``device-behind-nat``: the client is an address
after translation."""


class Place(NamedTuple):
    """A log record: the path of the file, its number there from 1, its time in ns with its digits
    after the second, its first bytes as they are in the file, with its carrier, and its total
    number of bytes."""

    source: str
    line: int
    time: int
    time_digits: int
    record: bytes
    size: int


class Endpoint(NamedTuple):
    """One side of a contact: its packed address (4 or 16 bytes), None if the log has none, and
    its port, 0 if the log has none."""

    ip: bytes | None
    port: int = 0


NOWHERE = Endpoint(None)
"""A side that is not in the log."""


@dataclass(frozen=True, slots=True)
class LogName:
    """A name that a client showed, as an observation of packets has it.

    `time` is in ns since the epoch with `time_digits` significant digits after the second. `name`
    has its normal spelling (`netwatch.core.names`), `raw` is the name as it is in the log, empty if
    that is the same; `asked` is the name asked for if this one is an alias of it. `client_host` is
    the client's host name in logs without its address. `flow` is the identifier of the flow in the
    log (``flow_id`` of Suricata, ``uid`` of Zeek), the same in its `LogFlow`. `outcome` is the
    outcome reported by the log itself, None if it reports none: a proxy has denied the contact
    (``blocked``, with the reason in `blocked_by`), or an answer came (``reached``). For lookups it
    only follows from `dns`.

    `shown_at` is the record that has the name, None if that is the last one read; `parts` are
    further records about it: who asked, which alias leads to it.
    """

    time: int
    time_digits: int
    evidence: Evidence
    name: str
    client: Endpoint
    server: Endpoint = NOWHERE
    transport: Literal["tcp", "udp"] = "udp"
    client_host: str = ""
    client_mac: bytes | None = None
    vlan: int | None = None
    flow: str = ""
    dns: DnsInfo | None = None
    tls: TlsInfo | None = None
    quic: QuicInfo | None = None
    raw: str = ""
    asked: str = ""
    outcome: Outcome | None = None
    blocked_by: str = ""
    lacks: tuple[Lack, ...] = ()
    shown_at: Place | None = None
    parts: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class LogFlow:
    """An ended flow. Times are in ns since the epoch, bytes are transport payload if the log has
    that, otherwise what it has. One packet of `sampling` was looked at, and the
    bytes are those of these packets. If its exporter had sent what cannot be, it `is_doubted`."""

    first: int
    last: int
    transport: Literal["tcp", "udp"]
    client: Endpoint
    server: Endpoint
    bytes_out: int
    bytes_in: int
    flow: str = ""
    name_status: NameStatus = "none"
    client_sent: Sent = "nothing"
    server_sent: Sent = "nothing"
    start_seen: bool = True
    client_mac: bytes | None = None
    vlan: int | None = None
    sampling: int = 1
    is_doubted: bool = False


@dataclass(frozen=True, slots=True)
class LogClaim:
    """A statement about who uses which addresses, as DHCP servers log it. `source` is the packed
    address that the message came from, None if not in the log."""

    time: int
    time_digits: int
    claim: AddressClaim
    source: bytes | None = None


@dataclass(frozen=True, slots=True)
class LogLoss:
    """Records that the log should have and has not, which is known at `time`: `count` of them, 0 if
    nobody knows how many, from `first` to `last`. Times are in ns since the epoch."""

    time: int
    first: int
    last: int
    count: int


class LogFlows(NamedTuple):
    """Flows that a message of flow records shows, one or more, in the order in which they were
    complete. They are many, and nearly none goes to an address that matters."""

    conversations: list[Conversation]

    def flows(self) -> Iterator[LogFlow]:
        """Each of them by itself."""
        return map(log_flow, self.conversations)


def log_flow(found: Conversation) -> LogFlow:
    """A conversation as what a log says."""
    return LogFlow(
        found.first,
        found.last,
        "tcp" if found.is_tcp else "udp",
        Endpoint(found.client_ip, found.client_port),
        Endpoint(found.server_ip, found.server_port),
        found.bytes_out,
        found.bytes_in,
        f"flow-{found.number}",
        client_sent="payload" if found.bytes_out else "nothing",
        server_sent="payload" if found.bytes_in else "nothing",
        start_seen=not found.goes_on,
        client_mac=found.client_mac,
        vlan=None if found.vlan == UNTAGGED else found.vlan,
        sampling=found.sampling,
        is_doubted=found.shown_in is not None and found.shown_in.is_doubted,
    )


LogEntry = LogName | LogFlow | LogFlows | LogClaim | LogLoss
"""What a record reports. A record may report several things."""


def time_of(entry: LogEntry) -> int:
    """The time of an entry, for a flow its end, of several the latest, ns since the
    epoch."""
    if isinstance(entry, LogFlows):
        return lasts_until(entry.conversations)
    return entry.last if isinstance(entry, LogFlow) else entry.time


class Carried(NamedTuple):
    """The carrier stripped from a line: the time that it gives (ns since the epoch, None if it has
    none) with its digits after the second, the sender's host name, and the name of the program
    (``dnsmasq``), both empty if it has none."""

    time: int | None = None
    time_digits: int = 0
    host: str = ""
    program: str = ""


PLAIN = Carried()
"""The line had no carrier."""


MAX_PARTS = 64
"""Records of one answer or event whose places are kept; further ones are not evidence."""


MAX_PIECES = 16
"""Pieces of a record whose places are kept, the last ones."""


class CurrentRecord:
    """The current record, as it is in the file; `line` is 0 if it is in none. The reader of the log
    sets it. A carrier may have divided it: the pieces before the last are kept until that has been
    read."""

    __slots__ = ("_pieces", "line", "record", "source")

    def __init__(self) -> None:
        self.source = ""
        self.line = 0
        self.record = b""
        self._pieces: list[Place] = []

    def keep_piece(self) -> None:
        """The record is a piece of one whose end comes later."""
        place = self.place()
        if place is not None:
            self._pieces = [*self._pieces, place][-MAX_PIECES:]

    def with_pieces(self, entries: Iterable[LogEntry]) -> Iterable[LogEntry]:
        """The entries of a record, with its earlier pieces as parts."""
        return self._with_parts(entries) if self._pieces else entries

    def _with_parts(self, entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
        pieces = self._pieces
        for entry in entries:
            # Until then they may belong to another stream.
            self._pieces = []
            if isinstance(entry, LogName):
                time, digits = entry.time, entry.time_digits
                parts = [piece._replace(time=time, time_digits=digits) for piece in pieces]
                entry = replace(entry, parts=(*entry.parts, *parts))
            yield entry

    def place(self, time: int = 0, digits: int = 0) -> Place | None:
        """Where it is, with its time in ns and its digits, for a reader that only shows its content
        at a later record. None if it is in no file."""
        if not self.line:
            return None
        record = self.record
        size = len(record)
        if size > MAX_RECORD:
            record = record[:MAX_RECORD]
        return Place(self.source, self.line, time, digits, record, size)


@dataclass(frozen=True, slots=True)
class ReaderContext:
    """What the reader of a log may use: `times` reads times without zone or year, `source` is the
    path of the first file, for messages, `current` locates the current record. `exporters` are
    the configured ones, None if there are none."""

    times: LocalTimes
    source: str = ""
    current: CurrentRecord = field(default_factory=CurrentRecord, compare=False)
    exporters: "Exporters | None" = field(default=None, compare=False)


BRIEFLY = 60_000_000_000
"""How long something waits for a later record of a silent sender, ns."""


class RecordReader:
    """Reads the records of one log of a format, each of which has a class of this kind.

    `anomalies` counts problems besides unreadable records, and `notes` are sentences; the caller
    takes both. `exporter` is what the configuration has about the sender of flow records, None if
    nothing. `layout` is what plain lines look like from the next one on, None if no line is plain.
    `is_alone` tells that no record so far belongs to another, or claims an address. With
    `is_doubted` the exporter of the flows of the last record had sent what cannot be.
    With `waits_briefly` what waits for a later record only does so for `BRIEFLY` after the
    last one.
    """

    is_alone = False
    is_doubted = False
    waits_briefly = False
    layout: Layout | None = None

    def __init__(self, context: ReaderContext) -> None:
        self.anomalies: Counter[str] = Counter()
        self.notes: list[str] = []
        self.exporter: KnownExporter | None = None
        self._times = context.times
        self._current = context.current

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a record, without its line ending and without its carrier; returns nothing for
        records of no interest (comments, other messages of the program). Raises `RecordError` if it
        should contain something and cannot be read."""
        raise NotImplementedError

    def flush(self) -> Iterable[LogEntry]:
        """What waits for a later record that did not come: the log has ended."""
        return ()


class Sample(NamedTuple):
    """The head of a file, by which its format is recognised: the first bytes after decompression,
    the complete lines in them without their carriers, the carriers, and for each line its JSON
    object, None if it is not one. For other containers the lines are the first records, for an
    SQLite database the names of its tables."""

    head: bytes
    lines: tuple[bytes, ...]
    carried: tuple[Carried, ...]
    objects: tuple[dict[str, object] | None, ...]
