"""A process that delivers alerts and kills itself at one step.

Arguments: the folder of the outbox, the keys of an output as JSON, the number of the first alert,
how many alerts, the step, at which of its calls to die, and whether delivery starts ``before`` or
``after`` the alerts are put. It prints the number of each alert that `put` has stored.
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
from support.waiting import TIMEOUT

from netwatch.delivery import dead_letters, deferred
from netwatch.delivery.delivery import Delivery
from netwatch.delivery.outbox import OutboxDatabase, QueuedAlert
from netwatch.delivery.output import OutboxOptions

STEPS: dict[str, tuple[Any, str, bool]] = {
    "before put": (OutboxDatabase, "put", False),
    "after put": (OutboxDatabase, "put", True),
    "before send": (None, "send", False),
    "after send": (None, "send", True),
    "before dead letter": (dead_letters, "append", False),
    "after dead letter": (dead_letters, "append", True),
    "before cursor": (OutboxDatabase, "record_attempt", False),
    "after cursor": (OutboxDatabase, "record_attempt", True),
    "before clean-up": (deferred, "_delete_up_to", False),
    "after clean-up": (deferred, "_delete_up_to", True),
}
"""Where to die: the owner of a function (None: the class of the sink), its name, and whether to die
after it instead of before."""

STEPS_WITHOUT_DEAD_LETTERS = [step for step in STEPS if "dead" not in step]
"""The steps that are reached even if the receiver refuses nothing."""


def may_not_be_reached(step: str) -> bool:
    """Whether a run may be over before it reaches the step: the clean-up runs in parallel."""
    return "clean-up" in step


def dying(function: Callable[..., Any], after: bool, calls: int) -> Callable[..., Any]:
    """A function that kills the process at call number `calls`."""
    left = calls

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


def limit_batches() -> None:
    """Make batches small, so that every step is reached more than once, however fast alerts are
    put."""
    next_batch = OutboxDatabase.next_batch

    def limited(spool: OutboxDatabase, name: str, limit: int) -> list[QueuedAlert]:
        return next_batch(spool, name, min(limit, 10))

    OutboxDatabase.next_batch = limited


def main(folder: str, keys: str, first: int, count: int, step: str, calls: int, start: str) -> None:
    one = output(Path(folder), **json.loads(keys))
    if step in STEPS:
        owner, name, after = STEPS[step]
        owner = owner or type(one.options.open())
        setattr(owner, name, dying(getattr(owner, name), after, calls))
    limit_batches()
    delivery = Delivery([one], OutboxOptions(Path(folder) / "spool"), timing=QUICK)
    if start == "before":
        delivery.start()
    for number in range(first, first + count):
        delivery.put(record(number))
        print(number, flush=True)
    if start == "after":
        delivery.start()
    undelivered = delivery.drain(TIMEOUT)
    if may_not_be_reached(step) and not undelivered:
        threading.Event().wait(100 * QUICK.poll_interval)
    delivery.stop(TIMEOUT)
    sys.exit(bool(undelivered))


if __name__ == "__main__":
    path, made, number, many, at, turn, when = sys.argv[1:]
    main(path, made, int(number), int(many), at, int(turn), when)
