"""``netwatch fleet revoke`` and ``refused``, for which no server is needed."""

import json
from types import SimpleNamespace

import pytest
from support.fleet_alerts import GAP, fleet_alert

from netwatch.cli import main
from netwatch.config import load
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.receiver import MAX_FILES, PER_MINUTE, RefusedMessages
from netwatch.store.cases import keep_alerts
from netwatch.store.opening import open_catalogue

pytest.importorskip("nkeys")
pytest.importorskip("nats")


@pytest.fixture
def site(tmp_path):
    """A centre with one sensor, which has reported an incident."""
    path = tmp_path / "centre.yaml"
    path.write_text(
        "version: 1\nstore: {path: store}\nfleet:\n"
        '  centre: "nats://127.0.0.1:4222"\n  server: {folder: centre}\n'
    )
    config = load(str(path))
    folder = CentreFolder(config.fleet)
    folder.prepare()
    folder.enrol("ghent-1")
    with open_catalogue(config.store, create=True) as catalogue:
        keep_alerts(catalogue, [fleet_alert("ghent-1", 0)], GAP)

    def run(*words):
        return main(["fleet", *words, "-c", str(path)])

    return SimpleNamespace(run=run, folder=folder, kept=RefusedMessages(folder.path / "refused"))


def test_a_sensor_is_revoked_and_its_facts_stay(site, capsys):
    assert site.run("revoke", "ghent-1") == 0
    assert "credentials of ghent-1 are void" in capsys.readouterr().err
    assert not site.folder.is_enrolled("ghent-1")
    assert "ghent-1" not in site.folder.configuration.read_text()
    # What it reported can still be removed later.
    assert site.run("revoke", "ghent-1", "--remove-facts") == 0
    assert "1 incident" in capsys.readouterr().err


def test_a_sensor_is_revoked_and_all_that_it_reported_goes(site, capsys):
    site.kept.keep("ghent-1", "facts", b"x", "no")
    assert site.run("revoke", "ghent-1", "--remove-facts") == 0
    assert "1 incident" in capsys.readouterr().err
    assert site.kept.listing() == []
    assert site.run("revoke", "ghent-1", "--remove-facts") == 1
    assert "the store has none" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["liege-1", "../ghent-1", ""])
def test_a_sensor_that_is_not_enrolled_cannot_be_revoked(site, capsys, name):
    assert site.run("revoke", name) == 1
    assert "no sensor" in capsys.readouterr().err


def test_refused_messages_are_listed_and_shown(site, capsysbinary):
    site.kept.keep("ghent-1", "facts", b"\xff\0bytes", "it is no batch")
    assert site.run("refused", "list") == 0
    assert b"it is no batch" in capsysbinary.readouterr().out
    assert site.run("refused", "list", "--format", "jsonl") == 0
    record = json.loads(capsysbinary.readouterr().out)
    assert (record["sensor"], record["kind"], record["bytes"]) == ("ghent-1", "facts", 7)
    assert site.run("refused", "show", record["id"]) == 0
    found = capsysbinary.readouterr()
    assert found.out == b"\xff\0bytes"
    assert b"it is no batch" in found.err


@pytest.mark.parametrize("name", ["ghent-1/7", "../../x/7", "ghent-1", "ghent-1/" + "9" * 40, ""])
def test_a_message_that_is_not_kept_is_named(site, capsys, name):
    assert site.run("refused", "show", name) == 1
    assert "fleet refused list" in capsys.readouterr().err


def test_what_is_kept_of_a_sensor_is_bounded(site, monkeypatch):
    for number in range(PER_MINUTE + 20):
        site.kept.keep("ghent-1", "facts", bytes(1 << 20), f"reason {number}")
    assert len(site.kept.listing()) == PER_MINUTE
    monkeypatch.setattr("netwatch.fleet.receiver.PER_MINUTE", 1000)
    for number in range(MAX_FILES + 5):
        site.kept.keep("ghent-1", "facts", b"", f"later {number}")
    site.kept.keep("liege-1", "alerts", b"", "other")
    found = site.kept.listing()
    assert len(found) == MAX_FILES + 1
    assert found[-2].reason == f"later {MAX_FILES + 4}"
    size = sum(path.stat().st_size for path in site.kept.folder.rglob("*.message"))
    assert size < MAX_FILES * (300 << 10)
