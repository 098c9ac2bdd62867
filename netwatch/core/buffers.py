"""The memory that compiled code reads and writes: its types, and how large tables get theirs.

The compiled form declares the same as typed memoryviews in its ``.pxd``: ``const unsigned
char[::1]`` for `Octets`, ``unsigned char[::1]`` for `Buffer`, ``long long[::1]`` and the like for
`Words`.
"""

import struct
from array import array
from typing import Literal, TypeAlias

from netwatch.core.system.kernel import private_pages

Octets: TypeAlias = "bytes | bytearray | memoryview | array[int]"
"""Bytes that are only read."""

Buffer: TypeAlias = "bytearray | memoryview | array[int]"
"""Bytes that are written, too."""

Words: TypeAlias = "array[int] | memoryview"
"""Integers of one size."""

__all__ = ["Buffer", "Octets", "Words", "array", "zeroed"]


def zeroed(typecode: Literal["B", "q"], count: int) -> memoryview:
    """`count` zeros of the type that `array.array` has by this code, at the start of a page.

    The system provides each page of it when it is first written, so that a table that is sized for
    a large capture costs a small one no more than what it uses. An array of the same size would
    write all of its pages. The memory goes back to the system with the last view of it.
    """
    size = max(count, 1) * struct.calcsize(typecode)
    return memoryview(private_pages(size)).cast(typecode)[:count]
