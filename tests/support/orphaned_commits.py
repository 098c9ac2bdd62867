"""A centre's process that commits is started, and kills the centre while it starts.

What it is given to open is larger than a pipe: with the argument ``large``, a process that got all
of that at its start would not get the end of it.
"""

import asyncio
import os
import signal
import sys
from functools import partial

from netwatch.fleet.commit_process import CommitProcess


def opened(content: bytes) -> int:
    """What commits."""
    return len(content)


def doubled(size: int) -> int:
    """What it does."""
    return 2 * size


if __name__ == "__mp_main__":
    centre = os.getppid()
    os.kill(centre, signal.SIGKILL)
    while os.getppid() == centre:
        os.sched_yield()

if __name__ == "__main__":
    process = CommitProcess("facts", partial(opened, bytes(1 << 22)))
    print(asyncio.run(process.run(doubled)))
    sys.exit(1)
