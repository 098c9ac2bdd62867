"""Whether the packets show what the pieces of evidence claim, according to scapy and dpkt.

Each reader answers for each piece: `shown`, `differs`, or `unread` if its library does not read
such packets. A piece is shown if one reader shows it and none differs. Time and bytes of a packet
are compared with its comment whatever the readers answer.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Literal

from netwatch.core.encapsulation import UDP_TUNNELS
from netwatch.core.flow import packet_digest
from netwatch.core.names import normalise_name
from netwatch.core.text import escaped
from netwatch.formats.values import rfc3339
from netwatch.verify import messages, quic
from netwatch.verify.evidence_file import Claims, Client, Contact, EvidenceFile, Piece
from netwatch.verify.flows import (
    Datagram,
    DnsMessage,
    FlowKey,
    Flows,
    Reader,
    Stream,
    guarded,
    same_name,
)

Result = Literal["shown", "differs", "missing", "unread"]

_TO_CLIENT = frozenset({"dns-answer", "dns-cname", "tls-cert"})
_TUNNELS = frozenset(tunnel.port for tunnel in UDP_TUNNELS)
_TCP, _UDP = 6, 17
_MAX_FOUND = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """A reader's answer for a piece: its result, and what it found if that is not `shown`. `frames`
    are the packets in which it found the message."""

    result: Result
    found: str = ""
    frames: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome for a piece: its result, the result of each reader by name, and what was expected
    and found if they differ. `frame` is the position in the file of the packet that shows it, None
    if the file does not have it; `bindings` are those of the packets that show which device had the
    address."""

    contact: Contact
    source: str
    number: int
    frame: int | None
    result: Result
    readers: dict[str, Result]
    expected: str = ""
    found: str = ""
    bindings: tuple[int, ...] = ()


def check(file: EvidenceFile, claims: Claims, flows: Sequence[Flows]) -> Iterator[Finding]:
    """Check every piece of a file, in the order of its packets; `flows` are its packets as each
    reader reads them. Raises `NetwatchError` if its streams are more work than evidence should
    be."""
    for piece in claims.pieces:
        yield _check(piece, file, claims, flows)
    for at, contact in claims.orphans:
        expected = "the packet that this one is part of"
        yield Finding(contact, "", 0, at, "missing", {}, expected, "no packet that shows the name")
    for at in claims.unknown:
        nothing = Contact("comment", "", min(claims.incidents, default=""), None, None)
        expected = "a comment that explains what the packet is for"
        yield Finding(nothing, "", 0, at, "differs", {}, expected, "none")


def _check(piece: Piece, file: EvidenceFile, claims: Claims, flows: Sequence[Flows]) -> Finding:
    answers = {flow.reader.name: answer(piece, flow) for flow in flows}
    results: dict[str, Result] = {name: each.result for name, each in answers.items()}
    contact, packet = piece.contact, file.packets[piece.frame]
    place = contact, piece.source, piece.number, piece.frame
    wrong: list[tuple[str, str]] = []
    if contact.time is not None and contact.time != packet.time:
        wrong.append((f"at {rfc3339(contact.time, 9)}", f"at {rfc3339(packet.time, 9)}"))
    for at in (piece.frame, *piece.parts):
        packet = file.packets[at]
        told = claims.digests.get(at, frozenset())
        if told and told != {packet_digest(packet.time, packet.data)}:
            expected = f"packet {at + 1} as it was written, sha256 {', '.join(sorted(told))}"
            wrong.append((expected, f"sha256 {packet_digest(packet.time, packet.data)}"))
    differs = [(name, each.found) for name, each in answers.items() if each.result == "differs"]
    if differs:
        found = "; ".join(f"{name}: {text}" for name, text in differs)
        wrong.insert(0, (_expected(contact), found))
    used = frozenset().union(*(each.frames for each in answers.values()))
    bindings: tuple[int, ...] = ()
    if not differs and "shown" in results.values():
        bindings, unexplained = _parts(piece, file, flows, used)
        if unexplained:
            numbers = ", ".join(str(at + 1) for at in unexplained)
            expected = "packets that are part of the contact, or show who had the address"
            wrong.append((expected, f"nothing of that in packet {numbers}"))
    if wrong:
        expected, found = ("; ".join(texts) for texts in zip(*wrong, strict=True))
        return Finding(*place, "differs", results, expected, found, bindings)
    if "shown" in results.values():
        return Finding(*place, "shown", results, bindings=bindings)
    found = "; ".join(f"{name}: {each.found}" for name, each in answers.items())
    return Finding(*place, "unread", results, _expected(contact), found)


def _expected(contact: Contact) -> str:
    client = f" {'to' if contact.type in _TO_CLIENT else 'from'} {contact.client}"
    return f"{contact.type} {contact.name}{client if contact.client else ''}"


