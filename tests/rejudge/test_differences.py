"""What other signatures, bans, exemptions, devices and dates make of the stored past."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from craft import Wire
from support.office import (
    CONFIG,
    DEVICES,
    DURING,
    FAR,
    LAB,
    PERSONAL,
    SERVICE,
    capture,
    configured,
    hello,
)

from netwatch.cli import main

Run = Callable[..., str]

EXAMPLE = """app: example
name: Example
vendor: example
category: video
domains:
  - {suffix: example.org, role: exclusive, sources: [v2fly, nextdns]}
"""
OURS = """app: tiktok
name: TikTok
vendor: bytedance
category: video
domains:
  - {host: www.tiktok.com, role: vendor, sources: [v2fly, nextdns]}
"""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a day: a service device, a lab with an exemption and a personal one contact
    TikTok; the service device contacts www.example.org an hour later."""
    folder = tmp_path_factory.mktemp("day")
    wire = Wire(DURING, 3)
    for client in (SERVICE, LAB, PERSONAL):
        hello(wire, client, FAR)
        wire.wait(5)
    wire.wait(3600)
    hello(wire, SERVICE, FAR, "www.example.org")
    path = capture(folder / "day.pcap", wire)
    place = folder / "store"
    words = ["scan", "-q", "-c", configured(folder), "--store-path", str(place), path]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(words) == 0
    return place


@pytest.fixture
def store(day: Path, tmp_path: Path) -> str:
    """A copy of it, which the test may change."""
    return str(shutil.copytree(day, tmp_path / "store"))


@pytest.fixture
def judged(run: Run, office: str, store: str) -> Callable[..., list[dict[str, Any]]]:
    """The differences under other options, or under another configuration."""

    def _judged(*options: str, config: str = office) -> list[dict[str, Any]]:
        common = ("-q", "-c", config, "--store-path", store, "--format", "jsonl")
        return [json.loads(line) for line in run("rejudge", *common, *options).splitlines()]

    return _judged


Judged = Callable[..., list[dict[str, Any]]]


def changes(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["change"], (each["after"] or each["before"])["device"]["id"]) for each in found]


def test_nothing_is_different_under_the_same_configuration(judged: Judged) -> None:
    assert judged() == []


def test_a_new_signature_gives_new_incidents_by_its_rule(judged: Judged, tmp_path: Path) -> None:
    signatures = tmp_path / "signatures"
    signatures.mkdir()
    (signatures / "example.yaml").write_text(EXAMPLE)
    bans = tmp_path / "bans.yaml"
    ours = CONFIG[CONFIG.index("bans:") : CONFIG.index("signatures:")]
    bans.write_text(ours.replace("apps: [tiktok]", "apps: [tiktok, example]"))
    (found,) = judged("--signatures", "builtin", str(signatures), "--bans", str(bans))
    assert (found["change"], found["before"]) == ("new", None)
    assert found["after"]["app"]["id"] == "example"
    assert found["after"]["names"] == ["www.example.org"]
    assert found["reason"] == (
        "www.example.org matches 'suffix example.org' of Example, role exclusive, grade confirmed"
        f" ({signatures / 'example.yaml'}:6); ban 'our-rule' forbids Example on devices of class"
        " service, in force from 2023-03-10 (Europe/Brussels)"
    )


def test_a_signature_that_is_left_out_withdraws_its_incidents(
    judged: Judged, tmp_path: Path
) -> None:
    (tmp_path / "tiktok.yaml").write_text(OURS.replace("www.tiktok.com", "m.tiktok.com"))
    found = judged("--signatures", str(tmp_path / "tiktok.yaml"))
    assert changes(found) == [
        ("withdrawn", "10.20.1.7"),
        ("withdrawn", "lab-07"),
        ("withdrawn", "10.30.4.8"),
    ]
    assert all(each["after"] is None for each in found)
    assert (
        "no rule matches www.tiktok.com any more (before: 'suffix tiktok.com'"
        in (found[0]["reason"])
    )


def test_a_rule_of_another_weight_changes_incidents(judged: Judged, tmp_path: Path) -> None:
    (tmp_path / "tiktok.yaml").write_text(OURS)
    found = judged("--signatures", str(tmp_path / "tiktok.yaml"))
    assert {each["change"] for each in found} == {"changed"}
    assert found[0]["before"]["evidence"][0]["role"] == "exclusive"
    assert found[0]["after"]["evidence"][0]["role"] == "vendor"
    assert "evidence" in found[0]["fields"]
    assert (
        f"'host www.tiktok.com' of TikTok, role vendor, grade probable ({tmp_path}"
        in (found[0]["reason"])
    )


def test_an_exemption_that_is_left_out_changes_the_verdict(judged: Judged, tmp_path: Path) -> None:
    bans = tmp_path / "bans.yaml"
    bans.write_text(CONFIG[CONFIG.index("bans:") : CONFIG.index("exemptions:")])
    (found,) = judged("--bans", str(bans))
    assert changes([found]) == [("changed", "lab-07")]
    assert (found["before"]["verdict"], found["after"]["verdict"]) == ("exempt", "violation")
    assert "ban 'our-rule' forbids TikTok on devices of class service" in found["reason"]


def test_a_ban_that_is_left_out_withdraws_its_incidents(judged: Judged, tmp_path: Path) -> None:
    bans = tmp_path / "bans.yaml"
    bans.write_text("bans: []\n")
    found = judged("--bans", str(bans))
    assert {each["change"] for each in found} == {"withdrawn"}
    assert {each["reason"] for each in found} == {"no ban 'our-rule' is configured"}


