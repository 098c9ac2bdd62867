"""The command line of netwatch, for a centre on a machine that has as many CPUs as the first
argument says. The others are those of netwatch."""

import sys

from netwatch.cli import main
from netwatch.fleet import commit_process

if __name__ == "__main__":
    cpus = int(sys.argv[1])
    commit_process.usable_cpus = lambda: cpus
    sys.exit(main(sys.argv[2:]))
