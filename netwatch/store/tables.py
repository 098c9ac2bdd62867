"""The columns of the tables of facts: the one definition of what their Parquet files have.

Rows refer to a capture and to clients by number; who has the number is in the catalogue alone, so
that erasing a person means to delete the number's row there and to rewrite files. `sequence`
numbers the events of a capture (rows of all three tables) in the order in which the engine met
them: replayed in this order, they give the same incidents. Times are ns since the epoch.
"""

from dataclasses import dataclass
from typing import Literal

FORMAT_VERSION = 3
"""The version of these files, in the metadata of each one as ``netwatch.format``."""

BUCKETS = 32
"""The files of a day are divided by client: ``bucket=NN`` is the client's number modulo this."""

Kind = Literal[
    "bool", "uint8", "uint16", "int32", "uint32", "int64", "text", "texts", "numbers", "blob"
]
"""The type of a column; ``texts`` and ``numbers`` (uint32) are lists."""


@dataclass(frozen=True, slots=True)
class FactColumn:
    """A column of a table of facts; files of versions of the format before `since` lack it."""

    name: str
    kind: Kind
    title: str
    nullable: bool = False
    since: int = 1


_WHERE = (
    FactColumn("capture", "int32", "number of the capture in the catalogue"),
    FactColumn("sequence", "int64", "place among the events of the capture"),
)

OBSERVATION = (
    *_WHERE,
    FactColumn("time", "int64", "time of the packet, or of the record of the log"),
    FactColumn("time_digits", "uint8", "digits of the time after the second"),
    FactColumn("evidence", "text", "how the name was seen"),
    FactColumn("name", "text", "the name"),
    FactColumn("raw", "text", "the name as it is in the packet, where that differs", nullable=True),
    FactColumn("client", "int32", "number of the client in the catalogue"),
    FactColumn("client_port", "uint16", "its port", nullable=True),
    FactColumn("server_ip", "text", "address of the other side", nullable=True),
    FactColumn("server_port", "uint16", "its port", nullable=True),
    FactColumn("transport", "text", "`tcp` or `udp`"),
    FactColumn("vlan", "uint16", "innermost VLAN id", nullable=True),
    FactColumn("source", "text", "file or interface"),
    FactColumn("packet", "int64", "number of the packet or record in it, from 1"),
    FactColumn("flow", "int64", "number of the flow in the capture"),
    FactColumn("dns_type", "text", "type asked for", nullable=True),
    FactColumn("dns_rcode", "text", "response code", nullable=True),
    FactColumn("dns_answers", "texts", "addresses in the answer", nullable=True),
    FactColumn("dns_ttls", "numbers", "their time to live, s", nullable=True),
    FactColumn("dns_chain", "texts", "aliases, from the name asked for", nullable=True),
    FactColumn("dns_asked", "text", "the name asked for, of an alias", nullable=True),
    FactColumn("dns_service_targets", "texts", "targets of SVCB and HTTPS records", nullable=True),
    FactColumn("dns_ech", "texts", "public names of ECH configurations", nullable=True),
    FactColumn("tls_version", "text", "newest version that is offered", nullable=True),
    FactColumn("tls_alpn", "texts", "protocols that are offered", nullable=True),
    FactColumn("tls_ja4", "text", "JA4 fingerprint of the client", nullable=True),
    FactColumn("tls_ech", "text", "`outer`, `grease` or `present`", nullable=True),
    FactColumn("quic_version", "text", "version of QUIC", nullable=True),
    FactColumn("log_format", "text", "format of the log, in place of a packet", True, since=2),
    FactColumn("log_lacks", "texts", "what the log does not say", True, since=2),
    FactColumn("log_outcome", "text", "what it says that came of the contact", True, since=2),
    FactColumn("log_blocked_by", "text", "its word for what was denied", True, since=2),
    FactColumn(
        "stream_place",
        "int64",
        "place in what its side sent, to tell what acknowledges it",
        True,
        since=3,
    ),
    FactColumn("checksum", "text", "`right`, `wrong`, or `unknown`", True, since=3),
    FactColumn("dns_ech_configs", "texts", "ECH configurations of the name", True, since=3),
    FactColumn("tls_ech_config_id", "text", "config_id of ECH", True, since=3),
)
"""One name that one device showed; the columns that the record has beside these follow from them
(the Community ID) or from the catalogue (address and MAC of the client)."""

FLOW = (
    *_WHERE,
    FactColumn("first", "int64", "time of the first packet"),
    FactColumn("last", "int64", "time of the last packet"),
    FactColumn("transport", "text", "`tcp` or `udp`"),
    FactColumn("client", "int32", "number of the client in the catalogue"),
    FactColumn("client_port", "uint16", "its port"),
    FactColumn("server_ip", "text", "address of the server", nullable=True),
    FactColumn("server_port", "uint16", "its port"),
    FactColumn("vlan", "uint16", "innermost VLAN id", nullable=True),
    FactColumn("bytes_out", "int64", "payload that the client sent"),
    FactColumn("bytes_in", "int64", "payload that it received"),
    FactColumn("name_status", "text", "what its messages revealed of its name"),
    FactColumn("start_seen", "bool", "whether its first packet is in the capture"),
    FactColumn(
        "incomplete_message",
        "bool",
        "whether a message never became complete, and none told a name",
    ),
    FactColumn("client_sent", "text", "what the client was seen to send"),
    FactColumn(
        "server_sent",
        "text",
        "what the server was seen to send, `HTTP 403` for example if that denied the client",
    ),
    FactColumn("source", "text", "file or interface of the first packet"),
    FactColumn("packet", "int64", "number of that packet or record in it, from 1"),
    FactColumn("flow", "int64", "number of the flow in the capture"),
    FactColumn("log_format", "text", "format of the log, in place of a packet", True, since=2),
    FactColumn(
        "client_acknowledged",
        "int64",
        "place in what the client sent that the server acknowledged",
        True,
        since=3,
    ),
    FactColumn(
        "server_acknowledged",
        "int64",
        "place in what the server sent that the client acknowledged",
        True,
        since=3,
    ),
    FactColumn("client_checksums", "text", "checksums of packets of the client", True, since=3),
    FactColumn("server_checksums", "text", "checksums of packets of the server", True, since=3),
)
"""One conversation, as `netwatch.core.flow.Flow` has it."""

CLAIM = (
    *_WHERE,
    FactColumn("time", "int64", "time of the packet"),
    FactColumn("kind", "text", "`request`, `lease`, `announcement` or `end`"),
    FactColumn("client", "int32", "number of the client that the claim is about"),
    FactColumn("vlan", "uint16", "innermost VLAN id", nullable=True),
    FactColumn("source", "text", "file or interface"),
    FactColumn("packet", "int64", "number of the packet or record in it, from 1"),
    FactColumn("claim", "blob", "the packet's endpoints and the claim, as JSON; may be sealed"),
)
"""One statement of a message about who uses an address (`netwatch.core.message.AddressClaim`)."""

FACTS = {"observation": OBSERVATION, "flow": FLOW, "claim": CLAIM}
"""The tables of facts by name. The day of a row is that of its `time` (of a flow: `first`), UTC."""


def columns_of(table: str, version: int = FORMAT_VERSION) -> tuple[FactColumn, ...]:
    """The columns that files of a version have."""
    return tuple(column for column in FACTS[table] if column.since <= version)
