"""What the processes of a capture use of this machine, as /proc shows it."""

import os
import time
from contextlib import suppress
from pathlib import Path


class Usage:
    """Measures this process and those that it started."""

    def __init__(self) -> None:
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._last = (time.monotonic(), 0.0)

    def take(self) -> tuple[float, int]:
        """The share of one core since the last call (2.0: two cores were busy), and the bytes of
        memory that the processes have now; what they share counts several times."""
        seconds, memory = 0.0, 0
        for pid in _with_children(os.getpid()):
            with suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(fields[11]) + int(fields[12])) / self._ticks
                memory += int(fields[21]) * self._page
        now = time.monotonic()
        before, used = self._last
        self._last = (now, seconds)
        share = (seconds - used) / (now - before) if used and now > before else 0.0
        return round(max(0.0, share), 3), memory


def _with_children(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        with suppress(OSError, ValueError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found
