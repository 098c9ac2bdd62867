"""Traffic of every protocol that is read, and the names to be observed in it."""

import copy
import functools
from collections import Counter
from collections.abc import Iterable

import handshakes
import messages
from craft import Conversation, Host, Wire
from support.frames import CLIENT, CLIENT6, GATEWAY, MAC, SERVER, SERVER6, Link

DESK, RESOLVER, WEB = Host(CLIENT, MAC), Host("10.20.0.53", GATEWAY), Host(SERVER, GATEWAY)
DESK6, RESOLVER6, WEB6 = (
    Host(CLIENT6, MAC),
    Host("2001:db8:20::53", GATEWAY),
    Host(SERVER6, GATEWAY),
)
Shows = Counter[tuple[str, str, str]]
"""(evidence, client address, name), with the number of observations."""


def lookups(wire: Wire, desk: Host, resolver: Host) -> None:
    """Queries and answers over UDP: addresses, aliases, HTTPS records, an NXDOMAIN."""
    wire.lookup(desk, resolver, "a.example.org", [("a.example.org", "A", 60, SERVER)])
    aliases = [
        ("b.example.org", "CNAME", 60, "b.edge.example.net"),
        ("b.edge.example.net", "CNAME", 60, "b.cdn.example.com"),
        ("b.cdn.example.com", "AAAA", 20, SERVER6),
    ]
    wire.lookup(desk, resolver, "b.example.org", aliases, kind="AAAA")
    service = [("c.example.org", "HTTPS", 60, "0 svc.example.org")]
    wire.lookup(desk, resolver, "c.example.org", service, kind="HTTPS")
    wire.lookup(desk, resolver, "gone.example.org", [], rcode=3)


def lookups_over_tcp(wire: Wire, desk: Host, resolver: Host) -> None:
    """Two queries in one stream, with the length of the first in a separate segment."""
    names = ("t1.example.org", "t2.example.org")
    asked = b"".join(_framed(messages.query(n, name, "A")) for n, name in enumerate(names))
    talk = Conversation(wire, desk, resolver, 53)
    talk.ask(asked, "dns-query", *names, cuts=(2, 25))
    answers = b""
    for number, name in enumerate(names):
        records = [(name, "A", 60, SERVER)]
        wire.answered(desk, name, records)
        answers += _framed(messages.answer(number, name, "A", records))
    talk.reply(answers)
    talk.close()


def hellos(wire: Wire, desk: Host, web: Host) -> None:
    """ClientHellos: in one segment, in several in any order, in many records, retransmitted, and
    one without a name."""
    wire.tls(desk, web, "one.example.org")
    wire.tls(desk, web, "two.example.org", post_quantum=True)
    rng = wire.rng
    talk = Conversation(wire, desk, web, 8443)
    hello = handshakes.records(handshakes.client_hello("swap.example.org", rng, post_quantum=True))
    talk.ask(hello, "tls-sni", "swap.example.org", cuts=(600, 1200), order=(2, 0, 1))
    talk.close()
    talk = Conversation(wire, desk, web, 443)
    hello = handshakes.records(handshakes.client_hello("records.example.org", rng), 100)
    talk.ask(hello, "tls-sni", "records.example.org", cuts=(7, 333))
    talk.close()
    talk = Conversation(wire, desk, web, 443)
    hello = handshakes.records(handshakes.client_hello("again.example.org", rng))
    talk.ask(hello, "tls-sni", "again.example.org")
    talk.ours -= len(hello)
    talk.repeat(hello)
    talk.ours += len(hello)
    talk.close()
    talk = Conversation(wire, desk, web, 443)
    talk.say(handshakes.records(handshakes.client_hello(None, rng)))
    talk.close()


