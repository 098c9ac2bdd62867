# cython: language_level=3
"""QUIC: the ClientHello in a client's Initial packets.

Unlike the other protocols this one has a state between datagrams: keys that follow from
the first, and CRYPTO frames that come in any order over several. `Connection` is that
state, of one client; when it is dropped is for the caller to say, who has the clock.
Versions 1 (RFC 9000, RFC 9001), 2 (RFC 9369), what was deployed of the drafts, and
Google's Q050, T050 and T051, whose packets are protected in the same way.
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
from netwatch.protocols.client_hello import client_hello
from netwatch.protocols.quic_frames import read_frames
from netwatch.protocols.quic_packet import Version, initials
from netwatch.protocols.quic_packet import is_initial as is_initial
from netwatch.protocols.tls import message

if not cython.compiled:
    from netwatch.protocols.quic_frames import CryptoStream
    from netwatch.protocols.quic_packet import Initial
else:
    from cython.cimports.netwatch.protocols.quic_frames import CryptoStream
    from cython.cimports.netwatch.protocols.quic_packet import Initial

if TYPE_CHECKING:
    from netwatch.protocols.quic_keys import Opener

MAX_KEYS = 3
"""Sets of keys that a client may need: its first, one after a Retry, one after a Version
Negotiation."""
MAX_FAILURES = 8
"""Packets whose own Destination Connection ID is tried in vain before only the known keys
are."""


@cython.cclass
class _Attempt:
    """One set of keys and the handshake that came under it: a Retry starts it anew."""

    __slots__ = ("opener", "stream", "version")

    def __init__(self, version: Version, opener: "Opener") -> None:
        self.version = version
        self.opener = opener
        self.stream = CryptoStream()


@cython.cclass
class Connection:
    """The handshake of one client, from the datagrams that it sends.

    No clock, no socket. It holds at most `MAX_KEYS` sets of keys and, for each, 64 KiB of
    handshake in order and as much that waits.
    """

    __slots__ = ("_anomalies", "_attempts", "_done", "_failures", "_idle")

    def __init__(self, idle: Callable[[bytes], bool] | None = None) -> None:
        """`idle` is asked of a whole ClientHello, from its handshake header on; where it
        is true the hello is of no interest, and is neither parsed nor told. One that came
        oddly is told all the same, with what was odd."""
        self._idle = idle
        self._attempts: list[_Attempt] = []
        self._failures = 0
        self._done = False
        self._anomalies: dict[str, None] = {}

    @property
    def done(self) -> bool:
        """Whether its ClientHello was told, so that nothing more will come."""
        return self._done

    def feed(self, datagram: bytes) -> Message | None:
        """Read the Initial packets in one UDP payload of the client.

        Returns the message when its ClientHello is whole, once; None before and after.
        It shows ``quic-sni`` for the host_name of server_name; `size` is that of the
        datagram. After a Retry or a Version Negotiation the keys are those of the new
        Destination Connection ID (RFC 9001 section 5.2).

        Raises `ParseError` where the datagram gives nothing: ``quic-not-decrypted`` (no
        packet of this client, most often the server's), ``quic-header``, ``quic-short``,
        or those of `client_hello` or `chlo`, after which it is done. A datagram that goes wrong
        behind a packet that could be read leaves that as an anomaly of the message.
        """
        if self._done:
            return None
        read: list[_Attempt] = []
        attempt: _Attempt
        try:
            for packet in initials(datagram):
                attempt, frames = self._open(datagram, packet)
                self._note(read_frames(frames, attempt.stream, packet.version.crypto))
                if attempt not in read:
                    read.append(attempt)
        except ParseError as error:
            if not read:
                raise
            self._note([error.anomaly])
        for attempt in read:
            found = self._hello(attempt, len(datagram), last=False)
            if found:
                return found
        return None

    def finish(self) -> Message | None:
        """What a ClientHello that was never whole shows: its message, of size 0 and with
        the anomaly ``tls-hello-cut``, if its server_name is there; else None."""
        attempt: _Attempt
        for attempt in [] if self._done else self._attempts:
            try:
                return self._hello(attempt, 0, last=True)
            except ParseError:
                self._done = False
        self._done = True
        return None

    def _hello(self, attempt: _Attempt, size: int, last: bool) -> Message | None:
        head = bytes(attempt.stream.head)
        info = QuicInfo(attempt.version.text)
        try:
            if attempt.version.tls:
                whole = 4 <= len(head) == 4 + int.from_bytes(head[1:4])
                if self._idle and whole and not self._anomalies:
                    self._done = self._idle(head)
                    if self._done:
                        return None
                hello = client_hello(head, last)
                found = message(hello, size, "quic-sni", info, tuple(self._anomalies))
            else:
                found = chlo(head, last, size, info, tuple(self._anomalies))
        except Incomplete:
            return None
        except ParseError:
            self._done = True
            raise
        self._done = True
        return found

    def _open(self, datagram: bytes, packet: Initial) -> tuple[_Attempt, bytes]:
        attempt: _Attempt
        for attempt in reversed(self._attempts):
            if attempt.version is packet.version:
                frames = attempt.opener.open(datagram, packet)
                if frames is not None:
                    return attempt, frames
        if len(self._attempts) < MAX_KEYS and self._failures < MAX_FAILURES:
            from netwatch.protocols.quic_keys import Opener

            for version in (packet.version, *packet.version.instead):
                attempt = _Attempt(packet.version, Opener(version, packet.dcid))
                frames = attempt.opener.open(datagram, packet)
                if frames is not None:
                    self._attempts.append(attempt)
                    return attempt, frames
            self._failures += 1
        raise ParseError("quic-not-decrypted")

    def _note(self, anomalies: list[str]) -> None:
        self._anomalies.update(dict.fromkeys(anomalies))
