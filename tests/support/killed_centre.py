"""The command line of netwatch, where a centre kills itself.

The first argument is where: ``commit`` before the database has committed, ``say`` between the
commit and what is said to sensors, ``ack`` between that and the acknowledgement to the server. The
second is whether for ``alerts`` or ``facts``. The others are those of netwatch. The processes in
which a centre commits import this program too.
"""

import multiprocessing
import os
import signal
import sys
from typing import Any

from netwatch.cli import main
from netwatch.fleet import consumers
from netwatch.fleet.commit_process import AlertCommits
from netwatch.fleet.fact_commits import FactCommits


def die(*_: Any, **__: Any) -> Any:
    """End the centre at once, whose processes end with it."""
    centre = multiprocessing.parent_process()
    os.kill((centre or multiprocessing.current_process()).pid or os.getpid(), signal.SIGKILL)
    signal.pause()


where, what = sys.argv[1:3]
if where == "commit":
    if what == "alerts":
        AlertCommits.store = die  # type: ignore[method-assign]
    else:
        FactCommits.finish = die  # type: ignore[method-assign]
elif where == "say":
    consumers.Consumers._say = die  # type: ignore[method-assign]
else:
    consumers.Receiver.note_lag = die  # type: ignore[method-assign]

if __name__ == "__main__":
    sys.exit(main(sys.argv[3:]))
