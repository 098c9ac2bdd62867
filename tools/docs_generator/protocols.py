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
    return _by_action(
        "UDP port, specification",
        (
            (
                "to or from the port" if row.either else "to the port",
                f"{row.name} ({row.port}, {row.source})",
            )
            for row in UDP_TUNNELS
        ),
        "datagrams",
    )


def gre_block(_: str) -> str:
    """The protocol types of GRE that the packet loop knows beside the EtherTypes."""
    groups = groupby(GRE_PROTOCOLS, key=lambda row: (row.name, row.source, row.action))
    named = [(name, action, [row.number for row in rows]) for (name, _, action), rows in groups]
    return _by_action(
        "GRE protocol type",
        ((action, f"{name} ({_range(numbers)})") for name, action, numbers in named),
    )


def ppp_block(_: str) -> str:
    """The protocol numbers of PPP that are read."""
    return _inside("PPP protocol", PPP)


def _encapsulations(what: str, rows: Iterable[Encapsulation], form: str) -> str:
    return _by_action(
        what, ((row.action, f"{row.name} ({form.format(row.number)})") for row in rows)
    )


def _by_action(what: str, rows: Iterable[tuple[str, str]], action: str = "what is done") -> str:
    groups: dict[str, list[str]] = {}
    for done, name in rows:
        groups.setdefault(done, []).append(name)
    return table(
        (action, f"name ({what})"), ([done, "; ".join(names)] for done, names in groups.items())
    )


def _range(numbers: Sequence[int]) -> str:
    """A number, or the first and the last of several."""
    return " to ".join(dict.fromkeys(f"0x{number:04X}" for number in (numbers[0], numbers[-1])))


def _inside(what: str, rows: Iterable[tuple[tuple[int, ...], str]]) -> str:
    return table(
        (what, "content"),
        ([", ".join(map("0x{:04X}".format, numbers)), text] for numbers, text in rows),
    )
