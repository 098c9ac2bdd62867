"""Made ClientHellos of TLS and QUIC, whole and in pieces, as packets."""

import random
from collections.abc import Iterable
from itertools import pairwise

import handshakes
from hypothesis import strategies as st
from support.captures import START, Frames
from support.frames import CLIENT, CLIENT6, SERVER, SERVER6, tcp, udp
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

SECOND = 1_000_000_000
IDLE, WANTED = "www.example.org", "www.example.com"
V1, V2 = handshakes.QUIC_V1, handshakes.QUIC_V2


def record(name: str | None, seed: int = 1, *, large: bool = True) -> bytes:
    hello = handshakes.client_hello(name, random.Random(seed), post_quantum=large)
    return handshakes.records(hello)


def quic(name: str | None, *, version: int = V1) -> bytes:
    return handshakes.client_hello(name, random.Random(1), quic=version)


def datagrams(
    hello: bytes,
    parts: Iterable[tuple[int, int]],
    *,
    version: int = V1,
    dcid: bytes = b"\7" * 8,
    fixed: bool = True,
) -> list[bytes]:
    """Initials that carry these parts of a hello, one each; every second one has the fixed bit
    cleared (RFC 9287) unless it is to be `fixed`."""
    return [
        handshakes.quic_initial(
            version,
            dcid,
            b"\1" * 5,
            number,
            handshakes.crypto_frame(hello, start, end),
            fixed=fixed or number % 2 == 1,
        )
        for number, (start, end) in enumerate(parts)
    ]


def cut(data: bytes, *at: int, sport: int = 50000) -> list[bytes]:
    """A SYN, and segments of the data cut at these places."""
    ends = [0, *at, len(data)]
    segments = [tcp(data[a:b], seq=1001 + a, sport=sport) for a, b in pairwise(ends)]
    return [tcp(flags="S", seq=1000, sport=sport), *segments]


@st.composite
def conversations(draw: st.DrawFn, fragments: bool = False) -> tuple[int, Frames, list[int]]:
    """Hellos in any pieces, in any order, some twice, some forged, some missing, in any
    wrapping, some in fragments; the link type, the frames and the packets of each block."""
    seed = draw(st.integers(0, 9))
    packets: list[bytes] = []
    for number in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([IDLE, IDLE, WANTED, None]))
        six = draw(st.booleans())
        ends = {"src": CLIENT6, "dst": SERVER6} if six else {}
        back = {"src": SERVER6, "dst": CLIENT6} if six else {"src": SERVER, "dst": CLIENT}
        port = 50000 + number % draw(st.integers(1, 3))
        large = draw(st.booleans())
        if draw(st.booleans()):
            data = record(name, seed, large=large)
            places = sorted(draw(st.sets(st.integers(1, len(data) - 1), max_size=3)))
            some = [
                tcp(data[a:b], seq=2**32 - 99 + a, sport=port, **ends)
                for a, b in pairwise([0, *places, len(data)])
            ]
            if draw(st.booleans()):
                some = draw(st.permutations(some))
            if draw(st.integers(0, 3)):
                some.insert(0, tcp(flags="S", seq=2**32 - 100, sport=port, **ends))
        else:
            version = draw(st.sampled_from([V1, V1, V2, handshakes.QUIC_DRAFT_29]))
            data = handshakes.client_hello(
                name, random.Random(seed), post_quantum=large, quic=version
            )
            places = sorted(draw(st.sets(st.integers(1, len(data) - 1), max_size=5)))
            frames = draw(st.permutations(list(pairwise([0, *places, len(data)]))))
            count = draw(st.integers(2 if large else 1, 3))
            some = []
            for which in range(count):
                body = b"".join(
                    draw(st.sampled_from([b"", b"\1", b"\0\0"]))
                    + handshakes.crypto_frame(data, a, b)
                    for a, b in frames[which::count]
                )
                sent = handshakes.quic_initial(
                    version,
                    bytes([seed] * 8),
                    b"\1" * 5,
                    which,
                    body,
                    size=1150,
                    fixed=draw(st.booleans()),
                )
                if draw(st.integers(0, 4)) == 0:
                    forged = bytearray(sent)
                    forged[draw(st.integers(0, len(sent) - 1))] ^= draw(st.sampled_from([1, 128]))
                    some.append(udp(bytes(forged), sport=port, dport=443, **ends))
                some.append(udp(sent, sport=port, dport=443, **ends))
            answer = handshakes.quic_initial(
                version, b"", b"\2" * 8, 0, b"\2\0\0\0\0", key_id=bytes([seed] * 8), side="server"
            )
            at = draw(st.integers(0, len(some)))
            some.insert(at, udp(answer, sport=443, dport=port, **back))
        if draw(st.integers(0, 3)) == 0:
            some.append(draw(st.sampled_from(some)))
        if draw(st.integers(0, 3)) == 0:
            del some[draw(st.integers(0, len(some) - 1))]
        packets += some
    if draw(st.booleans()):
        packets = draw(st.permutations(packets))
    carrier = draw(st.sampled_from(CARRIERS))
    wrapping = (draw(st.sampled_from(WRAPPINGS)),) if draw(st.booleans()) else ()
    frames_: list[tuple[int, bytes]] = []
    now = START
    for number, packet in enumerate(packets):
        now += draw(st.sampled_from([1, 1, 1, 1, 3000, 11000])) * SECOND // 1000
        cuts = draw(st.sampled_from([{}, {}, {0: (9, 20)}])) if fragments else {}
        around = Wrapped(carrier, wrapping).frames(packet, cuts=cuts, ident=number)
        frames_ += [(now, frame) for frame in around]
    parts = draw(st.lists(st.integers(1, 5), max_size=4))
    return carrier.number, frames_, parts
