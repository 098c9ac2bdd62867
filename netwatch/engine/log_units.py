"""A log as a unit of a run, beside captures.

Formats of logs are imported only where a log is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netwatch.capture.files import CaptureFile

if TYPE_CHECKING:
    from netwatch.logs.log_files import Log, LogOptions


@dataclass(frozen=True, slots=True)
class LogUnit:
    """All files of one log, which are judged together, with what the user said of logs. Where it
    `counts_flows`, all its records are read for the coverage: whether a flow had a name is in
    records that are of no other interest."""

    log: "Log"
    options: "LogOptions"
    counts_flows: bool = False

    @property
    def files(self) -> Sequence[CaptureFile]:
        """Its files, in order of time."""
        return self.log.files


Capture = Sequence[CaptureFile]
"""The files of one capture."""

Unit = Capture | LogUnit
"""What one worker reads."""
