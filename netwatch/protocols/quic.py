# cython: language_level=3
"""QUIC: the ClientHello in the Initial packets of a client.

QUIC needs state between datagrams: keys that are derived from the first one, and CRYPTO frames that
arrive in any order in several of them. `ClientHandshake` is this state for one client. It has no
clock: the caller decides when to discard it. All packets and frames are read by
`netwatch.dissect.quic.initial_packets`. Versions 1 (RFC 9000, RFC 9001) and 2 (RFC 9369) are read,
the deployed drafts, and Google's Q050, T050 and T051, whose packets are protected in the same way.
"""

import threading
from collections.abc import Callable

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, QuicInfo
from netwatch.dissect.quic.versions import ALL, VERSIONS, Version
from netwatch.protocols.chlo import chlo
from netwatch.protocols.tls import hello_message

if not cython.compiled:
    from netwatch.dissect.quic.initial_packets import InitialPackets
    from netwatch.protocols.crypto_stream import CryptoStream
else:
    from cython.cimports.netwatch.dissect.quic.initial_packets import InitialPackets
    from cython.cimports.netwatch.protocols.crypto_stream import CryptoStream

MAX_KEYS = 3
"""Maximum number of key sets per client: the first, one after a Retry, and one after a Version
Negotiation."""
MAX_READ = 8
"""Hellos of a client after which no more are read."""
MAX_FAILURES = 8
"""After so many packets that keys from their own Destination Connection ID did not decrypt, only
the known keys are tried."""

_FRAME_ANOMALIES = ("", "", "quic-frame", "quic-frame-type")
"""Those of the results of `InitialPackets.frame`."""
# Its results, and those of `InitialPackets.packet`.
_CRYPTO, _INITIAL = cython.declare(cython.int, 1), cython.declare(cython.int, 1)
_NOTHING, _BROKEN = cython.declare(cython.int, 0), cython.declare(cython.int, 3)
_SHORT = cython.declare(cython.Py_ssize_t, -2)

_readers = threading.local()


def _reader() -> InitialPackets:
    """The packet reader of this thread."""
    reader: InitialPackets | None = getattr(_readers, "packets", None)
    if reader is None:
        reader = _readers.packets = InitialPackets()
    return reader


@cython.cclass
class _Attempt:
    """One set of keys, and the handshake bytes received under it; a Retry starts both again.

    `keys` is the number in `ALL` of the version of the keys, `connection` the connection id that
    they are derived from, after its length, and `largest` the largest number of a packet. `stream`
    has the bytes that came first. If others came at the same offsets, `other` has those that came
    last; `base` has the bytes of the hello that was read in `stream`.
    """

    __slots__ = ("base", "connection", "is_read", "keys", "largest", "other", "stream")

    def __init__(self, keys: int, connection: bytes) -> None:
        self.keys = keys
        self.connection = connection
        self.largest = -1
        self.stream = CryptoStream(keeps_others=True)
        self.other: CryptoStream | None = None
        self.base = b""
        self.is_read = False