def answer(piece: Piece, flows: Flows) -> Answer:
    """One reader's answer for a piece."""
    datagram = flows.by_frame.get(piece.frame)
    if datagram is None:
        text = "no IP packet" if piece.frame in flows.unread else "no TCP or UDP"
        return Answer("unread", f"{text} in it")
    wrong = _client(piece.contact, datagram)
    if wrong:
        return _tunnel(datagram) or Answer("differs", wrong)
    find = _FINDERS.get(piece.contact.type)
    if find is None:
        return Answer("unread", f"evidence of the type {piece.contact.type} is not read")
    found = find(piece, flows, datagram)
    return found if found.result == "shown" else _tunnel(datagram) or found


def _tunnel(datagram: Datagram) -> Answer | None:
    """For a datagram that may carry others, which the library does not read."""
    ports = {datagram.segment.source_port, datagram.segment.destination_port}
    if datagram.ip.protocol == _UDP and ports & _TUNNELS:
        return Answer("unread", "a tunnel that it does not read")
    return None


def _client(contact: Contact, datagram: Datagram) -> str:
    """The error in the device of a datagram; empty if it is right."""
    client, ip = contact.client, datagram.ip
    if client is None:
        return ""
    to_client = contact.type in _TO_CLIENT
    address = ip.destination if to_client else ip.source
    macs = ip.link.receivers if to_client else ip.link.senders
    if contact.type in ("ip-from-dns", "ip-asn") and address != client.ip:
        address, macs = ip.destination, ip.link.receivers
    if not _same_address(address, client.ip):
        return f"{'to' if to_client else 'from'} {address}"
    if client.mac and macs and client.mac not in macs:
        return f"{'to' if to_client else 'from'} {', '.join(sorted(macs))}"
    tags = {vlan for vlan in ip.link.vlans if vlan}
    if client.vlan not in tags and (client.vlan or tags):
        return f"VLAN {', '.join(map(str, sorted(tags)))}" if tags else "no VLAN"
    return ""


def _same_address(one: str, other: str) -> bool:
    return one == other or one.lower() == other.lower()


class _Found:
    """Collects the names that candidates show, until one of them is the sought name."""

    def __init__(self, piece: Piece, must_have: int) -> None:
        self._name = piece.contact.name
        self._frame = must_have
        self._others: dict[str, None] = {}
        self._fails = False

    def shows(self, names: Iterable[bytes] | None, frames: Iterable[int]) -> Answer | None:
        """`shown` if one of the names of a message is the sought one and the packet carries a part
        of the message; names None if the library does not read it."""
        used = frozenset(frames)
        if self._frame not in used:
            return None
        if names is None:
            self._fails = True
            return None
        for raw in names:
            if same_name(raw, self._name):
                return Answer("shown", frames=used)
            self._others[escaped(normalise_name(raw))] = None
        return None

    def nothing(self, what: str) -> Answer:
        """The answer if the name was not found: other names, if there are any."""
        if self._others:
            return Answer("differs", ", ".join(list(self._others)[:_MAX_FOUND]))
        return Answer("differs", f"{what} that cannot be read" if self._fails else f"no {what}")


_Spans = Callable[[bytes], Iterator[messages.Span]]
_Names = Callable[[Reader, bytes], Iterable[bytes] | None]


def _in_streams(spans: _Spans, names: _Names, what: str) -> "_Finder":
    """A finder of messages in TCP streams."""

    def find(piece: Piece, flows: Flows, datagram: Datagram) -> Answer:
        found = _Found(piece, piece.frame)
        if datagram.ip.protocol != _TCP:
            return Answer("differs", "UDP")
        for stream in flows.streams(datagram):
            for message, frames in _spans(stream, spans):
                shown = found.shows(guarded(names, flows.reader, message), frames)
                if shown:
                    return shown
        return found.nothing(what)

    return find


def _spans(stream: Stream, spans: _Spans) -> list[tuple[bytes, set[int]]]:
    """The messages of a stream with the packets that carry each; those before damaged bytes."""
    out: list[tuple[bytes, set[int]]] = []

    def collect() -> None:
        for message, low, high in spans(stream.data):
            out.append((message, stream.frames_of(low, high)))

    guarded(collect)
    return out


def _one(name: bytes | None) -> Iterable[bytes]:
    return () if name is None else (name,)


def _hello_names(reader: Reader, hello: bytes) -> Iterable[bytes]:
    return _one(reader.server_name(hello))


def _http(piece: Piece, flows: Flows, datagram: Datagram) -> Answer:
    """HTTP/1, and HTTP/2 in clear text if that is not it."""
    answered = _http_1(piece, flows, datagram)
    if answered.result == "shown":
        return answered
    again = _http_2(piece, flows, datagram)
    return again if again.result == "shown" else answered


