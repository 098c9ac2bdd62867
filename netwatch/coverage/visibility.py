"""Whether the name of a flow could be read, and if not, the one reason why.

While a capture is read, each message says what it tells of the name of its flow (a
`NameStatus`). Once the flow has ended, that status, the ports, the server's address and the
payload that was carried give exactly one `Visibility` (`netwatch.coverage.flow_visibility`).
"""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from netwatch.core.flow import NAME_STATUSES, NameStatus
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
    "flow-record",
]
"""``named``, or the reason why the name of a flow could not be read."""

VISIBILITIES: tuple[Visibility, ...] = get_args(Visibility)
"""All of them, in the order in which reports list them."""

FLOW_RECORD_LOGS = frozenset(
    {"ipfix", "nfcapd", "nfdump", "pmacct", "aws-vpc", "azure-flows", "google-vpc"}
)
"""The formats of logs whose records are flows without a name, whatever the flows had."""

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
