"""Divides Frame Streams, the container of dnstap, into frames.

https://farsightsec.github.io/fstrm: each frame is behind its length in four bytes; where that is 0,
a control frame follows behind a length of its own. Numbers are big-endian.
"""

from collections.abc import Iterator
from typing import Protocol

MAX_FRAME = 1 << 20
"""Bytes of a frame; a longer one is skipped."""

MAX_CONTROL_FRAME = 512
"""Bytes of a control frame (``FSTRM_CONTROL_FRAME_LENGTH_MAX`` of the library)."""

_STOP = 3


class FrameError(Exception):
    """The bytes are no Frame Streams from here on. The argument is a sentence."""


class Bytes(Protocol):
    """Where frames are read from."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        ...


def frames(source: Bytes) -> Iterator[bytes | None]:
    """The data frames, None for each that is too long. Raises `FrameError` where they end within a
    frame, or a control frame is not possible."""
    while head := source.read(4):
        size = _number(head)
        if size:
            yield _data_frame(source, size)
            continue
        size = _number(source.read(4))
        control = source.read(size) if size <= MAX_CONTROL_FRAME else b""
        if size < 4 or len(control) < size:
            raise FrameError(f"a control frame of {size} bytes is not possible")
        if _number(control[:4]) == _STOP:
            # Files of which one was written behind the other go on with a START.
            continue


def _data_frame(source: Bytes, size: int) -> bytes | None:
    if size <= MAX_FRAME:
        frame = source.read(size)
        if len(frame) < size:
            raise FrameError("it ends within a frame")
        return frame
    while size > 0:
        got = source.read(min(size, MAX_FRAME))
        if not got:
            raise FrameError("it ends within a frame")
        size -= len(got)
    return None


def _number(octets: bytes) -> int:
    if len(octets) < 4:
        raise FrameError("it ends within the length of a frame")
    return int.from_bytes(octets)
