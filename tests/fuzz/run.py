"""Fuzz a parser or the packet loop: ``make fuzz TARGET=tls CORPUS=folder OPTIONS=-runs=N``.

OPTIONS are those of libFuzzer, such as ``-max_total_time=600``. A run starts from seeds that are
made by code and from the stored corpus. CORPUS is an existing folder for the inputs that reach
new code; without it the run stores nothing.
"""

import os
import sys

from support import fuzz_loop_targets, fuzz_targets
from support.fuzz_corpus import script

TARGETS = (*fuzz_targets.TARGETS, *fuzz_loop_targets.TARGETS)


def main() -> None:
    """Run the program of the target in place of this one: what is imported already, the fuzzer does
    not see."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"{__doc__}\nTARGET is one of: {', '.join(TARGETS)}")
    os.execv(sys.executable, [sys.executable, str(script(sys.argv[1])), *sys.argv[1:]])


if __name__ == "__main__":
    main()
