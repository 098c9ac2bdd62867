"""Sets of numbered times as bits of an integer: bit `n` is the time with the number `n`.

Ten years of quarters of an hour are 350,000 bits, which Python's integers join and compare in some
microseconds.
"""

import re
from collections.abc import Iterable, Iterator

_ONES = re.compile("1+")

Run = tuple[int, int]
"""Numbers from the first up to, but without, the second."""


def mask(begin: int, end: int) -> int:
    """The bits from `begin` up to, but without, `end`."""
    return ((1 << (end - begin)) - 1) << begin if end > begin else 0


def bits_of(numbers: Iterable[int]) -> int:
    """The set of these numbers."""
    found = sorted(set(numbers))
    if not found:
        return 0
    content = bytearray(found[-1] // 8 + 1)
    for number in found:
        content[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(content, "little")


def runs(bits: int) -> Iterator[Run]:
    """The runs of bits that are set, in order."""
    text = f"{bits:b}"[::-1] if bits else ""
    for found in _ONES.finditer(text):
        yield found.span()


def long_runs(bits: int, length: int) -> int:
    """The bits of those runs that have at least `length` bits."""
    reached, begins = 1, bits
    while reached < length and begins:
        step = min(reached, length - reached)
        begins &= begins >> step
        reached += step
    found, reached = begins, 1
    while reached < length and found:
        step = min(reached, length - reached)
        found |= found << step
        reached += step
    return found


def widened(bits: int, factor: int) -> int:
    """Each bit as `factor` of them: hours as parts of an hour."""
    return bits_or(mask(begin * factor, end * factor) for begin, end in runs(bits))


def narrowed(bits: int, factor: int) -> int:
    """The numbers of which any of `factor` bits is set: the hours of parts of an hour."""
    return bits_or(mask(begin // factor, -(-end // factor)) for begin, end in runs(bits))


def bits_or(parts: Iterable[int]) -> int:
    """The union of sets."""
    found = 0
    for each in parts:
        found |= each
    return found
