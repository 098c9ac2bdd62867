"""Google QUIC with its own crypto, Q024 to Q050: the CHLO in a client's first packets.

Up to Q046 those packets are in clear (`netwatch.protocols.gquic_packet`); in Q050 they
are protected as IETF QUIC's are, and `netwatch.protocols.quic` opens them. T050 and T051
carry TLS and are wholly its own. Q047 to Q049 were never deployed and are not read.
"""

from collections.abc import Callable

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, QuicInfo
from netwatch.protocols import quic
from netwatch.protocols.chlo import TAG, chlo
from netwatch.protocols.gquic_packet import clear_packet, handshake_pieces, version_of
from netwatch.protocols.quic_frames import MAX_CRYPTO, CryptoStream

MAX_PIECES = 16
"""Pieces of the handshake that wait for the one that the hello starts with."""

_PROTECTED = b"Q050"


class Connection:
    """The handshake of one client, from the datagrams that it sends.

    No clock, no socket. It holds at most 64 KiB of handshake in order and as much that
    waits, and for Q050 what a `quic.Connection` does.
    """

    __slots__ = ("_anomalies", "_base", "_done", "_early", "_protected", "_stream", "_version")

    def __init__(self, known: Callable[[bytes], bool] | None = None) -> None:
        """`known` is as of `quic.Connection`, and is not asked here."""
        self._protected: quic.Connection | None = None
        self._stream = CryptoStream("gquic-stream-limit", "gquic-stream-overlap")
        self._early: list[tuple[int, bytes]] = []
        self._base = -1
        self._version = ""
        self._anomalies: dict[str, None] = {}
        self._done = False

    @property
    def done(self) -> bool:
        """Whether its CHLO was told, so that nothing more will come."""
        return self._done

    def feed(self, datagram: bytes) -> Message | None:
        """Read the packet in one UDP payload of the client.

        Returns the message when its CHLO is whole, once; None before and after. It shows
        ``quic-sni`` for the server's name; `size` is that of the datagram. A client sends
        a CHLO for each answer that rejects one; all have the same name, and the first
        that is seen is told.

        Raises `ParseError` where the datagram gives nothing: ``gquic-header``,
        ``gquic-no-handshake`` (most often because it is encrypted), those of
        `quic.Connection` for Q050, or those of `chlo`, after which it is done.
        """
        if self._done:
            return None
        if version_of(datagram) == _PROTECTED:
            self._protected = self._protected or quic.Connection()
            found = self._protected.feed(datagram)
            self._done = self._protected.done
            return found
        packet = clear_packet(datagram)
        pieces = handshake_pieces(datagram, packet)
        if not pieces:
            raise ParseError("gquic-no-handshake")
        self._version = f"Q{packet.version:03}"
        for offset, data in pieces:
            self._add(offset, data)
        return self._hello(len(datagram), last=False) if self._base >= 0 else None

    def finish(self) -> Message | None:
        """What a CHLO that was never whole shows: its message, of size 0 and with the
        anomaly ``gquic-hello-cut``, if its name is there; else None."""
        found = None
        if not self._done and self._protected is not None:
            found = self._protected.finish()
        if not self._done and found is None and self._base >= 0:
            try:
                found = self._hello(0, last=True)
            except ParseError:
                found = None
        self._done = True
        return found

    def _add(self, offset: int, data: bytes) -> None:
        """Take bytes of the handshake. The capture may have started behind the first CHLO,
        so that the hello starts where one is seen first, not at offset 0."""
        if self._base < 0:
            start = data[: len(TAG)]
            if start != TAG and (offset or not TAG.startswith(start)):
                if len(self._early) < MAX_PIECES:
                    self._early.append((offset, data))
                else:
                    self._anomalies["gquic-stream-limit"] = None
                return
            self._base = offset
            early, self._early = self._early, []
            for piece in early:
                self._add(*piece)
        if self._base <= offset < self._base + MAX_CRYPTO:
            anomaly = self._stream.add(offset - self._base, data)
            if anomaly:
                self._anomalies[anomaly] = None

    def _hello(self, size: int, last: bool) -> Message | None:
        try:
            found = chlo(
                bytes(self._stream.head),
                last,
                size,
                QuicInfo(self._version),
                tuple(self._anomalies),
            )
        except Incomplete:
            return None
        except ParseError:
            self._done = True
            raise
        self._done = True
        return found
