"""What one record of a log says: names that a client showed, flows, and claims of addresses.

These are values between the reader of a format and the engine, which makes of them what packets
give: observations, flows and messages that claim addresses. What a record does not say is left
out, never guessed; `Lack` names it, so that an alert can state it.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from netwatch.core.flow import NameStatus, Sent
from netwatch.core.message import AddressClaim, DnsInfo, Evidence, QuicInfo, TlsInfo
from netwatch.core.verdict import Outcome

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
"""What a log does not say of a contact. ``year`` and ``time-zone`` were then assumed, from
``--year`` and ``--timezone`` or from the time of the file. ``device-behind-nat``: the client is an
address after translation."""


class Place(NamedTuple):
    """A record of a log: the path of the file, its number there from 1, its time in ns with its
    digits after the second, its first bytes as they are in the file, with what carried it, and how
    many bytes it has in all."""

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
"""A side that the log does not name."""


@dataclass(frozen=True, slots=True)
class LogName:
    """A name that a client showed, as an observation of packets has it.

    `time` is in ns since the epoch with `time_digits` significant digits after the second. `name`
    has its normal spelling (`netwatch.core.names`), `raw` is the name as it is in the log, empty
    if that is the same; `asked` is the name asked for where this one is an alias of it.
    `client_host` is the host name of the client in logs that know no address of it. `flow` is the
    identifier of the flow in the log (``flow_id`` of Suricata, ``uid`` of Zeek), the same in its
    `LogFlow`. `outcome` is what the log itself says came of the contact, None if it says
    nothing: a proxy has denied it (``blocked``, `blocked_by` says by what), or an answer came
    (``reached``). For lookups it follows from `dns` alone.

    `shown_at` is the record that has the name, None if that is the one that was read last;
    `parts` are further records that say something of it: who asked, which alias leads to it.
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
    """A flow that has ended. Times are in ns since the epoch, bytes are payload of the transport
    layer where the log has that, else what it has."""

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


@dataclass(frozen=True, slots=True)
class LogClaim:
    """A statement about who uses which addresses, as DHCP servers log it. `source` is the packed
    address that the message came from, None if the log does not say."""

    time: int
    time_digits: int
    claim: AddressClaim
    source: bytes | None = None


LogEntry = LogName | LogFlow | LogClaim
"""What a record says. A record may say several things."""


def time_of(entry: LogEntry) -> int:
    """The time of what a record says, of a flow its end, ns since the epoch."""
    return entry.last if isinstance(entry, LogFlow) else entry.time
