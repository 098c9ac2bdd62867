"""What came of a contact: the server was reached, did not answer, or something was in between."""

import struct
from collections.abc import Callable
from dataclasses import replace

import handshakes
import messages
from craft import Conversation, Host, Wire
from scapy.layers.inet import ICMP, IP, TCP
from support.app_traffic import asked, visit
from support.frames import GATEWAY
from support.office import FAR, SERVICE
from support.situations.kinds import APP, frames
from support.situations.situation import Expected, Situation

from netwatch.core.verdict import Outcome

PROXY = Host("198.51.100.8", GATEWAY)
PORT = 50000


def hello(on: Wire) -> Conversation:
    """A connection up to its hello, and no answer."""
    talk = Conversation(on, SERVICE, FAR, 443)
    talk.say(handshakes.records(handshakes.client_hello(APP, on.rng)))
    return talk


def alerted(on: Wire, description: int = 40, level: int = 2) -> Conversation:
    """A hello that is answered with an alert."""
    talk = hello(on)
    talk.reply(b"\x15\x03\x03\0\2" + bytes([level, description]))
    return talk


def warned(on: Wire) -> None:
    talk = alerted(on, 112, 1)
    talk.reply(handshakes.server_flight(on.rng))


def alerted_later(on: Wire) -> None:
    talk = hello(on)
    talk.reply(handshakes.server_flight(on.rng))
    talk.reply(b"\x15\x03\x03\0\2\2\x28")


def connect(on: Wire, *statuses: str) -> Conversation:
    """CONNECT to a proxy, which gives these responses to as many requests."""
    talk = Conversation(on, SERVICE, PROXY, 3128)
    for status in statuses:
        talk.say(messages.request("CONNECT", f"{APP}:443", f"{APP}:443"))
        talk.reply(messages.response(b"", status))
    return talk


def connected(on: Wire, *statuses: str) -> None:
    talk = connect(on, *statuses)
    talk.say(handshakes.records(handshakes.client_hello(APP, on.rng)))
    talk.reply(handshakes.server_flight(on.rng))


def requested(on: Wire, status: str) -> None:
    talk = Conversation(on, SERVICE, FAR, 80)
    talk.say(messages.request("GET", "/", APP))
    talk.reply(messages.response(b"<p>page</p>" * 2000, status))


def refused(on: Wire) -> None:
    hello(on)._back("RA")


def prohibited(on: Wire) -> None:
    on.send(SERVICE, FAR, TCP(sport=PORT, dport=443, flags="S", seq=1))
    on.send(PROXY, SERVICE, ICMP(type=3, code=13) / IP(on.frames[-1][1][14:]))


def prohibited_after_lookup(on: Wire) -> None:
    asked(on, APP, ((APP, "A", 60, FAR.ip),))
    prohibited(on)


def initial(on: Wire) -> bytes:
    """A QUIC hello; its first destination id."""
    (datagram,) = handshakes.quic_hello(handshakes.QUIC_V1, APP, on.rng)
    on.udp(SERVICE, PORT, FAR, 443, datagram)
    return datagram[6:14]


def negotiated(on: Wire) -> None:
    ident = initial(on)
    versions = struct.pack(">II", 0x0A0A0A0A, 0xFF00001D)
    on.udp(FAR, 443, SERVICE, PORT, b"\x80\0\0\0\0\0\x08" + ident + versions)


def sent_away(on: Wire) -> None:
    initial(on)
    retry = struct.pack(">BI", 0xF0, handshakes.QUIC_V1) + b"\0\x08" + on.rng.randbytes(8)
    on.udp(FAR, 443, SERVICE, PORT, retry + on.rng.randbytes(60))


def closed_at_once(on: Wire) -> None:
    ident = initial(on)
    # CONNECTION_CLOSE for the alert handshake_failure (RFC 9000 section 19.19).
    close = b"\x1c\x41\x28\0\0"
    reply = handshakes.quic_initial(
        handshakes.QUIC_V1, b"", b"", 0, close, key_id=ident, side="server", size=80
    )
    on.udp(FAR, 443, SERVICE, PORT, reply)


def situation(
    slug: str, title: str, build: Callable[[Wire], object], expected: Expected, *, contact: bool
) -> Situation:
    """A situation of this topic."""
    return Situation(slug, "outcome", title, frames(build), expected, contact)


def by_hello(outcome: Outcome) -> Expected:
    """What a hello or request for the app gives, with this outcome."""
    return Expected("confirmed", "background", outcome, names=(APP,))


