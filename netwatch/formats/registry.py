"""The table of formats. A new format is one module and one row here.

The command line, the outputs and the documentation read this table.
"""

from collections.abc import Mapping
from functools import partial

from netwatch.formats import cef, csv, ecs, eve, gelf, leef, ocsf
from netwatch.formats.base import Format, Renderer
from netwatch.formats.csv import CsvWriter
from netwatch.formats.jsonl import JsonlWriter
from netwatch.formats.line_writer import LineWriter
from netwatch.formats.table import TableWriter
from netwatch.formats.values import json_line

FORMATS: Mapping[str, Format] = {
    "table": Format(
        title="Table",
        purpose="for people: aligned columns on a terminal or in a text file",
        specification="",
        writer=TableWriter,
        observations=True,
    ),
    "jsonl": Format(
        title="JSON Lines",
        purpose="the complete record, for programs, log shippers and data lakes",
        specification="netwatch.alert/1, as `netwatch schema` prints it; jsonlines.org",
        writer=JsonlWriter,
        render=json_line,
        json=True,
        observations=True,
    ),
    "csv": Format(
        title="CSV",
        purpose="for spreadsheets: a header and one flat row a record",
        specification="RFC 4180",
        writer=CsvWriter,
        render=csv.render,
        observations=True,
    ),
    "ecs": Format(
        title="Elastic Common Schema",
        purpose="for Elasticsearch, OpenSearch and Kibana",
        specification=f"ECS {ecs.VERSION}",
        writer=partial(LineWriter, alert=ecs.render, observation=ecs.render_observation),
        render=ecs.render,
        json=True,
        observations=True,
    ),
    "ocsf": Format(
        title="Open Cybersecurity Schema Framework",
        purpose="for security data lakes: a Detection Finding (class 2004)",
        specification=f"OCSF {ocsf.VERSION}, profile `security_control`",
        writer=partial(LineWriter, alert=ocsf.render),
        render=ocsf.render,
        json=True,
    ),
    "eve": Format(
        title="Suricata EVE",
        purpose="for whatever reads Suricata: an event of type `alert`",
        specification="Suricata 8, `etc/schema.json`",
        writer=partial(LineWriter, alert=eve.render),
        render=eve.render,
        json=True,
    ),
    "cef": Format(
        title="ArcSight Common Event Format",
        purpose="for ArcSight and Microsoft Sentinel",
        specification="CEF:0",
        writer=partial(LineWriter, alert=cef.render),
        render=cef.render,
    ),
    "leef": Format(
        title="IBM Log Event Extended Format",
        purpose="for QRadar, with `^` between attributes",
        specification="LEEF:2.0",
        writer=partial(LineWriter, alert=leef.render),
        render=leef.render,
    ),
    "gelf": Format(
        title="Graylog Extended Log Format",
        purpose="for Graylog",
        specification="GELF 1.1",
        writer=partial(LineWriter, alert=gelf.render),
        render=gelf.render,
        json=True,
    ),
}
"""By the word that ``--format`` and the key ``format`` of an output accept."""

RENDERERS: Mapping[str, Renderer] = {
    name: format_.render for name, format_ in FORMATS.items() if format_.render is not None
}
"""The formats that outputs can send."""

OBSERVATION_FORMATS = tuple(name for name, format_ in FORMATS.items() if format_.observations)
"""The formats that `netwatch names` can write; the others are for alerts only."""
