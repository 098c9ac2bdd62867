"""Names of what the packet loop counts, in the order of the ``ANOMALY_`` constants of `layout`."""

ANOMALIES = (
    "not-ip",
    "link-type-unknown",
    "link-header-cut",
    "ip-header-cut",
    "ip-header-bad",
    "ip-length-bad",
    "wrapping-unknown",
    "ipv6-extensions-many",
    "transport-unknown",
    "transport-header-cut",
    "tcp-header-bad",
    "udp-length-bad",
    "payload-cut",
    "tcp-retransmission",
    "wrapped-too-deep",
    "wrapping-header-cut",
    "wlan-protected",
    "encrypted-ip",
    "amsdu-bad",
    "nd-hop-limit",
    "encrypted-link",
    "http2-long",
    "encrypted-tunnel",
    "tcp-stray",
    "nd-fragmented",
)

HARMLESS = frozenset({"not-ip", "transport-unknown"})
"""What is counted and is no fault: ARP, ICMP and the like, which carry no name."""


def unknown_ether_type(number: int) -> str:
    """The name under which frames with an EtherType are counted that is in no table."""
    return f"wrapping-unknown-{number:#06x}"
