"""QUIC Initials whose ClientHello spans two packets, and the versions in use.

Versions 1 (RFC 9000), 2 (RFC 9369) and draft-29; CRYPTO frames in order, swapped between
the packets, shuffled within one between PING and PADDING, and two packets coalesced.
"""

import handshakes
from craft import Host, Wire, main
from handshakes import QUIC_DRAFT_29, QUIC_V1, QUIC_V2, crypto_frame

GATEWAY = "02:00:5e:00:20:01"
SERVER = Host("203.0.113.20", GATEWAY)
SIX = Host("2001:db8:ffff::20", GATEWAY)
PHONE = Host("10.20.5.7", "02:00:00:20:05:07")


def spread(wire: Wire, name: str, frames: list[list[tuple[int, int]]], *, ping: bool) -> None:
    """A post-quantum hello as these byte ranges, a list of them for each packet."""
    wire.wait(20)
    rng = wire.rng
    hello = handshakes.client_hello(name, rng, post_quantum=True, quic=QUIC_V1, alpn=("h3",))
    dcid, scid, sport = rng.randbytes(8), rng.randbytes(5), wire.port()
    gap = b"\1\0\0" if ping else b""
    for number, ranges in enumerate(frames):
        payload = gap.join(crypto_frame(hello, start, end) for start, end in ranges)
        if number == len(frames) - 1:
            wire.shows(PHONE, "quic-sni", name)
        packet = handshakes.quic_initial(QUIC_V1, dcid, scid, number, payload)
        wire.udp(PHONE, sport, SERVER, 443, packet)


def coalesced(wire: Wire, name: str) -> None:
    """Two Initials in one datagram (RFC 9000 section 12.2), a small hello across them."""
    wire.wait(20)
    rng = wire.rng
    hello = handshakes.client_hello(name, rng, quic=QUIC_V1, alpn=("h3",))
    dcid, scid = rng.randbytes(8), rng.randbytes(5)
    halves = [crypto_frame(hello, 0, 150), crypto_frame(hello, 150, len(hello))]
    sizes = (300, 900)
    datagram = b"".join(
        handshakes.quic_initial(QUIC_V1, dcid, scid, number, half, size=size)
        for number, (half, size) in enumerate(zip(halves, sizes, strict=True))
    )
    wire.shows(PHONE, "quic-sni", name)
    wire.udp(PHONE, wire.port(), SERVER, 443, datagram)


def build() -> Wire:
    """Eight connections of one phone."""
    wire = Wire("2024-10-16T14:00:00+02:00", seed=3)
    six = PHONE.at("2001:db8:20:5::7")
    wire.quic(PHONE, SERVER, "www.tiktok.com", version=QUIC_V1, post_quantum=True)
    wire.wait(20)
    wire.quic(six, SIX, "six.example.org", version=QUIC_V1, post_quantum=True)
    wire.wait(20)
    wire.quic(PHONE, SERVER, "version-two.example.org", version=QUIC_V2, post_quantum=True)
    wire.wait(20)
    wire.quic(PHONE, SERVER, "draft-29.example.org", version=QUIC_DRAFT_29)
    end = 1 << 16
    spread(wire, "swapped.example.org", [[(900, end)], [(0, 900)]], ping=False)
    shuffled = [[(400, 700), (0, 130), (250, 400)], [(700, end), (130, 250)]]
    spread(wire, "shuffled.example.org", shuffled, ping=True)
    overlap = [[(0, 800)], [(700, end)]]
    spread(wire, "overlap.example.org", overlap, ping=False)
    coalesced(wire, "coalesced.example.org")
    return wire


if __name__ == "__main__":
    main(__file__, build())
