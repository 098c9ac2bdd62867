# cython: language_level=3, boundscheck=True, wraparound=False
"""Whether the name of a flow could be read, and if not, the one reason why.

While a capture is read, each message says what it tells of the name of its flow (a `NameStatus`).
Once the flow has ended, that status, the ports, the server's address and the payload that was
carried, integers of the flow table, give exactly one `Visibility`. In order of precedence: a bypass
recognised by its name, the port of DNS over TLS and QUIC, a name, what the port and the address say
of a flow without a name, the reason why no name was seen. A flow record has no name whatever was
sent, so it has a reason of its own; ``one-of-k`` is given to those of them that may go to a banned
app, by what clients had been told, and ``vendor-network`` by whose address it is
(`netwatch.engine.log_scan`).
"""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from netwatch.core.flow import NAME_STATUSES, NameStatus
from netwatch.core.message import LOOKUPS, Message

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.buffers import Octets, Words
from netwatch.core.flow import BYPASS_CATEGORIES, Flow

Visibility = Literal[
    "named",
    "ech",
    "no-sni",
    "encrypted-dns",
    "vpn",
    "relay",
    "tor",
    "truncated",
    "hello-incomplete",
    "one-direction",
    "begun-before-capture",
    "no-data",
    "no-hello",
    "flow-record",
    "one-of-k",
    "vendor-network",
]
"""``named``, or the reason why the name of a flow could not be read."""

VISIBILITIES: tuple[Visibility, ...] = get_args(Visibility)
"""All of them, in the order in which reports list them."""

FLOW_RECORD_LOGS = frozenset(
    {"ipfix", "nfcapd", "nfdump", "nfdump-json", "pmacct", "aws-vpc", "azure-flows", "google-vpc"}
)
"""The formats of logs whose records are flows without a name, whatever the flows had."""

TRAFFIC_LOGS = FLOW_RECORD_LOGS | {"zeek", "suricata-eve", "fortigate", "palo-alto"}
"""The formats of logs whose records of flows are all flows that a router, a firewall or a sensor
saw, and not only those that a service served."""

ENCRYPTED_DNS_PORT = 853
"""DNS over TLS (RFC 7858 section 3.1) and over QUIC (RFC 9250 section 4.1.1)."""

DOH_PORTS = frozenset({443, 5443, 8443})
"""Ports on which a known resolver answers DNS over HTTPS (RFC 8484)."""

WELL_KNOWN_PORTS = 1024
"""The first port that a client may choose for itself (RFC 6335 section 6)."""

VPN_PORTS = frozenset({("udp", 51820), ("udp", 500), ("udp", 4500), ("udp", 1194), ("tcp", 1194)})
"""WireGuard, IPsec (RFC 7296 section 2, RFC 3948) and OpenVPN, by transport and port."""

_STATUS_NUMBERS: Mapping[str, int] = {
    name_status: number for number, name_status in enumerate(NAME_STATUSES)
}

_UDP_VPN = cython.declare(cython.int, 1)
_TCP_VPN = cython.declare(cython.int, 2)
_DOH = cython.declare(cython.int, 4)
_ENCRYPTED_DNS = cython.declare(cython.int, 8)
_WELL_KNOWN = cython.declare(cython.int, 16)

# Numbers of name statuses and of visibilities.
_NONE = cython.declare(cython.longlong, NAME_STATUSES.index("none"))
_CUT = cython.declare(cython.longlong, NAME_STATUSES.index("truncated"))
_WITHOUT_SNI = cython.declare(cython.longlong, NAME_STATUSES.index("no-sni"))
_BYPASS = cython.declare(cython.longlong, NAME_STATUSES.index(BYPASS_CATEGORIES[0]))
_NAMED = cython.declare(cython.int, VISIBILITIES.index("named"))
_ECH = cython.declare(cython.int, VISIBILITIES.index("ech"))
_NO_SNI = cython.declare(cython.int, VISIBILITIES.index("no-sni"))
_DNS = cython.declare(cython.int, VISIBILITIES.index("encrypted-dns"))
_VPN = cython.declare(cython.int, VISIBILITIES.index("vpn"))
_TRUNCATED = cython.declare(cython.int, VISIBILITIES.index("truncated"))
_INCOMPLETE = cython.declare(cython.int, VISIBILITIES.index("hello-incomplete"))
_ONE_DIRECTION = cython.declare(cython.int, VISIBILITIES.index("one-direction"))
_BEGUN_BEFORE = cython.declare(cython.int, VISIBILITIES.index("begun-before-capture"))
_NO_DATA = cython.declare(cython.int, VISIBILITIES.index("no-data"))
_NO_HELLO = cython.declare(cython.int, VISIBILITIES.index("no-hello"))
_FLOW_RECORD = cython.declare(cython.int, VISIBILITIES.index("flow-record"))
_DNS_PORT = cython.declare(cython.longlong, 53)

