"""DTLS: the ClientHello in a client's first datagrams (RFC 6347, RFC 9147).

A hello may be split into fragments that arrive in any order in several records and datagrams. A
server that requires a cookie makes the client repeat its hello in its next message, with the same
random; both count as one. `ClientHandshake` is the state of one client; the caller decides when to
discard it. In every version, the first flight is unencrypted, in records of epoch 0.
"""

from collections.abc import Callable

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message
from netwatch.protocols.crypto_stream import CryptoStream
from netwatch.protocols.reader import Reader
from netwatch.protocols.tls import MAX_HELLO, hello_message

MAX_HELLOS = 4
"""Maximum number of hellos to store per client; a handshake has one or two."""

_HANDSHAKE = 22
_CONTENT_TYPES = range(20, 27)
_VERSIONS = frozenset({0xFEFF, 0xFEFD, 0xFEFC, 0x0100})  # the last is OpenSSL's before the RFC
_CLIENT_HELLO = 1
_IDENTITY = 34  # client_version and random, at the start of the body


class _Hello:
    """One hello and its fragments received so far; `length` is the length of its body in bytes."""

    __slots__ = ("length", "reported", "stream")

    def __init__(self, length: int) -> None:
        self.length = length
        self.stream = CryptoStream("dtls-fragment-limit", "dtls-fragment-overlap")
        self.reported = False

    @property
    def identity(self) -> bytes:
        """The bytes that it shares with its repetition, with a cookie or after a HelloRetryRequest
        (RFC 6347 section 4.2.1, RFC 9147 section 5.1)."""
        return bytes(self.stream.contiguous[:_IDENTITY])

    def contains(self, length: int, offset: int, data: bytes) -> bool:
        """Whether a fragment belongs to this hello, and not to a new one with another random."""
        start = bytes(self.stream.contiguous[offset:_IDENTITY])
        return length == self.length and start[: len(data)] == data[: len(start)]


class ClientHandshake:
    """The handshake of one client, read from the datagrams that it sends.

    It has no clock and no socket. It stores at most `MAX_HELLOS` hellos, each with at most 64 KiB
    in order and 64 KiB out of order.
    """

    __slots__ = ("_anomalies", "_done", "_hellos", "_reported")

    def __init__(self, is_uninteresting: Callable[[bytes], bool] | None = None) -> None:
        """`is_uninteresting` is as in `quic.ClientHandshake`, and is not used here."""
        self._hellos: dict[int, _Hello] = {}
        self._anomalies: dict[str, None] = {}
        self._reported: dict[bytes, None] = {}
        self._done = False

    @property
    def done(self) -> bool:
        """Whether a hello was returned. Another one with another random may still follow."""
        return self._done

    @property
    def unread(self) -> bool:
        """Whether another hello than the returned one could not be read: not known."""
        return False

    def remember(self, hello: bytes) -> None:
        """Does nothing: hellos are not read elsewhere."""

    def answered(self) -> None:
        """The server has answered; the client may then send its hello again."""

    def feed(self, datagram: bytes) -> Message | None:
        """Read the records in one UDP payload of the client.

        Returns the message of a ClientHello that is now complete, otherwise None. It shows
        ``dtls-sni`` for the host_name of server_name; `size` is the size of the datagram. A
        retransmitted hello, or one repeated after a HelloVerifyRequest or HelloRetryRequest, is
        returned once.

        Raises `ParseError` if nothing in the datagram can be read: ``dtls-record`` (not DTLS),
        ``dtls-handshake`` (a handshake message that exceeds its record or its length),
        ``dtls-no-hello``, or an error of `tls.hello_message`.
        """
        count = self._read(datagram)
        for hello in self._hellos.values():
            if len(hello.stream.contiguous) >= hello.length and not self._was_reported(hello):
                return self._report(hello, len(datagram), last=False)
        if not count:
            raise ParseError("dtls-no-hello")
        return None

    def finish(self) -> Message | None:
        """The message of a hello that never became complete, of size 0 and with the anomaly
        ``tls-hello-cut``; None if its server_name is missing."""
        for hello in self._hellos.values():
            if hello.stream.contiguous and not self._was_reported(hello):
                try:
                    return self._report(hello, 0, last=True)
                except (Incomplete, ParseError):
                    continue
        self._done = True
        return None

    def _was_reported(self, hello: _Hello) -> bool:
        """Whether a hello, or the one that it repeats, was returned before."""
        hello.reported = hello.reported or hello.identity in self._reported
        return hello.reported

    def _report(self, hello: _Hello, size: int, last: bool) -> Message:
        hello.reported = self._done = True
        self._reported[hello.identity] = None
        if len(self._reported) > MAX_HELLOS:
            del self._reported[next(iter(self._reported))]
        body = bytes(hello.stream.contiguous[: hello.length])
        handshake = bytes([_CLIENT_HELLO]) + hello.length.to_bytes(3) + body
        anomalies = tuple(self._anomalies)
        found = hello_message(handshake, size, "dtls-sni", last, cookie=True, anomalies=anomalies)
        self._anomalies = {}
        return found

    def _read(self, datagram: bytes) -> int:
        """Add the fragments of hellos in the records of `datagram`; returns their number."""
        reader = Reader(datagram, "dtls-record")
        count = 0
        while reader.remaining:
            content, version = datagram[reader.pos], datagram[reader.pos + 1 : reader.pos + 3]
            is_dtls = content in _CONTENT_TYPES and int.from_bytes(version) in _VERSIONS
            if not is_dtls or reader.remaining < 13:
                # Encrypted records of DTLS 1.3 have shorter headers (RFC 9147 section 4).
                if not reader.pos:
                    raise ParseError("dtls-record")
                break
            reader.read(3)
            epoch = reader.uint(2)
            reader.read(6)
            length = reader.uint(2)
            if length > reader.remaining:
                self._anomalies["dtls-record-cut"] = None
                length = reader.remaining
            start = reader.pos
            reader.read(length)
            if content == _HANDSHAKE and epoch == 0:
                count += self._messages(Reader(datagram, "dtls-handshake", start, reader.pos))
        return count

    def _messages(self, reader: Reader) -> int:
        """Add the ClientHellos, complete or in fragments (RFC 6347 section 4.2.2), among the
        handshake messages of one record; returns their number."""
        count = 0
        while reader.remaining >= 12:
            kind, length, sequence = reader.uint(1), reader.uint(3), reader.uint(2)
            offset, size = reader.uint(3), reader.uint(3)
            if offset + size > length:
                raise ParseError("dtls-handshake")
            data = reader.read(min(size, reader.remaining))
            if kind == _CLIENT_HELLO:
                if 4 + length > MAX_HELLO:
                    raise ParseError("tls-hello-length")
                self._add(sequence, length, offset, data)
                count += 1
        return count

    def _add(self, sequence: int, length: int, offset: int, data: bytes) -> None:
        hello = self._hellos.get(sequence)
        if hello is None or not hello.contains(length, offset, data):
            if hello is None and len(self._hellos) >= MAX_HELLOS:
                del self._hellos[next(iter(self._hellos))]
            hello = self._hellos[sequence] = _Hello(length)
        if not hello.reported:
            anomaly = hello.stream.add(offset, data)
            if anomaly:
                self._anomalies[anomaly] = None
