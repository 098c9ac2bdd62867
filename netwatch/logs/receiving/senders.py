"""What one connection sends, as records, and what it is answered. Nothing here has a socket."""

from typing import Protocol

from netwatch.logs.frame_exchange import FrameError, Handshake, frames
from netwatch.logs.receiving.syslog_frames import SyslogFrames


class Sender(Protocol):
    """One connection. `too_long` counts records that were skipped; `has_begun` says whether the
    other side has sent what only a sender of this kind sends. `failure` is the reason why nothing
    more can be read, a constant of a few words in the form ``frame-too-long``, empty while it
    can."""

    @property
    def too_long(self) -> int: ...  # noqa: D102

    @property
    def has_begun(self) -> bool: ...  # noqa: D102

    @property
    def failure(self) -> str: ...  # noqa: D102

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The records that are complete with more bytes, and the answer."""
        ...

    def end(self) -> list[bytes]:
        """What is left: the sender has closed the connection."""
        ...


class SyslogSender:
    """A connection over which syslog messages come."""

    def __init__(self) -> None:
        self._frames = SyslogFrames()
        self.has_begun = False

    @property
    def too_long(self) -> int:
        """Messages that were skipped."""
        return self._frames.too_long

    @property
    def failure(self) -> str:
        """Why the stream cannot be divided."""
        return self._frames.failure

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The messages that are complete; nothing is ever answered."""
        records = self._frames.feed(data)
        self.has_begun = self.has_begun or bool(records)
        return records, b""

    def end(self) -> list[bytes]:
        """A last line without an end."""
        return self._frames.end()


class DnstapSender:
    """A connection over which dnstap comes in Frame Streams."""

    def __init__(self) -> None:
        self._handshake = Handshake()
        self._buffer = b""
        self.too_long = 0
        self.failure = ""

    @property
    def has_begun(self) -> bool:
        """Whether the stream has been started."""
        return self._handshake.is_started

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The payloads of data frames, and the answers to control frames."""
        self._buffer += data
        records: list[bytes] = []
        answer = b""
        end = 0
        try:
            for frame in frames(self._buffer):
                answer += self._handshake.take(frame)
                end = frame.end
                if frame.control is None:
                    records.append(frame.payload)
        except FrameError as error:
            self.failure = str(error)
        self._buffer = self._buffer[end:]
        return records, answer

    def end(self) -> list[bytes]:
        """An incomplete frame is no record."""
        return []
