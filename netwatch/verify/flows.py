"""A reader's information about a packet, whichever library it uses; and fragments and streams,
reassembled from what one reader reads.

Written from scratch for evidence captures, which are small and hold all packets that a message
needs, in the order of the capture. Nothing is dropped or guessed: what does not fit is left as it
is, and the message is then not found. If bytes were sent twice with other content, both are read,
since it is unknown which the receiver took.
"""

import socket
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ParamSpec, Protocol, TypeVar

from netwatch.core.errors import NetwatchError
from netwatch.core.names import normalise_name
from netwatch.core.text import escaped
from netwatch.verify.evidence_file import CapturedPacket

MAX_STREAM = 1 << 20
"""Bytes of a stream to reassemble for one piece of evidence."""

MAX_FRAGMENTS = 256
"""Fragments of a datagram."""

MAX_READINGS = 4
"""Datagrams that the same fragments may form."""

MAX_STARTS = 64
"""Segments of a stream at which a message may begin."""

T = TypeVar("T")
P = ParamSpec("P")

MAX_JOINED = 1_000_000
"""Segments joined to streams for all pieces of evidence of a file."""

_MAX_DATAGRAM = 65_535
_ICMP, _ICMPV6 = 1, 58
_ERRORS = {_ICMP: 3, _ICMPV6: 1}
"""The types of errors that report an undelivered packet."""
_WINDOW = 1 << 30
_Key = tuple[object, ...]
FlowKey = tuple[str, int, str, int, int]
"""Sender, receiver and protocol."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of an IP datagram: its identification, its offset in bytes, whether more follow."""

    identification: int
    offset: int
    more: bool


@dataclass(frozen=True, slots=True)
class Link:
    """The headers around a packet: the MAC addresses of their senders and receivers, and the VLANs
    of their tags."""

    senders: frozenset[str]
    receivers: frozenset[str]
    vlans: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IpPacket:
    """The innermost IP packet of a frame: its ends, the number of the protocol it carries, the
    bytes of that, and what is around it. `fragment` is None for a whole datagram. `size` is the
    number of those bytes by its header, -1 if it does not say."""

    source: str
    destination: str
    protocol: int
    payload: bytes
    link: Link
    fragment: Fragment | None = None
    size: int = -1


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment or a UDP datagram (`sequence` 0). `begins` means that SYN is set;
    `acknowledges` is what it acknowledges, None if ACK is not set."""

    source_port: int
    destination_port: int
    payload: bytes
    sequence: int = 0
    begins: bool = False
    acknowledges: int | None = None


@dataclass(frozen=True, slots=True)
class DnsMessage:
    """The content of a DNS message: names as on the wire, without the last dot.

    `aliases` are the targets of CNAME and DNAME, and of SVCB and HTTPS records if the library reads
    them, by owner; `addresses` are from A and AAAA records by owner. `partly` means that there are
    records of these kinds that the library does not read.
    """

    is_response: bool
    questions: tuple[bytes, ...]
    aliases: tuple[tuple[bytes, bytes], ...]
    addresses: tuple[tuple[bytes, str], ...]
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """An address of a device, or its name, according to a frame of ARP, neighbour discovery, DHCP
    or mDNS; missing parts are empty."""

    ip: str
    mac: str
    name: str = ""


class Reader(Protocol):
    """A library that reads packets. Every method returns None, or nothing, for what its library
    does not read; it may raise anything for damaged bytes, which `guarded` turns into that."""

    name: str

    def ip_packet(self, link_type: int, data: bytes) -> IpPacket | None:
        """The innermost IP packet of a frame."""

    def segment(self, protocol: int, payload: bytes) -> Segment | None:
        """TCP (6) or UDP (17)."""

    def dns(self, payload: bytes) -> DnsMessage | None:
        """A DNS message without the length that TCP puts before it."""

    def server_name(self, hello: bytes) -> bytes | None:
        """The server name of a ClientHello, a whole handshake message (RFC 8446 section 4)."""

    def request_names(self, head: bytes) -> Sequence[bytes]:
        """The Host field and the authority of the target of an HTTP/1 request's head."""

    def certificate_names(self, message: bytes) -> Sequence[bytes]:
        """The host names in the first certificate of a Certificate message of TLS 1.2."""

    def bindings(self, link_type: int, data: bytes) -> Sequence[Binding]:
        """The addresses and names of devices in a frame."""


def same_name(raw: bytes, name: str) -> bool:
    """Whether bytes on the wire are a name as spelled in records; an HTTP port is not part of the
    name."""
    host = raw
    before, colon, port = raw.rpartition(b":")
    if colon and (port.isdigit() or not port) and b":" not in before:
        host = before
    if escaped(normalise_name(host)) == name:
        return True
    return _unescaped(name) == host.lower().removesuffix(b".")


