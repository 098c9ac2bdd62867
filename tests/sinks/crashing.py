"""A process that delivers alerts and kills itself at one step of it.

Arguments: the folder of the outbox, the address of a bulk receiver, how many alerts, the
step, and at which of its turns. Says each alert that `put` has taken.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made_alerts import QUICK, output, record

from netwatch.sinks import deadletters
from netwatch.sinks.base import Outbox
from netwatch.sinks.delivery import Delivery
from netwatch.sinks.elastic import ElasticSink
from netwatch.sinks.spool import Spool

STEPS: dict[str, tuple[Any, str, bool]] = {
    "before put": (Spool, "put", False),
    "after put": (Spool, "put", True),
    "before send": (ElasticSink, "send", False),
    "after send": (ElasticSink, "send", True),
    "before dead letter": (deadletters, "add", False),
    "after dead letter": (deadletters, "add", True),
    "before cursor": (Spool, "advance", False),
    "after cursor": (Spool, "advance", True),
    "before tidying": (Spool, "_forget", False),
    "after tidying": (Spool, "_forget", True),
}
"""Where to die: an owner, its function, and on which side of that."""


def dying(function: Callable[..., Any], after: bool, turns: int) -> Callable[..., Any]:
    """The function, that ends the process at its turn number `turns`."""
    left = turns

    def wrapped(*args: Any, **keys: Any) -> Any:
        nonlocal left
        left -= 1
        if not left and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **keys)
        if not left and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def main(folder: str, url: str, count: int, step: str, turns: int) -> None:
    if step in STEPS:
        owner, name, after = STEPS[step]
        setattr(owner, name, dying(getattr(owner, name), after, turns))
    one = output(Path(folder), type="elastic", url=url, format="jsonl")
    delivery = Delivery([one], Outbox(Path(folder) / "spool"), timing=QUICK)
    delivery.start()
    for number in range(count):
        delivery.put(record(number))
        print(record(number)["id"], flush=True)
    left = delivery.drain(30)
    # Tidying is done beside all this.
    for _ in range(100):
        if step in STEPS and not left:
            threading.Event().wait(QUICK.poll)
    delivery.stop(30)
    sys.exit(bool(left))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
