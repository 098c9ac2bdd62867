"""What in the end is known of a flow's name: that it is, or the one reason why not.

A message tells its flow's name_status while the capture is read; when the flow is over, that
name_status, its ports, its far address and what it carried give exactly one reading.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, get_args

from netwatch.core.flow import BYPASS_CATEGORIES, NAME_STATUSES, Flow, NameStatus
from netwatch.core.message import LOOKUPS, Message

Reading = Literal[
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
"""How a flow ends up in the counts."""

READINGS: tuple[Reading, ...] = get_args(Reading)
"""In the order in which they are told."""

DNS_PORT = 853
"""DNS over TLS (RFC 7858 section 3.1) and over QUIC (RFC 9250 section 4.1.1)."""

DOH_PORTS = frozenset({443, 5443, 8443})
"""Where a known resolver takes encrypted lookups, beside 853."""

VPN_PORTS = frozenset({("udp", 51820), ("udp", 500), ("udp", 4500), ("udp", 1194), ("tcp", 1194)})
"""WireGuard, IPsec (RFC 7296 section 2, RFC 3948) and OpenVPN, by transport and port."""

_NUMBERS: Mapping[str, int] = {
    name_status: number for number, name_status in enumerate(NAME_STATUSES)
}
_KNOWN_PORTS = 1024


def name_status(message: Message, hides: Callable[[str], NameStatus | None]) -> int:
    """The number in `NAME_STATUSES` of what a message tells of its flow's name.

    `hides` gives the category of `BYPASS_CATEGORIES` that a name belongs to, else None. A lookup
    tells where another flow may go, and a certificate what its server could serve, so
    neither makes its own flow a bypass.
    """
    told = "none"
    for shown in message.names:
        told = "named"
        if shown.evidence not in LOOKUPS and not shown.client_is_destination:
            hidden = hides(shown.name)
            if hidden is not None:
                return _NUMBERS[hidden]
    tls = message.tls
    if tls is not None and tls.ech == "outer":
        told = "ech"
    elif told == "none":
        # only a client's hello has a fingerprint, and only a whole one
        whole = tls is not None and tls.compute_ja4 is not None
        told = "no-sni" if whole or message.quic is not None else "none"
    return _NUMBERS[told]


def facing(flow: Flow) -> Flow:
    """A flow with its client in its place. UDP tells nobody who began, and a tunnel may
    be older than the capture: where only the far end of a VPN's port was met first, it is
    the server all the same."""
    far = (flow.transport, flow.client_port)
    near = (flow.transport, flow.server_port)
    if (
        flow.transport != "udp"
        or far not in VPN_PORTS
        or near in VPN_PORTS
        or flow.server_port < _KNOWN_PORTS
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
        client_mac=None,
    )


def reading(flow: Flow, known: str | None = None) -> Reading:
    """What is known of a flow's name. `known` is the category of the app that has a server
    at the far address, by the signatures, where that is one of `BYPASS_CATEGORIES`.

    A bypass told by name goes first, then the ports of DNS over TLS and QUIC, then a name,
    then what the ports and address of a nameless flow say, then why no name came.
    """
    told = flow.name_status
    if told in BYPASS_CATEGORIES:
        return told  # type: ignore[return-value]
    if not flow.bytes_out and not flow.bytes_in:
        return "no-data"
    port = flow.server_port
    if port == DNS_PORT:
        return "encrypted-dns"
    if told == "named" or told == "ech":
        return told
    if (flow.transport, port) in VPN_PORTS:
        return "vpn"
    if known is not None and (known != "encrypted-dns" or port in DOH_PORTS):
        return known  # type: ignore[return-value]
    if told == "no-sni":
        return told
    if flow.bytes_out and told == "truncated":
        return told
    if flow.bytes_out and flow.incomplete_message:
        return "hello-incomplete"
    if not flow.start_seen:
        return "begun-before-capture"
    return "no-hello" if flow.bytes_out and flow.bytes_in else "one-direction"