def datagrams(wire: Wire, desk: Host, web: Host) -> None:
    """QUIC hellos of each version, in one packet and in two, with CRYPTO frames in any order."""
    rng = wire.rng
    wire.quic(desk, web, "q1.example.org", version=handshakes.QUIC_V1)
    wire.quic(desk, web, "q2.example.org", version=handshakes.QUIC_V2, post_quantum=True)
    wire.quic(desk, web, "q29.example.org", version=handshakes.QUIC_DRAFT_29)
    for name, packets in (
        ("late.example.org", [[(900, 9999)], [(0, 500), (500, 900)]]),
        ("mixed.example.org", [[(600, 900), (0, 600)], [(900, 9999)]]),
    ):
        hello = handshakes.client_hello(name, rng, post_quantum=True, quic=1, alpn=("h3",))
        dcid, sport = rng.randbytes(8), wire.port()
        for number, ranges in enumerate(packets):
            frames = b"".join(handshakes.crypto_frame(hello, *span) for span in ranges)
            if number == len(packets) - 1:
                wire.shows(desk, "quic-sni", name)
            datagram = handshakes.quic_initial(1, dcid, b"scid", number, frames)
            wire.udp(desk, sport, web, 443, datagram)
    hello = handshakes.client_hello("both.example.org", rng, quic=1, alpn=("h3",))
    dcid = rng.randbytes(8)
    halves = [handshakes.crypto_frame(hello, *span) for span in ((0, 200), (200, 9999))]
    datagram = b"".join(
        handshakes.quic_initial(1, dcid, b"scid", number, half, size=600)
        for number, half in enumerate(halves)
    )
    wire.shows(desk, "quic-sni", "both.example.org")
    wire.udp(desk, wire.port(), web, 443, datagram)


def requests(wire: Wire, desk: Host, web: Host) -> None:
    """HTTP: several requests on a connection, one of them in three segments and with a body, and
    CONNECT to a proxy."""
    talk = Conversation(wire, desk, web, 80)
    for name in ("h1.example.org", "h2.example.org"):
        talk.ask(messages.request("GET", "/", name, "Accept: */*"), "http-host", name)
        talk.reply(messages.response(b"hello"))
    post = messages.request("POST", "/in", "h3.example.org", body=b"x" * 40)
    talk.ask(post, "http-host", "h3.example.org", cuts=(20, 45))
    talk.reply(messages.response(b"thanks"))
    talk.close()
    talk = Conversation(wire, desk, web, 3128)
    target = "far.example.org:443"
    talk.ask(messages.request("CONNECT", target, target), "http-host", "far.example.org")
    talk.reply(b"HTTP/1.1 200 Connection established\r\n\r\n")
    talk.close()


def everything(wire: Wire, *, six: bool) -> None:
    """All of this traffic, of one client."""
    desk, resolver, web = (DESK6, RESOLVER6, WEB6) if six else (DESK, RESOLVER, WEB)
    lookups(wire, desk, resolver)
    lookups_over_tcp(wire, desk, resolver)
    hellos(wire, desk, web)
    datagrams(wire, desk, web)
    requests(wire, desk, web)


@functools.cache
def _made(seed: int, versions: tuple[int, ...]) -> Wire:
    """Traffic over these versions of IP. To make it takes a quarter of a second."""
    wire = Wire("2023-03-20T10:00:00+01:00", seed)
    for version in versions:
        everything(wire, six=version == 6)
    return wire


def mixed(seed: int = 7, *, link: Link | None = None) -> Wire:
    """All of this traffic over both versions of IP, as far as `link` carries them."""
    versions = tuple(each for each in (4, 6) if link is None or link.carries(each))
    wire = copy.deepcopy(_made(seed, versions))
    if link is not None:
        wire.frames = [(time, link.frame(frame[14:])) for time, frame in wire.frames]
    return wire


def shown(wire: Wire) -> Shows:
    """The names to be observed on a wire."""
    return Counter((name.evidence, name.client, name.name) for name in wire.names)


def without_macs(frames: Iterable[tuple[int, bytes]]) -> list[bytes]:
    """The IP packets in untagged Ethernet frames."""
    return [frame[14:] for _, frame in frames]


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message
