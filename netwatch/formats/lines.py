"""A writer for every format whose record is one line made of our own record."""

from collections.abc import Callable, Mapping
from typing import Any, TextIO

from netwatch.core.alert import Alert, Records
from netwatch.core.observation import Observation
from netwatch.coverage.counts import Report
from netwatch.formats import jsonl

Render = Callable[[Mapping[str, Any]], str]
"""Makes one line, without its end, of a record as `netwatch.formats.jsonl` makes it."""


class LineWriter:
    """Writes a line for each record. `observation` is None where a format has no place for
    what stands before any rule."""

    def __init__(self, stream: TextIO, *, alert: Render, observation: Render | None = None) -> None:
        self._stream = stream
        self._alert = alert
        self._observation = observation

    def begin(self, records: Records) -> None:
        """Nothing stands before the first record."""

    def observation(self, obs: Observation) -> None:
        """Write one observation; ValueError where the format has no place for any."""
        if self._observation is None:
            raise ValueError("the format takes alerts only")
        self._stream.write(self._observation(jsonl.observation(obs)) + "\n")

    def alert(self, told: Alert) -> None:
        """Write one alert."""
        self._stream.write(self._alert(jsonl.alert(told)) + "\n")

    def coverage(self, report: Report, everything: bool) -> bool:
        """Write nothing: a SIEM's formats are for events."""
        return False

    def end(self) -> None:
        """Nothing follows the last line."""
