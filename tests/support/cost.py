"""Count the Python calls and lines that run, which are the same on every machine.

Compiled code does not count, nor does what the interpreter does in C.
"""

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(frozen=True, slots=True)
class Cost:
    """Calls of Python functions, of which each resumption of a generator is one, and lines."""

    calls: float
    lines: float

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.calls - other.calls, self.lines - other.lines)

    def __truediv__(self, number: int) -> "Cost":
        return Cost(self.calls / number, self.lines / number)


def cost(work: Callable[[], object]) -> Cost:
    """The calls and lines of this thread during `work`."""
    calls = lines = 0

    def local(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return local

    def called(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal calls
        calls += 1
        return local

    # The garbage collector may call back at any time. Not to collect first spares a second or more
    # in a process that has run many tests.
    collecting, before = gc.isenabled(), sys.gettrace()
    gc.disable()
    sys.settrace(called)
    try:
        work()
    finally:
        sys.settrace(before)
        if collecting:
            gc.enable()
    # The call of `work` itself does not count.
    return Cost(calls - 1, lines)
