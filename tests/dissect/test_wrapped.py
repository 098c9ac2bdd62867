"""Any message in any encapsulation on any link, cut, shuffled, retransmitted and in IP fragments,
is observed exactly once, with its own client.

Hypothesis draws the message and what carries it (TLS records, QUIC CRYPTO frames, DTLS
fragments, HTTP/2 frames), the segments or datagrams, IP fragments at any depth, up to five
nested encapsulations, and the link type.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import handshakes
import messages
from hypothesis import given
from hypothesis import strategies as st
from support import handshake_samples
from support import protocol_samples as samples
from support.captures import dissector, observed, timed
from support.examples import examples
from support.frames import CLIENT, CLIENT6, SERVER, SERVER6, tcp, udp
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

from netwatch.core.addresses import ip_text
from netwatch.core.statistics import ANOMALIES

NAME = "www.example.org"
RNG = random.Random(11)
PLAIN = [handshakes.client_hello(NAME, RNG, post_quantum=large) for large in (False, True)]
OVER_QUIC = [
    handshakes.client_hello(NAME, RNG, post_quantum=large, quic=handshakes.QUIC_V1)
    for large in (False, True)
]
REQUESTS = [
    messages.request("GET", "/path", NAME, "Accept: */*", "Cookie: " + "c" * 300),
    messages.request("CONNECT", f"{NAME}:443", NAME),
    handshake_samples.http2_requests(NAME, NAME, f"{NAME}:8080"),
]
ASKED = bytes([len(NAME)]) + NAME.encode() + b"\1\xbb"
SOCKS = [b"\5\1\0\3" + ASKED, b"\4\1\1\xbb\0\0\0\1user\0" + NAME.encode() + b"\0"]
FLIGHT = handshake_samples.server_hello() + handshake_samples.certificates(
    handshake_samples.certificate(NAME, NAME)
)
CHLO = handshake_samples.padded_chlo(NAME.encode())
QUERY = messages.query(5, NAME, "AAAA")

Draw = st.DrawFn


@dataclass(frozen=True)
class Case:
    """Frames of a link in some order, and what is to be observed in them."""

    wrapped: Wrapped
    frames: list[bytes]
    evidence: str
    ends: tuple[str, str, int, int]


@dataclass(frozen=True)
class Talk:
    """The packets of one side: those that come first, and those that may come in any order and
    be repeated."""

    first: list[bytes]
    rest: list[bytes]
    repeated: bool = True


@st.composite
def compositions(draw: Draw) -> Wrapped:
    """Up to five encapsulations; those that only carry IPv6 at most once."""
    chosen = draw(st.lists(st.sampled_from(WRAPPINGS), max_size=5))
    narrow = [at for at, each in enumerate(chosen) if len(each.takes) == 1]
    for at in narrow[:0:-1]:
        del chosen[at]
    return Wrapped(draw(st.sampled_from(CARRIERS)), tuple(chosen))


def spans(draw: Draw, size: int, most: int) -> list[tuple[int, int]]:
    """The ranges of `size` bytes that are cut anywhere."""
    cuts = sorted(draw(st.sets(st.integers(1, size - 1), max_size=most)))
    return list(pairwise([0, *cuts, size]))


def stream(draw: Draw, data: bytes, ends: dict, *, started: bool | None = None) -> Talk:
    """The segments of a connection, with its SYN or captured from the middle."""
    seq = draw(st.sampled_from((1000, 2**32 - 200)))
    started = draw(st.booleans()) if started is None else started
    first = [tcp(flags="S", seq=seq, **ends)] if started else []
    pieces = spans(draw, len(data), 6)
    return Talk(first, [tcp(data[at:end], seq=seq + 1 + at, **ends) for at, end in pieces])


def tls(draw: Draw, ends: dict) -> Talk:
    data = handshakes.records(draw(st.sampled_from(PLAIN)), draw(st.sampled_from((90, 517, 16384))))
    return stream(draw, data, ends)


def http(draw: Draw, ends: dict) -> Talk:
    return stream(draw, draw(st.sampled_from(REQUESTS)), ends)


def certificate(draw: Draw, ends: dict) -> Talk:
    """The flight of a server, whose first segment has to contain the start of its hello."""
    back = {"src": ends["dst"], "dst": ends["src"], "sport": ends["dport"], "dport": ends["sport"]}
    data = handshakes.records(FLIGHT, draw(st.sampled_from((120, 16384))))
    pieces = spans(draw, len(data) - 120, 4)
    parts = [(0, 120 + pieces[0][1]), *((120 + at, 120 + end) for at, end in pieces[1:])]
    first, *rest = [tcp(data[at:end], seq=7000 + at, **back) for at, end in parts]
    return Talk([first], [*rest, first])


def socks(draw: Draw, ends: dict) -> Talk:
    """The request has to be complete in its segment."""
    return Talk([], [tcp(draw(st.sampled_from(SOCKS)), **ends)])


def lookup(draw: Draw, ends: dict) -> Talk:
    """Over UDP every datagram is counted. Over TCP only the position shows what a segment is."""
    if draw(st.booleans()):
        return stream(draw, len(QUERY).to_bytes(2) + QUERY, ends, started=True)
    return Talk([], [udp(QUERY, **ends)], repeated=False)


def quic(draw: Draw, ends: dict) -> Talk:
    """Initial packets of several versions with overlapping CRYPTO frames, coalesced or not."""
    hello = draw(st.sampled_from(OVER_QUIC))
    version = draw(st.sampled_from(sorted(samples.SALTS)))
    dcid, size = draw(st.binary(min_size=8, max_size=20)), draw(st.sampled_from((1, 2, 4)))
    packets = [
        samples.sealed(
            samples.crypto(start, hello[start : end + draw(st.integers(0, 40))]),
            dcid,
            number,
            version=version,
            number_size=size,
            token=b"t" * draw(st.sampled_from((0, 70))),
        )
        for number, (start, end) in enumerate(spans(draw, len(hello), 4))
    ]
    together = draw(st.integers(1, len(packets)))
    groups = [packets[at : at + together] for at in range(0, len(packets), together)]
    return Talk([], [udp(b"".join(group), **ends) for group in groups])


def google_quic(draw: Draw, ends: dict) -> Talk:
    version = draw(st.sampled_from((25, 39, 43, 44, 46)))
    packets = [
        handshake_samples.clear_packet_of(
            version, handshake_samples.stream_frame(version, CHLO[at:end], at)
        )
        for at, end in spans(draw, len(CHLO), 4)
    ]
    return Talk([], [udp(packet, **ends) for packet in packets])


def dtls(draw: Draw, ends: dict) -> Talk:
    """Fragments of a hello, and of the second hello with a cookie."""
    hello = draw(st.sampled_from(OVER_QUIC))  # These have an empty session id.
    datagrams = []
    for sequence, cookie in enumerate(draw(st.sampled_from(((b"",), (b"", b"c" * 20))))):
        body = handshake_samples.dtls_hello(hello, cookie)
        records = [
            handshake_samples.dtls_record(handshake_samples.fragment(body, at, end, sequence))
            for at, end in spans(draw, len(body), 5)
        ]
        together = draw(st.integers(1, len(records)))
        datagrams += [
            b"".join(records[at : at + together]) for at in range(0, len(records), together)
        ]
    return Talk([], [udp(each, **ends) for each in datagrams])


KINDS: dict[str, tuple[str, int, Callable[[Draw, dict], Talk]]] = {
    "tls": ("tls-sni", 443, tls),
    "http": ("http-host", 8080, http),
    "certificate": ("tls-cert", 443, certificate),
    "socks": ("socks-host", 1080, socks),
    "lookup": ("dns-query", 53, lookup),
    "quic": ("quic-sni", 443, quic),
    "google-quic": ("quic-sni", 443, google_quic),
    "dtls": ("dtls-sni", 4433, dtls),
}
"""The kinds of messages: their evidence, the port of the server, and how to draw the packets."""


@st.composite
def cases(draw: Draw) -> Case:
    wrapped = draw(compositions())
    evidence, dport, make = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    client, server = draw(st.sampled_from(((CLIENT, SERVER), (CLIENT6, SERVER6))))
    talk = make(draw, {"src": client, "dst": server, "sport": 50123, "dport": dport})
    depths = draw(st.sets(st.integers(0, len(wrapped.wrappings)), max_size=2))
    frames: list[list[bytes]] = []
    for ident, packet in enumerate([*talk.first, *talk.rest]):
        cuts = {}
        if ident >= len(talk.first):
            places = st.lists(st.integers(1, 40), max_size=4)
            cuts = {depth: draw(places) for depth in depths}
        frames.append(wrapped.frames(packet, cuts=cuts, ident=ident))
    first = [frame for each in frames[: len(talk.first)] for frame in each]
    rest = [frame for each in frames[len(talk.first) :] for frame in each]
    if talk.repeated:
        rest += draw(st.lists(st.sampled_from(first + rest), max_size=4))
    # A SYN may be repeated, but nothing is sent before it.
    return Case(
        wrapped, first + draw(st.permutations(rest)), evidence, (client, server, 50123, dport)
    )


@examples(600)
@given(cases())
def test_observed_exactly_once(case: Case) -> None:
    reader = dissector()
    found = observed(timed(case.frames), case.wrapped.carrier.number, by=reader)
    assert [(each.evidence, each.name) for each in found] == [(case.evidence, NAME)], (
        reader.anomalies()
    )
    (each,) = found
    ends = ip_text(each.client_ip), ip_text(each.server_ip), each.client_port, each.server_port
    assert ends == case.ends
    if case.evidence != "tls-cert":
        assert (each.client_mac, each.vlan) == (case.wrapped.mac, case.wrapped.vlan)


@examples(400)
@given(cases(), st.data())
def test_any_bytes_give_no_or_documented_anomalies(case: Case, data: st.DataObject) -> None:
    """The frames of a case with bytes changed, removed and inserted anywhere, or cut."""
    frames = [bytearray(frame) for frame in case.frames]
    for _ in range(data.draw(st.integers(1, 6))):
        frame = data.draw(st.sampled_from(frames))
        at = data.draw(st.integers(0, len(frame)))
        frame[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    snap = data.draw(st.sampled_from((1 << 18, 400, 120, 60)))
    reader = dissector()
    link = case.wrapped.carrier.number
    found = observed(timed(map(bytes, frames)), link, snap=snap, by=reader)
    assert all(each.name for each in found)
    unknown = [name for name in reader.anomalies() if name not in ANOMALIES]
    numbered = ("dns-opcode-", "wrapping-unknown-0x")
    assert [name for name in unknown if not name.startswith(numbered)] == []
