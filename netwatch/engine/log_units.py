"""A log as a unit of a run, beside captures."""

from collections.abc import Sequence

from netwatch.capture.files import CaptureFile
from netwatch.core.dataclass import dataclass
from netwatch.logs.log_files import Log, LogOptions


@dataclass(frozen=True, slots=True)
class LogUnit:
    """All files of one log, which are judged together, with what the user said of logs. Where it
    `counts_flows`, all its records are read for the coverage: whether a flow had a name is in
    records that are of no other interest."""

    log: Log
    options: LogOptions
    counts_flows: bool = False

    @property
    def files(self) -> Sequence[CaptureFile]:
        """Its files, in order of time."""
        return self.log.files
