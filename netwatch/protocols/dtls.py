"""DTLS: the ClientHello in a client's first datagrams (RFC 6347, RFC 9147).

A hello may be cut into fragments that come in any order over records and datagrams, and
a server that wants a cookie makes the client say it again, as its next message: the same
hello under the same random, which counts once. `Connection` is the state of one client;
when it is dropped is for the caller to say. In every version the first flight is in
clear, in records of epoch 0.
"""

from collections.abc import Callable

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message
from netwatch.protocols.client_hello import MAX_HELLO, client_hello
from netwatch.protocols.quic_frames import CryptoStream
from netwatch.protocols.reader import Reader
from netwatch.protocols.tls import message

MAX_HELLOS = 4
"""Hellos of one client that are kept at a time, told or not; a handshake has one or two."""

_HANDSHAKE = 22
_CONTENT_TYPES = range(20, 27)
_VERSIONS = frozenset({0xFEFF, 0xFEFD, 0xFEFC, 0x0100})  # the last is OpenSSL's before the RFC
_CLIENT_HELLO = 1
_IDENTITY = 34  # client_version and random, at the start of the body


class _Hello:
    """One hello, as far as its fragments came: `length` is that of its body in bytes."""

    __slots__ = ("length", "stream", "told")

    def __init__(self, length: int) -> None:
        self.length = length
        self.stream = CryptoStream("dtls-fragment-limit", "dtls-fragment-overlap")
        self.told = False

    @property
    def identity(self) -> bytes:
        """What it has in common with the hello that says it again, with a cookie or for a
        HelloRetryRequest (RFC 6347 section 4.2.1, RFC 9147 section 5.1)."""
        return bytes(self.stream.head[:_IDENTITY])

    def takes(self, length: int, offset: int, data: bytes) -> bool:
        """Whether a fragment is of this hello and not of one sent anew, which has another
        random."""
        start = bytes(self.stream.head[offset:_IDENTITY])
        return length == self.length and start[: len(data)] == data[: len(start)]


class Connection:
    """The handshake of one client, from the datagrams that it sends.

    No clock, no socket. It holds at most `MAX_HELLOS` hellos, each with 64 KiB in order
    and as much that waits.
    """

    __slots__ = ("_anomalies", "_done", "_hellos", "_told")

    def __init__(self, known: Callable[[bytes], bool] | None = None) -> None:
        """`known` is as of `quic.Connection`, and is not asked here."""
        self._hellos: dict[int, _Hello] = {}
        self._anomalies: dict[str, None] = {}
        self._told: dict[bytes, None] = {}
        self._done = False

    @property
    def done(self) -> bool:
        """Whether a hello was told. Another, under another random, may still come."""
        return self._done

    def feed(self, datagram: bytes) -> Message | None:
        """Read the records in one UDP payload of the client.

        Returns the message of a ClientHello that became whole, else None. It shows
        ``dtls-sni`` for the host_name of server_name; `size` is that of the datagram. One
        that is sent again, as it was or as a HelloVerifyRequest or HelloRetryRequest wants
        it, is the same hello.

        Raises `ParseError` where the datagram gives nothing: ``dtls-record`` (not DTLS),
        ``dtls-handshake`` (a handshake message that leads out of its record or itself),
        ``dtls-no-hello``, or those of `client_hello`.
        """
        count = self._read(datagram)
        for hello in self._hellos.values():
            if len(hello.stream.head) >= hello.length and not self._known(hello):
                return self._tell(hello, len(datagram), last=False)
        if not count:
            raise ParseError("dtls-no-hello")
        return None

    def finish(self) -> Message | None:
        """What a hello that was never whole shows: its message, of size 0 and with the
        anomaly ``tls-hello-cut``, if its server_name is there; else None."""
        for hello in self._hellos.values():
            if hello.stream.head and not self._known(hello):
                try:
                    return self._tell(hello, 0, last=True)
                except (Incomplete, ParseError):
                    continue
        self._done = True
        return None

    def _known(self, hello: _Hello) -> bool:
        """Whether a hello, or the one that it says again, was told."""
        hello.told = hello.told or hello.identity in self._told
        return hello.told

    def _tell(self, hello: _Hello, size: int, last: bool) -> Message:
        hello.told = self._done = True
        self._told[hello.identity] = None
        if len(self._told) > MAX_HELLOS:
            del self._told[next(iter(self._told))]
        body = bytes(hello.stream.head[: hello.length])
        whole = bytes([_CLIENT_HELLO]) + hello.length.to_bytes(3) + body
        parsed = client_hello(whole, last, cookie=True)
        anomalies, self._anomalies = tuple(self._anomalies), {}
        return message(parsed, size, "dtls-sni", anomalies=anomalies)

    def _read(self, datagram: bytes) -> int:
        """Take the fragments of hellos in the records of `datagram`; how many there were."""
        reader = Reader(datagram, "dtls-record")
        count = 0
        while reader.left:
            content, version = datagram[reader.pos], datagram[reader.pos + 1 : reader.pos + 3]
            known = content in _CONTENT_TYPES and int.from_bytes(version) in _VERSIONS
            if not known or reader.left < 13:
                # DTLS 1.3 has shorter headers once it encrypts (RFC 9147 section 4).
                if not reader.pos:
                    raise ParseError("dtls-record")
                break
            reader.take(3)
            epoch = reader.uint(2)
            reader.take(6)
            length = reader.uint(2)
            if length > reader.left:
                self._anomalies["dtls-record-cut"] = None
                length = reader.left
            start = reader.pos
            reader.take(length)
            if content == _HANDSHAKE and epoch == 0:
                count += self._messages(Reader(datagram, "dtls-handshake", start, reader.pos))
        return count

    def _messages(self, reader: Reader) -> int:
        """Take those of ClientHellos among the handshake messages, whole or in fragments
        (RFC 6347 section 4.2.2), of one record."""
        count = 0
        while reader.left >= 12:
            kind, length, sequence = reader.uint(1), reader.uint(3), reader.uint(2)
            offset, size = reader.uint(3), reader.uint(3)
            if offset + size > length:
                raise ParseError("dtls-handshake")
            data = reader.take(min(size, reader.left))
            if kind == _CLIENT_HELLO:
                if 4 + length > MAX_HELLO:
                    raise ParseError("tls-hello-length")
                self._add(sequence, length, offset, data)
                count += 1
        return count

    def _add(self, sequence: int, length: int, offset: int, data: bytes) -> None:
        hello = self._hellos.get(sequence)
        if hello is None or not hello.takes(length, offset, data):
            if hello is None and len(self._hellos) >= MAX_HELLOS:
                del self._hellos[next(iter(self._hellos))]
            hello = self._hellos[sequence] = _Hello(length)
        if not hello.told:
            anomaly = hello.stream.add(offset, data)
            if anomaly:
                self._anomalies[anomaly] = None
