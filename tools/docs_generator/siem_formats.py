"""The formats, and what is in each field of those for a SIEM."""

from collections.abc import Mapping
from typing import Any

from docs_generator.data import rows
from docs_generator.markdown import code, table
from netwatch.core.alert import TITLES
from netwatch.formats import cef, ecs, eve, gelf, leef, ocsf
from netwatch.formats.registry import BINARY_FORMATS, FORMATS


def names(format: str) -> set[str]:
    """The fields that are described for a format."""
    return {name.strip() for row in rows("siem_fields")[format] for name in row[0].split(",")}


def formats_block(_: str) -> str:
    """All formats."""
    found = []
    for name, each in FORMATS.items():
        used = [
            "alerts",
            *(["observations"] if each.observations else []),
            *(["outputs"] if each.render else []),
        ]
        text = f"{each.title}, {each.purpose}"
        found.append([code(name), text, each.specification, ", ".join(used)])
    for name, binary in BINARY_FORMATS.items():
        text = f"{binary.title}, {binary.purpose}; needs the extra `{binary.extra}`"
        found.append([code(name), text, binary.specification, "observations"])
    return table(("format", "what it is", "specification", "for"), found)


def fields_block(format: str) -> str:
    """The fields of a format for a SIEM."""
    return table(
        ("field", "from"),
        (
            [code(*(name.strip() for name in row[0].split(","))), row[1]]
            for row in rows("siem_fields")[format]
        ),
    )


def titles_block(_: str) -> str:
    """The titles of alerts by verdict and situation, the situation that goes first to the left."""
    situations = {
        "blocked": "`outcome` is `blocked`",
        "embedded": "`kind` is `embed`",
        "looked-up": "`kind` is `lookup`",
        "attempted": "`outcome` is `attempted`",
        "contacted": "any other",
    }
    return table(
        ("verdict", *situations.values()),
        (
            [code(verdict), *(of[situation] for situation in situations)]
            for verdict, of in TITLES.items()
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
