"""The columns of an observation: the one definition of its record, which every reader follows.

An observation batch (`netwatch.core.observation_batch`) has one word of 64 bits per row and column.
`COLUMNS` defines for each key of the record the kind of value and its word. The objects, JSON
lines, CSV, Arrow and Parquet follow from this table: a new column is a word here (and in
observation_columns.pxd), a row of the table, and the code that fills it.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from netwatch.core.message import Evidence

# Words of a row. Texts are ids in the dictionary of the batch, 0 if there is none. Lists are
# a start in the `lists` of the batch, shifted by `LIST_SHIFT`, and a number of entries.
WORD_TIME = 0  # ns since the epoch
WORD_TIME_DIGITS = 1  # significant digits after the second
WORD_EVIDENCE = 2  # index in EVIDENCE
WORD_NAME = 3  # text
WORD_CLIENT_IP = 4  # text: the packed address, 4 or 16 bytes
WORD_CLIENT_PORT = 5  # -1 if not in the log
WORD_CLIENT_MAC = 6  # the address with bit 48 set; 0 if there is none
WORD_SERVER_IP = 7  # 0 if not in the log
WORD_SERVER_PORT = 8  # -1 if not in the log
WORD_TRANSPORT = 9  # IP protocol: 6 or 17
WORD_VLAN = 10  # VLAN id; -1 if there is none
WORD_SOURCE = 11  # index in the `sources` of the batch
WORD_PACKET = 12  # number of the packet, from 1; 0 in a log
WORD_FLOW = 13  # the flow within one run, as `core.message.Packet.flow_id`
WORD_DNS_TYPE = 14  # text; the message is a DNS message if there is one
WORD_DNS_RCODE = 15  # text
WORD_DNS_ANSWERS = 16  # list of pairs: text (a packed address), TTL in seconds
WORD_DNS_CHAIN = 17  # list of texts
WORD_DNS_SERVICE_TARGETS = 18  # list of texts
WORD_DNS_ECH = 19  # list of texts
WORD_TLS_VERSION = 20  # text; the message is a hello if there is one
WORD_TLS_ALPN = 21  # list of texts
WORD_TLS_JA4 = 22  # text
WORD_TLS_ECH = 23  # text
WORD_QUIC_VERSION = 24  # text
WORD_RAW = 25  # text: the name as it is in the packet; 0 if it is the same
WORD_DNS_ASKED = 26  # text: the name asked for, in the row of an alias
WORD_CLIENT_HOST = 27  # text: the host name of a client without an address in the log
WORD_LOG_LINE = 28  # number of the record in its log, from 1; 0 in a capture
WORD_LOG_FORMAT = 29  # text; the row is of a log if there is one
WORD_LOG_LACKS = 30  # list of texts
WORD_LOG_OUTCOME = 31  # text
WORD_LOG_BLOCKED_BY = 32  # text
WORD_CLIENT_NETWORK = 33  # index in the `sources` plus 1: its network, in facts of a store
WORD_SENSOR = 34  # the same: the sensor that saw it, in facts of a store
WORD_MARK = 35  # how the packet was seen, as `core.flow` reads it; 0 in a log
WORD_DNS_ECH_CONFIGS = 36  # list of texts
WORD_TLS_ECH_CONFIG_ID = 37  # text
WORDS = 38  # words of a row

LIST_SHIFT = 16  # bits of the number of entries of a list
LIST_MASK = 65535

# Places in EVIDENCE.
EVIDENCE_DNS_QUERY = 0
EVIDENCE_DNS_ANSWER = 1
EVIDENCE_DNS_CNAME = 2
EVIDENCE_TLS_SNI = 3
EVIDENCE_QUIC_SNI = 4
EVIDENCE_HTTP_HOST = 6

EVIDENCE: tuple[Evidence, ...] = get_args(Evidence)
"""The kinds of evidence, in the order of their numbers."""

TRANSPORTS: dict[int, Literal["tcp", "udp"]] = {6: "tcp", 17: "udp"}
"""The transports by their IP protocol."""

Kind = Literal[
    "time",
    "evidence",
    "text",
    "address",
    "number",
    "optional number",
    "positive number",
    "mac",
    "transport",
    "source",
    "place",
    "texts",
    "addresses",
    "community id",
]
"""What a column has: ``text``, ``place`` and ``address`` are omitted if there is none, ``optional
number`` if it is negative, ``positive number`` and ``mac`` if it is 0, and the lists ``texts`` and
``addresses`` if they are empty. ``community id`` follows from other columns and has no word: it is
omitted if an address or a port is."""


@dataclass(frozen=True, slots=True)
class Column:
    """A key of the record of an observation: `path` as in JSON, and its value of `kind` in the
    word `word` of a row. `title` is for the documentation."""

    path: tuple[str, ...]
    kind: Kind
    word: int
    title: str

    @property
    def name(self) -> str:
        """The path joined by ``_``, as CSV, Arrow and Parquet name the column."""
        return "_".join(self.path)


COLUMNS: tuple[Column, ...] = (
    Column(("time",), "time", WORD_TIME, "time of the packet"),
    Column(("evidence",), "evidence", WORD_EVIDENCE, "how the name was seen"),
    Column(("name",), "text", WORD_NAME, "the name"),
    Column(("raw",), "text", WORD_RAW, "the name as it is in the packet, if that differs"),
    Column(("client", "ip"), "address", WORD_CLIENT_IP, "address of the side that asked"),
    Column(("client", "port"), "optional number", WORD_CLIENT_PORT, "its port"),
    Column(("client", "mac"), "mac", WORD_CLIENT_MAC, "its MAC address in this frame"),
    Column(
        ("client", "hostname"), "text", WORD_CLIENT_HOST, "its host name, in a log without address"
    ),
    Column(
        ("client", "network"),
        "place",
        WORD_CLIENT_NETWORK,
        "its network, in a store of several sensors",
    ),
    Column(("server", "ip"), "address", WORD_SERVER_IP, "address of the other side"),
    Column(("server", "port"), "optional number", WORD_SERVER_PORT, "its port"),
    Column(("transport",), "transport", WORD_TRANSPORT, "`tcp` or `udp`"),
    Column(("vlan",), "optional number", WORD_VLAN, "innermost VLAN id"),
    Column(("community_id",), "community id", -1, "Community ID of the flow"),
    Column(("source",), "source", WORD_SOURCE, "file or interface"),
    Column(("packet",), "positive number", WORD_PACKET, "number of the packet in it, from 1"),
    Column(("sensor",), "place", WORD_SENSOR, "what saw it, in a store of several sensors"),
    Column(("dns", "type"), "text", WORD_DNS_TYPE, "type asked for"),
    Column(("dns", "rcode"), "text", WORD_DNS_RCODE, "response code"),
    Column(("dns", "answers"), "addresses", WORD_DNS_ANSWERS, "addresses in the answer"),
    Column(("dns", "chain"), "texts", WORD_DNS_CHAIN, "aliases, from the name asked for"),
    Column(("dns", "asked"), "text", WORD_DNS_ASKED, "the name asked for, of an alias"),
    Column(
        ("dns", "service_targets"),
        "texts",
        WORD_DNS_SERVICE_TARGETS,
        "targets of SVCB and HTTPS records in service mode",
    ),
    Column(("dns", "ech"), "texts", WORD_DNS_ECH, "public names of ECH configurations"),
    Column(("dns", "ech_configs"), "texts", WORD_DNS_ECH_CONFIGS, "ECH configurations of the name"),
    Column(("tls", "version"), "text", WORD_TLS_VERSION, "newest version that is offered"),
    Column(("tls", "alpn"), "texts", WORD_TLS_ALPN, "protocols that are offered"),
    Column(("tls", "ja4"), "text", WORD_TLS_JA4, "JA4 fingerprint of the client"),
    Column(("tls", "ech"), "text", WORD_TLS_ECH, "`outer`, `grease` or `present`"),
    Column(("tls", "ech_config_id"), "text", WORD_TLS_ECH_CONFIG_ID, "config_id of ECH"),
    Column(("quic", "version"), "text", WORD_QUIC_VERSION, "version of QUIC"),
    Column(("log", "format"), "text", WORD_LOG_FORMAT, "format of the log, instead of a packet"),
    Column(("log", "line"), "positive number", WORD_LOG_LINE, "number of its record in it, from 1"),
    Column(("log", "lacks"), "texts", WORD_LOG_LACKS, "what the log does not record"),
    Column(
        ("log", "outcome"), "text", WORD_LOG_OUTCOME, "the outcome that it reports for the contact"
    ),
    Column(("log", "blocked_by"), "text", WORD_LOG_BLOCKED_BY, "its word for what was denied"),
)
"""The record of an observation, in the order of its keys."""

_LATER_COLUMNS = (
    "dns_ech",
    "dns_service_targets",
    "client_hostname",
    "log_format",
    "log_line",
    "log_lacks",
    "log_outcome",
    "log_blocked_by",
    "client_network",
    "sensor",
    "dns_ech_configs",
    "tls_ech_config_id",
)
ORDERED_COLUMNS: tuple[Column, ...] = (
    *(each for each in COLUMNS if each.name not in _LATER_COLUMNS),
    *(each for name in _LATER_COLUMNS for each in COLUMNS if each.name == name),
)
"""The columns in the order of the cells of CSV. Those that were added to the record
later are at the end, so that the others keep their places."""
