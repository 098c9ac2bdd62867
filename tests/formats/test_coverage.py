"""The report of blind spots in every format."""

import io
import json

import pytest
from support.made_records import ALERT, HOSTILE

from netwatch.core.verdict import Network
from netwatch.coverage.counts import Coverage, CoverageReport
from netwatch.coverage.flow_visibility import Visibility
from netwatch.formats import coverage
from netwatch.formats.registry import FORMATS

MISSED = "range 10.30.0.0/16 matches only in VLAN 30"
UNKNOWN = "the ban does not apply to devices whose class is unknown: it is a proxy"
HQ, BYOD = Network("hq", "service"), Network("byod", "personal")


def report(devices: int = 12, limit: int = 20_000) -> CoverageReport:
    """Device n of hq has n flows with ECH and one that is named; one of byod is named."""
    found = Coverage(limit)
    for number in range(devices):
        for _ in range(number):
            found.add(HQ, f"10.20.1.{number}", "ech")
        found.add(HQ, f"10.20.1.{number}", "named")
    found.add(BYOD, "10.30.1.1", "named")
    found.add(None, "203.0.113.9", "no-hello")
    found.add_missed(MISSED, 1)
    anomalies = {"payload-cut": 2, "capture-dropped": 3, "encrypted-ip": 1}
    return found.report(1234, anomalies, {UNKNOWN: 3, "never": 0})


def written(kind: str, report: CoverageReport, everything: bool = False) -> tuple[str, bool]:
    out = io.StringIO()
    writer = FORMATS[kind].writer(out)
    expressed = writer.coverage(report, everything)
    writer.end()
    return out.getvalue(), expressed


def test_record_of_coverage() -> None:
    text, expressed = written("jsonl", report(2))
    assert expressed
    assert text.count("\n") == 1
    assert json.loads(text) == {
        "schema": "netwatch.coverage/1",
        "flows": 5,
        "named": 3,
        "unnamed": {"ech": 1, "no-hello": 1},
        "packets": {"seen": 1234, "cut": 2, "dropped": 3, "unreadable": {"encrypted-ip": 1}},
        "networks": [
            {
                "name": "byod",
                "class": "personal",
                "flows": 1,
                "named": 1,
                "unnamed": {},
                "devices": [{"id": "10.30.1.1", "flows": 1, "named": 1, "unnamed": {}}],
                "rest": {"flows": 0, "named": 0, "unnamed": {}},
            },
            {
                "name": "hq",
                "class": "service",
                "flows": 3,
                "named": 2,
                "unnamed": {"ech": 1},
                "devices": [
                    {"id": "10.20.1.0", "flows": 1, "named": 1, "unnamed": {}},
                    {"id": "10.20.1.1", "flows": 2, "named": 1, "unnamed": {"ech": 1}},
                ],
                "rest": {"flows": 0, "named": 0, "unnamed": {}},
            },
        ],
        "outside": {"flows": 1, "named": 0, "unnamed": {"no-hello": 1}, "missed": {MISSED: 1}},
        "without_verdict": {UNKNOWN: 3},
    }


def test_a_record_is_read_as_it_was_written() -> None:
    found = report()
    assert coverage.read_report(coverage.report_record(found)) == found


def test_the_table_has_why_contacts_have_no_verdict() -> None:
    rows = [row for row in coverage.report_rows(report(), False) if row[0] == "no verdict"]
    assert rows == [("no verdict", "3 contacts", "", "", "", UNKNOWN)]


def test_record_lists_all_devices() -> None:
    assert written("jsonl", report(30), False) == written("jsonl", report(30), True)


def test_csv_cannot_express_coverage() -> None:
    assert written("csv", report()) == ("", False)


def test_table_lists_devices_with_most_unnamed_flows_first() -> None:
    text, expressed = written("table", report())
    assert expressed
    lines = [line.split() for line in text.splitlines()]
    assert lines[0][:5] == ["network", "device", "flows", "named", "share"]
    assert lines[1] == ["byod", "all", "1", "1", "1", "100", "%"]
    assert lines[2] == ["hq", "all", "12", "78", "12", "15", "%", "ech", "66"]
    assert lines[3] == ["10.20.1.11", "12", "1", "8", "%", "ech", "11"]
    assert [line[0] for line in lines[3:13]] == [f"10.20.1.{n}" for n in range(11, 1, -1)]
    assert lines[13] == ["2", "more", "3", "2", "66", "%", "ech", "1"]
    assert lines[14] == ["outside", "1", "0", "0", "%", "no-hello", "1"]
    assert lines[15] == ["by", "its", "tag", "1", *MISSED.split()]
    assert lines[16] == ["unreadable", "1", "of", "1,234", "packets", "encrypted-ip", "1"]
    assert lines[17][:4] == ["no", "verdict", "3", "contacts"], lines[17:]
    assert len(lines) == 19


def test_table_lists_all_devices_on_request() -> None:
    text, _ = written("table", report(), everything=True)
    assert text.count("10.20.1.") == 12
    assert "10.30.1.1" in text
    assert "more" not in text


def test_devices_beyond_the_limit_are_summed_up() -> None:
    rows = list(coverage.report_rows(report(12, 3), everything=False))
    assert ("", "beyond the limit", "75", "10", "13 %", "ech 65") in rows
    assert [row[1] for row in rows if row[0]] == [
        "all 1",
        "over 2",
        "",
        "1 of 1,234 packets",
        "3 contacts",
    ]


def test_table_is_separated_from_alerts() -> None:
    out = io.StringIO()
    writer = FORMATS["table"].writer(out)
    writer.alert(ALERT)
    writer.coverage(report(), False)
    assert "\n\nnetwork     device" in out.getvalue()


def test_reasons_are_ordered_by_frequency() -> None:
    found = Coverage()
    readings: list[Visibility] = ["ech", "vpn", "vpn", "named", "no-sni"]
    for each in readings:
        found.add(None, "", each)
    assert coverage.reasons(found.report(0, {}).total) == "vpn 2, ech 1, no-sni 1"


@pytest.mark.parametrize("kind", ["jsonl", "table"])
@pytest.mark.parametrize("name", [name for name in HOSTILE if name.strip()])
def test_hostile_text_of_an_inventory_cannot_break_a_line(kind: str, name: str) -> None:
    found = Coverage()
    found.add(HQ, name, "ech")
    text, _ = written(kind, found.report(1, {}))
    unsafe = set("\x1b\x07\r\u202e\u2028\x85\udcff")
    assert not unsafe & set(text)
    if kind == "jsonl":
        escaped_name = name.replace("\udcff", "\\udcff")
        assert json.loads(text)["networks"][0]["devices"][0]["id"] == escaped_name


def test_record_of_some_networks_counts_these_alone() -> None:
    whole = json.loads(written("jsonl", report(3))[0])
    hq = coverage.narrowed(whole, {"hq"}, ())
    assert [network["name"] for network in hq["networks"]] == ["hq"]
    assert (hq["flows"], hq["named"], hq["unnamed"]) == (6, 3, {"ech": 3})
    assert hq["outside"] == {"flows": 0, "named": 0, "unnamed": {}, "missed": {}}
    assert hq["packets"] == whole["packets"]
    assert hq["without_verdict"] == whole["without_verdict"]
    assert coverage.read_report(hq).total.flows == 6
    one = coverage.narrowed(whole, (), {"10.20.1.2"})
    assert (one["flows"], one["named"], one["unnamed"]) == (3, 1, {"ech": 2})
    assert coverage.narrowed(whole, (), ()) == whole
    assert coverage.narrowed(whole, {"none"}, ())["flows"] == 0
