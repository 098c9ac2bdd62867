"""Values of a statement, a bounded number at a time: databases limit the parameters of one."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

CHUNK = 400
"""Values in one statement."""

T = TypeVar("T")


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in parts of at most `CHUNK`."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