NOT_COUNTED = 255
"""What `visibilities` gives for a flow on a port of DNS, which is a lookup and no flow."""


def message_name_status(
    message: Message, bypass_category: Callable[[str], NameStatus | None]
) -> int:
    """What a message tells of the name of its flow, as an index into `NAME_STATUSES`.

    `bypass_category` gives the category in `BYPASS_CATEGORIES` that a name belongs to, else None. A
    DNS lookup tells where another flow may go, and a certificate which names its server could
    serve, so neither makes its own flow a bypass.
    """
    status = "none"
    for shown in message.names:
        status = "named"
        if shown.evidence not in LOOKUPS and not shown.client_is_destination:
            category = bypass_category(shown.name)
            if category is not None:
                return _STATUS_NUMBERS[category]
    tls = message.tls
    if tls is not None and tls.ech == "outer":
        status = "ech"
    elif status == "none":
        # Only the hello of a client has a fingerprint, and only if it is complete.
        is_complete_hello = tls is not None and tls.compute_ja4 is not None
        status = "no-sni" if is_complete_hello or message.quic is not None else "none"
    return _STATUS_NUMBERS[status]


def _port_bits() -> bytes:
    """For each port what it says of a flow, as the bits above."""
    bits = bytearray(65536)
    for transport, port in VPN_PORTS:
        bits[port] |= _UDP_VPN if transport == "udp" else _TCP_VPN
    for port in DOH_PORTS:
        bits[port] |= _DOH
    for port in range(WELL_KNOWN_PORTS):
        bits[port] |= _WELL_KNOWN
    bits[ENCRYPTED_DNS_PORT] |= _ENCRYPTED_DNS
    return bytes(bits)


_PORTS = _port_bits()


assert NAME_STATUSES[_BYPASS:] == BYPASS_CATEGORIES == VISIBILITIES[_DNS : _DNS + 4]


def visibility_of(flow: Flow, category: NameStatus) -> Visibility:
    """The visibility of one flow; `category` is that of the app that has a server at its server's
    address, else ``none``."""
    found: cython.int
    rules: FlowVisibility = FlowVisibility()
    is_tcp: cython.bint = flow.transport == "tcp"
    status: cython.longlong = NAME_STATUSES.index(flow.name_status)
    client, server = flow.client_port, flow.server_port
    bytes_out, bytes_in = flow.bytes_out, flow.bytes_in
    if rules.is_reversed(is_tcp, client, server, status):
        server = client
        bytes_out, bytes_in = bytes_in, bytes_out
    found = rules.by_name_and_port(is_tcp, server, bytes_out | bytes_in, status)
    if found < 0:
        found = rules.by_address(NAME_STATUSES.index(category), server)
    if found < 0:
        found = rules.by_content(
            bytes_out, bytes_in, status, flow.incomplete_message, flow.start_seen
        )
        if flow.log in FLOW_RECORD_LOGS:
            found = _FLOW_RECORD
    elif found == _NO_DATA and flow.log in FLOW_RECORD_LOGS:
        found = _FLOW_RECORD  # what a record has of payload is an estimate
    return VISIBILITIES[found]


