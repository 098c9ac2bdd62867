"""Whether the name of a flow could be read, and if not, the one reason why.

While a capture is read, each message says what it tells of the name of its flow (a
`NameStatus`). Once the flow has ended, that status, the ports, the server's address and the
payload that was carried give exactly one `Visibility`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, get_args

from netwatch.core.flow import BYPASS_CATEGORIES, NAME_STATUSES, Flow, NameStatus
from netwatch.core.message import LOOKUPS, Message

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
]
"""``named``, or the reason why the name of a flow could not be read."""

VISIBILITIES: tuple[Visibility, ...] = get_args(Visibility)
"""All of them, in the order in which reports list them."""

ENCRYPTED_DNS_PORT = 853
"""DNS over TLS (RFC 7858 section 3.1) and over QUIC (RFC 9250 section 4.1.1)."""

DOH_PORTS = frozenset({443, 5443, 8443})
"""Ports on which a known resolver answers DNS over HTTPS (RFC 8484)."""

VPN_PORTS = frozenset({("udp", 51820), ("udp", 500), ("udp", 4500), ("udp", 1194), ("tcp", 1194)})
"""WireGuard, IPsec (RFC 7296 section 2, RFC 3948) and OpenVPN, by transport and port."""

_STATUS_NUMBERS: Mapping[str, int] = {
    name_status: number for number, name_status in enumerate(NAME_STATUSES)
}
_WELL_KNOWN_PORTS = 1024


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


def correct_direction(flow: Flow) -> Flow:
    """A flow with client and server exchanged where they were mistaken for each other.

    UDP does not show who opened a conversation, and a tunnel may be older than the capture:
    where the first packet came from the port of a VPN, its sender is the server all the same.
    """
    client = (flow.transport, flow.client_port)
    server = (flow.transport, flow.server_port)
    if (
        flow.transport != "udp"
        or client not in VPN_PORTS
        or server in VPN_PORTS
        or flow.server_port < _WELL_KNOWN_PORTS
        or flow.name_status != "none"
    ):
        return flow
    return replace(
        flow,
        client_ip=flow.server_ip,
        client_port=flow.server_port,
        server_ip=flow.client_ip,
        server_port=flow.client_port,
        bytes_out=flow.bytes_in,
        bytes_in=flow.bytes_out,
        client_sent=flow.server_sent,
        server_sent=flow.client_sent,
        client_mac=None,
    )


def flow_visibility(flow: Flow, address_category: str | None = None) -> Visibility:
    """Whether the name of a flow could be read, and if not, why.

    `address_category` is the category in `BYPASS_CATEGORIES` of the app that, by the signatures,
    has a server at the flow's server address, else None. In order of precedence: a bypass
    recognised by its name, the port of DNS over TLS and QUIC, a name, what the port and the
    address say of a flow without a name, the reason why no name was seen.
    """
    status = flow.name_status
    if status in BYPASS_CATEGORIES:
        return status  # type: ignore[return-value]
    if not flow.bytes_out and not flow.bytes_in:
        return "no-data"
    port = flow.server_port
    if port == ENCRYPTED_DNS_PORT:
        return "encrypted-dns"
    if status == "named" or status == "ech":
        return status
    if (flow.transport, port) in VPN_PORTS:
        return "vpn"
    if address_category is not None and (address_category != "encrypted-dns" or port in DOH_PORTS):
        return address_category  # type: ignore[return-value]
    if status == "no-sni":
        return status
    if flow.bytes_out and status == "truncated":
        return status
    if flow.bytes_out and flow.incomplete_message:
        return "hello-incomplete"
    if not flow.start_seen:
        return "begun-before-capture"
    return "no-hello" if flow.bytes_out and flow.bytes_in else "one-direction"