def by_lookup(outcome: Outcome) -> Expected:
    """What a lookup gives, with this outcome."""
    return Expected("probable", "lookup", outcome, names=(APP,))


REACHED, ATTEMPTED, BLOCKED = by_hello("reached"), by_hello("attempted"), by_hello("blocked")

UNACKNOWLEDGED = replace(ATTEMPTED, confidence="probable")
"""The answer is to no connection id that the client has asked for."""

SITUATIONS = (
    situation(
        "hello-answered",
        "The server answers the hello",
        lambda on: visit(on, APP, 900),
        REACHED,
        contact=True,
    ),
    situation("hello-not-answered", "Nobody answers the hello", hello, ATTEMPTED, contact=True),
    situation("reset", "The hello is answered with a TCP reset", refused, BLOCKED, contact=True),
    situation(
        "alert-for-a-hello",
        "The hello is answered with a fatal TLS alert",
        alerted,
        BLOCKED,
        contact=True,
    ),
    situation(
        "warning-before-server-hello",
        "A warning alert comes before the ServerHello",
        warned,
        REACHED,
        contact=True,
    ),
    situation(
        "alert-after-server-hello",
        "A fatal alert comes after the ServerHello",
        alerted_later,
        REACHED,
        contact=True,
    ),
    situation(
        "connect-forbidden",
        "A proxy answers CONNECT with 403",
        lambda on: connect(on, "403 Forbidden"),
        BLOCKED,
        contact=True,
    ),
    situation(
        "connect-without-password",
        "A proxy answers CONNECT with 407, and the client gives up",
        lambda on: connect(on, "407 Proxy Authentication Required"),
        BLOCKED,
        contact=True,
    ),
    situation(
        "connect-with-password",
        "A proxy answers CONNECT with 407, and the second one with 200",
        lambda on: connected(on, "407 Proxy Authentication Required", "200 OK"),
        REACHED,
        contact=True,
    ),
    situation(
        "connect-established",
        "A proxy answers CONNECT with 200",
        lambda on: connected(on, "200 OK"),
        REACHED,
        contact=True,
    ),
    situation(
        "request-forbidden",
        "A request in clear is answered with 403 and a page",
        lambda on: requested(on, "403 Forbidden"),
        BLOCKED,
        contact=True,
    ),
    situation(
        "request-unavailable",
        "A request in clear is answered with 451",
        lambda on: requested(on, "451 Unavailable For Legal Reasons"),
        BLOCKED,
        contact=True,
    ),
    situation(
        "request-not-found",
        "A request in clear is answered with 404",
        lambda on: requested(on, "404 Not Found"),
        REACHED,
        contact=True,
    ),
    situation(
        "prohibited-by-icmp",
        "The name is looked up, and ICMP prohibits the connection",
        prohibited_after_lookup,
        Expected("probable", "background", "blocked", names=(APP,), blind="no-data"),
        contact=True,
    ),
    situation(
        "name-refused",
        "The lookup is answered with NXDOMAIN",
        lambda on: asked(on, APP, rcode=3),
        by_lookup("blocked"),
        contact=True,
    ),
    situation(
        "no-data",
        "The lookup is answered without data",
        lambda on: asked(on, APP),
        by_lookup("attempted"),
        contact=True,
    ),
    situation(
        "null-and-no-data",
        "The lookup is answered with 0.0.0.0, that of AAAA without data",
        lambda on: (asked(on, APP, ((APP, "A", 60, "0.0.0.0"),)), asked(on, APP, kind="AAAA")),
        by_lookup("blocked"),
        contact=True,
    ),
    situation(
        "quic-answered",
        "A QUIC hello is answered",
        lambda on: on.quic(SERVICE, FAR, APP, version=handshakes.QUIC_V1),
        REACHED,
        contact=True,
    ),
    situation(
        "quic-negotiation",
        "A QUIC hello is answered with Version Negotiation, and nothing follows",
        negotiated,
        UNACKNOWLEDGED,
        contact=True,
    ),
    situation(
        "quic-retry",
        "A QUIC hello is answered with Retry, and nothing follows",
        sent_away,
        UNACKNOWLEDGED,
        contact=True,
    ),
    situation(
        "quic-closed",
        "A QUIC hello is answered with CONNECTION_CLOSE in an Initial packet",
        closed_at_once,
        UNACKNOWLEDGED,
        contact=True,
    ),
)
