"""Records in the reader's format, one file a format.

A format is a `Writer` over a text stream; a new one is a file and a row in `FORMATS`.
What outputs can send has a row in `RENDERERS` too: a pure function from the record of an
alert to a line.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TextIO

from netwatch.coverage.counts import Report
from netwatch.formats import csv
from netwatch.formats.csv import CsvWriter
from netwatch.formats.jsonl import JsonlWriter
from netwatch.formats.lines import Render
from netwatch.formats.table import TableWriter
from netwatch.formats.values import json_line
from netwatch.model import Alert, Observation, Records


class Writer(Protocol):
    """Writes records to a text stream as they come, keeping none of them."""

    def begin(self, records: Records) -> None:
        """Write what stands before the first record, if anything does, even if none comes."""
        ...

    def observation(self, obs: Observation) -> None:
        """Write one observation."""
        ...

    def alert(self, told: Alert) -> None:
        """Write one alert."""
        ...

    def coverage(self, report: Report, everything: bool) -> bool:
        """Write the report of blind spots, behind all alerts; false where the format has no
        place for it. Formats for people leave devices out, unless `everything` is wanted."""
        ...

    def end(self) -> None:
        """Write what follows the last record, if anything does."""
        ...


FORMATS: dict[str, Callable[[TextIO], Writer]] = {
    "table": TableWriter,
    "jsonl": JsonlWriter,
    "csv": CsvWriter,
}
"""By the name that the command line takes."""

RENDERERS: Mapping[str, Render] = {
    "jsonl": json_line,
    "csv": csv.render,
}
"""By the same names: the record of an alert (`netwatch.formats.jsonl.alert`) as one line."""