_http_1 = _in_streams(
    messages.request_heads, lambda reader, head: reader.request_names(head), "Host"
)
_http_2 = _in_streams(messages.http2_authorities, lambda _, name: (name,), "authority")


def _datagram_hello(piece: Piece, flows: Flows, datagram: Datagram) -> Answer:
    """QUIC and DTLS: the hello in the datagrams of the flow."""
    sent = flows.sent_before(datagram)
    payloads = [each.segment.payload for each in sent]
    is_quic = piece.contact.type == "quic-sni"
    hello = guarded(quic.client_hello if is_quic else messages.datagram_hello, payloads)
    if hello is None:
        if is_quic and quic.is_unknown(datagram.segment.payload):
            return Answer("unread", "a version of QUIC that is not read")
        return Answer("differs", "no ClientHello")
    message, positions = hello
    found = _Found(piece, piece.frame)
    frames = {frame for position in positions for frame in sent[position].frames}
    names = guarded(_hello_names, flows.reader, message)
    return found.shows(names, frames) or found.nothing("server name")


def _dns(piece: Piece, flows: Flows, datagram: Datagram) -> Answer:
    found = _Found(piece, piece.frame)
    kind = piece.contact.type
    partly = False
    for message, frames in dns_messages(flows, datagram):
        names: Iterable[bytes] | None = None
        if message is not None:
            if message.is_response != (kind != "dns-query"):
                continue
            partly |= message.partly
            names = message.questions
            if kind == "dns-cname":
                names = [target for _, target in message.aliases]
        shown = found.shows(names, frames)
        if shown:
            return shown
    if partly and kind == "dns-cname":
        return Answer("unread", "records of types that it does not read")
    return found.nothing("such message of DNS")


def dns_messages(
    flows: Flows, datagram: Datagram
) -> Iterator[tuple[DnsMessage | None, frozenset[int]]]:
    """The DNS messages of which a datagram carries a part; None if the library reads none."""
    for data, frames in _dns_bytes(flows, datagram):
        yield guarded(flows.reader.dns, data), frames


def _dns_bytes(flows: Flows, datagram: Datagram) -> Iterator[tuple[bytes, frozenset[int]]]:
    """The same as bytes."""
    if datagram.ip.protocol == _UDP:
        yield datagram.segment.payload, frozenset(datagram.frames)
        return
    last = datagram.frames[-1]
    for stream in flows.streams(datagram):
        for data, frames in _spans(stream, messages.dns_messages):
            if last in frames:
                yield data, frozenset(frames)


def _resolved(piece: Piece, flows: Flows, datagram: Datagram) -> Answer:
    """A flow to an address that an earlier answer to the same device gave for the name. Answers
    that gave the address again, for any question, are part of it."""
    client, server = datagram.ip.source, datagram.ip.destination
    if piece.contact.client and not _same_address(client, piece.contact.client.ip):
        client, server = server, client
    others: dict[str, None] = {}
    used = set(datagram.frames)
    is_shown = partly = False
    for at in piece.parts:
        answer_to = flows.by_frame.get(at)
        if answer_to is None or not _same_address(answer_to.ip.destination, client):
            continue
        for message, frames in dns_messages(flows, answer_to):
            if message is None or not message.is_response:
                continue
            partly |= message.partly
            owners = [owner for owner, ip in message.addresses if _same_address(ip, server)]
            names = [*message.questions, *owners, *(target for _, target in message.aliases)]
            if owners:
                used.update(frames)
                named = any(same_name(name, piece.contact.name) for name in names)
                is_shown = is_shown or (named and at <= piece.frame)
            others.update((address, None) for _, address in message.addresses)
    if is_shown:
        return Answer("shown", frames=frozenset(used))
    if partly and not others:
        return Answer("unread", "records of types that it does not read")
    told = ", ".join(list(others)[:_MAX_FOUND]) or "no address"
    return Answer("differs", f"a flow to {server}, and answers with {told}")


def _hidden(piece: Piece, flows: Flows, datagram: Datagram) -> Answer:
    """A hello with ECH, and an earlier answer to the same device that gave it the key, by public
    name and config_id, when it looked up the name."""
    found = _hello_at(piece, flows, datagram)
    if found is None:
        return Answer("differs", "no ClientHello")
    hello, frames = found
    shown = guarded(flows.reader.server_name, hello)
    config_id = messages.ech_config_id(hello)
    if shown is None or config_id is None:
        return Answer("differs", "a hello without ECH")
    for at in piece.parts:
        answer_to = flows.by_frame.get(at)
        if answer_to is None or not _same_address(answer_to.ip.destination, datagram.ip.source):
            continue
        for data, used in _dns_bytes(flows, answer_to):
            message = guarded(flows.reader.dns, data)
            if (
                message is not None
                and message.is_response
                and any(same_name(name, piece.contact.name) for name in message.questions)
                and messages.gives_ech_config(data, shown, config_id)
            ):
                return Answer("shown", frames=frozenset({*frames, *used}))
    name = escaped(normalise_name(shown))
    return Answer("differs", f"a hello with {name}, and no answer with its key")


