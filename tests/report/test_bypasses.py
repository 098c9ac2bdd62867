"""From a capture to the report: a device that goes to DNS over HTTPS on its third day, and those
that go on asking."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from support.asked_stores import Ran, run
from support.asking_office import DAY, HOUR, START, Office, Talk, events, frames, mac_of, switched
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
    app = Talk(
        START + 2 * DAY + 12 * HOUR, START + 2 * DAY + 12 * HOUR + 10**9, HIDING,
        bytes([10, 20, 1, 10 + HIDING]), 50_000, bytes([203, 0, 113, 9]), 80, "www.tiktok.com",
    )  # fmt: skip
    shown = frames([*events(switched(OFFICE, HIDING, 2, "doh"), 1), app])
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


@pytest.fixture(scope="module")
def judged(config: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same, whose days were judged, without the facts from which they were."""
    folder = tmp_path_factory.mktemp("judged")
    shutil.copytree(Path(config).parent / "kept", folder / "kept")
    path = folder / "netwatch.yaml"
    path.write_text(CONFIGURATION.format(store=folder / "kept"))
    done = run("store", "compact", "-c", str(path), "--format", "jsonl")
    assert done.status == 0, done.errors
    assert done.records[0]["judged"] == OFFICE.days
    path.write_text(path.read_text() + "retention: {observations: 1d}\n")
    done = run("store", "prune", "-c", str(path), "--format", "jsonl")
    assert done.status == 0, done.errors
    assert done.records[0]["rows"] > 0
    return str(path)


def test_what_was_judged_outlives_the_facts(config: str, judged: str, tmp_path: Path) -> None:
    for words in ((), ("--format", "jsonl"), ("--format", "csv")):
        assert asked(judged, *words).output == asked(config, *words).output
    found = []
    for path in (config, judged):
        target = str(tmp_path / "report.json")
        made = run("report", *PERIOD, "-c", path, "--devices", "-o", target)
        assert made.status == 0, made.errors
        found.append(json.loads(Path(target).read_text())["coverage"]["bypasses"])
    assert found[0] == found[1]


def test_explain_says_when_the_device_hid_its_lookups(config: str, judged: str) -> None:
    alerts = run("store", "query", "incidents", "-c", judged, "--format", "jsonl").records
    (alert,) = (each for each in alerts if each["device"]["mac"] == MAC)
    (record,) = asked(judged, "--format", "jsonl").records
    page = " ".join(run("explain", alert["id"], "-c", judged).output.split())
    assert "It hid its lookups on 1 day from 2023-03-03 to 2023-03-03" in page
    assert f"2023-03-03: {record['untold']} of {record['contacts']} (share-above-past" in page
    (shown,) = run("explain", alert["id"], "-c", judged, "--format", "jsonl").records
    assert [each["untold"] for each in shown["hidden"]] == [record["untold"]]
    # Nobody has judged the day there yet.
    assert "hid its lookups" not in run("explain", alert["id"], "-c", config).output


def test_an_erased_device_is_in_no_record(judged: str, tmp_path: Path) -> None:
    shutil.copytree(Path(judged).parent / "kept", tmp_path / "kept")
    path = tmp_path / "netwatch.yaml"
    path.write_text(CONFIGURATION.format(store=tmp_path / "kept"))
    done = run("store", "erase", "--device", MAC, "--yes", "-c", str(path), "--format", "jsonl")
    assert done.status == 0, done.errors
    assert done.records[0]["bypasses"] == 1
    assert asked(str(path)).output == ""


SEALED = """version: 1
networks:
  - {{name: byod, cidrs: [10.20.1.0/24], class: personal, authority: City}}
  - {{name: resolvers, cidrs: [10.20.0.0/24], class: infrastructure}}
bans:
  - {{id: city, authority: City, apps: [tiktok], forbids: [personal], timezone: UTC}}
store: {{path: {store}}}
privacy: {{pseudonyms: [personal], key: {{file: {key}}}}}
"""


def test_a_personal_device_has_the_pseudonym_of_its_alerts(config: str, tmp_path: Path) -> None:
    key, path = tmp_path / "key", tmp_path / "netwatch.yaml"
    key.write_text("5a" * 32 + "\n")
    key.chmod(0o600)
    path.write_text(SEALED.format(store=tmp_path / "kept", key=key))
    capture = str(Path(config).parent / "office.pcap")
    assert run("scan", "-q", "--store", capture, "-c", str(path)).status == 0
    assert run("store", "compact", "-c", str(path)).status == 0
    (record,) = asked(str(path), "--format", "jsonl").records
    (alert,) = run("store", "query", "incidents", "-c", str(path), "--format", "jsonl").records
    assert record["device"]["id"] == alert["device"]["id"]
    assert alert["device"]["ip"] is None
    address = f"10.20.1.{10 + HIDING}"
    assert not {MAC, address} & {*json.dumps(record).replace('"', " ").split()}
    assert "It hid its lookups on 1 day" in run("explain", alert["id"], "-c", str(path)).output
    words = ("--device", address, "--yes", "--format", "jsonl")
    done = run("store", "erase", *words, "-c", str(path))
    assert done.records[0]["bypasses"] == 1, done.errors
    assert asked(str(path)).output == ""
