"""Memory that the system provides page by page, when it is first written."""

import mmap
import sys


def private_pages(size: int) -> mmap.mmap:
    """`size` bytes of zeros. A process that is forked gets a copy, so that it does not write into
    the tables of its parent; Windows forks none. Raises `OSError`."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