def test_days_decide_as_if_all_had_happened_then(judged: Judged) -> None:
    found = judged("--at", "2023-09-11")
    assert {each["change"] for each in found} == {"withdrawn"}
    assert {each["reason"] for each in found} == {"ban 'our-rule' is not in force on 2023-09-11"}
    assert judged("--at", "2023-04-30") == []
    (found_later,) = judged("--at", "2023-07-01")
    assert changes([found_later]) == [("changed", "lab-07")]
    assert found_later["after"]["verdict"] == "violation"
    assert found_later["after"]["ban"]["from"] == "2023-03-10"


def test_the_inventory_changes_who_a_device_is(judged: Judged, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    folder.mkdir()
    config = configured(folder)
    (folder / "devices.csv").write_text(DEVICES + "ws-1,,10.20.1.7,ws-1,Alice,service\n")
    (found,) = judged(config=config)
    assert found["change"] == "changed"
    assert (found["before"]["device"]["id"], found["after"]["device"]["id"]) == (
        "10.20.1.7",
        "ws-1",
    )
    assert "device.owner is 'Alice', was empty" in found["reason"]
    row = f"{folder / 'devices.csv'}:4"
    assert f"the inventory changed: it has a row for the device now ({row})" in found["reason"]
    assert "leases" not in found["reason"]


def test_a_row_that_is_left_out_or_changed_is_named(
    run: Run, tmp_path: Path, store: str, day: Path
) -> None:
    folder = tmp_path / "later"
    folder.mkdir()
    config = configured(folder)
    header, _, others = DEVICES.partition("\n")
    rows = [f"{header},from", *(f"{row},2023-04-01" for row in others.splitlines())]
    (folder / "devices.csv").write_text("\n".join(rows) + "\n")
    common = ("-q", "--store-path", store, "--format", "jsonl", "-c")
    found = [json.loads(line) for line in run("rejudge", *common, config).splitlines()]
    (lab,) = (each for each in found if each["before"]["device"]["id"] == "lab-07")
    assert lab["fields"] == ["binding"]
    assert re.search(
        r"its row of the inventory is valid from 2023-0\S+ until further notice, was valid from"
        r" the beginning until further notice \(\S+devices.csv:\d\)",
        lab["reason"],
    ), lab["reason"]
    kept = [row for row in others.splitlines() if not row.startswith("lab-07")]
    (folder / "devices.csv").write_text("\n".join([header, *kept]) + "\n")
    text = Path(config).read_text()
    Path(config).write_text(text[: text.index("exemptions:")] + text[text.index("signatures:") :])
    found = [json.loads(line) for line in run("rejudge", *common, config).splitlines()]
    (lab,) = (each for each in found if each["before"]["device"]["id"] == "lab-07")
    was = day.with_name("devices.csv")
    assert re.search(
        rf"the inventory changed: no row is taken for the device any more \(before: {was}:\d\)",
        lab["reason"],
    ), lab["reason"]


def test_a_class_that_no_ban_mentions_withdraws(judged: Judged, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    folder.mkdir()
    config = configured(folder)
    (folder / "devices.csv").write_text(DEVICES + "ws-1,,10.20.1.7,ws-1,Alice,guest\n")
    (found,) = judged(config=config)
    assert found["change"] == "withdrawn"
    assert "does not apply to devices of class guest" in found["reason"]
    assert "inventory line 4" in found["reason"]


def test_only_incidents_of_the_period_count(judged: Judged) -> None:
    nothing = ("--at", "2020-01-01")
    assert len(judged(*nothing)) == 3
    assert len(judged(*nothing, "--since", "2023-04-03", "--until", "2023-04-03")) == 3
    assert judged(*nothing, "--since", "2023-04-04") == []
    assert len(judged(*nothing, "--until", "2023-04-03T08:00:03Z")) == 1


def test_the_status_says_whether_there_is_a_difference(run: Run, office: str, store: str) -> None:
    common = ("rejudge", "-q", "-c", office, "--store-path", store, "--fail-on-change")
    assert run(*common) == ""
    table = run(*common, "--at", "2020-01-01", status=3)
    assert re.search(
        r"^withdrawn  2023-04-03T08:00:0\S+Z  10.20.1.7  TikTok  our-rule$", table, re.M
    )
    assert "  because  ban 'our-rule' is not in force on 2020-01-01\n" in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "csv"], "--format csv: differences have the format table or jsonl"),
        (["--since", "soon"], "--since: expected a time like"),
        (["--bans", "missing.yaml"], "missing.yaml"),
        (["--signatures", "missing.yaml"], "missing.yaml"),
    ],
)
def test_mistakes_are_reported_with_what_is_expected(
    options: list[str], message: str, office: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rejudge", "-c", office, "--store-path", store, *options]) == 2
    assert message in capsys.readouterr().err


def test_a_file_of_bans_with_a_typo_is_reported(
    office: str, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bans = tmp_path / "bans.yaml"
    bans.write_text("bans: []\nexemption: []\n")
    command = ["rejudge", "-c", office, "--store-path", store, "--bans", str(bans)]
    assert main(command) == 2
    assert f"{bans}:2: unknown key 'exemption'" in capsys.readouterr().err


def test_without_a_store_it_says_so(
    office: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rejudge", "-c", office, "--store-path", str(tmp_path / "none")]) in (1, 2)
    assert str(tmp_path / "none") in capsys.readouterr().err
