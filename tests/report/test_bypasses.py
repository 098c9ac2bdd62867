"""From a capture to the report: a device that goes to DNS over HTTPS on its third day, and those
that go on asking."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from support.asked_stores import Ran, run
from support.asking_office import Office, events, frames, mac_of, switched
from support.captures import pcap

from netwatch.coverage.bypass import REASONS
from netwatch.formats.registry import schema_text
from netwatch.report import tables
from netwatch.report.page import report_language
from netwatch.report.values import Bypasses, BypassRow

CONFIGURATION = """version: 1
networks:
  - {{name: hq, cidrs: [10.20.1.0/24], class: service, authority: City}}
  - {{name: resolvers, cidrs: [10.20.0.0/24], class: infrastructure}}
bans:
  - {{id: city, authority: City, apps: [tiktok], forbids: [service], timezone: UTC}}
store: {{path: {store}}}
"""
OFFICE = replace(Office(), devices=5, days=3, visits=20, names=60, quirks=0.0, idle=0.0)
HIDING = 2
MAC = mac_of(HIDING).hex(":")
PERIOD = ("--from", "2023-03-01", "--to", "2023-03-03")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The configuration of a store into which the office was scanned."""
    folder = tmp_path_factory.mktemp("hiding")
    path = folder / "netwatch.yaml"
    path.write_text(CONFIGURATION.format(store=folder / "kept"))
    shown = frames(events(switched(OFFICE, HIDING, 2, "doh"), 1))
    (folder / "office.pcap").write_bytes(pcap(shown))
    done = run("scan", "-q", "--store", str(folder / "office.pcap"), "-c", str(path))
    assert done.status == 0, done.errors
    return str(path)


def asked(config: str, *words: str) -> Ran:
    done = run("store", "query", "bypasses", "-c", config, *words)
    assert done.status == 0, done.errors
    return done


def test_the_device_is_found_with_its_reasons_and_no_other(config: str) -> None:
    records = asked(config, "--format", "jsonl").records
    assert [(each["day"], each["device"]["id"]) for each in records] == [("2023-03-03", MAC)]
    schema = json.loads(schema_text("bypass"))
    for each in records:
        jsonschema.validate(each, schema)
        assert each["untold"] <= each["contacts"]
        assert each["interval"][0] <= each["share"] <= each["interval"][1]
        assert each["past"]["days"] == 2
        assert each["past"]["untold"] < 10
        assert each["others"]["devices"] == OFFICE.devices - 1
        assert each["named"] > 0
        assert each["addresses"][0]["contacts"] >= each["addresses"][-1]["contacts"] > 0
        codes = [reason["code"] for reason in each["reasons"]]
        assert codes == ["share-above-past", "share-above-others", "fewer-lookups", "names-shown"]
        assert "tiktok" not in json.dumps(each)


def test_filters_and_formats(config: str) -> None:
    for words in (["--since", "2023-03-03"], ["--until", "2023-03-03"], ["--device", MAC.upper()]):
        assert len(asked(config, *words, "--format", "jsonl").records) == 1
    assert asked(config, "--device", "10.20.1.10", "--format", "jsonl").records == []
    assert asked(config, "--network", "resolvers", "--format", "jsonl").records == []
    assert asked(config, "--until", "2023-03-02").output == ""
    rows = list(csv.DictReader(io.StringIO(asked(config, "--format", "csv").output)))
    assert [(row["day"], row["device"]) for row in rows] == [("2023-03-03", MAC)]
    lines = asked(config).output.splitlines()
    assert lines[0].split() == [
        "day", "device", "network", "untold", "share", "before", "others", "reasons",
    ]  # fmt: skip
    assert len(lines) == 2
    refused = run("store", "query", "bypasses", "-c", config, "--app", "tiktok")
    assert refused.status == 2


def test_the_report_lists_it(config: str, tmp_path: Path) -> None:
    made = run("report", *PERIOD, "-c", config, "--devices", "-o", str(tmp_path / "report.json"))
    assert made.status == 0, made.errors
    found = json.loads((tmp_path / "report.json").read_text())["coverage"]["bypasses"]
    (row,) = found["devices"]
    assert (row["device"], row["first"], row["last"]) == (MAC, "2023-03-03", "2023-03-03")
    assert (row["days"], found["left"], found["unread"]) == (1, 0, 0)
    assert found["judged"] == OFFICE.devices * OFFICE.days
    page = tmp_path / "report.html"
    made = run("report", *PERIOD, "-c", config, "--devices", "-o", str(page))
    assert made.status == 0, made.errors
    assert "Devices whose lookups were not visible" in page.read_text()


CAPTIONS = {
    "en": "Devices whose lookups were not visible",
    "fr": "Appareils dont les demandes de noms n'étaient pas visibles",
    "nl": "Apparaten waarvan de naamopvragingen niet zichtbaar waren",
    "de": "Geräte, deren Namensabfragen nicht sichtbar waren",
}


@pytest.mark.parametrize("code", CAPTIONS)
def test_the_table_is_in_each_language(code: str) -> None:
    row = BypassRow(
        "ws-1", "hq", "service", "2023-03-03", "2023-03-05", 3, 90, 80, 80 / 90, 0.8, None, 0.01,
        REASONS,
    )  # fmt: skip
    used = report_language(code)
    grid = tables.bypasses(Bypasses((row,), 2, 100, 1), used)
    assert grid.caption.startswith(CAPTIONS[code])
    (cells,) = grid.table.rows
    assert cells[0] == "ws-1"
    assert "88" in cells[5]
    assert cells[-1].count(";") == len(REASONS) - 1
    if code != "en":
        english = tables.bypasses(Bypasses((row,), 2, 100, 1), report_language("en"))
        assert not {*cells[-1].split("; ")} & {*english.table.rows[0][-1].split("; ")}
        assert not {*grid.caption.split("; ")} & {*english.caption.split("; ")}


def test_a_report_without_names_of_devices_has_pseudonyms(config: str, tmp_path: Path) -> None:
    made = run("report", *PERIOD, "-c", config, "-o", str(tmp_path / "report.json"))
    assert made.status == 0, made.errors
    text = (tmp_path / "report.json").read_text()
    assert len(json.loads(text)["coverage"]["bypasses"]["devices"]) == 1
    assert MAC not in text
