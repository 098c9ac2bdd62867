"""The memory that compiled code reads and writes: its types, how large tables are allocated, and
bytes in words of eight.

The compiled form declares the types as typed memoryviews in its ``.pxd``: ``const unsigned
char[::1]`` for `Octets`, ``unsigned char[::1]`` for `Buffer`, ``long long[::1]`` and the like for
`Words`.

A label of a host name has letters, digits, ``-`` and ``_``. Compiled modules check and lowercase
eight bytes of it at once, with the functions of buffers.pxd. Interpreted modules and tests use the
ones here, which take bytes and an offset instead of a pointer.
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

__all__ = ["Buffer", "Octets", "Words", "array", "bytes_at", "zeroed"]

_LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789-_"


def zeroed(typecode: Literal["B", "q"], count: int) -> memoryview:
    """`count` zeros of an `array.array` type code, at the start of a page.

    The system provides each page when it is first written, so a table that is sized for a large
    capture costs a small one only what it uses. An array of the same size would write all of its
    pages. The memory goes back to the system with the last view of it.
    """
    size = max(count, 1) * struct.calcsize(typecode)
    return memoryview(private_pages(size)).cast(typecode)[:count]


def bytes_at(data: bytes, at: int, size: int) -> bytes:
    """The `size` bytes at `at`, all of which there must be: the compiled form does not look."""
    return data[at : at + size]


def number_at(data: bytes, at: int, size: int) -> int:
    """The number that the `size` bytes at `at` are, at most eight, the highest byte first. All of
    them must be there: the compiled form does not look."""
    return int.from_bytes(data[at : at + size])


def word_of(data: Octets, at: int, size: int) -> int:
    """The `size` bytes at `at`, at most eight, as a word whose lowest byte is the first one;
    missing bytes are hyphens. The compiled form always reads eight bytes."""
    return int.from_bytes(bytes(data[at : at + min(size, 8)]).ljust(8, b"-"), "little")


def put_word(out: Buffer, at: int, word: int) -> None:
    """Write the eight bytes of a word."""
    for i, byte in enumerate(word.to_bytes(8, "little")):
        out[at + i] = byte


def lowered(word: int) -> int:
    """The word in lower case; 0 if a byte is not a letter of a label."""
    return _lowered(word, _LETTERS)


def lowered_name(word: int) -> int:
    """The word in lower case; 0 if a byte is neither a letter of a label nor a dot."""
    return _lowered(word, _LETTERS + b".")


def hash_of(data: Octets, at: int, size: int, salt: int) -> int:
    """A 63-bit hash of the `size` bytes at `at`, different for each `salt`. It differs from the
    compiled form's: only the speed of a table depends on it."""
    return (hash(bytes(data[at : at + size])) ^ salt) & 0x7FFFFFFFFFFFFFFF


def _lowered(word: int, letters: bytes) -> int:
    raw = word.to_bytes(8, "little").lower()
    return 0 if raw.translate(None, letters) else int.from_bytes(raw, "little")
