"""Ids of incidents contain the name that a configuration gives to the sensor, wherever an incident
is judged again."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.office import CONFIG, DURING, capture, configured, one_hello

from netwatch.formats.values import epoch_ns
from netwatch.incidents.alert_parts import incident_id

Run = Callable[..., str]
Scan = Callable[..., dict[str, Any]]

SENSORS = {
    "ghent": "sensor: {name: ghent}\n",
    "liege": "fleet: {sensor: liege, centre: 'tls://nats.example:4222', credentials: c.creds}\n",
    "": "",
}


@pytest.fixture
def scan(tmp_path: Path, run: Run) -> Scan:
    """Scans one capture by the configuration of a sensor, with a store; the alert."""
    path = capture(tmp_path / "day.pcap", one_hello(DURING))

    def _scan(sensor: str, *options: str) -> dict[str, Any]:
        folder = tmp_path / (sensor or "unnamed")
        folder.mkdir(exist_ok=True)
        (folder / "c.creds").touch(0o600)
        config = configured(folder, f"{CONFIG}{SENSORS[sensor]}store: {{path: store}}\n")
        words = ("-q", "-c", config, "--format", "jsonl", "--store", *options, path)
        alert: dict[str, Any]
        (alert,) = map(json.loads, run("scan", *words).splitlines())
        return alert

    return _scan


def again(run: Run, tmp_path: Path, store: str, sensor: str, *options: str) -> list[dict[str, Any]]:
    """A store judged again by the configuration of a sensor."""
    words = ("-q", "-c", str(tmp_path / sensor / "netwatch.yaml"), "--format", "jsonl")
    place = ("--store-path", str(tmp_path / store / "store"))
    return [json.loads(line) for line in run("rejudge", *words, *place, *options).splitlines()]


def plain(alert: dict[str, Any], sensor: str = "") -> str:
    """The id that an alert has, computed from its record."""
    key = alert["device"]["id"], alert["app"]["id"], alert["ban"]["id"], alert["verdict"]
    return incident_id(key, epoch_ns(alert["first_seen"]), sensor)


def test_ids_of_two_sensors_never_collide(scan: Scan) -> None:
    found = {sensor: scan(sensor) for sensor in SENSORS}
    assert len({alert["id"] for alert in found.values()}) == 3
    assert found[""]["id"] == plain(found[""])
    for sensor, alert in found.items():
        assert alert["id"] == plain(alert, sensor)
        assert {**alert, "id": "", "sensor": "", "versions": ""} == {
            **found[""], "id": "", "sensor": "", "versions": "",
        }  # fmt: skip


@pytest.mark.parametrize("sensor", ["ghent", ""])
def test_a_store_judged_again_has_its_ids(
    scan: Scan, run: Run, tmp_path: Path, sensor: str
) -> None:
    """By whichever configuration: who saw something is in the store."""
    alert = scan(sensor)
    scan("liege")
    for judge in (sensor or "unnamed", "liege"):
        (found,) = again(run, tmp_path, sensor or "unnamed", judge, "--all")
        assert found["id"] == alert["id"]
        assert again(run, tmp_path, sensor or "unnamed", judge) == []


def test_a_store_of_an_older_version_keeps_its_ids(scan: Scan, run: Run, tmp_path: Path) -> None:
    alert = scan("ghent")
    old = {**alert, "id": plain(alert)}
    with closing(sqlite3.connect(tmp_path / "ghent" / "store" / "catalogue.sqlite")) as catalogue:
        catalogue.execute("UPDATE incident SET id = ?, record = ?", [old["id"], json.dumps(old)])
        catalogue.execute("ALTER TABLE run DROP COLUMN named")
        catalogue.execute("ALTER TABLE store DROP COLUMN flow_key")
        catalogue.execute("UPDATE store SET schema = 7")
        catalogue.execute("PRAGMA user_version = 7")
        catalogue.commit()
    (found,) = again(run, tmp_path, "ghent", "ghent", "--all")
    assert found["id"] == old["id"]
    assert again(run, tmp_path, "ghent", "ghent") == []


def test_an_id_alone_is_no_difference(scan: Scan, run: Run, tmp_path: Path) -> None:
    """A sensor of an older version reports ids without its name to a centre of this one."""
    alert = scan("ghent")
    old = {**alert, "id": plain(alert)}
    with closing(sqlite3.connect(tmp_path / "ghent" / "store" / "catalogue.sqlite")) as catalogue:
        catalogue.execute("UPDATE incident SET id = ?, record = ?", [old["id"], json.dumps(old)])
        catalogue.commit()
    assert again(run, tmp_path, "ghent", "ghent") == []


@pytest.mark.parametrize("judge", ["ghent", "liege", ""])
def test_an_evidence_capture_says_whose_id_it_has(
    scan: Scan, run: Run, tmp_path: Path, judge: str
) -> None:
    alert = scan("ghent", "--evidence", str(tmp_path / "proof"))
    scan(judge)
    (proof,) = (tmp_path / "proof").glob(f"*{alert['id']}.pcapng")
    config = str(tmp_path / (judge or "unnamed") / "netwatch.yaml")
    page = run("explain", "-c", config, alert["id"][:8], str(proof))
    assert alert["id"] in page
    run("verify", str(proof))
