"""Any message in any wrappings on any link, cut, shuffled, repeated and in fragments, is
told exactly once, of its own client; and tshark reads the same of every wrapping."""

import random
import shutil
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import handshakes
import messages
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import layers
from support.captures import enhanced, interface, observed, section, timed
from support.frames import CLIENT, CLIENT6, SERVER, SERVER6, tcp, udp
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

from netwatch.formats.values import ip_text

NAME = "www.example.org"
RNG = random.Random(11)
HELLOS = [
    handshakes.records(handshakes.client_hello(NAME, RNG)),
    handshakes.records(handshakes.client_hello(NAME, RNG, post_quantum=True)),
    handshakes.records(handshakes.client_hello(NAME, RNG), 90),
]
REQUEST = messages.request("GET", "/path", NAME, "Accept: */*", "Cookie: " + "c" * 300)
INITIALS = [
    handshakes.quic_hello(handshakes.QUIC_V1, NAME, RNG),
    handshakes.quic_hello(handshakes.QUIC_V2, NAME, RNG, post_quantum=True),
]
QUERY = messages.query(5, NAME, "AAAA")


@dataclass(frozen=True)
class Case:
    """Frames of a link in some order, and what they show."""

    wrapped: Wrapped
    frames: list[bytes]
    evidence: str
    ends: tuple[str, str, int, int]


@st.composite
def compositions(draw: st.DrawFn) -> Wrapped:
    """Up to four wrappings; those that take only IPv6 once, since IPv4 needs a header more."""
    chosen = draw(st.lists(st.sampled_from(WRAPPINGS), max_size=4))
    narrow = [at for at, each in enumerate(chosen) if len(each.takes) == 1]
    for at in narrow[:0:-1]:
        del chosen[at]
    return Wrapped(draw(st.sampled_from(CARRIERS)), tuple(chosen))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    wrapped = draw(compositions())
    kind = draw(st.sampled_from(("tls-sni", "quic-sni", "http-host", "dns-query")))
    client, server = draw(st.sampled_from(((CLIENT, SERVER), (CLIENT6, SERVER6))))
    dport = 53 if kind == "dns-query" else 443
    ends = {"src": client, "dst": server, "sport": 50123, "dport": dport}
    opening: list[bytes] = []
    if kind == "dns-query":
        packets = [udp(QUERY, **ends)]
    elif kind == "quic-sni":
        packets = [udp(each, **ends) for each in draw(st.sampled_from(INITIALS))]
    else:
        seq = draw(st.sampled_from((1000, 2**32 - 200)))
        if draw(st.booleans()):
            opening = [tcp(flags="S", seq=seq, **ends)]
        message = REQUEST if kind == "http-host" else draw(st.sampled_from(HELLOS))
        packets = draw(segments(message, seq + 1, ends))
    cut = draw(st.none() | st.integers(0, len(wrapped.wrappings)))
    first = [frame for packet in opening for frame in wrapped.frames(packet)]
    frames = []
    for ident, packet in enumerate(packets):
        cuts = draw(st.lists(st.integers(1, 40), max_size=4)) if cut is not None else ()
        frames += wrapped.frames(packet, cut=cut, cuts=cuts, ident=ident)
    if kind != "dns-query":
        frames += draw(st.lists(st.sampled_from(first + frames), max_size=4))
    # A SYN may come again, but nothing is sent before it.
    frames = first + draw(st.permutations(frames))
    return Case(wrapped, frames, kind, (client, server, 50123, dport))


@st.composite
def segments(draw: st.DrawFn, message: bytes, seq: int, ends: dict) -> list[bytes]:
    """The segments of a stream that is cut anywhere."""
    cuts = sorted(draw(st.sets(st.integers(1, len(message) - 1), max_size=6)))
    edges = [0, *cuts, len(message)]
    return [tcp(message[at:end], seq=seq + at, **ends) for at, end in pairwise(edges)]


@settings(max_examples=400)
@given(cases())
def test_told_exactly_once(case: Case) -> None:
    found = observed(timed(case.frames), case.wrapped.carrier.number)
    assert [(each.evidence, each.name) for each in found] == [(case.evidence, NAME)]
    (each,) = found
    ends = ip_text(each.client_ip), ip_text(each.server_ip), each.client_port, each.server_port
    assert ends == case.ends
    assert (each.client_mac, each.vlan) == (case.wrapped.mac, case.wrapped.vlan)


# tshark

UNREAD_BY_TSHARK = {
    "ethernet gre-vlan": "it knows no VLAN tag in GRE",
    "nflog-big": "it reads the byte order of its own machine",
}
"""What tshark does not read, and why."""


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_every_wrapping(tmp_path: Path) -> None:
    given_ = [Wrapped(carrier, ()) for carrier in CARRIERS]
    given_ += [Wrapped(CARRIERS[0], (each,)) for each in WRAPPINGS]
    links = sorted({each.carrier.number for each in given_})
    out = [section(), *(interface(link) for link in links)]
    for number, wrapped in enumerate(given_):
        query = messages.query(number, f"n{number}.example.org", "A")
        six = wrapped.carrier.takes == (layers.IPV6,)
        packet = udp(query, src=CLIENT6, dst=SERVER6) if six else udp(query)
        (frame,) = wrapped.frames(packet)
        out.append(enhanced(frame, number, on=links.index(wrapped.carrier.number)))
    path = tmp_path / "wrappings.pcapng"
    path.write_bytes(b"".join(out))
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-e", "dns.qry.name"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    told = [line.strip() for line in done.stdout.splitlines()]
    assert len(told) == len(given_)
    unread = {
        given_[number].name for number, name in enumerate(told) if name != f"n{number}.example.org"
    }
    assert unread == set(UNREAD_BY_TSHARK)
