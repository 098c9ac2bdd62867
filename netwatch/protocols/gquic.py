"""Google QUIC with QUIC Crypto, Q024 to Q050: the CHLO in the first packets of a client.

Up to Q046 these packets are unencrypted (`netwatch.protocols.gquic_packet`). In Q050 they are
protected like those of IETF QUIC, and `netwatch.protocols.quic` decrypts them. T050 and T051 carry
TLS and are read by that module alone. Q047 to Q049 were never deployed and are not read.
"""

from collections.abc import Callable

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, QuicInfo
from netwatch.protocols import quic
from netwatch.protocols.chlo import TAG, chlo
from netwatch.protocols.gquic_packet import clear_packet, handshake_pieces, version_of
from netwatch.protocols.quic_frames import MAX_CRYPTO, CryptoStream

MAX_PIECES = 16
"""Maximum number of pieces of the handshake that are stored before the start of the hello."""

_PROTECTED = b"Q050"


class ClientHandshake:
    """The handshake of one client, read from the datagrams that it sends.

    It has no clock and no socket. It stores at most 64 KiB of handshake bytes in order and 64 KiB
    out of order, and for Q050 what a `quic.ClientHandshake` stores.
    """

    __slots__ = ("_anomalies", "_base", "_done", "_early", "_protected", "_stream", "_version")

    def __init__(self, is_uninteresting: Callable[[bytes], bool] | None = None) -> None:
        """`is_uninteresting` is that of `quic.ClientHandshake`, and is not used here."""
        self._protected: quic.ClientHandshake | None = None
        self._stream = CryptoStream("gquic-stream-limit", "gquic-stream-overlap")
        self._early: list[tuple[int, bytes]] = []
        self._base = -1
        self._version = ""
        self._anomalies: dict[str, None] = {}
        self._done = False

    @property
    def done(self) -> bool:
        """Whether its CHLO was returned or rejected, so that no message will follow."""
        return self._done

    @property
    def unread(self) -> bool:
        """Whether there is a hello that could not be read beside one that was: not known."""
        return False

    def remember(self, hello: bytes) -> None:
        """Hellos are read nowhere else."""

    def answered(self) -> None:
        """The server has answered, after which the client may send its hello again."""

    def feed(self, datagram: bytes) -> Message | None:
        """Read the packet in one UDP payload of the client.

        Returns the message once, when the CHLO is complete, else None. It shows ``quic-sni`` for
        the name of the server; `size` is the size of the datagram. A client sends another CHLO
        after each rejection; all have the same name, and the first one in the capture is returned.

        Raises `ParseError` if nothing in the datagram can be read: ``gquic-header``,
        ``gquic-no-handshake`` (most often because it is encrypted), an error of
        `quic.ClientHandshake` for Q050, or an error of `chlo`, which ends the handshake.
        """
        if self._done:
            return None
        if version_of(datagram) == _PROTECTED:
            self._protected = self._protected or quic.ClientHandshake()
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
        """The message of a CHLO that never became complete, of size 0 and with the anomaly
        ``gquic-hello-cut``; None if its name is missing."""
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
        """Add bytes of the handshake. The capture may have started after the first CHLO, so the
        hello starts at the first CHLO in the capture and not necessarily at offset 0."""
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
                bytes(self._stream.contiguous),
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
