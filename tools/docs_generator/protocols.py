"""What is read: link types and encapsulations, from the tables of the packet loop."""

from collections.abc import Iterable

from docs_generator.markdown import table
from netwatch.core.encapsulation import (
    ETHER_TYPES,
    IP_PROTOCOLS,
    LINK_TYPES,
    UDP_TUNNELS,
    Encapsulation,
)

GRE: tuple[tuple[tuple[int, ...], str], ...] = (
    ((0x0800, 0x86DD), "IPv4, IPv6"),
    ((0x6558,), "Ethernet"),
    ((0x8100,), "a VLAN tag"),
    ((0x8847, 0x8848), "MPLS"),
    ((0x894F,), "NSH"),
    ((0x880B,), "PPP, in GRE version 1 (PPTP, RFC 2637)"),
    ((0x88BE, 0x22EB), "Ethernet (ERSPAN I and II, ERSPAN III)"),
)
"""Protocol types of GRE, and what they mean."""

PPP: tuple[tuple[tuple[int, ...], str], ...] = (
    ((0x0021,), "IPv4"),
    ((0x0057,), "IPv6"),
    ((0x0281, 0x0283), "MPLS"),
)
"""Protocol numbers of PPP, and what they mean."""


def link_types_block(_: str) -> str:
    """The supported link types."""
    return _encapsulations("number (LINKTYPE_)", LINK_TYPES, "{}")


def ether_types_block(_: str) -> str:
    """The EtherTypes that the packet loop knows."""
    return _encapsulations("EtherType", ETHER_TYPES, "0x{:04X}")


def ip_protocols_block(_: str) -> str:
    """The IP protocols that the packet loop knows."""
    return _encapsulations("IP protocol", IP_PROTOCOLS, "{}")


def udp_tunnels_block(_: str) -> str:
    """The tunnels over UDP."""
    return table(
        ("UDP port", "name", "specification", "of"),
        (
            [str(row.port), row.name, row.source, "either port" if row.either else "destination"]
            for row in UDP_TUNNELS
        ),
    )


def gre_block(_: str) -> str:
    """The protocol types of GRE that are read."""
    return _inside("GRE protocol type", GRE)


def ppp_block(_: str) -> str:
    """The protocol numbers of PPP that are read."""
    return _inside("PPP protocol", PPP)


def _encapsulations(what: str, rows: Iterable[Encapsulation], form: str) -> str:
    return table(
        (what, "name", "specification", "what is done"),
        ([form.format(row.number), row.name, row.source, row.action] for row in rows),
    )


def _inside(what: str, rows: Iterable[tuple[tuple[int, ...], str]]) -> str:
    return table(
        (what, "content"),
        ([", ".join(map("0x{:04X}".format, numbers)), text] for numbers, text in rows),
    )
