"""Where messages are in a stream: TLS and DTLS handshakes, DNS over TCP, HTTP and SOCKS requests.

Only the boundaries are found here; the content is read by scapy and dpkt. SOCKS and HTTP/2, which
neither of them reads, are read here, the fields of HTTP/2 by `hpack`.
"""

from collections.abc import Iterator

import hpack

Span = tuple[bytes, int, int]
"""A message, and where it starts and ends in its stream."""

MAX_MESSAGES = 4096
"""Messages of a stream."""

_RECORD, _CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE = 5, 20, 21, 22
_ECH, _ECH_VERSION = 0xFE0D, b"\xfe\x0d"
_CLIENT_HELLO, _CERTIFICATE = 1, 11
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _CONTINUATION = 1, 9
_END_HEADERS, _PADDED, _PRIORITY = 0x04, 0x08, 0x20


def client_hellos(stream: bytes) -> Iterator[Span]:
    """The ClientHello at the beginning of a stream (RFC 8446 sections 4 and 5.1), whole, or as far
    as it was captured."""
    for message, low, high in _handshakes(stream):
        if message[0] == _CLIENT_HELLO:
            yield complete_hello(message), low, high
        return


def certificates(stream: bytes) -> Iterator[Span]:
    """The Certificate message of a server in a stream (RFC 5246 section 7.4.2)."""
    for message, low, high in _handshakes(stream):
        if message[0] == _CERTIFICATE:
            yield message, low, high


def _handshakes(stream: bytes) -> Iterator[Span]:
    """The handshake messages in the records at the beginning of a stream; the last one may be
    incomplete."""
    data = bytearray()
    ends: list[tuple[int, int]] = []
    at = 0
    while at + _RECORD < len(stream) and stream[at + 1] == 3:
        size = int.from_bytes(stream[at + 3 : at + 5])
        if not data and stream[at] in (_CHANGE_CIPHER_SPEC, _ALERT):
            # Servers skip them before a hello.
            at += _RECORD + size
            continue
        if stream[at] != _HANDSHAKE:
            break
        data += stream[at + _RECORD : at + _RECORD + size]
        at += _RECORD + size
        ends.append((len(data), min(at, len(stream))))
    place, low = 0, 0
    while place + 4 <= len(data):
        size = 4 + int.from_bytes(data[place + 1 : place + 4])
        message = bytes(data[place : place + size])
        end = place + len(message)
        high = next(there for here, there in ends if here >= end)
        yield message, low, high
        place, low = end, high - (next(h for h, _ in ends if h >= end) - end)


def complete_hello(message: bytes) -> bytes:
    """A partly captured ClientHello, ended after its last whole extension, with its lengths
    adjusted: both libraries only read whole messages. A whole one is unchanged."""
    body = message[4:]
    if int.from_bytes(message[1:4]) == len(body):
        return message
    at = 34
    at += 1 + (body[at] if at < len(body) else 0)
    at += 2 + int.from_bytes(body[at : at + 2])
    at += 1 + (body[at] if at < len(body) else 0)
    first = at + 2
    at = first
    while at + 4 <= len(body):
        end = at + 4 + int.from_bytes(body[at + 2 : at + 4])
        if end > len(body):
            break
        at = end
    fixed = body[: first - 2] + (at - first).to_bytes(2) + body[first:at]
    return message[:1] + len(fixed).to_bytes(3) + fixed


def ech_config_id(hello: bytes) -> int | None:
    """The config_id in the encrypted_client_hello of an outer ClientHello (RFC 9849 section 5)."""
    at = 38
    at += 1 + (hello[at] if at < len(hello) else 0)
    at += 2 + int.from_bytes(hello[at : at + 2])
    at += 3 + (hello[at] if at < len(hello) else 0)
    while at + 4 <= len(hello):
        kind, size = int.from_bytes(hello[at : at + 2]), int.from_bytes(hello[at + 2 : at + 4])
        body = hello[at + 4 : at + 4 + size]
        if kind == _ECH and len(body) > 5 and body[0] == 0:
            return body[5]
        at += 4 + size
    return None


def gives_ech_config(message: bytes, public_name: bytes, config_id: int) -> bool:
    """Whether a DNS message has an ECHConfig (RFC 9849 section 4) with this public name and
    config_id."""
    at = message.find(_ECH_VERSION)
    while at >= 0:
        size = int.from_bytes(message[at + 2 : at + 4])
        config = message[at + 4 : at + 4 + size]
        named = bytes([len(public_name)]) + public_name
        if config[:1] == bytes([config_id]) and named.lower() in config.lower():
            return True
        at = message.find(_ECH_VERSION, at + 1)
    return False


