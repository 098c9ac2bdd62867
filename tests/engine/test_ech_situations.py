"""Situations of ECH with known answers, by every way that gives alerts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from craft import Wire
from support import made_ech
from support.captures import pcap
from support.office import CONFIG, capture, configured
from support.situations.ech import (
    APP,
    BLOG,
    DEVICE,
    PAGE,
    RESOLVER,
    SERVER,
    SITUATIONS,
    START,
)
from support.situations.situation import Situation

from netwatch.cli import main

BY_ID = {each.id: each for each in SITUATIONS}
ALL = CONFIG.replace("severity: high", "severity: high\n    min_confidence: possible")
"""Of weak evidence there are alerts too, so that a test sees it."""
OUTER = "edge.cdn-front.example"
LINKED = [
    "ech-page",
    "ech-app",
    "ech-quic",
    "ech-all-banned",
    "ech-mixed",
    "ech-outer-name-visited",
]

Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return _run


def written(folder: Path, situation: Situation) -> str:
    path = folder / f"{situation.id}.pcap"
    path.write_bytes(pcap(situation.frames()))
    return str(path)


def alerts(lines: str) -> list[dict[str, Any]]:
    records = map(json.loads, lines.splitlines())
    return [each for each in records if each["schema"] == "netwatch.alert/1"]


def unnamed(lines: str) -> dict[str, int]:
    """How many flows are blind spots, by the reason."""
    records = map(json.loads, lines.splitlines())
    (coverage,) = (each for each in records if each["schema"] != "netwatch.alert/1")
    found: dict[str, int] = coverage["networks"][0]["unnamed"]
    return found


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.id)
def test_a_situation_has_its_answer(situation: Situation, tmp_path: Path, run: Run) -> None:
    capture, config = written(tmp_path, situation), configured(tmp_path)
    expected = situation.expected
    lines = run("scan", "-q", "-c", config, "--format", "jsonl", "--coverage", capture)
    found = alerts(lines)
    assert [each["confidence"] for each in found] == [expected.confidence] * len(found)
    assert len(found) == (expected.confidence is not None)
    for alert in found:
        assert expected.kind in (None, alert["kind"]["value"])
        assert expected.outcome in (None, alert["outcome"])
        assert alert["names"] == sorted(expected.names)
    assert list(unnamed(lines)) == ([expected.blind] if expected.blind else [])


def candidates(run: Run, folder: Path, name: str) -> list[tuple[list[str], str]]:
    """The sets of candidates of a situation, with the confidence of the hello alone."""
    capture, config = written(folder, BY_ID[name]), configured(folder, ALL)
    (alert,) = alerts(run("scan", "-q", "-c", config, "--format", "jsonl", capture))
    assert "ech-from-dns" in {each["type"] for each in alert["evidence"]} or not alert["candidates"]
    return [(each["names"], each["why"]) for each in alert["candidates"]]


def test_all_names_of_a_set_are_listed(tmp_path: Path, run: Run) -> None:
    ((names, why),) = candidates(run, tmp_path, "ech-mixed")
    assert names == [APP, BLOG]
    assert OUTER in why
    assert "not all of which are banned" in why
    ((names, why),) = candidates(run, tmp_path, "ech-all-banned")
    assert names == [APP, PAGE]
    assert "all of which are banned" in why
    ((names, _),) = candidates(run, tmp_path, "ech-outer-name-visited")
    assert names == [APP, OUTER]


@pytest.mark.parametrize("name", sorted({*BY_ID} - {*LINKED, "ech-unknown"}))
def test_other_hellos_have_no_candidates(name: str, tmp_path: Path, run: Run) -> None:
    assert candidates(run, tmp_path, name) == []


def test_every_way_gives_the_same_alerts(tmp_path: Path, run: Run) -> None:
    """Jobs, a capture in pieces, a store judged again, and evidence captures."""
    config = configured(tmp_path, ALL)
    for situation in SITUATIONS:
        written(tmp_path, situation)
    captures = [str(tmp_path / f"{situation.id}.pcap") for situation in SITUATIONS]
    common = ("-q", "-c", config, "--format", "jsonl")
    store = ("--store-path", str(tmp_path / "store"))
    once = run("scan", *common, "--jobs", "1", *captures)
    sets = [each["names"] for alert in alerts(once) for each in alert["candidates"]]
    assert sorted(sets) == [[APP], [APP, OUTER], [APP, BLOG], [APP, PAGE], [PAGE]]
    assert run("scan", *common, "--jobs", "3", *captures) == once
    assert run("scan", *common, *store, *captures) == once
    assert run("rejudge", *common, *store, "--all") == once
    continuous = run("scan", *common, "--jobs", "1", "--continuous", *captures)
    assert run("scan", *common, "--jobs", "2", "--continuous", *captures) == continuous


def test_a_ban_on_other_names_changes_what_a_hello_proves(tmp_path: Path, run: Run) -> None:
    """Only where the same ban covers all names, and at that time."""
    capture = written(tmp_path, BY_ID["ech-all-banned"])
    one = configured(tmp_path, CONFIG.replace("apps: [tiktok]", "apps: [wechat]"))
    assert run("scan", "-q", "-c", one, "--format", "jsonl", capture) == ""
    late = configured(tmp_path, CONFIG.replace("from: 2023-03-10", "from: 2023-08-10"))
    assert run("scan", "-q", "-c", late, "--format", "jsonl", capture) == ""


TWO_BANS = """
  - id: other-rule
    authority: City of Example
    apps: [capcut]
    forbids: [service]
    timezone: Europe/Brussels
    severity: high
