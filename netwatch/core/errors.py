"""Errors with a cause outside the program, such as a damaged capture or a wrong configuration.

Every error that netwatch raises on purpose is a `NetwatchError`; any other traceback is a defect.
Errors in files that a user wrote have file and line, and are collected so that all of them can be
shown at once.
"""

from dataclasses import dataclass
from typing import Any, Self

from netwatch.core.text import escaped


class NetwatchError(Exception):
    """The base class of all errors that netwatch raises on purpose. They can be pickled whatever
    arguments their constructor takes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(
    kind: type[NetwatchError], args: tuple[Any, ...], values: dict[str, Any]
) -> NetwatchError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(values)
    return error


class CaptureError(NetwatchError):
    """A capture cannot be read, or not to its end; the text gives the reason."""


class ParseError(NetwatchError):
    """The bytes are not a valid message of the protocol they were parsed as.

    `anomaly` is the short, stable name under which this is counted, such as ``dns-label-loop``.
    The counts appear in the summary of a run.
    """

    def __init__(self, anomaly: str) -> None:
        super().__init__(anomaly)
        self.anomaly = anomaly


class RecordError(NetwatchError):
    """A record of a log cannot be read. The argument is the reason: a constant of a few words in
    the form ``field-missing``, under which such records are counted."""


class Incomplete(NetwatchError):  # noqa: N818 - not an error of the input: more of it is needed
    """The message continues beyond the bytes that were given.

    `bytes_needed` is a lower bound for the bytes, from the start of the message, with which another
    attempt can succeed. It is always greater than the number of bytes given.
    """

    def __init__(self, bytes_needed: int) -> None:
        super().__init__(f"{bytes_needed} bytes needed")
        self.bytes_needed = bytes_needed


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a file that a user wrote.

    `line` and `column` start at 1; 0 means no position. As text it is one line, whatever the file
    contains.
    """

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return escaped(f"{place}: {self.message}")


class ConfigError(NetwatchError):
    """All mistakes found in the configuration, signatures, bans or inventory."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    @classmethod
    def of(cls, file: str, message: str) -> Self:
        """One mistake without a position; `file` may be a command or an option."""
        return cls([Problem(file, 0, 0, message)])
