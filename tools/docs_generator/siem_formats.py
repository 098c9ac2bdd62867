"""The formats, and what is in each field of those for a SIEM."""

from collections.abc import Mapping
from typing import Any

from docs_generator.data import rows
from docs_generator.markdown import code, table
from netwatch.formats import (
    FORMATS,
    OBSERVATION_FORMATS,
    RENDERERS,
    cef,
    ecs,
    eve,
    gelf,
    leef,
    ocsf,
)

FORMAT_TEXTS: dict[str, tuple[str, str]] = {
    "table": ("for people: a table, one row a record", ""),
    "jsonl": ("the complete [record](records.md), one JSON object a line", ""),
    "csv": ("for spreadsheets: one flat row a record", "RFC 4180"),
    "ecs": ("Elastic Common Schema, JSON", ecs.VERSION),
    "ocsf": (
        "Open Cybersecurity Schema Framework, a Detection Finding (class 2004) with the profile"
        " `security_control`, JSON",
        ocsf.VERSION,
    ),
    "eve": ("Suricata's EVE, an event of type `alert`, JSON", "Suricata 8, `etc/schema.json`"),
    "cef": ("ArcSight Common Event Format", "CEF:0"),
    "leef": ("IBM QRadar Log Event Extended Format, `^` between attributes", "LEEF:2.0"),
    "gelf": ("Graylog Extended Log Format, JSON", "1.1"),
}
"""What a format is, and its version."""


def names(format: str) -> set[str]:
    """The fields that are described for a format."""
    return {name.strip() for row in rows("siem_fields")[format] for name in row[0].split(",")}


def formats_block(_: str) -> str:
    """All formats."""
    found = []
    for format in FORMATS:
        text, version = FORMAT_TEXTS[format]
        used = ["alerts"]
        used += ["names"] if format in OBSERVATION_FORMATS else []
        used += ["outputs"] if format in RENDERERS else []
        found.append([code(format), text, version, ", ".join(used)])
    return table(("format", "what it is", "version", "for"), found)


def fields_block(format: str) -> str:
    """The fields of a format for a SIEM."""
    return table(
        ("field", "from"),
        (
            [code(*(name.strip() for name in row[0].split(","))), row[1]]
            for row in rows("siem_fields")[format]
        ),
    )


def severities_block(_: str) -> str:
    """What each format makes of a severity."""
    numbers: dict[str, Mapping[Any, int]] = {
        "ecs": ecs.SEVERITIES,
        "ocsf": {grade: number for grade, (number, _) in ocsf.SEVERITIES.items()},
        "eve": eve.SEVERITIES,
        "cef": cef.SEVERITIES,
        "leef": leef.SEVERITIES,
        "gelf": gelf.LEVELS,
    }
    grades = {grade: code(grade) for grade in ("critical", "high", "medium", "low")}
    grades["informational"] = "any, with verdict `exempt`"
    return table(
        ("severity", *(f"`{format}`" for format in numbers)),
        ([text, *(str(of[grade]) for of in numbers.values())] for grade, text in grades.items()),
    )
