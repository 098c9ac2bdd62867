"""The Splunk app passes Splunk's own inspection, and each kind of incident is in all its parts."""

import configparser
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import get_args

import pytest
from siem_packages import __main__ as program
from siem_packages import splunk

from netwatch.core.alert import IncidentKind

KINDS = get_args(IncidentKind)
FILES = splunk.files()


def stanzas(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=True, delimiters=("=",))
    parser.read_string(FILES[f"default/{name}.conf"])
    return parser


def test_each_kind_has_an_event_type_a_search_a_panel_and_a_meaning() -> None:
    types = {f"netwatch_{kind}" for kind in KINDS}
    assert set(stanzas("eventtypes").sections()) == {"netwatch_alert", *types}
    searches = stanzas("savedsearches")
    texts = " ".join(searches[name]["search"] for name in searches.sections())
    assert set(re.findall(r"eventtype=(\w+)", texts)) == types
    view = ET.fromstring(FILES["default/data/ui/views/netwatch.xml"])
    queries = " ".join(each.text or "" for each in view.iter("query"))
    assert set(re.findall(r"eventtype=(\w+)", queries)) == types
    rows = FILES["lookups/netwatch_kinds.csv"].splitlines()
    assert [row.partition(",")[0] for row in rows] == ["kind", *KINDS]


def test_no_search_runs_before_somebody_turns_it_on() -> None:
    searches = stanzas("savedsearches")
    assert {searches[name]["enablesched"] for name in searches.sections()} == {"0"}


def test_the_inspection_of_splunk_finds_nothing_wrong(tmp_path: Path) -> None:
    inspect = shutil.which("splunk-appinspect")
    if inspect is None:
        pytest.skip("splunk-appinspect is not installed: pip install splunk-appinspect")
    (packed,) = (c for name, c in program.packages(1_700_000_000).items() if "splunk" in name)
    app, report = tmp_path / "netwatch.tar.gz", tmp_path / "report.json"
    app.write_bytes(packed)
    command = [inspect, "inspect", str(app), "--mode", "precert", "--data-format", "json"]
    done = subprocess.run(
        [*command, "--output-file", str(report)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout
    summary = json.loads(report.read_text(encoding="utf-8"))["summary"]
    wrong = {key: summary[key] for key in ("error", "failure", "future_failure", "warning")}
    assert not any(wrong.values()), done.stdout[-4000:]
    assert summary["success"] > 100