def _unescaped(name: str) -> bytes:
    """The bytes of a name in the spelling of zone files (RFC 1035 section 5.1)."""
    out, at = bytearray(), 0
    while at < len(name):
        digits = name[at + 1 : at + 4]
        if name[at] == "\\" and digits.isdigit() and len(digits) == 3 and int(digits) < 256:
            out.append(int(digits))
            at += 4
        elif name[at] == "\\" and at + 1 < len(name):
            out += name[at + 1].encode()
            at += 2
        else:
            out += name[at].encode("utf-8", "surrogatepass")
            at += 1
    return bytes(out)


_Part = tuple[int, IpPacket, Fragment]


@dataclass(frozen=True, slots=True)
class Datagram:
    """A TCP segment or UDP datagram with its IP packet. `frames` are the positions in the file of
    the frames that carry it, the last one last."""

    ip: IpPacket
    segment: Segment
    frames: tuple[int, ...]

    @property
    def flow(self) -> FlowKey:
        """Sender, receiver and protocol."""
        segment, ip = self.segment, self.ip
        ends = ip.source, segment.source_port, ip.destination, segment.destination_port
        return (*ends, ip.protocol)


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes of one direction of a connection without a gap; `owners` has for each span of bytes,
    given by its end, the datagram that it came from."""

    data: bytes
    owners: tuple[tuple[int, Datagram], ...]

    def frames_of(self, low: int, high: int) -> set[int]:
        """The frames that carry the bytes from `low` up to `high`."""
        frames: set[int] = set()
        start = 0
        for end, datagram in self.owners:
            if start < high and end > low:
                frames.update(datagram.frames)
            start = end
        return frames


class Flows:
    """All datagrams of a file as one reader reads them. `unread` are the positions of the frames in
    which it finds no IP packet; `refused` are the flows whose packets are quoted by ICMP errors, by
    the positions of these."""

    def __init__(self, reader: Reader, packets: Sequence[CapturedPacket]) -> None:
        self.reader = reader
        self.by_frame: dict[int, Datagram] = {}
        self.unread: set[int] = set()
        self.refused: dict[int, FlowKey] = {}
        self._joined = 0
        self._by_flow: dict[FlowKey, list[Datagram]] = defaultdict(list)
        self._read_twice: dict[_Key, list[IpPacket]] = defaultdict(list)
        fragments: dict[_Key, list[_Part]] = defaultdict(list)
        for at, packet in enumerate(packets):
            ip = guarded(reader.ip_packet, packet.link_type, packet.data)
            if ip is None:
                self.unread.add(at)
            elif ip.fragment is None:
                self._add(ip, (at,))
            else:
                key = ip.source, ip.destination, ip.protocol, ip.fragment.identification
                fragments[key].append((at, ip, ip.fragment))
                self._add_whole(key, fragments)

    def _add_whole(self, key: _Key, fragments: dict[_Key, list[_Part]]) -> None:
        """Add the datagram of fragments that are all there. If some have other bytes, there are
        two, and others may follow."""
        parts = fragments[key][-MAX_FRAGMENTS:]
        found = [each for each in (_whole(parts), _whole(parts[::-1])) if each is not None]
        known = self._read_twice[key]
        for whole in found:
            if whole not in known:
                known.append(whole)
                self._add(whole, tuple(at for at, *_ in parts))
        if len(set(found)) == 1 or len(known) >= MAX_READINGS:
            del fragments[key], self._read_twice[key]

    def _add(self, ip: IpPacket, frames: tuple[int, ...]) -> None:
        segment = guarded(self.reader.segment, ip.protocol, ip.payload)
        if segment is None:
            quoted = guarded(_quoted, ip)
            if quoted is not None:
                self.refused[frames[-1]] = quoted
            return
        datagram = Datagram(ip, segment, frames)
        self._by_flow[datagram.flow].append(datagram)
        for frame in frames:
            self.by_frame[frame] = datagram

    def sent_before(self, datagram: Datagram) -> list[Datagram]:
        """The datagrams of its flow, in its direction, up to it."""
        last = datagram.frames[-1]
        return [each for each in self._by_flow[datagram.flow] if each.frames[-1] <= last]

    def sent_back(self, datagram: Datagram) -> list[Datagram]:
        """The datagrams of its flow, in the other direction."""
        source, sport, destination, dport, protocol = datagram.flow
        return self._by_flow.get((destination, dport, source, sport, protocol), [])

    def streams(self, datagram: Datagram) -> Iterator[Stream]:
        """The streams that may contain the bytes of a TCP segment: from the last SYN of its
        connection, or from any segment if that is not in the file or something is missing."""
        segments = self.sent_before(datagram)
        begun = max((at for at, each in enumerate(segments) if each.segment.begins), default=-1)
        starts: list[int] = []
        if begun >= 0:
            starts.append(segments[begun].segment.sequence + 1)
            segments = segments[begun:]
        target = datagram.segment.sequence
        filled = [segment for segment in segments if segment.segment.payload]
        places = {each.segment.sequence + each.segment.begins for each in filled}
        behind = sorted(places, key=lambda place: -((target - place) % (1 << 32)))
        starts += [place for place in behind if (target - place) % (1 << 32) < _WINDOW]
        for start in dict.fromkeys(each % (1 << 32) for each in starts[:MAX_STARTS]):
            self._joined += len(filled)
            if self._joined > MAX_JOINED:
                raise NetwatchError("cannot be checked: expected fewer segments in its streams")
            stream, overlaps = _joined(filled, start)
            if stream.data:
                yield stream
            if overlaps:
                yield _newest(filled, start)


def guarded(read: Callable[P, T], *args: P.args, **keywords: P.kwargs) -> T | None:
    """The library's result, or None if it fails: damaged bytes may raise anything in it."""
    try:
        return read(*args, **keywords)
    except Exception:
        return None