@cython.cclass
class ClientHandshake:
    """The handshake of one client, read from the datagrams that it sends.

    It has no clock and no socket. It stores at most `MAX_KEYS` sets of keys, and for each at most
    64 KiB of handshake bytes in order and 64 KiB out of order, both twice if bytes differ.

    Until its server has answered, a client may send several hellos: with other keys, or with other
    bytes at the same offsets. A server takes one of them, and each is returned once.
    """

    __slots__ = (
        "_anomalies",
        "_attempts",
        "_closed",
        "_done",
        "_failures",
        "_hellos",
        "_is_uninteresting",
        "_unread",
    )

    def __init__(self, is_uninteresting: Callable[[bytes], bool] | None = None) -> None:
        """`is_uninteresting` is called with a complete ClientHello, which starts at its handshake
        header. If it returns true, the hello is neither parsed nor reported, unless it has
        anomalies."""
        self._is_uninteresting = is_uninteresting
        self._attempts: list[_Attempt] = []
        self._failures = 0
        self._done = False
        self._closed = False
        self._unread = False
        self._hellos: list[bytes] = []
        self._anomalies: dict[str, None] = {}

    @property
    def done(self) -> bool:
        """Whether a ClientHello was returned or rejected. Another one may follow until the server
        answers."""
        return self._done

    @property
    def unread(self) -> bool:
        """Whether a hello was returned, and there is another one that could not be read."""
        return self._unread

    def remember(self, hello: bytes) -> None:
        """A hello of this client, from its handshake header on, was read elsewhere."""
        self._hellos.append(hello)
        self._done = True

    def answered(self) -> None:
        """The server has answered: what follows a hello is not another one."""
        self._closed = self._done

    def feed(self, datagram: bytes) -> Message | None:
        """Read the Initial packets in one UDP payload of the client.

        Returns the message of a complete ClientHello, each once, otherwise None. It shows
        ``quic-sni`` for the host_name of server_name; `size` is the size of the datagram. After a
        Retry or a Version Negotiation, the keys are derived from the new Destination Connection ID
        (RFC 9001 section 5.2).

        Raises `ParseError` if nothing in the datagram can be read: ``quic-not-decrypted`` (not a
        packet of this client; usually the server's), ``quic-header``, ``quic-short``, or an error
        of `tls.hello_message` or `chlo`, which ends the handshake. An error after a packet that
        could be read becomes an anomaly of the message.
        """
        if len(self._hellos) >= MAX_READ:
            self._closed = self._unread = True
        if self._closed:
            return None
        was_done = self._done
        read: list[_Attempt] = []
        attempt: _Attempt
        packets: InitialPackets = _reader()
        at: cython.Py_ssize_t = 0
        end: cython.Py_ssize_t = len(datagram)
        found: cython.int = packets.packet(datagram, at, end)
        try:
            while found != _NOTHING and found != _BROKEN:
                stop: cython.Py_ssize_t = packets.packet_end
                if found == _INITIAL:
                    attempt = self._open(packets, datagram, at)
                    if attempt not in read:
                        read.append(attempt)
                # Other coalesced packets are skipped by their length (RFC 9000 section 12.2).
                at = stop
                found = packets.packet(datagram, at, end)
            if found == _BROKEN:
                raise ParseError("quic-header")
        except ParseError as error:
            if not read and not was_done:
                raise
            self._add_anomalies([error.anomaly])
        for attempt in read:
            message = self._hello(attempt, len(datagram), last=False)
            if message is None and attempt.other is not None:
                message = self._other(attempt, len(datagram), last=False)
            if message:
                return message
        return None

    def finish(self) -> Message | None:
        """The message of a ClientHello that never became complete, of size 0 and with the anomaly
        ``tls-hello-cut``; None if its server_name is missing."""
        attempt: _Attempt
        found = None
        for attempt in [] if self._closed else self._attempts:
            was_done, was_read = self._done, attempt.is_read
            try:
                found = found or self._hello(attempt, 0, last=True)
            except ParseError:
                self._done = was_done
            if was_done and not was_read and found is None and not attempt.stream.is_empty:
                self._unread = True
            if attempt.other is not None:
                other = self._other(attempt, 0, last=True)
                found = found or other
        self._done = self._closed = True
        return found

    @cython.cfunc
    def _add(self, packets: InitialPackets, attempt: _Attempt, size: cython.Py_ssize_t) -> None:
        """Add the handshake bytes in the `size` bytes of decrypted frames to an attempt."""
        pieces, anomaly = read_frames(packets, size)
        for offset, data in pieces:
            overlap = attempt.stream.add(offset, data)
            if overlap:
                self._add_anomalies([overlap])
        if anomaly:
            self._add_anomalies([anomaly])
        if attempt.other is not None:
            for offset, data in pieces:
                attempt.other.add(offset, data)
            attempt.stream.others.clear()
        elif attempt.stream.others:
            attempt.other = attempt.stream.take_others(len(attempt.base))

    def _hello(self, attempt: _Attempt, size: int, last: bool) -> Message | None:
        """The message of the hello in the stream of an attempt, unless it was already returned."""
        if attempt.is_read:
            return None
        head = bytes(attempt.stream.contiguous)
        try:
            found = self._message(ALL[attempt.keys], head, size, last)
        except Incomplete:
            return None
        except ParseError:
            attempt.is_read = self._done = True
            attempt.base = head
            raise
        attempt.is_read = self._done = True
        attempt.base = head
        return found

    def _other(self, attempt: _Attempt, size: int, last: bool) -> Message | None:
        """The message of the hello in the other stream of an attempt. At the end (`last`), bytes
        that it lacks are taken from the hello that was read."""
        assert attempt.other is not None
        head = bytes(attempt.other.contiguous)
        if last and attempt.base:
            head = attempt.other.on(attempt.base)
        try:
            found = self._message(ALL[attempt.keys], head, size, last)
        except Incomplete:
            return None
        except ParseError:
            self._unread = self._unread or (last and self._done)
            return None
        attempt.other = None
        self._done = True
        return found

    def _message(self, version: Version, head: bytes, size: int, last: bool) -> Message | None:
        """The message of the hello at the start of `head`, None if it was already read, or is
        uninteresting."""
        info = QuicInfo(version.name)
        if version.uses_tls:
            complete = 4 <= len(head) == 4 + int.from_bytes(head[1:4])
            if complete and head in self._hellos:
                return None
            is_plain = complete and not self._anomalies
            if self._is_uninteresting and is_plain and self._is_uninteresting(head):
                self._hellos.append(head)
                return None
            found = hello_message(
                head, size, "quic-sni", last, quic=info, anomalies=tuple(self._anomalies)
            )
        else:
            found = chlo(head, last, size, info, tuple(self._anomalies))
            if head in self._hellos:
                return None
        self._hellos.append(head)
        return found

    @cython.cfunc
    def _open(self, packets: InitialPackets, datagram: bytes, start: cython.Py_ssize_t) -> _Attempt:
        """Open the Initial packet at `start` that was read last, and add its content to the attempt
        with its keys."""
        attempt: _Attempt
        version: cython.Py_ssize_t = packets.version
        number_at: cython.Py_ssize_t = packets.pos
        size: cython.Py_ssize_t
        is_reserved: cython.bint = version == len(VERSIONS)
        made: list[_Attempt] = []
        if len(self._attempts) < MAX_KEYS and self._failures < MAX_FAILURES:
            connection = datagram[packets.id : packets.id + 1 + datagram[packets.id]]
            stop = version + 2 if is_reserved else version + 1
            made = [_Attempt(keys, connection) for keys in range(version, stop)]
        for attempt in [*reversed(self._attempts), *made]:
            if attempt.keys != version and not (is_reserved and attempt.keys == version + 1):
                continue
            packets.pos = number_at
            packets.derive(attempt.connection, 0, attempt.keys)
            size = packets.unprotect(datagram, start, attempt.largest)
            if size == _SHORT:
                raise ParseError("quic-short")
            if size >= 0:
                if attempt in made:
                    self._attempts.append(attempt)
                attempt.largest = max(attempt.largest, packets.number)
                self._add(packets, attempt, size)
                return attempt
        if made:
            self._failures += 1
        elif self._done:
            self._unread = True
        raise ParseError("quic-not-decrypted")

    def _add_anomalies(self, anomalies: list[str]) -> None:
        self._anomalies.update(dict.fromkeys(anomalies))


def read_frames(packets: InitialPackets, size: int) -> tuple[list[tuple[int, bytes]], str]:
    """The offset and the bytes of each CRYPTO frame in the `size` bytes of decrypted frames, and
    the anomaly that ended the reading, empty if there was none: ``quic-frame`` for a frame that
    exceeds the packet, ``quic-frame-type`` for one that an Initial packet must not contain."""
    pieces = []
    packets.pos = 0
    found = packets.frame(size)
    while found == _CRYPTO:
        end = packets.pos + packets.length
        pieces.append((packets.offset, bytes(packets.plain[packets.pos : end])))
        packets.pos = end
        found = packets.frame(size)
    return pieces, _FRAME_ANOMALIES[found]
