"""What the scripts beside the captures share: hosts, frames, conversations, the file.

A script fills a `Wire` with packets made by scapy and writes it down with `main`: the
capture, and next to it, in ``.names.tsv``, every name that is in it with the client that
showed it and how. Times and random bytes are fixed, so the same script gives the same
bytes. Addresses are those of documentation (RFC 5737, RFC 3849) and 10.0.0.0/8, MAC
addresses locally administered. Nothing is ever sent.
"""

import random
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import handshakes
import messages
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

MSS = 1460
"""Bytes of payload that fit a segment here (RFC 9293 section 3.7.1)."""


MAX_RECORD = 16384
"""Bytes of payload of a TLS record (RFC 8446 section 5.1)."""

HEADERS = 66
"""Bytes of a packet over IPv4 that hold its headers, TCP options included."""


@dataclass(frozen=True, slots=True)
class Host:
    """An end of a conversation: address, MAC on the mirrored link, VLAN tags outermost
    first. A QinQ pair has the service tag first (IEEE 802.1ad)."""

    ip: str
    mac: str
    vlans: tuple[int, ...] = ()

    def at(self, ip: str) -> "Host":
        """The same machine at another of its addresses."""
        return replace(self, ip=ip)


@dataclass(frozen=True, slots=True)
class Name:
    """A name that the capture shows: when, how, by whom."""

    time: int
    evidence: str
    client: str
    name: str


