"""What is read: link types, encapsulations, protocols."""

from docs_generator.markdown import table

LINK_TYPES: tuple[tuple[str, tuple[int, ...], str], ...] = (
    ("Ethernet", (1,), "also IEEE 802.3 with LLC and SNAP"),
    ("raw IP", (12, 14, 101, 228, 229), ""),
    ("null and loop", (0, 108), ""),
    ("Linux cooked, versions 1 and 2", (113, 276), "only the sender's MAC is known"),
    (
        "IEEE 802.11, without and with radiotap",
        (105, 127),
        "data frames that are not encrypted, including the frames of an A-MSDU; of a fragmented"
        " frame the first fragment",
    ),
    ("PPP", (9, 50), "with or without address and control fields"),
    ("PPPoE", (51,), "session frames that carry PPP"),
    ("Linux netfilter log", (239,), ""),
    ("FDDI", (10,), "LLC with SNAP"),
    ("Ethernet as mPackets", (274,), "complete frames"),
)
"""Link type, its LINKTYPE_ numbers, what is supported of it."""

Ways = tuple[tuple[str, tuple[int, ...]], ...]

ENCAPSULATIONS: tuple[tuple[str, Ways, str, str], ...] = (
    (
        "VLAN tags, any number",
        (("EtherType", (0x8100, 0x88A8, 0x9100)), ("GRE", (0x8100,))),
        "every supported EtherType",
        "IEEE 802.1Q",
    ),
    (
        "IPv4, IPv6",
        (
            ("EtherType", (0x0800, 0x86DD)),
            ("IP protocol", (4, 41)),
            ("GRE", (0x0800, 0x86DD)),
            ("PPP", (0x0021, 0x0057)),
        ),
        "every supported IP protocol",
        "RFC 2003, RFC 4213",
    ),
    (
        "bridged Ethernet, EtherIP",
        (("EtherType", (0x6558,)), ("GRE", (0x6558,)), ("IP protocol", (97,))),
        "Ethernet",
        "RFC 3378",
    ),
    (
        "MPLS, a stack of labels",
        (
            ("EtherType", (0x8847, 0x8848)),
            ("IP protocol", (137,)),
            ("UDP port", (6635,)),
            ("GRE", (0x8847, 0x8848)),
            ("PPP", (0x0281, 0x0283)),
        ),
        "IPv4, IPv6, Ethernet with or without a control word",
        "RFC 3032, RFC 4023, RFC 4448, RFC 7510",
    ),
    ("PPPoE", (("EtherType", (0x8864,)),), "PPP", "RFC 2516"),
    ("NSH", (("EtherType", (0x894F,)), ("GRE", (0x894F,))), "IPv4, IPv6, Ethernet", "RFC 8300"),
    (
        "GRE",
        (("IP protocol", (47,)), ("UDP port", (4754,))),
        "every supported GRE protocol type",
        "RFC 2784, RFC 2890, RFC 8086",
    ),
    ("PPTP", (("GRE", (0x880B,)),), "PPP", "RFC 2637"),
    ("ERSPAN I, II and III", (("GRE", (0x88BE, 0x22EB)),), "Ethernet", ""),
    (
        "authentication header",
        (("IP protocol", (51,)),),
        "every supported IP protocol",
        "RFC 4302",
    ),
    (
        "VXLAN, VXLAN-GPE",
        (("UDP port", (4789, 4790, 8472)),),
        "Ethernet; in VXLAN-GPE also IPv4, IPv6 and NSH",
        "RFC 7348",
    ),
    ("Geneve", (("UDP port", (6081,)),), "Ethernet, IPv4, IPv6", "RFC 8926"),
    ("GTP-U", (("UDP port", (2152,)),), "IPv4, IPv6", "3GPP TS 29.281"),
    ("Teredo", (("UDP port", (3544,)),), "IPv6", "RFC 4380"),
    ("L2TP version 2", (("UDP port", (1701,)),), "PPP", "RFC 2661"),
)
"""Encapsulation, by which numbers of which field it is known, what is inside, specification."""

DECIMAL = ("IP protocol", "UDP port")
"""Fields whose numbers are written in decimal."""


def link_types_block(_: str) -> str:
    """The supported link types."""
    return table(
        ("link type", "number (LINKTYPE_)", "notes"),
        ((name, ", ".join(map(str, numbers)), notes) for name, numbers, notes in LINK_TYPES),
    )


def encapsulations_block(_: str) -> str:
    """The supported encapsulations."""
    return table(
        ("encapsulation", "recognised by", "content", "specification"),
        (
            (name, "; ".join(f"{field} {_numbers(field, of)}" for field, of in ways), inner, source)
            for name, ways, inner, source in ENCAPSULATIONS
        ),
    )


def _numbers(field: str, numbers: tuple[int, ...]) -> str:
    spelled = str if field in DECIMAL else "0x{:04X}".format
    return ", ".join(map(spelled, numbers))
