"""Divides what was appended to a file into records: lines, or frames of Frame Streams.

A record that is not complete yet stays where it is. The input is of anybody who can write a log, so
every record is bounded.
"""

import codecs
from collections.abc import Sequence
from typing import NamedTuple

from netwatch.logs.frame_exchange import FrameError, frames
from netwatch.logs.nul_bytes import line_behind

MAX_LINE = 1 << 20
"""Bytes of a line; a longer one is skipped."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""How some programs begin a file in UTF-8."""


ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""The encodings of text that are no UTF-8, by the first bytes of a file."""


class Divided(NamedTuple):
    """The complete `records` at the beginning of some bytes, of which they are the first `size`.
    `too_long` says that what follows them is longer than a record may be."""

    records: Sequence[bytes]
    size: int
    too_long: bool = False


def divide_lines(data: bytes) -> Divided:
    """The complete lines, without their ends."""
    end = data.rfind(b"\n") + 1
    if not end:
        return Divided((), 0, len(data) > MAX_LINE)
    lines = data[: end - 1].split(b"\n")
    if b"\0" in data:
        lines = [line_behind(line) if b"\0" in line else line for line in lines]
    if b"\r" in data:
        lines = [line.removesuffix(b"\r") for line in lines]
    return Divided(lines, end)


def divide_text(data: bytes, encoding: str) -> Divided:
    """The complete lines in an encoding of `ENCODINGS`, in UTF-8. `data` begins with a whole unit
    of two bytes. What is no text is replaced."""
    line_feed = "\n".encode(encoding)
    end = data.rfind(line_feed)
    while end % 2 == 1:  # -1 is odd, too
        if end < 0:
            return Divided((), 0, len(data) > 2 * MAX_LINE)
        end = data.rfind(line_feed, 0, end + 1)
    return Divided(divide_lines(in_utf8(data[: end + 2], encoding)).records, end + 2)


def in_utf8(data: bytes, encoding: str) -> bytes:
    """Text in an encoding of `ENCODINGS` as UTF-8."""
    return data.decode(encoding, "replace").encode("utf-8", "replace")


def divide_frames(data: bytes) -> Divided:
    """The payloads of the complete data frames. Raises `FrameError` where these are no frames."""
    records = []
    size = 0
    for frame in frames(data):
        size = frame.end
        if frame.control is None:
            records.append(frame.payload)
    return Divided(records, size)


__all__ = [
    "BYTE_ORDER_MARK",
    "ENCODINGS",
    "MAX_LINE",
    "Divided",
    "FrameError",
    "divide_frames",
    "divide_lines",
    "divide_text",
    "in_utf8",
]