class Wire:
    """Packets and the names in them, at times of nanoseconds since the epoch.

    While `keep` is set, only so many bytes of each packet are in the capture, as with the snap
    length of a capture filter; the capture has the length that the packet had on the wire.
    """

    def __init__(self, start: str, seed: int) -> None:
        self.now = int(datetime.fromisoformat(start).timestamp()) * 10**9
        self.rng = random.Random(seed)
        self.keep: int | None = None
        self.frames: list[tuple[int, bytes]] = []
        self.cut: dict[int, int] = {}
        self.names: list[Name] = []

    def wait(self, seconds: float) -> None:
        """Let time pass until the next packet."""
        self.now += round(seconds * 10**9)

    def go_to(self, moment: str) -> None:
        """Set the time, as ISO 8601 with its offset; conversations may overlap."""
        self.now = int(datetime.fromisoformat(moment).timestamp()) * 10**9

    def send(self, src: Host, dst: Host, transport: Packet) -> None:
        """One packet from `src` to `dst`, tagged as the client's side of them is."""
        tags = src.vlans or dst.vlans
        frame = Ether(src=src.mac, dst=dst.mac)
        for place, tag in enumerate(tags):
            frame /= (Dot1AD if place < len(tags) - 1 else Dot1Q)(vlan=tag)
        if ":" in src.ip:
            network = IPv6(src=src.ip, dst=dst.ip, hlim=64)
        else:
            network = IP(src=src.ip, dst=dst.ip, ttl=64, id=self.rng.getrandbits(16), flags="DF")
        data = bytes(frame / network / transport)
        if self.keep is not None and len(data) > self.keep:
            self.cut[len(self.frames)] = len(data)
            data = data[: self.keep]
        self.frames.append((self.now, data))
        self.wait(self.rng.uniform(0.0001, 0.004))

    def shows(self, client: Host, evidence: str, *names: str) -> None:
        """Note that the packet to come, or the last of its message, shows these names."""
        self.names.extend(Name(self.now, evidence, client.ip, name) for name in names)

    def udp(self, src: Host, sport: int, dst: Host, dport: int, payload: bytes) -> None:
        """One datagram."""
        self.send(src, dst, UDP(sport=sport, dport=dport) / Raw(payload))

    def port(self) -> int:
        """An ephemeral port (RFC 6335)."""
        return self.rng.randrange(49152, 65536)

    def lookup(
        self,
        client: Host,
        resolver: Host,
        name: str,
        records: Sequence[messages.Record],
        *,
        kind: str = "A",
        rcode: int = 0,
    ) -> None:
        """A query over UDP and its answer; the aliases in `records` are names too."""
        ident, sport = self.rng.getrandbits(16), self.port()
        self.shows(client, "dns-query", name)
        self.udp(client, sport, resolver, 53, messages.query(ident, name, kind))
        self.wait(0.012)
        self.answered(client, name, records)
        reply = messages.answer(ident, name, kind, records, rcode)
        self.udp(resolver, 53, client, sport, reply)

    def answered(self, client: Host, name: str, records: Sequence[messages.Record]) -> None:
        """Note what an answer with these records shows."""
        self.shows(client, "dns-answer", name)
        for _, kind, _, value in records:
            priority, _, target = value.partition(" ") if " " in value else ("0", "", value)
            if kind in ("CNAME", "SVCB", "HTTPS") and priority == "0" and target != ".":
                self.shows(client, "dns-cname", target)

    def quic(
        self, client: Host, server: Host, name: str, *, version: int, post_quantum: bool = False
    ) -> None:
        """A QUIC connection up to its first protected data, which stays opaque."""
        sport = self.port()
        hello = handshakes.quic_hello(version, name, self.rng, post_quantum=post_quantum)
        for number, datagram in enumerate(hello, 1):
            if number == len(hello):
                self.shows(client, "quic-sni", name)
            self.udp(client, sport, server, 443, datagram)
        # The server calls its client by the id that the client has chosen (RFC 9000 section 7.2).
        dcid = hello[0][6:14]
        scid = hello[0][15 : 15 + hello[0][14]]
        acknowledged = b"\x02\0\0\0\0"
        frames = acknowledged + handshakes.crypto_frame(handshakes.server_hello(self.rng), 0, 1200)
        own = self.rng.randbytes(8)
        reply = handshakes.quic_initial(version, scid, own, 0, frames, key_id=dcid, side="server")
        self.udp(server, 443, client, sport, reply)
        for size in (48, 320):
            self.udp(client, sport, server, 443, handshakes.quic_data(self.rng, size, own))
        for size in (1252, 1252, 410):
            self.udp(server, 443, client, sport, handshakes.quic_data(self.rng, size))

    def tls(
        self, client: Host, server: Host, name: str, *, post_quantum: bool = False, size: int = 2600
    ) -> None:
        """A whole TLS conversation whose server sends `size` bytes of data."""
        talk = Conversation(self, client, server, 443)
        hello = handshakes.client_hello(name, self.rng, post_quantum=post_quantum)
        talk.ask(handshakes.records(hello), "tls-sni", name)
        talk.reply(handshakes.server_flight(self.rng))
        talk.say(handshakes.application_data(self.rng, 53))
        talk.say(handshakes.application_data(self.rng, 240))
        talk.reply(handshakes.application_data(self.rng, size))
        talk.close()

    def write(self, path: Path) -> None:
        """The packets in time order as pcap with microseconds, and the names beside it."""
        out = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number in sorted(range(len(self.frames)), key=lambda number: self.frames[number][0]):
            time, frame = self.frames[number]
            on_wire = self.cut.get(number, len(frame))
            out += struct.pack("<4I", *divmod(time // 1000, 10**6), len(frame), on_wire) + frame
        path.write_bytes(out)
        lines = ["evidence\tclient\tname"]
        ordered = sorted(self.names, key=lambda name: name.time)
        lines += [f"{name.evidence}\t{name.client}\t{name.name}" for name in ordered]
        path.with_suffix(".names.tsv").write_text("\n".join(lines) + "\n", encoding="ascii")


class Conversation:
    """A TCP connection, opened by its three-way handshake (RFC 9293 section 3.5)."""

    def __init__(self, wire: Wire, client: Host, server: Host, dport: int) -> None:
        self.wire, self.client, self.server = wire, client, server
        self.sport, self.dport = wire.port(), dport
        self.ours, self.theirs = wire.rng.getrandbits(32), wire.rng.getrandbits(32)
        options = [("MSS", MSS), ("SAckOK", b""), ("NOP", None), ("WScale", 7)]
        self._out("S", ack=0, options=options)
        self.ours = (self.ours + 1) % 2**32
        self._back("SA", options=options)
        self.theirs = (self.theirs + 1) % 2**32
        self._out("A")

    def _out(self, flags: str, data: bytes = b"", *, shift: int = 0, **fields: object) -> None:
        head = {"seq": (self.ours + shift) % 2**32, "ack": self.theirs, "window": 64240, **fields}
        segment = TCP(sport=self.sport, dport=self.dport, flags=flags, **head)
        self.wire.send(self.client, self.server, segment / Raw(data) if data else segment)

    def _back(self, flags: str, data: bytes = b"", **fields: object) -> None:
        head = {"seq": self.theirs, "ack": self.ours, "window": 65160, **fields}
        segment = TCP(sport=self.dport, dport=self.sport, flags=flags, **head)
        self.wire.send(self.server, self.client, segment / Raw(data) if data else segment)

    def say(self, data: bytes, cuts: Sequence[int] = (), *, order: Sequence[int] = ()) -> None:
        """Send from the client, cut at the offsets given, else at the MSS; acknowledged.

        `order` sends the segments by their index: ``(1, 0)`` swaps two.
        """
        self._push(data, cuts, order)
        self._back("A")

    def repeat(self, data: bytes) -> None:
        """A segment that comes again: its sequence number stays, nothing acknowledges it."""
        self._out("PA", data)

    def _push(self, data: bytes, cuts: Sequence[int], order: Sequence[int]) -> None:
        edges = [0, *(cuts or range(MSS, len(data), MSS)), len(data)]
        for index in order or range(len(edges) - 1):
            start, end = edges[index], edges[index + 1]
            self._out("PA", data[start:end], shift=start)
        self.ours = (self.ours + len(data)) % 2**32

    def ask(
        self,
        data: bytes,
        evidence: str,
        *names: str,
        cuts: Sequence[int] = (),
        order: Sequence[int] = (),
    ) -> None:
        """Like `say`, for a message that shows these names once it is whole."""
        self._push(data, cuts, order)
        self.wire.shows(self.client, evidence, *names)
        self._back("A")

    def reply(self, data: bytes) -> None:
        """Send from the server, cut at the MSS; acknowledged by the client."""
        for start in range(0, len(data), MSS):
            piece = data[start : start + MSS]
            self._back("PA", piece)
            self.theirs = (self.theirs + len(piece)) % 2**32
        self._out("A")

    def exchange(self, sent: int, received: int) -> None:
        """A request of `sent` and a response of `received` bytes, both encrypted. Of the response
        the capture has the headers only."""
        self.say(handshakes.application_data(self.wire.rng, sent))
        self.wire.keep = HEADERS
        records = [MAX_RECORD] * (received // MAX_RECORD) + [received % MAX_RECORD]
        for size in filter(None, records):
            self.reply(handshakes.application_data(self.wire.rng, size))
        self.wire.keep = None

    def reset(self) -> None:
        """The connection is reset in the name of the server (RFC 9293 section 3.5.3)."""
        self._back("RA")

    def close(self) -> None:
        """Both sides finish (RFC 9293 section 3.6)."""
        self._out("FA")
        self.ours = (self.ours + 1) % 2**32
        self._back("FA")
        self.theirs = (self.theirs + 1) % 2**32
        self._out("A")


def main(script: str, wire: Wire) -> None:
    """Write the capture named like `script` beside it, or into the folder given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(script).parent
    wire.write(folder / Path(script).with_suffix(".pcap").name)
