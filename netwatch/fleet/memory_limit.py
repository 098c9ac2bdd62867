"""A limit on the memory that a piece of work may take.

What a sensor sends can be small and unpack to gigabytes in a library that does not ask before. The
limit is the system's, on the address space of the process, so whatever takes memory meets it. On
systems without such a limit there is none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def memory_limited(size: int) -> Iterator[None]:
    """A context in which the process takes at most `size` more bytes; what asks for more raises
    `MemoryError`. For a process that does one thing at a time."""
    taken = _address_space()
    if taken is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = taken + size
    if soft != resource.RLIM_INFINITY and soft < wanted:
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int | None:
    """The bytes of this process's address space; None where the system does not tell."""
    import os

    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
