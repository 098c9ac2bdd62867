"""Incidents of an evidence capture: its packets are judged anew by the configuration.

That is more than to believe what is written in the file: the incident on the page follows from
the packets. It has the id of the incident that the file was written for, or the configuration is
not the one that decided.

Which packets of which captures those in an evidence capture are: their comments say it.

An evidence capture is a pcapng file that `netwatch.incidents.evidence_folder` wrote: little-endian,
each packet in an Enhanced Packet Block (draft-ietf-opsawg-pcapng section 4.3) with comments that
have ``packet SOURCE#NUMBER``, then what `netwatch verify` needs.
"""

import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwatch.capture.files import find_captures
from netwatch.config import Config
from netwatch.core.alert import AlertRecord, Sensor
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.core.user_yaml import read_user_file
from netwatch.engine import jobs
from netwatch.engine.capture_files import group_files
from netwatch.explain.sources import Found, chosen
from netwatch.explain.steps import CaptureFile
from netwatch.formats.jsonl import alert_record
from netwatch.incidents.scan import ScanIncidents

_SECTION, _PACKET = 0x0A0D0D0A, 6
_COMMENT = 1
_PLACE = re.compile(
    r", packet (?P<source>.*)#(?P<number>\d+)(?:, from \S+ .*at \S+, sha256 [0-9a-f]{16})?\Z",
    re.DOTALL,
)

_TITLE = re.compile(
    r"incident (?P<incident>[0-9a-f]{32}):(?:.* Sensor (?P<sensor>.+)\.\Z)?", re.DOTALL
)

Place = tuple[str, int]
"""A source, and the number of a packet in it."""


def packet_places(data: bytes) -> list[Place | None]:
    """The original place of each packet of an evidence capture, in order; None where its comments
    do not say it. What follows a block that is damaged is left out."""
    places: list[Place | None] = []
    for kind, body in _blocks(data):
        if kind == _PACKET and len(body) >= 20:
            (captured,) = struct.unpack_from("<I", body, 12)
            places.append(_place(_comments(body[20 + captured + -captured % 4 :])))
    return places


def incident_id(data: bytes) -> tuple[str, str]:
    """The id of the incident that an evidence capture was written for, and the sensor that it is
    of; empty where its section does not say it."""
    kind, body = next(_blocks(data), (0, b""))
    for comment in _comments(body[16:]) if kind == _SECTION else ():
        found = _TITLE.match(comment)
        if found:
            return found["incident"], found["sensor"] or ""
    return "", ""


def _blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            return
        yield kind, data[at + 8 : at + length - 4]
        at += length


def _comments(options: bytes) -> Iterator[str]:
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from("<HH", options, at)
        if code == 0:
            return
        if code == _COMMENT:
            yield options[at + 4 : at + 4 + length].decode("utf-8", "replace")
        at += 4 + length + -length % 4


def _place(comments: Iterator[str]) -> Place | None:
    for comment in comments:
        found = _PLACE.search(comment)
        if found:
            return found["source"], int(found["number"])
    return None


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
        f"The packets in {path} (SHA-256 {sha256}) were judged again by this configuration."
        " Contacts"
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
