"""A catalogue with as many incidents as a large organisation has in a year, made from real alerts.

The alerts that `scan` gives for `pcaps/` are repeated under new ids, on other days and devices, and
stored as a run stores its own, or as a centre stores those of its sensors: so records have their
true size and shape. Coverage is that of an hour after the other.
"""

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from shared import ROOT

from netwatch.core.alert import AlertRecord
from netwatch.store.cases import SensorAlert, keep_alerts
from netwatch.store.catalogue import Catalogue, SourceFile
from netwatch.store.fleet_sensors import enrolled, heard
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import VersionHashes

BEGIN = datetime(2023, 3, 20, tzinfo=UTC)
"""The first day of the year."""

DAYS = 365
BATCH = 10_000
_OFFERED = 500
_QUIET = 1800 * 10**9

CACHE = 1_000_000
"""Memory of SQLite for the indexes of the incidents, in KB: their ids are random."""


def templates() -> tuple[list[AlertRecord], dict[str, Any]]:
    """The alerts of `pcaps/`, and their coverage."""
    command = [sys.executable, "-m", "netwatch", "scan", "-q", "-c", "pcaps/netwatch.yaml"]
    run = subprocess.run(
        [*command, "--format", "jsonl", "--coverage", "pcaps/"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    records = [json.loads(line) for line in run.stdout.splitlines()]
    alerts = [record for record in records if record["schema"] == "netwatch.alert/1"]
    (coverage,) = (record for record in records if record["schema"] == "netwatch.coverage/1")
    return alerts, coverage


def fill(options: StoreOptions, incidents: int, devices: int, sensors: int = 0) -> None:
    """Create a store with incidents and a year of coverage; with `sensors` that of a centre, whose
    sensors have seen some of the incidents two and two."""
    alerts, coverage = templates()
    with open_catalogue(options, create=True) as catalogue:
        versions = alerts[0].get("versions") or {}
        version = catalogue.version_id(VersionHashes("bench", "0" * 64, "0" * 64, str(versions)))
        run = catalogue.begin_run("live", "bench", version)
        capture = catalogue.begin_capture(run, 0, [SourceFile("eth0", 0, "")])
        made = _alerts(alerts, incidents, devices)
        with catalogue.database.writing() as connection:
            connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE}")
        if sensors:
            _enrol(catalogue, sensors)
        while batch := list(islice(made, BATCH)):
            if sensors:
                _report(catalogue, batch, sensors)
            else:
                catalogue.add_incidents(run, [(each, _line(each)) for each in batch])
        first = _ns(BEGIN)
        for hour in range(DAYS * 24):
            begin = first + hour * 3600 * 10**9
            catalogue.add_coverage(run, hour, begin, begin + 3600 * 10**9 - 1, _line(coverage))
        catalogue.end_capture(capture, "complete", first, first + DAYS * 86_400 * 10**9)
        catalogue.end_run(run)


def _enrol(catalogue: Catalogue, sensors: int) -> None:
    last = _ns(BEGIN + timedelta(days=DAYS))
    for number in range(sensors):
        enrolled(catalogue, _sensor(number), _ns(BEGIN))
        heard(catalogue, _sensor(number), last)


def _sensor(number: int) -> str:
    return f"sensor-{number:04}"


def _report(catalogue: Catalogue, batch: list[AlertRecord], sensors: int) -> None:
    """Store alerts as a centre does, of which the sensor behind the first has seen every fifth."""
    reported = []
    for record in batch:
        number = int(str(record["id"])[:8], 16)
        own: Any = record | {"community_ids": [f"1:{record['id']}"]}
        reported += [
            SensorAlert(_sensor(sensor % sensors), own, _line(own))
            for sensor in (number, number + 1)[: 1 if number % 5 else 2]
        ]
    for begin in range(0, len(reported), _OFFERED):
        keep_alerts(catalogue, reported[begin : begin + _OFFERED], _QUIET)


def _alerts(alerts: list[AlertRecord], count: int, devices: int) -> Iterator[AlertRecord]:
    """Alerts in the order of time; few devices have many of them, as it is."""
    rng = random.Random(1)
    for number in range(count):
        record: Any = dict(rng.choice(alerts))
        began = BEGIN + timedelta(seconds=DAYS * 86_400 * number / count)
        device = min(int(rng.paretovariate(0.6)), devices)
        record["id"] = f"{rng.getrandbits(128):032x}"
        record["first_seen"] = _text(began)
        record["last_seen"] = _text(began + timedelta(seconds=rng.randint(0, 3600)))
        record["device"] = record["device"] | {
            "id": f"pc-{device:05}", "ip": f"10.{device // 250}.{device % 250}.7",
            "mac": f"02:00:00:00:{device >> 8:02x}:{device & 255:02x}",
        }  # fmt: skip
        yield record


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    fill(StoreOptions(str(Path(sys.argv[1]))), int(sys.argv[2]), int(sys.argv[3]))
