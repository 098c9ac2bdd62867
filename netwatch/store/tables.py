"""The columns of the tables of facts: the one definition of the content of their Parquet files, and
the meaning of the tables and columns of ``store sql``, for its help and the documentation.

Rows refer to a capture and to clients by number; a number's owner is only in the catalogue, so that
a person is erased by deleting the number's row there and rewriting files. `sequence` numbers the
events of a capture (rows of all three tables) in the order in which the engine met them: replayed
in this order, they give the same incidents. Times are ns since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FORMAT_VERSION = 8
"""The version of these files, in the metadata of each one as ``netwatch.format``."""

TRAFFIC_SINCE = 7
"""The format since which hours tell when traffic itself was seen, and claims whether they are from
a log."""

NAMED_SINCE = 4
"""The version of the format since which flows have names that reveal nothing about their ends."""

FLOW_NAME = "flow"
"""The column that names a flow (`netwatch.store.flow_rows`)."""

BUCKETS = 32
"""The files of a day are divided by client: ``bucket=NN`` is the client's number modulo this."""

Kind = Literal[
    "bool", "uint8", "uint16", "int32", "uint32", "int64", "text", "texts", "numbers", "blob"
]
"""The type of a column; ``texts`` and ``numbers`` (uint32) are lists."""

TABLE_TITLES: Mapping[str, str] = {
    "observation": "names that devices showed, one a row",
    "flow": "conversations with their bytes, one a row",
    "claim": "which device claimed which address (DHCP, mDNS, ARP)",
    "incident": "incidents as they were reported",
    "fleet_case": "incidents as the sensors of a fleet saw them together, at a centre",
    "fleet_sensor": "the sensors that are known, and how they are",
    "coverage": "in how many flows a name could be read, by run",
    "evidence": "where the packets are: captures, and evidence captures of incidents",
    "version": "signatures, bans and configurations that decided",
}

_FACTS = {
    "time_ns": "the same as ns since the epoch: comparisons with it leave out files",
    "first_ns": "`first` as ns since the epoch: comparisons with it leave out files",
    "last_ns": "`last` as ns since the epoch",
    "client_ip": "address of the client, or its pseudonym",
    "client_mac": "MAC of the client in its frames",
    "client_network": "name of its network; none outside of all",
    "address": "address that the claim is about; none if it is sealed",
    "mac": "MAC that is said to have it",
    "hostname": "host name that is said to have it",
    "capture": "number of the capture",
    "day": "day of the row in UTC: comparisons with it leave out files",
    "sensor": "the sensor that saw it: sites often have the same addresses",
}
_COPIES: Mapping[str, Mapping[str, str]] = {
    "incident": {
        "id": "id of the incident",
        "status": "`open`, `update` or `closed`",
        "verdict": "`violation`, `advisory` or `exempt`",
        "confidence": "`confirmed`, `probable` or `possible`",
        "kind": "`session`, `background`, `embed` or `lookup`",
        "outcome": "`reached`, `attempted`, `blocked` or `unknown`",
        "app": "id of the app",
        "ban": "id of the ban",
        "device": "id of the device",
        "network": "name of its network",
        "first_seen": "time of the first contact",
        "last_seen": "time of the last contact",
        "first_seen_ns": "`first_seen` as ns since the epoch",
        "last_seen_ns": "`last_seen` as ns since the epoch",
        "record": "the alert as JSON, as `scan --format jsonl` wrote it",
        "run": "number of the run that found it",
    },
    "fleet_case": {
        "id": "id of the case",
        "status": "`open`, `update` or `closed`",
        "verdict": "`violation`, `advisory` or `exempt`",
        "confidence": "`confirmed`, `probable` or `possible`",
        "kind": "`session`, `background`, `embed` or `lookup`",
        "outcome": "`reached`, `attempted`, `blocked` or `unknown`",
        "app": "id of the app",
        "ban": "id of the ban",
        "device": "id of the device",
        "network": "name of its network",
        "joined_by": "`community_id` or `time`: the evidence for it; none if one sensor saw it",
        "sensors": "how many sensors saw it",
        "incidents": "of how many incidents it is made",
        "first_seen": "time of the first contact by the clock of the centre",
        "last_seen": "time of the last contact by the clock of the centre",
        "first_seen_ns": "`first_seen` as ns since the epoch",
        "last_seen_ns": "`last_seen` as ns since the epoch",
        "record": "the case as JSON, as `store query cases --format jsonl` gives it",
    },
    "fleet_sensor": {
        "name": "name of the sensor",
        "enrolled": "when it was enrolled; none for a capture that writes to this store itself",
        "heard": "when it last said anything; none: never",
        "silent_since": "since when it was not heard; none while it is",
        "clock_offset_ns": "how far its clock is ahead of the centre's clock, ns",
        "refused": "messages of it that were refused",
        "status": "what it last said of itself, as JSON",
    },
    "coverage": {
        "first": "time of the first packet",
        "last": "time of the last packet",
        "first_ns": "`first` as ns since the epoch",
        "last_ns": "`last` as ns since the epoch",
        "record": "the report as JSON",
        "run": "number of the run",
        "part": "0, or the number of the hour of a live run",
    },
    "evidence": {
        "incident": "id of the incident; none for a whole capture",
        "path": "where the file was",
        "size": "its size in bytes",
        "sha256": "hash of its content",
        "stored": "when it was noted",
        "run": "number of the run",
    },
    "version": {
        "id": "number of the version",
        "netwatch": "version of netwatch",
        "signatures": "hash of the signatures",
        "bans": "hash of the bans and exemptions",
        "configuration": "hash of the configuration",
        "first_used": "when it was first used",
    },
}


