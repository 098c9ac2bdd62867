"""Runs the tests once more, alone, that failed when others ran at the same time.

A test of servers waits for tens of seconds, which a busy machine can use up. One that is wrong
fails here too, and so does a run in which many failed. What is run again is printed, since a test
that needs it is to be mended: python -m support.failed_tests
"""

import json
import os
import sys

from support.paths import ROOT

MAX_FAILED = 3
"""How many tests of all may fail at first."""


def main() -> None:
    """Become pytest for the tests that failed, or end with status 1 where that is no answer."""
    path = ROOT / ".pytest_cache/v/cache/lastfailed"
    failed = sorted(json.loads(path.read_text())) if path.exists() else []
    if not 0 < len(failed) <= MAX_FAILED:
        sys.exit(f"{len(failed)} tests failed: only 1 to {MAX_FAILED} are run again")
    print("\nFailed beside other tests, run again alone:", *failed, sep="\n  ", flush=True)
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *failed])


if __name__ == "__main__":
    main()
