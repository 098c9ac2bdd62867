"""Where the record of an incident comes from: alerts that were written, the evidence capture of the
incident, or the store (`netwatch.explain.stored`); and the record as the steps that a page shows.
Records that older versions wrote lack some fields.

An incident is named by its id or a prefix of it. Of several records of one incident, as a live
capture writes them, the last one counts.

The packets of an evidence capture are judged again by the configuration, which is more than
trusting the content of the file: the incident on the page follows from the packets. It has the id
of the incident that the file was written for, otherwise the configuration is not the one that
decided.

An evidence capture is a pcapng file that `netwatch.incidents.evidence_folder` wrote: little-endian,
each packet in an Enhanced Packet Block (draft-ietf-opsawg-pcapng section 4.3) with comments that
have ``packet SOURCE#NUMBER``, by which the packets are named as in the captures that they were
copied from, then what `netwatch verify` needs.
"""

import difflib
import hashlib
import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from netwatch.capture.files import find_captures
from netwatch.config import Config
from netwatch.core.alert import AlertRecord, Sensor, number_of, sampling_of
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import escaped
from netwatch.core.user_yaml import read_user_file
from netwatch.explain.steps import (
    Answer,
    Ban,
    Binding,
    CandidateSet,
    CaptureFile,
    Contact,
    Contradiction,
    Device,
    Exemption,
    Explanation,
    HiddenDay,
    LogLine,
    Network,
    Packet,
    Period,
    Rule,
    Seen,
    Traffic,
)
from netwatch.formats.values import endpoint

MAX_NEAR = 5
"""Ids to name if one is unknown."""

SCHEMA = "netwatch.alert/1"
"""The records that can be explained."""

_COMMENT = 1
_PLACE = re.compile(
    r", packet (?P<source>.*)#(?P<number>\d+)(?:, from \S+ .*at \S+, sha256 [0-9a-f]{16})?\Z",
    re.DOTALL,
)

