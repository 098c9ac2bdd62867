"""The command line of netwatch on a machine whose clock is so many seconds ahead as the first
argument says. The others are those of netwatch."""

import sys
import time

AHEAD = int(sys.argv[1]) * 10**9
"""In ns."""

_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + AHEAD / 1e9
time.time_ns = lambda: _time_ns() + AHEAD

if __name__ == "__main__":
    from netwatch.cli import main

    sys.exit(main(sys.argv[2:]))
