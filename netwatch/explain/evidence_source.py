"""Incidents of an evidence capture: its packets are judged anew by the configuration.

That is more than to believe what is written in the file: the incident on the page follows from
the packets. It has the id of the incident that the file was written for, or the configuration is
not the one that decided.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwatch.capture.files import find_captures
from netwatch.config import Config
from netwatch.core.alert import AlertRecord, Sensor
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.core.user_files import read_user_file
from netwatch.engine import jobs
from netwatch.engine.capture_files import group_files
from netwatch.explain.packet_comments import Place, incident_id, packet_places
from netwatch.explain.sources import Found, chosen
from netwatch.explain.steps import CaptureFile
from netwatch.formats.jsonl import alert_record
from netwatch.incidents.scan import ScanIncidents


def from_evidence(path: str, wanted: str, config: Config) -> Found:
    """The incident of an evidence capture; `wanted` is how its id begins, empty for the one that
    the file was written for. Raises `ConfigError` where the packets give no such incident, and
    `NetwatchError` where the file cannot be read."""
    data = read_user_file(Path(path))
    of_file, sensor = incident_id(data)
    own = config.sensor
    if of_file:
        own = replace(own, name=sensor or own.name, is_named=bool(sensor))
    records = _judged(path, config, own)
    ids = list(records)
    found = chosen(ids, wanted or of_file or (ids[0] if len(ids) == 1 else ""), path)
    places = packet_places(data)
    record = _with_places(records[found], path, places)
    sha256 = hashlib.sha256(data).hexdigest()
    file = CaptureFile(path, len(data), sha256)
    notes = [
        f"The packets in {path} (SHA-256 {sha256}) were judged anew by this configuration. Contacts"
        " whose packets are not in it are not counted."
    ]
    if any(places):
        notes.append("Packets are named as in the captures that they were copied from.")
    return Found(record, path, {path: file}, tuple(notes))


def _judged(path: str, config: Config, sensor: Sensor) -> dict[str, AlertRecord]:
    statistics = RunStatistics()
    captures = list(group_files(find_captures([path]), False))
    with ScanIncidents(config.quiet_gap, client_limit=config.client_limit) as incidents:
        jobs.scan(captures, config, statistics, incidents, workers=1)
        alerts = list(incidents.result(config.geo, sensor).alerts)
    if statistics.unread:
        raise NetwatchError(f"{path}: expected an evidence capture, as scan --evidence writes it")
    return {alert.id: json.loads(json.dumps(alert_record(alert))) for alert in alerts}


def _with_places(record: AlertRecord, path: str, places: list[Place | None]) -> AlertRecord:
    """The record with the packets named as where they were copied from."""
    return {**record, "evidence": [_placed(item, path, places) for item in record["evidence"]]}


def _placed(item: Mapping[str, Any], path: str, places: list[Place | None]) -> Mapping[str, Any]:
    if item.get("log"):
        return item
    number = item["packet"]
    place = places[number - 1] if item["source"] == path and number <= len(places) else None
    return item if place is None else {**item, "source": place[0], "packet": place[1]}