_TITLE = re.compile(
    r"incident (?P<incident>[0-9a-f]{32}):(?:.* Sensor (?P<sensor>.+)\.\Z)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Found:
    """The record of an incident, and the capture files that its packets are in, by source.

    `origin` says where the record was read, in words. `notes` are sentences about it. `hidden` are
    days on which its device hid its lookups."""

    record: AlertRecord
    origin: str
    files: Mapping[str, CaptureFile]
    notes: tuple[str, ...] = ()
    hidden: tuple[HiddenDay, ...] = ()


def read_alerts(lines: Iterable[str], place: str) -> dict[str, AlertRecord]:
    """The alerts of a file of JSON lines by their ids; other records are skipped. `place` is what
    errors call the file. Raises `NetwatchError` for a line that is no JSON object."""
    records: dict[str, AlertRecord] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise NetwatchError(
                f"{place}:{number}: expected a record as scan --format jsonl writes it"
            )
        if record.get("schema") == SCHEMA and isinstance(record.get("id"), str):
            records[record["id"]] = record
    return records


def chosen(ids: Sequence[str], wanted: str, place: str) -> str:
    """The id with the prefix `wanted`. Raises `ConfigError` if there is none, with near ones, and
    if there are several."""
    fitting = [id_ for id_ in ids if id_.startswith(wanted)] if wanted else []
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        shown = ", ".join(sorted(fitting)[:MAX_NEAR])
        more = ", …" if len(fitting) > MAX_NEAR else ""
        message = f"'{wanted}' begins the ids of {len(fitting)} incidents: {shown}{more}"
    else:
        message = f"no incident '{wanted}' in {place}{_near(ids, wanted)}"
    raise ConfigError.of("netwatch explain", escaped(message))


def from_alerts(lines: Iterable[str], place: str, wanted: str) -> Found:
    """The incident with an id in alerts that were written as JSON lines."""
    records = read_alerts(lines, place)
    return Found(records[chosen(list(records), wanted, place)], place, {})


def _near(ids: Sequence[str], wanted: str) -> str:
    if not ids:
        return ": it has no incidents"
    # A typed id is wrong in a digit of its beginning.
    beginnings = {id_[: max(len(wanted), 4)]: id_ for id_ in sorted(ids)}
    near = difflib.get_close_matches(wanted, beginnings, MAX_NEAR, 0.5)
    if not near:
        return f"; it has {len(ids)}, the first is {ids[0]}"
    return "; near ones are " + ", ".join(beginnings[text] for text in near)


_SECTION, _PACKET = 0x0A0D0D0A, 6


Place = tuple[str, int]
"""A source, and the number of a packet in it."""


def packet_places(data: bytes) -> list[Place | None]:
    """The original place of each packet of an evidence capture, in order; None if its comments lack
    it. What follows a damaged block is left out."""
    places: list[Place | None] = []
    for kind, body in _blocks(data):
        if kind == _PACKET and len(body) >= 20:
            (captured,) = struct.unpack_from("<I", body, 12)
            places.append(_place(_comments(body[20 + captured + -captured % 4 :])))
    return places


def incident_id(data: bytes) -> tuple[str, str]:
    """The id of the incident that an evidence capture was written for, and its sensor; empty if its
    section lacks it."""
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
    """The incident of an evidence capture; `wanted` is a prefix of its id, empty for the incident
    that the file was written for. Raises `ConfigError` if the packets give no such incident, and
    `NetwatchError` if the file cannot be read."""
    data = read_user_file(Path(path))
    of_file, sensor = incident_id(data)
    own = config.sensor
    if of_file:
        own = replace(own, name=sensor or own.name, is_named=bool(sensor))
    records = _judged(path, config, own)
    ids = list(records)
    found = chosen(ids, wanted or of_file or (ids[0] if len(ids) == 1 else ""), path)
    places = packet_places(data)
    # The packets have the names of their original captures.
    evidence = [_placed(item, path, places) for item in records[found]["evidence"]]
    record = {**records[found], "evidence": evidence}
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
    # The engine is only for this; the console explains incidents without it.
    from netwatch.engine import jobs
    from netwatch.engine.capture_files import group_files
    from netwatch.formats.jsonl import alert_record
    from netwatch.incidents.scan import ScanIncidents

    statistics = RunStatistics()
    captures = list(group_files(find_captures([path]), False))
    with ScanIncidents(config.quiet_gap, client_limit=config.client_limit) as incidents:
        jobs.scan(captures, config, statistics, incidents, workers=1)
        alerts = list(incidents.result(config.geo, sensor).alerts)
    if statistics.unread:
        raise NetwatchError(f"{path}: expected an evidence capture, as scan --evidence writes it")
    return {alert.id: json.loads(json.dumps(alert_record(alert))) for alert in alerts}


def _placed(item: Mapping[str, Any], path: str, places: list[Place | None]) -> Mapping[str, Any]:
    if item.get("log"):
        return item
    number = item["packet"]
    place = places[number - 1] if item["source"] == path and number <= len(places) else None
    return item if place is None else {**item, "source": place[0], "packet": place[1]}


def explanation(
    record: AlertRecord,
    files: Mapping[str, CaptureFile] | None = None,
    exemptions: Iterable[Exemption] | None = None,
    hidden: tuple[HiddenDay, ...] = (),
) -> Explanation:
    """The values of the record of an alert. `files` are the capture files by source, `hidden` days
    on which its device hid its lookups."""
    of_kind = record.get("kind") or {}
    app, sensor = record["app"], record["sensor"]
    given = record.get("exemption")
    return Explanation(
        record["id"],
        record["status"],
        record["verdict"],
        record["severity"],
        record["confidence"],
        tuple(record.get("confidence_reasons") or ()),
        tuple(
            Contradiction(contradiction["type"], contradiction["text"])
            for contradiction in record.get("contradictions") or ()
        ),
        tuple(
            CandidateSet(tuple(found["names"]), found["count"], found["why"])
            for found in record.get("candidates") or ()
        ),
        record["first_seen"],
        record["last_seen"],
        app["name"],
        app["id"],
        app["vendor"],
        _ban(record["ban"]),
        _exemption(given) if given else None,
        None if exemptions is None else tuple(exemptions),
        _device(record),
        _network(record["network"]),
        of_kind.get("value") or "",
        tuple(of_kind.get("reasons") or ()),
        record.get("outcome") or "unknown",
        tuple(record.get("blocked_by") or ()),
        tuple(_contact(piece, files or {}) for piece in record["evidence"]),
        tuple(_destination(server) for server in record["destinations"]),
        _traffic(record),
        tuple(record["community_ids"]),
        _versions(record),
        sensor["name"],
        record.get("evidence_file"),
        record.get("left_out") or {},
        record,
        hidden,
    )


def _rule(piece: Mapping[str, Any]) -> Rule:
    """The rule of a piece of evidence; in older records it is a text."""
    rule, role = piece["rule"], piece["role"]
    if isinstance(rule, str):
        return Rule(rule, role)
    return Rule(rule["text"], role, rule["file"], rule["line"], tuple(rule["sources"]))


def _contact(piece: Mapping[str, Any], files: Mapping[str, CaptureFile]) -> Contact:
    source, tls, seen = piece["source"], piece.get("tls") or {}, piece.get("seen")
    return Contact(
        Packet(source, number_of(piece), piece["time"], files.get(source)),
        piece["type"],
        piece["name"],
        piece.get("raw"),
        tuple(piece.get("chain") or ()),
        _answer(piece.get("answer")),
        _rule(piece),
        bool(piece.get("app_only")),
        piece["count"],
        tls.get("ja4"),
        _log_line(piece.get("log")),
        Seen(seen["server"], seen["directions"], seen["checksum"]) if seen else None,
        sampling_of(piece),
    )


def _log_line(log: Mapping[str, Any] | None) -> LogLine | None:
    if not log:
        return None
    return LogLine(log["format"], log["line"], tuple(log.get("lacks") or ()))


def _answer(answer: Mapping[str, Any] | None) -> Answer | None:
    if answer is None:
        return None
    return Answer(answer["address"], answer["ttl"], answer.get("rcode"))


def _device(record: AlertRecord) -> Device:
    device, binding = record["device"], record.get("binding")
    return Device(
        device["id"],
        device["ip"] or "",
        device["mac"],
        device["hostname"],
        device["owner"],
        device["class"],
        _binding(binding) if binding and binding["source"] != "address" else None,
        device.get("reason"),
        bool(device.get("randomised_mac")),
    )


def _binding(binding: Mapping[str, Any]) -> Binding:
    return Binding(
        binding["source"],
        binding["from"],
        binding["until"],
        binding.get("file"),
        binding.get("line"),
    )


def _network(network: Mapping[str, Any]) -> Network:
    return Network(network["name"], network["class"], network["authority"], network["vlan"])


def _ban(ban: Mapping[str, Any]) -> Ban:
    decided = Period(ban["from"], ban["until"], ban.get("basis") or "")
    periods = tuple(
        Period(part["from"], part["until"], part["basis"], part["kind"] == "advice")
        for part in ban.get("periods") or ()
    )
    return Ban(ban["id"], ban["authority"], ban["legal_basis"], decided, ban["review"], periods)


def _exemption(exemption: Mapping[str, Any]) -> Exemption:
    return Exemption(
        exemption["device"],
        tuple(exemption["apps"]),
        exemption["from"],
        exemption["until"],
        exemption["reason"],
        exemption["approved_by"],
        "",
    )


def _destination(server: Mapping[str, Any]) -> str:
    known = [f"AS{server['asn']}" if server["asn"] else "", server["as_org"], server["country"]]
    more = ", ".join(text for text in known if text)
    return endpoint(server["ip"], server["port"]) + (f" ({more})" if more else "")


def _traffic(record: AlertRecord) -> Traffic:
    counts = record["counts"]
    return Traffic(
        counts["lookups"],
        counts["handshakes"],
        counts["flows"],
        counts["bytes_out"],
        counts["bytes_in"],
        counts.get("outcomes") or {},
        record.get("duration"),
    )


def _versions(record: AlertRecord) -> Mapping[str, str]:
    sensor = record["sensor"]
    versions = record.get("versions") or {
        "netwatch": sensor["version"],
        "signatures": sensor.get("signatures"),
        "configuration": sensor.get("policy"),
    }
    made = {key: str(value) for key, value in versions.items() if value and key != "set"}
    if installed := versions.get("set"):
        made["set"] = f"{installed['version']} ({installed['hash']})"
    return made
