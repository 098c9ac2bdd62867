"""Traffic in which every way matters that packets are divided among workers."""

from collections.abc import Iterator
from pathlib import Path

import handshakes
from craft import Conversation, Host, Wire
from leases import Segment
from scapy.layers.l2 import ARP
from support.captures import pcap
from support.frames import GATEWAY
from support.handshake_samples import http2_requests
from support.office import (
    DURING,
    FAR,
    OURS,
    OUTSIDE,
    PERSONAL,
    RESOLVER,
    STRAY,
    TIKTOK,
    hello,
    lookup,
)
from support.traffic import everything, without_macs
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

STAFF = tuple(Host(f"10.20.1.{n}", f"02:00:00:20:01:{n:02x}") for n in range(10, 22))
ROAMING = Host("198.51.100.77", GATEWAY)


def crowd() -> Wire:
    """Many clients, inside and outside of the networks: leases, lookups, hellos, flows without a
    name to addresses that were resolved for the app, flows between two ends of one kind."""
    wire = Wire(DURING, 5)
    link = Segment(wire, Host("10.20.6.1", GATEWAY))
    for number, client in enumerate(STAFF):
        link.obtain(client, f"pc-{number}") if number % 2 else None
        lookup(wire, client)
        if number % 3:
            hello(wire, client, FAR)
        nameless(wire, client, FAR)
        if number % 4 == 0:
            link.obtain(client, f"late-{number}")
            hello(wire, client, FAR)
    for one, other in zip(STAFF, reversed(STAFF), strict=True):
        # Both ends can be judged; the client is the lower end of some and the greater of others.
        hello(wire, one, other)
        nameless(wire, other, one)
        wire.quic(one, OURS, "www.tiktok.com", version=handshakes.QUIC_V1)
    for client in (ROAMING, OUTSIDE, PERSONAL, STRAY):
        lookup(wire, client, RESOLVER)
        hello(wire, client, FAR)
        hello(wire, client, OURS)
        nameless(wire, client, FAR)
    for six in (False, True):
        everything(wire, six=six)
    return wire


def nameless(wire: Wire, client: Host, server: Host) -> None:
    """A connection that shows no name."""
    talk = Conversation(wire, client, server, 443)
    talk.say(b"SSH-2.0-x\r\n")
    talk.reply(bytes(40))
    talk.close()


def slow() -> Wire:
    """Connections that pause for longer than anything is remembered because of its age, while
    others begin; claims that are refused; at last the clock jumps by a year."""
    wire = Wire(DURING, 6)
    link = Segment(wire, Host("10.20.6.1", GATEWAY))
    request = f"GET / HTTP/1.1\r\nHost: {TIKTOK}\r\n\r\n".encode()
    first = http2_requests(TIKTOK)
    second = http2_requests(TIKTOK, f"m.{TIKTOK}")[len(first) :]
    talks = [Conversation(wire, each, FAR, 80) for each in STAFF[::2]]
    for pause in (0, 45, 30, 150):
        wire.wait(pause)
        for number, talk in enumerate(talks):
            if number % 2 == 0:
                talk.say(request)
                talk.reply(b"HTTP/1.1 204 No Content\r\n\r\n")
            elif pause in (0, 150):
                talk.say(second if pause else first)
        hello(wire, STAFF[1], FAR)
        link.put(STAFF[3], GATEWAY, ARP(hwsrc=STAFF[4].mac, psrc=STAFF[3].ip, pdst=STAFF[5].ip))
    wire.wait(365 * 86_400)
    hello(wire, STAFF[-1], FAR)
    return wire


def captures(folder: Path) -> Iterator[Path]:
    """Captures of such traffic: as it is, cut by a snap length, in each tunnel, in fragments; and
    one of `slow` connections."""
    wire = crowd()
    yield _written(folder / "plain.pcap", wire.frames)
    yield _written(folder / "cut.pcap", wire.frames, snap=90)
    yield _written(folder / "slow.pcap", slow().frames)
    times = [time for time, _ in wire.frames]
    packets = [
        (time, packet)
        for time, frame in wire.frames
        if frame[12:14] in (b"\x08\x00", b"\x86\xdd")
        for packet in without_macs([(time, frame)])
    ]
    assert len(packets) < len(times)  # The others are of VLANs, and ARP.
    wrapped, split = [], []
    for number, (time, packet) in enumerate(packets):
        way = Wrapped(CARRIERS[0], (WRAPPINGS[number // 8 % len(WRAPPINGS)],))
        wrapped += [(time, frame) for frame in way.frames(packet)]
        parts = Wrapped(CARRIERS[0], ()).frames(packet, cuts={0: (24, 48)}, ident=number)
        split += [(time, frame) for frame in (parts if number % 3 else reversed(parts))]
    yield _written(folder / "tunnels.pcap", wrapped)
    yield _written(folder / "fragments.pcap", split)


def _written(path: Path, frames: list[tuple[int, bytes]], snap: int = 1 << 18) -> Path:
    path.write_bytes(pcap(frames, snap=snap))
    return path
