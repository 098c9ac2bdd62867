"""The Wazuh package: the test that it ships, read as Wazuh's runtests.py reads it, against its own
decoder and rules. Wazuh's engine is in no index of packages, so decoding and rules are followed
here by their documentation."""

import configparser
import json
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from siem_packages import samples, wazuh
from support.made_records import FULL_ALERT
from support.paths import ROOT
from support.siem_imports import sample_records

from netwatch.formats import jsonl

RECORD = jsonl.alert_record(FULL_ALERT)
FILES = wazuh.files()
RULES = ET.fromstring(FILES["etc/rules/netwatch_rules.xml"]).findall("rule")
DECODER = ET.fromstring(FILES["etc/decoders/netwatch_decoders.xml"])
MAX_FIELDS = 256
"""The fields of an event that Wazuh keeps, unless its internal options say more."""

MAX_LINE = 65_536


def os_regex(pattern: str) -> re.Pattern[str]:
    """A pattern of Wazuh's OS_Regex, of which only classes, anchors and ``|`` are used: a dot is a
    dot, and a class is of ASCII."""
    assert not re.search(r"[()*\[\]{}?]|\\[^Sd]", pattern), pattern
    return re.compile(pattern.replace(".", r"\.").replace(r"\S", "[^ ]"), re.ASCII | re.IGNORECASE)


def flat(value: Any, path: str = "") -> dict[str, str]:
    """The fields that the JSON decoder makes of a record."""
    if not isinstance(value, dict):
        text = value if isinstance(value, str) else json.dumps(value)
        return {path: text}
    found: dict[str, str] = {}
    for key, each in value.items():
        found |= flat(each, f"{path}.{key}" if path else key)
    return found


def decoded(log: str) -> tuple[str, dict[str, str]]:
    """The name of the decoder of a line, and the fields."""
    if match := os_regex(DECODER.findtext("prematch", "")).match(log):
        name, log = DECODER.attrib["name"], log[match.end() :]
    else:
        assert log.startswith('{"')  # as the prematch of the decoder for JSON in Wazuh
        name = "json"
    return name, flat(json.loads(log))


def reached(log: str) -> tuple[str, int, int]:
    """The decoder, the rule and the level that a line reaches. Wazuh takes the last of a chain of
    rules; siblings here exclude each other."""
    decoder, fields = decoded(log)
    taken: set[str] = set()
    last = (decoder, 0, 0)
    for rule in RULES:
        above = rule.findtext("if_sid")
        if above is None:
            if rule.findtext("decoded_as") != decoder:
                continue
        elif not taken & set(above.split(",")):
            continue
        wanted = {each.attrib["name"]: each.text or "" for each in rule.findall("field")}
        if all(os_regex(text).search(fields.get(name, "")) for name, text in wanted.items()):
            taken.add(rule.attrib["id"])
            last = (decoder, int(rule.attrib["id"]), int(rule.attrib["level"]))
    return last


def shipped_tests() -> list[tuple[str, tuple[str, int, int]]]:
    parser = configparser.RawConfigParser(strict=True)
    parser.read_string(FILES["tests/netwatch.ini"])
    return [
        (log, (tests["decoder"], int(tests["rule"]), int(tests["alert"])))
        for tests in (parser[name] for name in parser.sections())
        for key, log in tests.items()
        if key.startswith("log ")
    ]


def test_each_alert_of_the_samples_reaches_its_rule_by_both_ways() -> None:
    tests = shipped_tests()
    assert [reached(log) for log, _ in tests] == [wanted for _, wanted in tests]
    assert len(tests) == 2 * len(samples.lines("jsonl"))
    groups = {"100700", "100706"}
    assert {str(rule) for _, (_, rule, _) in tests} == {r.attrib["id"] for r in RULES} - groups


def test_lines_fit_into_events_of_wazuh() -> None:
    for log, _ in shipped_tests():
        assert len(log.encode()) < MAX_LINE
        assert len(decoded(log)[1]) < MAX_FIELDS
    assert len(flat(RECORD)) < MAX_FIELDS


def test_the_samples_do_not_name_this_machine() -> None:
    text = FILES["tests/netwatch.ini"]
    (name,) = {record["sensor"]["name"] for record in sample_records("jsonl")}
    assert f'"name":"{samples.SENSOR}"' in text
    assert f'"sensor":{{"name":"{name}"' not in text
    assert str(ROOT) not in text


def fields_of(value: object, path: str = "") -> set[str]:
    if not isinstance(value, dict):
        return {path}
    dot = f"{path}." if path else ""
    return set().union(*(fields_of(each, f"{dot}{key}") for key, each in value.items()))


def test_rules_are_of_users_and_take_fields_that_there_are() -> None:
    ids = [int(rule.attrib["id"]) for rule in RULES]
    assert len(set(ids)) == len(ids) == 7
    assert all(100_000 <= number < 120_000 for number in ids)  # what is left to users
    there = fields_of(RECORD) - {"id", "status"}  # fields that Wazuh has for itself
    for rule in RULES:
        assert {field.attrib["name"] for field in rule.findall("field")} <= there
        assert set(re.findall(r"\$\(([^)]+)\)", rule.findtext("description", ""))) <= there
        above = rule.findtext("if_sid")
        assert above is None or {int(each) for each in above.split(",")} <= set(ids)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"verdict": "exempt"}, 3),
        ({"verdict": "advisory"}, 5),
        ({"verdict": "violation", "severity": "low"}, 8),
        ({"verdict": "violation", "severity": "critical", "confidence": "probable"}, 8),
        ({"verdict": "violation", "severity": "critical"}, 12),
        ({"verdict": "violation", "severity": "critical", "outcome": "blocked"}, 4),
        ({"verdict": "violation", "severity": "low", "outcome": "blocked"}, 4),
    ],
)
def test_levels(changes: dict[str, str], level: int) -> None:
    record = {**RECORD, **changes}
    assert reached(json.dumps(record))[2] == wazuh.expected(record)[1] == level


def test_wazuh_reads_the_file_as_json() -> None:
    root = ET.fromstring(FILES["localfile.xml"])
    assert root.findtext("localfile/log_format") == "json"