def _whole(parts: Iterable[_Part]) -> IpPacket | None:
    """The datagram of fragments (RFC 791 section 3.2, RFC 8200 section 4.5), once all are there."""
    data, end, last = bytearray(), 0, None
    first: IpPacket | None = None
    for _, ip, fragment in sorted(parts, key=lambda part: part[2].offset):
        if fragment.offset > end:
            return None
        if not fragment.offset:
            first = first or ip
        data[fragment.offset : fragment.offset + len(ip.payload)] = ip.payload
        end = max(end, fragment.offset + len(ip.payload))
        if not fragment.more:
            last = fragment
        if end > _MAX_DATAGRAM:
            return None
    if first is None or last is None:
        return None
    return replace(first, payload=bytes(data), fragment=None)


def _quoted(ip: IpPacket) -> FlowKey | None:
    """The flow of the packet quoted by an ICMP error (RFC 792, RFC 4443 section 3.1)."""
    quoted = ip.payload[8:]
    if ip.payload[0] != _ERRORS.get(ip.protocol):
        return None
    if ip.protocol == _ICMP:
        protocol, family, low, high = quoted[9], socket.AF_INET, 12, (quoted[0] & 15) * 4
    else:
        protocol, family, low, high = quoted[6], socket.AF_INET6, 8, 40
    size = 4 if ip.protocol == _ICMP else 16
    ends = (socket.inet_ntop(family, quoted[at : at + size]) for at in (low, low + size))
    source, destination = ends
    ports = int.from_bytes(quoted[high : high + 2]), int.from_bytes(quoted[high + 2 : high + 4])
    return source, ports[0], destination, ports[1], protocol


def _joined(segments: Iterable[Datagram], start: int) -> tuple[Stream, bool]:
    """The bytes from a sequence number on (RFC 9293 section 3.4); of bytes sent twice the first
    count. Also returns whether some were sent twice with other content."""
    pieces = sorted(
        (
            ((each.segment.sequence + each.segment.begins - start) % (1 << 32), order, each)
            for order, each in enumerate(segments)
        ),
        key=lambda piece: piece[:2],
    )
    data = bytearray()
    owners: list[tuple[int, Datagram]] = []
    overlaps = False
    for offset, _, each in pieces:
        if offset > _WINDOW:  # before the beginning, by more than half of the numbers
            continue
        if offset > len(data) or len(data) > MAX_STREAM:
            break
        known = data[offset : offset + len(each.segment.payload)]
        overlaps = overlaps or not each.segment.payload.startswith(known)
        new = each.segment.payload[len(known) :]
        if new:
            data += new
            owners.append((len(data), each))
    return Stream(bytes(data), tuple(owners)), overlaps


def _newest(segments: Sequence[Datagram], start: int) -> Stream:
    """The same, but of bytes sent twice the last count."""
    data, owner = bytearray(), array("i")
    edges = {0}
    for number, each in enumerate(segments):
        offset = (each.segment.sequence + each.segment.begins - start) % (1 << 32)
        end = offset + len(each.segment.payload)
        if end > MAX_STREAM:
            continue
        missing = max(0, end - len(data))
        data.extend(bytes(missing))
        owner.extend(array("i", [-1]) * missing)
        data[offset:end] = each.segment.payload
        owner[offset:end] = array("i", [number]) * (end - offset)
        edges |= {offset, end}
    owners: list[tuple[int, Datagram]] = []
    for low, high in pairwise(sorted(edges)):
        if owner[low] < 0:
            del data[low:]
            break
        owners.append((high, segments[owner[low]]))
    return Stream(bytes(data), tuple(owners))
