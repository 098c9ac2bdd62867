"""What one connection sends, as records, and what it is answered. Nothing here has a socket.

A stream of syslog messages over TCP or TLS is divided by RFC 6587 and RFC 5425. With *octet
counting* each message begins with its length and a space, else each ends with a line feed
(*non-transparent framing*). Which of the two a sender uses is seen at its first byte: no message
begins with a digit from 1 to 9, digits and a space unless it is counted. A message that is longer
than the limit is skipped, however long it is.
"""

import re
from typing import Protocol

from netwatch.logs.frame_streams import FrameError, Handshake, frames

MAX_MESSAGE = 1 << 17
"""Bytes of a message. RFC 5425 asks for 8192; records of Suricata are longer."""

_COUNT = re.compile(rb"([1-9][0-9]{0,8}) ")
_MAX_COUNT_DIGITS = 10


class SyslogFrames:
    """Divides one stream. `too_long` counts messages that were skipped. `failure` is the reason why
    the stream cannot be divided any further, empty while it can."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_counted: bool | None = None
        self._skip = 0
        self._skipping_line = False
        self.too_long = 0
        self.failure = ""

    @property
    def waiting(self) -> int:
        """Bytes of an incomplete message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete with more bytes."""
        self._buffer += data
        if self._is_counted is None:
            self._find_framing()
            if self._is_counted is None:
                return []
        return self._counted() if self._is_counted else self._lines()

    def end(self) -> list[bytes]:
        """A last line without an end: the sender has closed the stream."""
        data, self._buffer = bytes(self._buffer), bytearray()
        if self._is_counted or self._skipping_line:
            return []
        line = data.rstrip(b"\r\n\0")
        return [line] if line else []

    def _find_framing(self) -> None:
        if _COUNT.match(self._buffer):
            self._is_counted = True
        elif len(self._buffer) > _MAX_COUNT_DIGITS or not self._buffer.isdigit():
            self._is_counted = False

    def _counted(self) -> list[bytes]:
        messages = []
        at = 0
        while at < len(self._buffer):
            if self._skip:
                skipped = min(self._skip, len(self._buffer) - at)
                self._skip -= skipped
                at += skipped
                continue
            found = _COUNT.match(self._buffer, at)
            if found is None:
                rest = self._buffer[at : at + _MAX_COUNT_DIGITS]
                if len(rest) == _MAX_COUNT_DIGITS or not rest.isdigit():
                    self.failure = "frame-length-invalid"
                break
            size = int(found[1])
            if size > MAX_MESSAGE:
                self.too_long += 1
                self._skip = size
                at = found.end()
                continue
            if found.end() + size > len(self._buffer):
                break
            at = found.end() + size
            messages.append(bytes(self._buffer[found.end() : at]).rstrip(b"\r\n\0"))
        del self._buffer[:at]
        return messages

    def _lines(self) -> list[bytes]:
        end = self._buffer.rfind(b"\n")
        if end < 0:
            if len(self._buffer) > MAX_MESSAGE:
                self.too_long += not self._skipping_line
                self._skipping_line = True
                self._buffer.clear()
            return []
        lines = bytes(self._buffer[:end]).split(b"\n")
        del self._buffer[: end + 1]
        if self._skipping_line:
            self._skipping_line = False
            del lines[0]
        kept = []
        for line in lines:
            if len(line) > MAX_MESSAGE:
                self.too_long += 1
            elif line := line.rstrip(b"\r\0"):
                kept.append(line)
        return kept


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
