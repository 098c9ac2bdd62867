"""Records in the reader's format, one file a format.

A format is a `Writer` over a text stream; a new one is a file and a row in `FORMATS`.
What outputs can send has a row in `RENDERERS` too: a pure function from the record of an
alert to a line.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, TextIO

from netwatch.core.alert import Alert, Records
from netwatch.core.observation import Observation
from netwatch.coverage.counts import Report
from netwatch.formats import cef, csv, ecs, eve, gelf, leef, ocsf
from netwatch.formats.csv import CsvWriter
from netwatch.formats.jsonl import JsonlWriter
from netwatch.formats.lines import LineWriter, Render
from netwatch.formats.table import TableWriter
from netwatch.formats.values import json_line


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


RENDERERS: Mapping[str, Render] = {
    "jsonl": json_line,
    "csv": csv.render,
    "ecs": ecs.render,
    "ocsf": ocsf.render,
    "eve": eve.render,
    "cef": cef.render,
    "leef": leef.render,
    "gelf": gelf.render,
}
"""What outputs render by: the record of an alert (`netwatch.formats.jsonl.alert`) as one
line, without its end."""

FORMATS: dict[str, Callable[[TextIO], Writer]] = {
    "table": TableWriter,
    "jsonl": JsonlWriter,
    "csv": CsvWriter,
    "ecs": partial(LineWriter, alert=ecs.render, observation=ecs.render_observation),
    "ocsf": partial(LineWriter, alert=ocsf.render),
    "eve": partial(LineWriter, alert=eve.render),
    "cef": partial(LineWriter, alert=cef.render),
    "leef": partial(LineWriter, alert=leef.render),
    "gelf": partial(LineWriter, alert=gelf.render),
}
"""By the name that the command line takes."""

OBSERVATION_FORMATS = ("table", "jsonl", "csv", "ecs")
"""Those that have a place for observations; the others are formats of alerts."""
