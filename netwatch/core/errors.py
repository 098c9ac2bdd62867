"""What can go wrong because of something outside the program, and where.

Everything that netwatch raises on purpose is a `NetwatchError`; a traceback that is
not one is a defect. Errors in files that a user wrote carry file and line, and are
collected so that all of them can be shown at once.
"""

from dataclasses import dataclass


class NetwatchError(Exception):
    """The root of all errors that netwatch raises on purpose."""


class CaptureError(NetwatchError):
    """A capture that cannot be read, or not to its end; the text says why."""


class ParseError(NetwatchError):
    """Bytes that are not what they claim to be.

    `anomaly` is the short, stable name under which it is counted, such as
    ``dns-label-loop``; it appears as a line of the summary.
    """

    def __init__(self, anomaly: str) -> None:
        super().__init__(anomaly)
        self.anomaly = anomaly


class Incomplete(NetwatchError):  # noqa: N818 - a state of the input, not a fault
    """A message that goes on behind the bytes at hand.

    `need` is how many bytes from the start of the message are wanted before parsing
    it again is worth the while (a lower bound; never less than one more than given).
    """

    def __init__(self, need: int) -> None:
        super().__init__(f"{need} bytes needed")
        self.need = need


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a file that a user wrote: `line` and `column` from 1, 0 for none."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}"


class ConfigError(NetwatchError):
    """Mistakes in configuration, signatures, bans or inventory, all of them at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
