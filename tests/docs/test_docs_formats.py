"""What the reference says of the formats for a SIEM is what they write."""

import json
from dataclasses import replace

import pytest
from support.documents import rows, section, words
from support.made_records import ALERT, FULL_ALERT, ITEM
from support.siem import read_cef, read_leef

from netwatch.core.message import Evidence
from netwatch.formats import cef, ecs, eve, gelf, jsonl, leef, ocsf
from netwatch.formats.registry import RENDERERS

KINDS: tuple[Evidence, ...] = (
    *("dns-query", "dns-answer", "dns-cname", "tls-sni", "quic-sni", "dtls-sni"),
    *("http-host", "socks-host", "tls-cert", "ip-from-dns"),
)
IPV6 = replace(
    FULL_ALERT,
    device=replace(FULL_ALERT.device, ip="2001:db8:20::7"),
    destinations=FULL_ALERT.destinations[1:],
    ban=replace(FULL_ALERT.ban, end=FULL_ALERT.ban.start),
)
BY_KIND = (replace(FULL_ALERT, evidence=(replace(ITEM, type=kind),)) for kind in KINDS)
RECORDS = [jsonl.alert_record(alert) for alert in (ALERT, FULL_ALERT, IPV6, *BY_KIND)]


def told(heading: str) -> set[str]:
    return {word for row in rows(section(heading)) for word in words(row[0])}


def fields(value, whole: set[str], path: str = ""):
    """The paths of a document, not below those that the reference tells as a whole."""
    if isinstance(value, dict) and path not in whole:
        for key, inner in value.items():
            yield from fields(inner, whole, f"{path}.{key}" if path else key)
    else:
        yield path


@pytest.mark.parametrize(
    ("heading", "module", "aside"),
    [
        ("### ECS", ecs, {"netwatch"}),
        ("### OCSF", ocsf, set()),
        ("### EVE", eve, {"alert.metadata"}),
    ],
)
def test_fields_of_json_are_those_that_are_told(heading: str, module, aside: set[str]) -> None:
    expected = told(heading)
    there = {
        path for record in RECORDS for path in fields(module.alert(record), expected | aside)
    } - aside
    assert there == expected


def test_keys_of_cef_are_those_that_are_told() -> None:
    there = {key for record in RECORDS for key in read_cef(RENDERERS["cef"](record))[1]}
    assert {key for key in there if not key.endswith("Label")} == told("### CEF")


def test_keys_of_leef_are_those_that_are_told() -> None:
    there = {key for record in RECORDS for key in read_leef(RENDERERS["leef"](record))[1]}
    assert there == told("### LEEF")


def test_fields_of_gelf_are_those_that_are_told() -> None:
    there = {key for record in RECORDS for key in gelf.alert_message(record)}
    assert {key for key in there if not key.startswith("_netwatch_")} == told("### GELF")


def test_severities_are_those_of_the_table() -> None:
    tables = (
        ecs.SEVERITIES,
        {grade: number for grade, (number, _) in ocsf.SEVERITIES.items()},
        eve.SEVERITIES,
        cef.SEVERITIES,
        leef.SEVERITIES,
        gelf.LEVELS,
    )
    shared = section("## Formats for a SIEM")
    found = [row for row in rows(shared) if len(row) == 7]
    grades = ("critical", "high", "medium", "low", "informational")
    assert [[int(cell) for cell in row[1:]] for row in found] == [
        [table[grade] for table in tables] for grade in grades
    ]


def test_formats_and_versions_are_those_of_the_table() -> None:
    shared = rows(section("## Formats for a SIEM"))
    formats = {words(row[0])[0]: row[2] for row in shared if words(row[0])[:1] and len(row) == 3}
    assert set(formats) == set(RENDERERS) - {"jsonl", "csv"}
    assert formats["ecs"] == ecs.VERSION
    assert formats["ocsf"] == ocsf.VERSION
    line = {name: RENDERERS[name](RECORDS[1]) for name in formats}
    assert line["cef"].startswith(f"{formats['cef']}|")
    assert line["leef"].startswith(f"{formats['leef']}|")
    assert json.loads(line["gelf"])["version"] == formats["gelf"]
