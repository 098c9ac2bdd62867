"""What is read: link types and encapsulations, from the tables of the packet loop."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from docs_generator.markdown import table
from netwatch.core.encapsulation import (
    ETHER_TYPES,
    GRE_PROTOCOLS,
    IP_PROTOCOLS,
    LINK_TYPES,
    UDP_TUNNELS,
    Encapsulation,
)

PPP: tuple[tuple[tuple[int, ...], str], ...] = (
    ((0x0021,), "IPv4"),
    ((0x0057,), "IPv6"),
    ((0x0031,), "a bridged frame of Ethernet (RFC 3518)"),
    ((0x003D,), "a packet of multilink PPP that is not in fragments (RFC 1990)"),
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
    """The protocol types of GRE that the packet loop knows beside the EtherTypes; those in a row
    with the same meaning together."""
    groups = groupby(GRE_PROTOCOLS, key=lambda row: (row.name, row.source, row.action))
    return table(
        ("GRE protocol type", "name", "specification", "what is done"),
        ([_range([row.number for row in rows]), *texts] for texts, rows in groups),
    )


def ppp_block(_: str) -> str:
    """The protocol numbers of PPP that are read."""
    return _inside("PPP protocol", PPP)


def _encapsulations(what: str, rows: Iterable[Encapsulation], form: str) -> str:
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row.action, []).append(f"{row.name} ({form.format(row.number)})")
    return table(
        ("what is done", f"name ({what})"),
        ([action, "; ".join(names)] for action, names in groups.items()),
    )


def _range(numbers: Sequence[int]) -> str:
    """A number, or the first and the last of several."""
    return " to ".join(dict.fromkeys(f"0x{number:04X}" for number in (numbers[0], numbers[-1])))


def _inside(what: str, rows: Iterable[tuple[tuple[int, ...], str]]) -> str:
    return table(
        (what, "content"),
        ([", ".join(map("0x{:04X}".format, numbers)), text] for numbers, text in rows),
    )
