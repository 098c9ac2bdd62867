"""Types of the memory that compiled code reads and writes, for the type checker.

The compiled form declares the same as typed memoryviews in its ``.pxd``: ``const unsigned
char[::1]`` for `Octets`, ``unsigned char[::1]`` for `Buffer`, ``long long[::1]`` and the like for
`Words`.
"""

from array import array
from typing import TypeAlias

Octets: TypeAlias = "bytes | bytearray | memoryview | array[int]"
"""Bytes that are only read."""

Buffer: TypeAlias = "bytearray | memoryview | array[int]"
"""Bytes that are written, too."""

Words: TypeAlias = "array[int] | memoryview"
"""Integers of one size."""

__all__ = ["Buffer", "Octets", "Words", "array"]