def _hello_at(
    piece: Piece, flows: Flows, datagram: Datagram
) -> tuple[bytes, frozenset[int]] | None:
    """The ClientHello that the packet of a piece is part of, with its packets."""
    if datagram.ip.protocol == _TCP:
        for stream in flows.streams(datagram):
            for message, frames in _spans(stream, messages.client_hellos):
                if piece.frame in frames:
                    return message, frozenset(frames)
        return None
    sent = flows.sent_before(datagram)
    hello = guarded(quic.client_hello, [each.segment.payload for each in sent])
    if hello is None:
        return None
    return hello[0], frozenset(frame for at in hello[1] for frame in sent[at].frames)


def _reached(piece: Piece, flows: Flows, datagram: Datagram) -> Answer:
    """`ip-asn`: no packet shows that an address belongs to a network, so only the contact is
    shown."""
    return Answer("shown", frames=frozenset(datagram.frames))


_Finder = Callable[[Piece, Flows, Datagram], Answer]

_FINDERS: dict[str, _Finder] = {
    "dns-query": _dns,
    "dns-answer": _dns,
    "dns-cname": _dns,
    "tls-sni": _in_streams(messages.client_hellos, _hello_names, "ClientHello"),
    "quic-sni": _datagram_hello,
    "dtls-sni": _datagram_hello,
    "http-host": _http,
    "socks-host": _in_streams(messages.socks_hosts, lambda _, name: (name,), "SOCKS request"),
    "tls-cert": _in_streams(
        messages.certificates, lambda reader, each: reader.certificate_names(each), "certificate"
    ),
    "ip-from-dns": _resolved,
    "ip-asn": _reached,
    "ech-from-dns": _hidden,
}


def _parts(
    piece: Piece, file: EvidenceFile, flows: Sequence[Flows], used: frozenset[int]
) -> tuple[tuple[int, ...], list[int]]:
    """Of the packets that are part of a piece: those that show who had the address, and those that
    show nothing of the contact."""
    bindings, unexplained = [], []
    client = piece.contact.client or _device(piece, flows)
    known = [_connections(flow, piece.frame, used) for flow in flows]
    for at in piece.parts:
        if at in used or any(map(_is_of, flows, repeat(at), known)):
            continue
        packet = file.packets[at]
        told = [
            binding
            for flow in flows
            for binding in guarded(flow.reader.bindings, packet.link_type, packet.data) or ()
        ]
        ends = {client.ip.lower(), client.mac} - {None} if client else set()
        if any({binding.ip.lower(), binding.mac} & ends for binding in told):
            bindings.append(at)
        else:
            unexplained.append(at)
    return tuple(bindings), unexplained


_Connection = frozenset[tuple[str, int]]


def _connection(flow: FlowKey) -> tuple[_Connection, int]:
    """The ends of a connection, in either direction, and its protocol."""
    source, sport, destination, dport, protocol = flow
    return frozenset({(source, sport), (destination, dport)}), protocol


def _connections(flows: Flows, shown_by: int, used: Iterable[int]) -> set[tuple[_Connection, int]]:
    """Those of the packet that shows a piece, and of the streams in which messages were found."""
    found = ((frame, flows.by_frame.get(frame)) for frame in (shown_by, *used))
    return {
        _connection(each.flow)
        for frame, each in found
        if each is not None and (frame == shown_by or each.ip.protocol == _TCP)
    }


def _is_of(flows: Flows, frame: int, connections: set[tuple[_Connection, int]]) -> bool:
    """Whether a packet belongs to one of these connections, in either direction, or refuses one."""
    datagram, refused = flows.by_frame.get(frame), flows.refused.get(frame)
    flow = refused if datagram is None else datagram.flow
    return flow is not None and _connection(flow) in connections


def _device(piece: Piece, flows: Sequence[Flows]) -> Client | None:
    """The device of a piece whose comment lacks it, as the packets show it."""
    for flow in flows:
        datagram = flow.by_frame.get(piece.frame)
        if datagram is not None:
            to_client = piece.contact.type in _TO_CLIENT
            ip = datagram.ip.destination if to_client else datagram.ip.source
            return Client(ip, None, None)
    return None