@dataclass(frozen=True, slots=True)
class FactColumn:
    """A column of a table of facts; files with a format before `since` lack it."""

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
    FactColumn("raw", "text", "the name as it is in the packet, if that differs", nullable=True),
    FactColumn("client", "int32", "number of the client in the catalogue"),
    FactColumn("client_port", "uint16", "its port", nullable=True),
    FactColumn("server_ip", "text", "address of the other side", nullable=True),
    FactColumn("server_port", "uint16", "its port", nullable=True),
    FactColumn("transport", "text", "`tcp` or `udp`"),
    FactColumn("vlan", "uint16", "innermost VLAN id", nullable=True),
    FactColumn("source", "text", "file or interface"),
    FactColumn("packet", "int64", "number of the packet or record in it, from 1"),
    FactColumn(FLOW_NAME, "int64", "identifies the flow in its capture, but not its ends"),
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
    FactColumn("log_format", "text", "format of the log, instead of a packet", True, since=2),
    FactColumn("log_lacks", "texts", "what the log does not record", True, since=2),
    FactColumn("log_outcome", "text", "the outcome that it reports for the contact", True, since=2),
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
    FactColumn(
        "sampling",
        "uint32",
        "one packet of so many was looked at; none where all were",
        True,
        since=6,
    ),
)
"""One name that one device showed; the record's further columns follow from them (the Community ID)
or from the catalogue (address and MAC of the client)."""

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
    FactColumn(FLOW_NAME, "int64", "identifies the flow in its capture, but not its ends"),
    FactColumn("log_format", "text", "format of the log, instead of a packet", True, since=2),
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
    FactColumn(
        "sampling",
        "uint32",
        "one packet of so many was looked at; none where all were",
        True,
        since=5,
    ),
    FactColumn(
        "is_doubted",
        "bool",
        "whether the exporter of the flow record had sent impossible values; none where not",
        True,
        since=8,
    ),
)
"""One conversation, as `netwatch.core.flow.Flow`."""

CLAIM = (
    *_WHERE,
    FactColumn("time", "int64", "time of the packet"),
    FactColumn("kind", "text", "`request`, `lease`, `announcement` or `end`"),
    FactColumn("client", "int32", "number of the client that the claim is about"),
    FactColumn("vlan", "uint16", "innermost VLAN id", nullable=True),
    FactColumn("source", "text", "file or interface"),
    FactColumn("packet", "int64", "number of the packet or record in it, from 1"),
    FactColumn("claim", "blob", "the packet's endpoints and the claim, as JSON; may be sealed"),
    FactColumn("log_format", "text", "format of the log, instead of a packet", True, since=7),
)
"""One statement of a message about who uses an address (`netwatch.core.message.AddressClaim`)."""

FACTS = {"observation": OBSERVATION, "flow": FLOW, "claim": CLAIM}
"""The tables of facts by name. The day of a row is the day of its `time` (of a flow: `first`),
UTC."""


def columns_of(table: str, version: int = FORMAT_VERSION) -> tuple[FactColumn, ...]:
    """The columns that files of a version have."""
    return tuple(column for column in FACTS[table] if column.since <= version)


def column_titles(table: str) -> Mapping[str, str]:
    """The meaning of a table's columns, by their names."""
    if table in _COPIES:
        return _COPIES[table]
    return {column.name: column.title for column in FACTS[table]} | _FACTS