exemptions:
"""


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        (CONFIG.replace("apps: [tiktok]", "apps: [tiktok, capcut]"), "probable"),
        (CONFIG.replace("\nexemptions:\n", TWO_BANS), None),
        (CONFIG, None),
    ],
    ids=["one ban", "a ban for each", "one is not banned"],
)
def test_of_two_apps_both_have_to_be_banned_by_one_ban(
    text: str, confidence: str | None, tmp_path: Path, run: Run
) -> None:
    wire = Wire(START, 1)
    for name in (PAGE, "www.capcut.com"):
        made_ech.give(wire, DEVICE, RESOLVER, name, SERVER.ip)
    made_ech.hello(wire, DEVICE, SERVER)
    path = capture(tmp_path / "two.pcap", wire)
    weak = text.replace("severity: high", "severity: high\n    min_confidence: possible")
    lines = run("scan", "-q", "-c", configured(tmp_path, weak), "--format", "jsonl", path)
    found = alerts(lines)
    pieces = {
        (each["app"]["id"], piece["type"]): each for each in found for piece in each["evidence"]
    }
    linked = [each for (_, kind), each in pieces.items() if kind == "ech-from-dns"]
    assert len(linked) == 1
    assert [each["names"] for each in linked[0]["candidates"]] == [["www.capcut.com", PAGE]]
    why = linked[0]["candidates"][0]["why"]
    assert ("not all of which" in why) is (confidence is None)
    assert (linked[0]["counts"]["handshakes"] == 1) is (confidence is not None)


def test_explain_lists_the_names(tmp_path: Path, run: Run) -> None:
    capture, config = written(tmp_path, BY_ID["ech-all-banned"]), configured(tmp_path)
    lines = run("scan", "-q", "-c", config, "--format", "jsonl", capture)
    (alert,) = alerts(lines)
    file = tmp_path / "alerts.jsonl"
    file.write_text(lines)
    page = run("explain", "-c", config, alert["id"], "--alerts", str(file))
    words = " ".join(page.split())
    assert f"one of {APP}, {PAGE}" in words
    assert f"The hello shows {OUTER} and hides its name" in words
    assert "Which name the device contacted in a hello that hides it." in words


def test_names_show_the_keys_and_the_outer_hello(tmp_path: Path, run: Run) -> None:
    capture = written(tmp_path, BY_ID["ech-app"])
    shown = run("names", "-q", "--format", "jsonl", capture)
    records = [json.loads(line) for line in shown.splitlines()]
    (answer,) = (each for each in records if each["evidence"] == "dns-answer")
    (config,) = answer["dns"]["ech_configs"]
    assert config == f"{OUTER}/42/66687aadf862bd77/300"
    (hello,) = (each for each in records if each["evidence"] == "tls-sni")
    assert hello["tls"]["ech"] == "outer"
    assert hello["tls"]["ech_config_id"] == "42"
    grease = written(tmp_path, BY_ID["ech-grease"])
    shown = run("names", "-q", "--format", "jsonl", grease)
    records = [json.loads(line) for line in shown.splitlines()]
    (hello,) = (each for each in records if each["evidence"] == "tls-sni")
    assert hello["tls"] == hello["tls"] | {"ech": "grease", "ech_config_id": "43"}
