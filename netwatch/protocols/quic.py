# cython: language_level=3
"""QUIC: the ClientHello in the Initial packets of a client.

QUIC needs state between datagrams: keys that are derived from the first one, and CRYPTO frames that
arrive in any order in several of them. `ClientHandshake` is this state for one client. It has no
clock: the caller decides when to discard it. Versions 1 (RFC 9000, RFC 9001) and 2 (RFC 9369) are
read, the deployed drafts, and Google's Q050, T050 and T051, whose packets are protected in the same
way.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, QuicInfo
from netwatch.protocols.chlo import chlo
from netwatch.protocols.quic_frames import read_frames
from netwatch.protocols.quic_packet import Version, initials
from netwatch.protocols.quic_packet import is_initial as is_initial
from netwatch.protocols.tls import hello_message

if not cython.compiled:
    from netwatch.protocols.quic_frames import CryptoStream
    from netwatch.protocols.quic_packet import Initial
else:
    from cython.cimports.netwatch.protocols.quic_frames import CryptoStream
    from cython.cimports.netwatch.protocols.quic_packet import Initial

if TYPE_CHECKING:
    from netwatch.protocols.quic_keys import Decryptor

MAX_KEYS = 3
"""Maximum number of key sets per client: the first, one after a Retry, and one after a Version
Negotiation."""
MAX_READ = 8
"""Hellos of a client after which no other one is read."""
MAX_FAILURES = 8
"""After so many packets that keys from their own Destination Connection ID did not decrypt, only
the known keys are tried."""


@cython.cclass
class _Attempt:
    """One set of keys, and the handshake bytes received under it; a Retry starts both anew.

    `stream` has the bytes that came first. Where others came at the same offsets, `other` has those
    that came last; of the hello that was read in `stream`, `base` has the bytes.
    """

    __slots__ = ("base", "decryptor", "is_read", "other", "stream", "version")

    def __init__(self, version: Version, decryptor: "Decryptor") -> None:
        self.version = version
        self.decryptor = decryptor
        self.stream = CryptoStream(keeps_others=True)
        self.other: CryptoStream | None = None
        self.base = b""
        self.is_read = False


@cython.cclass
class ClientHandshake:
    """The handshake of one client, read from the datagrams that it sends.

    It has no clock and no socket. It stores at most `MAX_KEYS` sets of keys, and for each at most
    64 KiB of handshake bytes in order and 64 KiB out of order, both twice where bytes differ.

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

        Returns the message of a ClientHello that is complete, each once, else None. It shows
        ``quic-sni`` for the host_name of server_name; `size` is the size of the datagram. After a
        Retry or a Version Negotiation, the keys are derived from the new Destination Connection ID
        (RFC 9001 section 5.2).

        Raises `ParseError` if nothing in the datagram can be read: ``quic-not-decrypted`` (not a
        packet of this client; most often it is one of the server), ``quic-header``,
        ``quic-short``, or an error of `tls.hello_message` or `chlo`, which ends the handshake. An
        error behind a packet that could be read becomes an anomaly of the message.
        """
        if len(self._hellos) >= MAX_READ:
            self._closed = self._unread = True
        if self._closed:
            return None
        was_done = self._done
        read: list[_Attempt] = []
        attempt: _Attempt
        try:
            for packet in initials(datagram):
                attempt, frames = self._decrypt(datagram, packet)
                self._add(attempt, frames, packet.version.crypto_frame_type)
                if attempt not in read:
                    read.append(attempt)
        except ParseError as error:
            if not read and not was_done:
                raise
            self._add_anomalies([error.anomaly])
        for attempt in read:
            found = self._hello(attempt, len(datagram), last=False)
            if found is None and attempt.other is not None:
                found = self._other(attempt, len(datagram), last=False)
            if found:
                return found
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

    def _add(self, attempt: _Attempt, frames: bytes, crypto_type: int) -> None:
        """Add the handshake bytes in frames to an attempt."""
        self._add_anomalies(read_frames(frames, attempt.stream, crypto_type))
        if attempt.other is not None:
            read_frames(frames, attempt.other, crypto_type)
            attempt.stream.others.clear()
        elif attempt.stream.others:
            attempt.other = attempt.stream.take_others(len(attempt.base))

    def _hello(self, attempt: _Attempt, size: int, last: bool) -> Message | None:
        """The message of the hello in the stream of an attempt that was not returned."""
        if attempt.is_read:
            return None
        head = bytes(attempt.stream.contiguous)
        try:
            found = self._message(attempt.version, head, size, last)
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
        that it does not have are those of the hello that was read."""
        assert attempt.other is not None
        head = bytes(attempt.other.contiguous)
        if last and attempt.base:
            head = attempt.other.on(attempt.base)
        try:
            found = self._message(attempt.version, head, size, last)
        except Incomplete:
            return None
        except ParseError:
            self._unread = self._unread or (last and self._done)
            return None
        attempt.other = None
        self._done = True
        return found

    def _message(self, version: Version, head: bytes, size: int, last: bool) -> Message | None:
        """The message of the hello at the start of `head`, None where it was read before, or is
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

    def _decrypt(self, datagram: bytes, packet: Initial) -> tuple[_Attempt, bytes]:
        attempt: _Attempt
        for attempt in reversed(self._attempts):
            if attempt.version is packet.version:
                frames = attempt.decryptor.decrypt(datagram, packet)
                if frames is not None:
                    return attempt, frames
        if len(self._attempts) < MAX_KEYS and self._failures < MAX_FAILURES:
            from netwatch.protocols.quic_keys import Decryptor

            for version in (packet.version, *packet.version.alternatives):
                attempt = _Attempt(packet.version, Decryptor(version, packet.dcid))
                frames = attempt.decryptor.decrypt(datagram, packet)
                if frames is not None:
                    self._attempts.append(attempt)
                    return attempt, frames
            self._failures += 1
        elif self._done:
            self._unread = True
        raise ParseError("quic-not-decrypted")

    def _add_anomalies(self, anomalies: list[str]) -> None:
        self._anomalies.update(dict.fromkeys(anomalies))