def datagram_hello(datagrams: list[bytes]) -> tuple[bytes, set[int]] | None:
    """The ClientHello in DTLS datagrams (RFC 6347 section 4.2.2, RFC 9147 section 5.2) in TLS form,
    without sequence and cookie, and the datagrams that carry it. A hello is sent again with a
    cookie, so the last one counts."""
    hellos: dict[int, dict[int, tuple[bytes, int]]] = {}
    sizes: dict[int, int] = {}
    for position, data in enumerate(datagrams):
        at = 0
        while at + 13 <= len(data) and data[at] == _HANDSHAKE:
            size = int.from_bytes(data[at + 11 : at + 13])
            body = data[at + 13 : at + 13 + size]
            at += 13 + size
            if len(body) < 12 or body[0] != _CLIENT_HELLO:
                continue
            sequence, offset = int.from_bytes(body[4:6]), int.from_bytes(body[6:9])
            sizes[sequence] = int.from_bytes(body[1:4])
            part = body[12 : 12 + int.from_bytes(body[9:12])]
            hellos.setdefault(sequence, {}).setdefault(offset, (part, position))
    for sequence in sorted(hellos, reverse=True):
        joined, used = bytearray(), set()
        for offset, (part, position) in sorted(hellos[sequence].items()):
            if offset <= len(joined) < offset + len(part):
                joined += part[len(joined) - offset :]
                used.add(position)
        if len(joined) == sizes[sequence] and len(joined) > 36:
            return _without_cookie(bytes(joined)), used
    return None


def _without_cookie(body: bytes) -> bytes:
    at = 35 + body[34]
    body = body[:at] + body[at + 1 + body[at] :] if at < len(body) else body
    return bytes([_CLIENT_HELLO]) + len(body).to_bytes(3) + body


def dns_messages(stream: bytes) -> Iterator[Span]:
    """The messages of DNS over TCP (RFC 1035 section 4.2.2)."""
    at = 0
    for _ in range(MAX_MESSAGES):
        size = int.from_bytes(stream[at : at + 2])
        if not size or at + 2 + size > len(stream):
            return
        yield stream[at + 2 : at + 2 + size], at, at + 2 + size
        at += 2 + size


def request_heads(stream: bytes) -> Iterator[Span]:
    """The heads of the HTTP/1 requests of a stream, bodies skipped (RFC 9112 sections 2.1 and 6.3).
    The last one may be incomplete: of it the whole lines are given."""
    at = 0
    for _ in range(MAX_MESSAGES):
        while stream[at : at + 2] == b"\r\n":
            at += 2
        end = stream.find(b"\r\n\r\n", at)
        if end < 0:
            whole = stream.rfind(b"\r\n", at)
            if whole > at:
                yield stream[at:whole] + b"\r\n\r\n", at, whole + 2
            return
        head = stream[at : end + 4]
        yield head, at, end + 4
        fields = dict(
            line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line
        )
        at = end + 4
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            at = _behind_chunks(stream, at)
        else:
            length = fields.get(b"content-length", b"0").strip()
            at += int(length) if length.isdigit() and len(length) < 12 else 0
        if at >= len(stream):
            return


def _behind_chunks(stream: bytes, at: int) -> int:
    """The position after a chunked body (RFC 9112 section 7.1)."""
    while True:
        end = stream.find(b"\r\n", at)
        digits = stream[at : end if end >= 0 else at].split(b";")[0].strip()
        try:
            size = int(digits, 16)
        except ValueError:
            return len(stream)
        at = end + 2 + size + 2
        if not size or at >= len(stream):
            return at


def http2_authorities(stream: bytes) -> Iterator[Span]:
    """The authority of each request in a stream of HTTP/2 in clear text (RFC 9113 sections 3.4, 6.2
    and 8.3.1)."""
    if not stream.startswith(_PREFACE):
        return
    decoder = hpack.Decoder()
    block, low = b"", 0
    at = len(_PREFACE)
    while at + 9 <= len(stream):
        size, kind, flags = int.from_bytes(stream[at : at + 3]), stream[at + 3], stream[at + 4]
        payload = stream[at + 9 : at + 9 + size]
        if kind == _HEADERS:
            padding = payload[0] if flags & _PADDED and payload else 0
            begin = bool(flags & _PADDED) + 5 * bool(flags & _PRIORITY)
            block, low = payload[begin : len(payload) - padding], at
        elif kind == _CONTINUATION:
            block += payload
        at += 9 + size
        if kind in (_HEADERS, _CONTINUATION) and flags & _END_HEADERS:
            fields = [
                (bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)
            ]
            for name, value in fields:
                if name in (b":authority", b"host"):
                    yield value, low, min(at, len(stream))


def socks_hosts(stream: bytes) -> Iterator[Span]:
    """The host that a request to a SOCKS proxy names: version 4A, and 5 after the negotiation of
    methods and a password (RFC 1928 sections 3 and 4, RFC 1929)."""
    if stream[:1] == b"\x04":
        parts = stream[8:].split(b"\0")
        if len(parts) > 2:
            yield parts[1], 0, 8 + len(parts[0]) + len(parts[1]) + 2
        return
    if stream[:1] != b"\x05" or len(stream) < 2:
        return
    starts = [0, 2 + stream[1]]
    at = starts[1]
    if stream[at : at + 1] == b"\x01" and at + 1 < len(stream):
        user = at + 2 + stream[at + 1]
        starts.append(user + 1 + (stream[user] if user < len(stream) else 0))
    for at in starts:
        if stream[at : at + 1] == b"\x05" and stream[at + 2 : at + 4] == b"\0\x03":
            size = stream[at + 4] if at + 4 < len(stream) else 0
            name = stream[at + 5 : at + 5 + size]
            if size and len(name) == size:
                yield name, at, at + 5 + size
