"""What a check of ``netwatch doctor`` says, and how long it may ask others.

A check is a function of the arguments that gives findings. It changes nothing, prints no secret and
ends in a bounded time: whatever waits for a server, a lookup of its name included, is asked by
`within`.
"""

import argparse
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from netwatch.core.errors import ConfigError, NetwatchError

T = TypeVar("T")

ANSWER_SECONDS = 5.0
"""Seconds that a server has to answer a check."""

Level = Literal["ok", "warn", "bad"]
"""``warn`` is what will be a problem, or may be one; the exit status is that of ``ok``."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked (`subject`), its `level`, and the result in words; `todo` are lines that
    say how to solve the problem."""

    subject: str
    level: Level
    text: str
    todo: tuple[str, ...] = ()


Check = Callable[[argparse.Namespace], Iterator[Finding]]
"""One row of the table of checks."""


def ok(subject: str, text: str) -> Finding:
    """A finding that needs nothing."""
    return Finding(subject, "ok", text)


def warn(subject: str, text: str, *todo: str) -> Finding:
    """A finding of something that somebody should look at."""
    return Finding(subject, "warn", text, todo)


def bad(subject: str, text: str, *todo: str) -> Finding:
    """A finding of a problem."""
    return Finding(subject, "bad", text, todo)


def reason(error: NetwatchError) -> str:
    """What an error says, on one line. Of the problems of a `ConfigError` only that of an extra or
    of a place is shown; those of netwatch.yaml have been listed."""
    if isinstance(error, ConfigError):
        return "; ".join(problem.message for problem in error.problems)
    return " ".join(str(error).split())


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What `ask` returns, or raises. Raises `NetwatchError` if it takes longer than `seconds`; its
    thread then waits on until the command ends."""
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((ask(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, name="doctor", daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise NetwatchError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # None only where T is
