"""Frame Streams, the container of dnstap in files and over sockets, divided into frames.

A data frame is its length (4 bytes, big endian) and its payload. A length of 0 escapes to a control
frame: the length of the rest, a type, and fields (https://farsightsec.github.io/fstrm/ and
``fstrm/control.h``). In a file the frames are START, data, STOP. Over a socket the sender asks
READY, is answered ACCEPT, sends START and data, and ends with STOP, which is answered FINISH; a
sender that does not wait for answers begins with START.
"""

import re
import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

MAX_FILE_FRAME = 1 << 20
"""Bytes of a frame in a file; a longer one is skipped."""

MAX_FRAME = 1 << 17
"""Bytes of a data frame. A dnstap frame holds at most two DNS messages."""

MAX_CONTROL = 512
"""Bytes of a control frame (``FSTRM_CONTROL_FRAME_LENGTH_MAX``)."""

DNSTAP = b"protobuf:dnstap.Dnstap"
"""The content type of dnstap."""

ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
"""The types of control frames."""

_CONTENT_TYPE = 1
_HEAD = re.compile(rb"\0\0\0\0\0\0[\0-\2].\0\0\0[\1-\5]", 16)  # re.DOTALL


class Bytes(Protocol):
    """Where frames are read from."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        ...


def file_frames(source: Bytes) -> Iterator[bytes | None]:
    """The data frames, None for each that is too long. Raises `FrameError` where they end within a
    frame, or a control frame is not possible."""
    while head := source.read(4):
        size = _number(head)
        if size:
            yield _data_frame(source, size)
            continue
        size = _number(source.read(4))
        control = source.read(size) if size <= MAX_CONTROL else b""
        if size < 4 or len(control) < size:
            raise FrameError(f"a control frame of {size} bytes is not possible")
        if _number(control[:4]) == STOP:
            # Files of which one was written behind the other go on with a START.
            continue


def _data_frame(source: Bytes, size: int) -> bytes | None:
    if size <= MAX_FILE_FRAME:
        frame = source.read(size)
        if len(frame) < size:
            raise FrameError("it ends within a frame")
        return frame
    while size > 0:
        got = source.read(min(size, MAX_FILE_FRAME))
        if not got:
            raise FrameError("it ends within a frame")
        size -= len(got)
    return None


def _number(octets: bytes) -> int:
    if len(octets) < 4:
        raise FrameError("it ends within the length of a frame")
    return int.from_bytes(octets)


class FrameError(Exception):
    """These bytes are no Frame Streams. The argument is the reason: as that of a
    `netwatch.logs.reading.RecordError`, and of a file a sentence."""


class Frame(NamedTuple):
    """A frame that ends at `end`: data (`control` is None), or a control frame of a type with its
    content types."""

    end: int
    payload: bytes
    control: int | None = None
    content_types: tuple[bytes, ...] = ()


def is_frame_streams(head: bytes) -> bool:
    """Whether a file or a stream begins with a control frame."""
    return _HEAD.match(head) is not None


def frames(data: bytes, at: int = 0) -> Iterator[Frame]:
    """The complete frames from a position on. Raises `FrameError`."""
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size:
            if size > MAX_FRAME:
                raise FrameError("frame-too-long")
            end = at + 4 + size
            if end > len(data):
                return
            yield Frame(end, data[at + 4 : end])
        else:
            if at + 8 > len(data):
                return
            (size,) = struct.unpack_from(">I", data, at + 4)
            if not 4 <= size <= MAX_CONTROL:
                raise FrameError("control-frame-invalid")
            end = at + 8 + size
            if end > len(data):
                return
            yield _control(data[at + 8 : end], end)
        at = end


def control_frame(kind: int, content_type: bytes = b"") -> bytes:
    """A control frame of a type, with a content type if one is given."""
    fields = struct.pack(">II", _CONTENT_TYPE, len(content_type)) + content_type
    body = struct.pack(">I", kind) + (fields if content_type else b"")
    return struct.pack(">II", 0, len(body)) + body


def _control(body: bytes, end: int) -> Frame:
    (kind,) = struct.unpack_from(">I", body)
    content_types = []
    at = 4
    while at < len(body):
        if at + 8 > len(body):
            raise FrameError("control-frame-invalid")
        field, size = struct.unpack_from(">II", body, at)
        at += 8
        if field != _CONTENT_TYPE or size > len(body) - at:
            raise FrameError("control-frame-invalid")
        content_types.append(body[at : at + size])
        at += size
    if not ACCEPT <= kind <= FINISH:
        raise FrameError("control-frame-invalid")
    return Frame(end, b"", kind, tuple(content_types))


class Handshake:
    """The receiver's side of one connection: what is answered to its control frames, and whether
    data are taken. Raises `FrameError` where a sender does not keep to the order."""

    def __init__(self, content_type: bytes = DNSTAP) -> None:
        self._content_type = content_type
        self._state: Literal["new", "accepted", "started", "stopped"] = "new"
        self._is_bidirectional = False

    @property
    def is_started(self) -> bool:
        """Whether data frames may come."""
        return self._state == "started"

    @property
    def is_stopped(self) -> bool:
        """Whether the sender has ended the stream."""
        return self._state == "stopped"

    def take(self, frame: Frame) -> bytes:
        """Take the next frame; what is to be answered, which may be nothing."""
        if frame.control is None:
            if self._state != "started":
                raise FrameError("frame-unexpected")
            return b""
        step = (self._state, frame.control)
        if step == ("new", READY):
            self._require(frame, anyone_of=True)
            self._state, self._is_bidirectional = "accepted", True
            return control_frame(ACCEPT, self._content_type)
        if step in (("new", START), ("accepted", START)):
            self._require(frame, anyone_of=False)
            self._state = "started"
            return b""
        if step == ("started", STOP):
            self._state = "stopped"
            return control_frame(FINISH) if self._is_bidirectional else b""
        raise FrameError("frame-unexpected")

    def _require(self, frame: Frame, *, anyone_of: bool) -> None:
        """READY offers content types, START has the one that was chosen; without one it is any."""
        offered = frame.content_types
        chosen = self._content_type in offered if anyone_of else offered == (self._content_type,)
        if offered and not chosen:
            raise FrameError("content-type-other")
