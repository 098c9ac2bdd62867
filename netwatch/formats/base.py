"""What a record format has to provide.

netwatch writes two kinds of records: observations (`netwatch names`) and alerts (`netwatch scan`,
`netwatch live`, outputs). A format provides a `Writer`, which writes records to a text stream, and,
where outputs can send it, a `Renderer`, which turns the JSON record of one alert into one line. Its
row in `netwatch.formats.registry.FORMATS` names both.

The versions of the schemas that formats follow are here too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, TextIO

from netwatch.core.alert import Alert, AlertRecord, RecordKind
from netwatch.core.observation_batch import ObservationBatch
from netwatch.coverage.counts import CoverageReport

Renderer = Callable[[AlertRecord], str]
"""Renders an alert's record as one line, without a line terminator."""

ObservationRenderer = Callable[[Mapping[str, Any]], str]
"""The same for the record of an observation (`netwatch.formats.line_writer`)."""

ECS = "9.4.0"
"""The Elastic Common Schema, as each document states it."""

OCSF = "1.8.0"
"""The Open Cybersecurity Schema Framework, as each finding states it."""


class ObservationWriter(Protocol):
    """Writes observations, batch by batch."""

    def observations(self, batch: ObservationBatch) -> None:
        """Write the observations in the rows of a batch, in the order of packets. The batch is not
        used any more afterwards. Raises ValueError if the format is for alerts only."""
        ...

    def end(self) -> None:
        """Write what follows the last record, if the format requires anything."""
        ...


class Writer(ObservationWriter, Protocol):
    """Writes records to a text stream as they come and buffers none of them."""

    def begin(self, records: RecordKind) -> None:
        """Write the header, if the format has one. Called once, even if no record follows."""
        ...

    def alert(self, alert: Alert) -> None:
        """Write one alert."""
        ...

    def alert_record(self, record: AlertRecord) -> None:
        """Write one alert by its record, which may be one that was stored."""
        ...

    def coverage(self, report: CoverageReport, everything: bool) -> bool:
        """Write the report of blind spots after all alerts. Returns False if the format cannot
        express it. Formats for people omit most devices unless `everything` is set."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """A row of `netwatch.formats.registry.FORMATS`.

    `title` and `purpose` are for the documentation; `specification` names the document and
    version that the format follows. `writer` opens a writer on a stream. `render` is None where
    the format is for people only, so outputs cannot send it. `json` says whether every line is
    one JSON object; `observations` whether the format can express observations too.
    """

    title: str
    purpose: str
    specification: str
    writer: Callable[[TextIO], Writer]
    render: Renderer | None = None
    json: bool = False
    observations: bool = False


@dataclass(frozen=True, slots=True)
class BinaryFormat:
    """A row of `netwatch.formats.registry.BINARY_FORMATS`: a format of bytes that can express
    observations and nothing else.

    `title`, `purpose`, `specification` and `writer` are as in `Format`. `module` is what it needs,
    which is installed with the `extra` of netwatch.
    """

    title: str
    purpose: str
    specification: str
    writer: Callable[[BinaryIO], ObservationWriter]
    module: str
    extra: str
