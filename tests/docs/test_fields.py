"""The documented fields of records and of formats for a SIEM are those that are written."""

import json
from dataclasses import replace
from datetime import date

import pytest
from docs_generator import records, siem_formats
from support.made_records import ALERT, FULL_ALERT, ITEM
from support.siem import read_cef, read_leef

from netwatch.core.flow import LogInfo
from netwatch.core.message import Evidence
from netwatch.core.verdict import BanPeriod, Network
from netwatch.coverage.counts import Coverage
from netwatch.formats import csv, ecs, eve, gelf, jsonl, ocsf, registry
from netwatch.formats.coverage import report_record
from netwatch.formats.registry import FORMATS, RENDERERS

KINDS: tuple[Evidence, ...] = (
    *("dns-query", "dns-answer", "dns-cname", "tls-sni", "quic-sni", "dtls-sni"),
    *("http-host", "socks-host", "tls-cert", "ip-from-dns"),
)
PERIODS = (
    BanPeriod(date(2023, 3, 10), date(2023, 9, 10), "the decision"),
    BanPeriod(date(2023, 9, 20), None, "its extension"),
)
IPV6 = replace(
    FULL_ALERT,
    device=replace(FULL_ALERT.device, ip="2001:db8:20::7"),
    destinations=FULL_ALERT.destinations[1:],
    ban=replace(FULL_ALERT.ban, periods=PERIODS),
)
BY_KIND = (replace(FULL_ALERT, evidence=(replace(ITEM, type=kind),)) for kind in KINDS)
OF_LOG = replace(FULL_ALERT, evidence=(replace(ITEM, log=LogInfo("dnsmasq", ("server",))),))
RECORDS = [jsonl.alert_record(alert) for alert in (ALERT, FULL_ALERT, IPV6, OF_LOG, *BY_KIND)]


def documented(name: str) -> set[str]:
    """The paths of the documented fields of a record."""
    return {path for path, *_ in records.fields(json.loads(registry.schema_text(name)))}


def leaves(value: object, path: str = "") -> set[str]:
    """The paths of all values in a record; those in a list have ``[]`` behind its name."""
    if isinstance(value, list):
        return set().union({path}, *(leaves(item, f"{path}[]") for item in value)) - {f"{path}[]"}
    if isinstance(value, dict):
        dot = f"{path}." if path else ""
        return set().union(*(leaves(item, f"{dot}{key}") for key, item in value.items()))
    return {path}


def test_columns_of_csv_are_fields_of_the_records() -> None:
    flat = {path.replace(".", "_") for path in documented("observation")}
    assert flat == set(csv.OBSERVATION_COLUMNS)
    flat = {path.replace(".", "_") for path in documented("alert") if "[]" not in path}
    of_csv_alone = {"evidence_count", "first_source", "first_packet"}
    of_csv_alone |= {"first_log_format", "first_log_line", "first_log_lacks", "evidence_seen"}
    of_records_alone = {"binding", "exemption", "left_out", "evidence_file", "shortened"}
    of_records_alone |= {
        "versions_set",
        "evidence_lines",
        "unheard",
        "triage",
        "sensor_networks",
        "sensor_devices",
    }
    assert flat == set(csv.ALERT_COLUMNS) - of_csv_alone | of_records_alone


def test_fields_of_alerts_are_documented() -> None:
    found = set().union(*(leaves(each) for each in RECORDS))
    found = {path for path in found if not path.startswith("left_out.")} | {"left_out"}
    assert "versions.set" in found
    later = {
        "evidence_file",
        "evidence_lines",
        "evidence[].log.sampling",
        "evidence[].sampling",
        "shortened",
    }
    later |= {
        "unheard",
        "unheard.since",
        "unheard.status",
        "triage",
        "triage.state",
        "triage.by",
        "triage.at",
        "sensor.networks",
        "sensor.devices",
        "clients",
    }
    assert documented("alert") - later == found


def test_fields_of_coverage_are_documented() -> None:
    found = Coverage()
    found.add(Network("hq", "service"), "ws-1", "named")
    there = leaves(report_record(found.report(1, {})))
    assert there - documented("coverage") == set()


@pytest.mark.parametrize(
    ("name", "render", "aside"),
    [
        ("ecs", ecs.alert_document, {"netwatch"}),
        ("ocsf", ocsf.detection_finding, set()),
        ("eve", eve.alert_event, {"alert.metadata"}),
    ],
)
def test_fields_of_json_formats_are_documented(name: str, render, aside: set[str]) -> None:
    expected = siem_formats.names(name)
    there = {path for record in RECORDS for path in paths(render(record), expected | aside)} - aside
    assert there == expected


def paths(value, whole: set[str], path: str = ""):
    """The paths of a document, not below those that are documented as a whole."""
    if isinstance(value, dict) and path not in whole:
        for key, inner in value.items():
            yield from paths(inner, whole, f"{path}.{key}" if path else key)
    else:
        yield path


def test_keys_of_cef_are_documented() -> None:
    there = {key for record in RECORDS for key in read_cef(RENDERERS["cef"](record))[1]}
    assert {key for key in there if not key.endswith("Label")} == siem_formats.names("cef")


def test_keys_of_leef_are_documented() -> None:
    there = {key for record in RECORDS for key in read_leef(RENDERERS["leef"](record))[1]}
    assert there == siem_formats.names("leef")


def test_fields_of_gelf_are_documented() -> None:
    there = {key for record in RECORDS for key in gelf.alert_message(record)}
    names = siem_formats.names("gelf")
    assert {key for key in there if not key.startswith("_netwatch_")} == names


def test_documented_versions_are_those_that_are_written() -> None:
    line = {name: RENDERERS[name](RECORDS[1]) for name in ("cef", "leef", "gelf", "ecs", "ocsf")}
    versions = {name: FORMATS[name].specification for name in line}
    assert line["cef"].startswith(f"{versions['cef']}|")
    assert line["leef"].startswith(f"{versions['leef']}|")
    assert json.loads(line["gelf"])["version"] in versions["gelf"]
    assert json.loads(line["ecs"])["ecs"]["version"] in versions["ecs"]
    assert json.loads(line["ocsf"])["metadata"]["version"] in versions["ocsf"]
