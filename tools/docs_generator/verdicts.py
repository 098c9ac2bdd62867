"""Evidence, confidence, and the readings of flows."""

from typing import get_args

from docs_generator.markdown import code, table
from netwatch.core.message import Evidence
from netwatch.core.verdict import App, Match, Role
from netwatch.coverage.flow_visibility import (
    DOH_PORTS,
    ENCRYPTED_DNS_PORT,
    VISIBILITIES,
    VPN_PORTS,
    Visibility,
)
from netwatch.rules.policy import confidence

EVIDENCE: dict[Evidence, str] = {
    "tls-sni": "the server name in a TLS ClientHello",
    "quic-sni": "the server name in the ClientHello of a QUIC Initial",
    "dtls-sni": "the server name in a DTLS ClientHello",
    "http-host": "the Host field or `:authority` of a request, the target of CONNECT, the authority"
    " of an absolute target",
    "socks-host": "the host that a client asks its SOCKS proxy to connect to",
    "dns-query": "the name in a DNS query",
    "dns-answer": "the name that was asked, in a response to the client, whatever its code",
    "dns-cname": "each alias target in a response (CNAME, SVCB, HTTPS)",
    "tls-cert": "each host name in the certificate of a server: what the server could serve, not"
    " what was asked for",
    "ip-from-dns": "a flow without a name to an address that its device, or of a flow record any"
    " device, had resolved for the app",
    "ip-asn": "an address in a network (AS) of the app's vendor",
    "ech-from-dns": "a hello that hides its name (ECH), with a key that its device was given for"
    " the app, and to an address of it",
}

_APP = App("", "", "", "")

_BY_NAME = "its handshake or request shows a name of an app in that category, by an `exclusive` or"

READING_RULES: tuple[tuple[tuple[Visibility, ...], str], ...] = (
    (("tor", "relay", "vpn", "encrypted-dns"), f"{_BY_NAME} `vendor` rule"),
    (
        ("no-data",),
        "packets without payload in either direction: the connection was refused, or never used",
    ),
    (("encrypted-dns",), "port {dns}, DNS over TLS or QUIC, whatever name it shows"),
    (
        ("ech",),
        "an outer hello with ECH: the readable name is only a public one. GREASE, and what could be"
        " either, counts as `named`",
    ),
    (("named",), "a name was read: in a hello, a request or a certificate"),
    (("vpn",), "no name, and a port of {vpn}"),
    (
        ("encrypted-dns", "vpn", "relay", "tor"),
        "no name, and one of the `addresses` of an app in that category; a resolver only on ports"
        " {doh}",
    ),
    (("no-sni",), "a complete hello without a name"),
    (
        ("truncated",),
        "a hello or request was truncated by the snap length, or over TCP a whole payload was",
    ),
    (
        ("hello-incomplete",),
        "parts of a hello or request are missing; with QUIC also a hello that could not be"
        " decrypted",
    ),
    (("begun-before-capture",), "a TCP connection whose beginning is not in the capture"),
    (
        ("one-direction",),
        "only one side sent payload: the other is missing in the capture, or silent",
    ),
    (
        ("no-hello",),
        "data, but nothing that carries a name: SSH, RDP, a proprietary protocol",
    ),
    (
        ("flow-record",),
        "a flow record or a flow log of a cloud: who talked to which address, never a name",
    ),
    (
        ("one-of-k",),
        "a flow record of one of k [candidates](candidates.md), some of a banned app and some not",
    ),
    (
        ("vendor-network",),
        "a flow record without candidates, with bytes both ways, to an address in an autonomous"
        " system of a banned app's vendor, by the database of `geoip: asn`",
    ),
)
"""In the order in which the code checks them; ports are filled in from the code."""

_SERVICES = {51820: "WireGuard", 500: "IPsec", 4500: "IPsec", 1194: "OpenVPN"}


def evidence_block(_: str) -> str:
    """The kinds of evidence."""
    return table(
        ("evidence", "what it is"),
        ([code(kind), EVIDENCE[kind]] for kind in get_args(Evidence)),
    )


def confidence_block(_: str) -> str:
    """The confidence that each kind of evidence gives, by the role of the domain."""
    roles: tuple[Role, ...] = get_args(Role)
    kinds: dict[tuple[str, ...], list[Evidence]] = {}
    for kind in get_args(Evidence):
        given = tuple(confidence(kind, Match(_APP, "", role)) or "none" for role in roles)
        kinds.setdefault(given, []).append(kind)
    return table(
        ("evidence", *(f"`{role}`" for role in roles)),
        ([code(*alike), *given] for given, alike in kinds.items()),
    )


def readings_block(_: str) -> str:
    """The readings of a flow, in the order in which they are checked."""
    vpn: dict[str, list[str]] = {}
    for transport, port in sorted(VPN_PORTS, key=lambda each: (each[1], each[0])):
        vpn.setdefault(_SERVICES[port], []).append(f"{transport} {port}")
    values = {
        "dns": ENCRYPTED_DNS_PORT,
        "doh": ", ".join(map(str, sorted(DOH_PORTS))),
        "vpn": ", ".join(f"{name} ({', '.join(ports)})" for name, ports in vpn.items()),
    }
    missing = set(VISIBILITIES) - {each for kinds, _ in READING_RULES for each in kinds}
    if missing:
        raise ValueError(f"readings without a description: {sorted(missing)}")
    return table(
        ("order", "counted as", "when"),
        (
            [str(order), code(*kinds), text.format(**values)]
            for order, (kinds, text) in enumerate(READING_RULES, 1)
        ),
    )