def visibilities(
    count: int,
    transports: Octets,
    clients: Words,
    servers: Words,
    sent: Words,
    received: Words,
    statuses: Octets,
    categories: Octets,
    flags: Octets,
) -> bytearray:
    """The visibilities of `count` flows as places in `VISIBILITIES`, or `NOT_COUNTED`.

    `transports` are 1 for TCP, `clients` and `servers` ports, `sent` and `received` payload of the
    client, `statuses` and `categories` (by the server's address) places in `NAME_STATUSES`, and
    `flags` have bit 0 where a message never became complete, bit 1 where the start was seen, and
    bit 2 for flow records.
    """
    rules: FlowVisibility = FlowVisibility()
    result = bytearray(count)
    at: cython.Py_ssize_t
    found: cython.int
    client: cython.longlong
    server: cython.longlong
    bytes_out: cython.longlong
    bytes_in: cython.longlong
    status: cython.longlong
    is_tcp: cython.bint
    for at in range(count):
        client, server, status = clients[at], servers[at], statuses[at]
        if client == _DNS_PORT or server == _DNS_PORT:
            result[at] = NOT_COUNTED
            continue
        bytes_out, bytes_in, is_tcp = sent[at], received[at], transports[at] != 0
        if rules.is_reversed(is_tcp, client, server, status):
            server = client
            bytes_out, bytes_in = bytes_in, bytes_out
        found = rules.by_name_and_port(is_tcp, server, bytes_out | bytes_in, status)
        if found < 0:
            found = rules.by_address(categories[at], server)
        if found < 0:
            found = rules.by_content(
                bytes_out, bytes_in, status, flags[at] & 1 != 0, flags[at] & 2 != 0
            )
            if flags[at] & 4:
                found = _FLOW_RECORD
        elif found == _NO_DATA and flags[at] & 4:
            found = _FLOW_RECORD
        result[at] = found
    return result


@cython.final
@cython.cclass
class FlowVisibility:
    """Visibilities as places in `VISIBILITIES`, name statuses as places in `NAME_STATUSES`.

    A flow is decided by `by_name_and_port` or, where that is -1, by the category of the app that
    has a server at its server's address (`by_address`) or, where that is -1, too, by its content.
    """

    def __init__(self) -> None:
        self.ports: Octets = _PORTS

    def is_reversed(
        self,
        is_tcp: cython.bint,
        client_port: cython.longlong,
        server_port: cython.longlong,
        name_status: cython.longlong,
    ) -> cython.bint:
        """Whether client and server of a flow were mistaken for each other.

        UDP does not show who opened a conversation, and a tunnel may be older than the capture:
        where the first packet came from the port of a VPN, its sender is the server all the same.
        """
        return (
            not is_tcp
            and name_status == _NONE
            and self.ports[client_port] & _UDP_VPN != 0
            and self.ports[server_port] & (_UDP_VPN | _WELL_KNOWN) == 0
        )

    def by_name_and_port(
        self,
        is_tcp: cython.bint,
        server_port: cython.longlong,
        payload: cython.longlong,
        name_status: cython.longlong,
    ) -> cython.int:
        """What the name and the port say, or the lack of any `payload`; else -1."""
        bits: cython.int
        if name_status >= _BYPASS:
            return _DNS + cython.cast(cython.int, name_status - _BYPASS)
        if payload == 0:
            return _NO_DATA
        bits = self.ports[server_port]
        if bits & _ENCRYPTED_DNS:
            return _DNS
        if name_status > _WITHOUT_SNI:
            return _NAMED if name_status == _WITHOUT_SNI + 1 else _ECH
        if bits & (_TCP_VPN if is_tcp else _UDP_VPN):
            return _VPN
        return -1

    def by_address(self, category: cython.longlong, server_port: cython.longlong) -> cython.int:
        """What the server's address says: `category` is the place in `NAME_STATUSES` of the
        category of the app that has a server there, else 0. A resolver is one only on the ports of
        DNS over HTTPS."""
        if category < _BYPASS or (category == _BYPASS and self.ports[server_port] & _DOH == 0):
            return -1
        return _DNS + cython.cast(cython.int, category - _BYPASS)

    def by_content(
        self,
        bytes_out: cython.longlong,
        bytes_in: cython.longlong,
        name_status: cython.longlong,
        is_incomplete: cython.bint,
        start_seen: cython.bint,
    ) -> cython.int:
        """Why no name was seen, by what the two sides have sent; `is_incomplete` where a message
        began and never became complete."""
        if name_status == _WITHOUT_SNI:
            return _NO_SNI
        if bytes_out and name_status == _CUT:
            return _TRUNCATED
        if bytes_out and is_incomplete:
            return _INCOMPLETE
        if not start_seen:
            return _BEGUN_BEFORE
        return _NO_HELLO if bytes_out and bytes_in else _ONE_DIRECTION
