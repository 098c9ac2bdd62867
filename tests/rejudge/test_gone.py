"""Facts that are gone, and stores of other kinds."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from craft import Wire
from support.examples import only_long
from support.office import CONFIG, DURING, FAR, PERSONAL, SERVICE, capture, configured, hello

from netwatch.cli import main

Run = Callable[..., str]


@pytest.fixture
def day(tmp_path: Path) -> str:
    """A service device and a personal one contact TikTok."""
    wire = Wire(DURING, 3)
    for client in (SERVICE, PERSONAL):
        hello(wire, client, FAR)
        wire.wait(5)
    return capture(tmp_path / "day.pcap", wire)


@pytest.mark.parametrize("place", [only_long("postgresql"), "s3"])
def test_stores_of_other_kinds_give_the_same_again(
    run: Run, request: pytest.FixtureRequest, day: str, tmp_path: Path, place: str
) -> None:
    path = request.getfixturevalue("s3_url") if place == "s3" else str(tmp_path / "store")
    database = request.getfixturevalue("postgres_url")
    config = configured(tmp_path, f"{CONFIG}store: {{path: '{path}', catalogue: '{database}'}}\n")
    common = ("-q", "-c", config, "--format", "jsonl")
    alerts = run("scan", *common, "--store", day)
    assert alerts.count("\n") == 2
    assert run("rejudge", *common, "--all") == alerts
    assert run("rejudge", *common) == ""
    found = run("rejudge", *common, "--at", "2020-01-01")
    assert [json.loads(line)["change"] for line in found.splitlines()] == ["withdrawn"] * 2


def test_the_captures_are_not_needed(run: Run, day: str, office: str, tmp_path: Path) -> None:
    """All that judging again reads is in the store."""
    common = ("-q", "-c", office, "--store-path", str(tmp_path / "store"), "--format", "jsonl")
    alerts = run("scan", *common, day)
    Path(day).unlink()
    assert alerts.count("\n") == 2
    assert run("rejudge", *common, "--all") == alerts
    assert run("rejudge", *common) == ""
    found = [
        json.loads(line) for line in run("rejudge", *common, "--at", "2020-01-01").splitlines()
    ]
    assert [each["change"] for each in found] == ["withdrawn"] * 2


def test_an_incident_whose_facts_are_gone_is_not_judged(
    run: Run, day: str, office: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    common = ("-c", office, "--store-path", str(store), "--format", "jsonl")
    run("scan", "-q", *common, day)
    Path(office).write_text(f"{CONFIG}retention: {{observations: 1d}}\n")
    run("store", "prune", "-c", office, "--store-path", str(store))
    assert main(["rejudge", *common, "-v"]) == 0
    captured = capsys.readouterr()
    found = [json.loads(line) for line in captured.out.splitlines()]
    assert [each["change"] for each in found] == ["not-judged"] * 2
    assert {each["reason"] for each in found} == {"not judged again: its facts are incomplete"}
    assert all(each["before"] and each["after"] is None for each in found)
    assert "2 incidents not judged: the store has not all that was seen" in captured.err
    assert captured.err.count("\n  ") == 2


@pytest.mark.parametrize("state", ["complete", "partial"])
def test_what_cannot_be_seen_any_more_is_not_withdrawn(
    run: Run, day: str, office: str, tmp_path: Path, state: str
) -> None:
    """Packets were not recorded from which it was learned who the device was, for example: under
    the same rules an incident of a capture that is not whole is not judged again. Of a whole one it
    is, and under other rules what proves an incident is enough."""
    store = tmp_path / "store"
    common = ("-q", "-c", office, "--store-path", str(store), "--format", "jsonl")
    run("scan", *common, day)
    with closing(sqlite3.connect(store / "catalogue.sqlite")) as catalogue, catalogue:
        catalogue.execute("UPDATE capture SET state = ?", [state])
        ((id_, text),) = catalogue.execute(
            "SELECT id, record FROM incident WHERE device = ?", [SERVICE.ip]
        ).fetchall()
        learned = json.loads(text)
        learned["device"]["id"] = learned["device"]["hostname"] = "kiosk"
        learned["binding"] = {"source": "dhcp", "from": None, "until": None}
        catalogue.execute(
            "UPDATE incident SET device = 'kiosk', record = ? WHERE id = ?",
            [json.dumps(learned), id_],
        )
    (found,) = map(json.loads, run("rejudge", *common).splitlines())
    assert found["change"] == ("changed" if state == "complete" else "not-judged")
    assert found["before"]["device"]["id"] == "kiosk"
    status = 3 if state == "complete" else 0
    run("rejudge", *common, "--fail-on-change", status=status)
    table = run("rejudge", *common[:-1], "table")
    said = "because  not judged again: its facts are incomplete"
    assert (said in table) == (state == "partial")
    others = run("rejudge", *common, "--at", "2020-01-01").splitlines()
    assert [json.loads(line)["change"] for line in others] == ["withdrawn"] * 2


def test_of_an_erased_device_nothing_is_left_to_judge(
    run: Run, day: str, office: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ("--store-path", str(tmp_path / "store"))
    common = ("-c", office, *store, "--format", "jsonl")
    run("scan", "-q", *common, day)
    run("store", "erase", "-c", office, *store, "--device", SERVICE.ip, "--yes")
    assert main(["rejudge", *common]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "not judged" not in captured.err
    (left,) = run("rejudge", "-q", *common, "--at", "2020-01-01").splitlines()
    assert json.loads(left)["before"]["device"]["id"] == PERSONAL.ip


def test_sealed_clients_are_judged_by_the_key(
    run: Run, day: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    privacy = f"privacy: {{pseudonyms: [personal], key: {{file: '{key}'}}}}\n"
    config = configured(tmp_path, CONFIG + privacy)
    common = ("-c", config, "--store-path", str(tmp_path / "store"), "--format", "jsonl")
    alerts = run("scan", "-q", *common, day)
    assert PERSONAL.ip not in alerts
    assert run("rejudge", "-q", *common, "--all") == alerts
    Path(config).write_text(CONFIG)
    capsys.readouterr()
    assert main(["rejudge", *common]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 client not judged: no key of the configuration" in captured.err
