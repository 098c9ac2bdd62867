"""The table of formats. A new format is one module and one row here.

The command line, the outputs and the documentation read this table. The module of a format, which
is named after it, is imported when its first record is written.
"""

import importlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from netwatch.core.alert import AlertRecord
from netwatch.formats.base import ECS, OCSF, BinaryFormat, Format, Renderer


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
"""The formats of `netwatch names` that are no text."""

_SILENCE = "netwatch.silence/"
_render_silence = _later("silence:render")


def _of_any_schema(name: str, render: Renderer) -> Renderer:
    """The renderer of a format for what outputs send: alerts, and silences of sensors."""

    def of_any_schema(record: AlertRecord) -> str:
        if str(record.get("schema")).startswith(_SILENCE):
            return str(_render_silence(name, record))
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
