"""Locks on open files, which end with the process that has them, whatever it died of."""

import sys


def lock(descriptor: int, *, exclusive: bool, wait: bool = False) -> None:
    """Lock an open file, alone (`exclusive`) or shared with others who share it, until it is
    closed. Raises `BlockingIOError` where somebody has it otherwise, unless told to `wait`, and
    `OSError` where it cannot be locked.

    The lock is that of flock(2). On Windows it is one of the first byte, always exclusive, and to
    wait takes ten seconds at most (`msvcrt.locking`).
    """
    if sys.platform == "win32":
        import msvcrt

        kind = msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK
        try:
            msvcrt.locking(descriptor, kind, 1)
        except PermissionError as error:
            raise BlockingIOError(error.errno, "is locked") from None
        return
    import fcntl

    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
