"""The formats of records: what each must provide, and their table, to which a new one adds a module
and a row. The JSON Schemas of netwatch's own records, and of the files that a user writes, are also
here.

netwatch writes two kinds of records: observations (`netwatch names`) and alerts (`netwatch scan`,
`netwatch live`, outputs). A format provides a `Writer`, which writes records to a text stream, and,
if outputs can send it, a `Renderer`, which turns the JSON record of one alert into one line. Its
row in `FORMATS` names both.

The command line, the outputs and the documentation read the table. The module of a format, which
is named after it, is imported when its first record is written.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
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

    `title` and `purpose` are for the documentation; `specification` names the document and version
    that the format follows. `writer` opens a writer on a stream. `render` is None if the format is
    for people only, so outputs cannot send it. `json` says whether every line is one JSON object;
    `observations` whether the format can express observations too.
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
    """A row of `netwatch.formats.registry.BINARY_FORMATS`: a format of bytes that can only express
    observations.

    `title`, `purpose`, `specification` and `writer` are as in `Format`. `module` is its
    requirement, which is installed with the `extra` of netwatch.
    """

    title: str
    purpose: str
    specification: str
    writer: Callable[[BinaryIO], ObservationWriter]
    module: str
    extra: str


def _later(name: str) -> Callable[..., Any]:
    """The function ``module:function`` of this package, imported when it is first called."""

    @cache
    def load() -> Callable[..., Any]:
        module, _, function = name.partition(":")
        found: Callable[..., Any] = getattr(
            importlib.import_module(f"netwatch.formats.{module}"), function
        )
        return found

    return lambda *args, **options: load()(*args, **options)


def _lines(render: str, observation: str | None = None) -> Callable[..., Any]:
    """The writer of a format in which a record is one line."""
    return partial(
        _later("line_writer:LineWriter"),
        alert=_later(render),
        observation=_later(observation) if observation else None,
    )


FORMATS: Mapping[str, Format] = {
    "table": Format(
        title="Table",
        purpose="for people: aligned columns on a terminal or in a text file",
        specification="",
        writer=_later("table:TableWriter"),
        observations=True,
    ),
    "jsonl": Format(
        title="JSON Lines",
        purpose="the complete record, for programs, log shippers and data lakes",
        specification="netwatch.alert/1, as `netwatch schema` prints it; jsonlines.org",
        writer=_later("jsonl:JsonlWriter"),
        render=_later("values:json_line"),
        json=True,
        observations=True,
    ),
    "csv": Format(
        title="CSV",
        purpose="for spreadsheets: a header and one flat row a record",
        specification="RFC 4180",
        writer=_later("csv:CsvWriter"),
        render=_later("csv:render"),
        observations=True,
    ),
    "ecs": Format(
        title="Elastic Common Schema",
        purpose="for Elasticsearch, OpenSearch and Kibana",
        specification=f"ECS {ECS}",
        writer=_lines("ecs:render", "ecs:render_observation"),
        render=_later("ecs:render"),
        json=True,
        observations=True,
    ),
    "ocsf": Format(
        title="Open Cybersecurity Schema Framework",
        purpose="for security data lakes: a Detection Finding (class 2004)",
        specification=f"OCSF {OCSF}, profile `security_control`",
        writer=_lines("ocsf:render"),
        render=_later("ocsf:render"),
        json=True,
    ),
    "eve": Format(
        title="Suricata EVE",
        purpose="for whatever reads Suricata: an event of type `alert`",
        specification="Suricata 8, `etc/schema.json`",
        writer=_lines("eve:render"),
        render=_later("eve:render"),
        json=True,
    ),
    "cef": Format(
        title="ArcSight Common Event Format",
        purpose="for ArcSight and Microsoft Sentinel",
        specification="CEF:0",
        writer=_lines("cef:render"),
        render=_later("cef:render"),
    ),
    "leef": Format(
        title="IBM Log Event Extended Format",
        purpose="for QRadar, with `^` between attributes",
        specification="LEEF:2.0",
        writer=_lines("leef:render"),
        render=_later("leef:render"),
    ),
    "gelf": Format(
        title="Graylog Extended Log Format",
        purpose="for Graylog",
        specification="GELF 1.1",
        writer=_lines("gelf:render"),
        render=_later("gelf:render"),
        json=True,
    ),
}
"""By the word that ``--format`` and the key ``format`` of an output accept."""


BINARY_FORMATS: Mapping[str, BinaryFormat] = {
    "arrow": BinaryFormat(
        title="Arrow IPC stream",
        purpose="for dataframes and databases that read a stream of columns",
        specification="Arrow Columnar Format 1.5",
        writer=_later("arrow_rows:ArrowWriter"),
        module="pyarrow",
        extra="arrow",
    ),
    "parquet": BinaryFormat(
        title="Parquet",
        purpose="for data lakes and DuckDB: small files of columns",
        specification="Parquet format 2.6, compressed by zstd",
        writer=_later("arrow_rows:ParquetWriter"),
        module="pyarrow",
        extra="arrow",
    ),
}
"""The formats of `netwatch names` that are not text."""

_NOTICES = ("netwatch.silence/", "netwatch.bypass/")
_render_notice = _later("notice:render")


def _of_any_schema(name: str, render: Renderer) -> Renderer:
    """The renderer of a format for what outputs send: alerts, and notices."""

    def of_any_schema(record: AlertRecord) -> str:
        if str(record.get("schema")).startswith(_NOTICES):
            return str(_render_notice(name, record))
        return render(record)

    return of_any_schema


RENDERERS: Mapping[str, Renderer] = {
    name: _of_any_schema(name, format_.render)
    for name, format_ in FORMATS.items()
    if format_.render is not None
}
"""The formats that outputs can send."""

OBSERVATION_FORMATS = (
    *(name for name, format_ in FORMATS.items() if format_.observations),
    *BINARY_FORMATS,
)
"""The formats that `netwatch names` can write; the others are for alerts only."""


SCHEMAS = ("alert", "observation", "coverage", "case", "report", "silence", "bypass")
"""The records that have a JSON Schema (draft 2020-12), in ``netwatch/schemas/NAME.json``."""

FILE_SCHEMAS = ("config", "signature", "ban", "inventory")
"""The files with a schema, which is generated from the declarations of their keys."""


def schema_text(name: str) -> str:
    """The schema of a record or a file as JSON text. Schemas of records allow unknown keys, because
    later versions of netwatch may add keys to a record."""
    from importlib import resources  # only this command needs it

    path = resources.files("netwatch") / "schemas" / f"{name}.json"
    return path.read_text(encoding="utf-8")
