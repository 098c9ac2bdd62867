"""A process that delivers alerts and kills itself at one step of it.

Arguments: the folder of the outbox, the keys of an output as JSON, the number of the first
alert, how many, the step, at which of its turns, and whether delivery starts ``before`` or
``behind`` all of these are put. Says the number of each alert that `put` has taken.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.made_alerts import QUICK, output, record

from netwatch.delivery import dead_letters as deadletters
from netwatch.delivery.delivery import Delivery
from netwatch.delivery.outbox import Row, Spool
from netwatch.sinks.base import Outbox

STEPS: dict[str, tuple[Any, str, bool]] = {
    "before put": (Spool, "put", False),
    "after put": (Spool, "put", True),
    "before send": (None, "send", False),
    "after send": (None, "send", True),
    "before dead letter": (deadletters, "add", False),
    "after dead letter": (deadletters, "add", True),
    "before cursor": (Spool, "advance", False),
    "after cursor": (Spool, "advance", True),
    "before tidying": (Spool, "_forget", False),
    "after tidying": (Spool, "_forget", True),
}
"""Where to die: an owner (None: the class of the sink), its function, and on which side."""

AT = [step for step in STEPS if "dead" not in step]
"""Where there are no dead letters."""


def ends(step: str) -> bool:
    """Whether a run may be over before it comes to its turn: tidying is done beside it."""
    return "tidying" in step


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


def few_at_once() -> None:
    """So that there is more than one turn, however fast all is put."""
    all_next = Spool.next

    def some(spool: Spool, name: str, limit: int) -> list[Row]:
        return all_next(spool, name, min(limit, 10))

    Spool.next = some


def main(folder: str, keys: str, first: int, count: int, step: str, turns: int, start: str) -> None:
    one = output(Path(folder), **json.loads(keys))
    if step in STEPS:
        owner, name, after = STEPS[step]
        owner = owner or type(one.settings.open())
        setattr(owner, name, dying(getattr(owner, name), after, turns))
    few_at_once()
    delivery = Delivery([one], Outbox(Path(folder) / "spool"), timing=QUICK)
    if start == "before":
        delivery.start()
    for number in range(first, first + count):
        delivery.put(record(number))
        print(number, flush=True)
    if start == "behind":
        delivery.start()
    left = delivery.drain(30)
    for _ in range(100 if ends(step) and not left else 0):
        threading.Event().wait(QUICK.poll)
    delivery.stop(30)
    sys.exit(bool(left))


if __name__ == "__main__":
    path, made, number, many, at, turn, when = sys.argv[1:]
    main(path, made, int(number), int(many), at, int(turn), when)
