"""How much Python runs: calls of functions and lines, counted, so the same on any machine.

What is compiled does not count, nor what the interpreter does in C.
"""

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(frozen=True, slots=True)
class Cost:
    """Calls of Python functions (a generator that goes on is one too), and lines."""

    calls: float
    lines: float

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.calls - other.calls, self.lines - other.lines)

    def __truediv__(self, number: int) -> "Cost":
        return Cost(self.calls / number, self.lines / number)


def cost(work: Callable[[], object]) -> Cost:
    """What runs in this thread while `work` does."""
    calls = lines = 0

    def local(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return local

    def called(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal calls
        calls += 1
        return local

    # Callbacks of the collector come when they like.
    collecting, before = gc.isenabled(), sys.gettrace()
    gc.collect()
    gc.disable()
    sys.settrace(called)
    try:
        work()
    finally:
        sys.settrace(before)
        if collecting:
            gc.enable()
    # The call of `work` itself is none of its own.
    return Cost(calls - 1, lines)
