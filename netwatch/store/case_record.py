"""The record of a case: an alert combined from its sensors' reports, and which sensor saw what.

It has all fields of an alert, so that every format can write it. What cannot be combined, such as
the evidence, is taken from the most telling incident: the strongest verdict, confidence and kind,
and among equals the first.

**Counts.** Counts of several sensors are not added up, because they saw the same flows: the
greatest number counts. Only if their Community IDs are complete (an alert has at most
`COMMUNITY_LIMIT`) and none is shared did they see different flows, and these are added. Sensors
without Community IDs prove neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from netwatch.core.alert import COMMUNITY_LIMIT, UNHEARD, contacts_of
from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.formats.values import json_line, rfc3339
from netwatch.store.case_members import Member

SCHEMA = "netwatch.case/1"

MAX_LISTED = 256
"""Names, destinations and Community IDs of a case in its record, and incidents in `seen_by`."""

JoinedBy = Literal["community_id", "time"]

_COUNTS = ("lookups", "handshakes", "flows", "bytes_out", "bytes_in")
_OUTCOMES = ("reached", "attempted", "blocked", "unknown")
_VERDICTS = ("exempt", "advisory", "violation")
_KINDS = ("lookup", "embed", "background", "session")
_SEVERITIES = ("low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Case:
    """A case: its record, and its incidents in the order in which they began. Times are by the
    centre's clock (ns)."""

    id: str
    members: tuple[Member, ...]
    first_seen: int
    last_seen: int
    joined_by: JoinedBy | None
    sensors: int
    record: Mapping[str, Any]


def make_case(members: Sequence[Member]) -> Case:
    """The case of incidents that belong together, in the order in which they began."""
    if len(members) == 1:
        return _alone(members[0])
    identity = members[0].begins
    lead = max(members, key=_says)
    first, last = min(each.first for each in members), max(each.last for each in members)
    sensors = {each.sensor for each in members}
    parts = _shared_flows(members)
    joined = _joined_by(len(sensors), parts)
    record = {
        **lead.record,
        "schema": SCHEMA,
        "id": identity,
        "status": _status({each.record["status"] for each in members}),
        "severity": max((each.record["severity"] for each in members), key=_SEVERITIES.index),
        "confidence": max(
            (each.record["confidence"] for each in members), key=lambda each: CONFIDENCE_RANK[each]
        ),
        "outcome": min((each.record["outcome"] for each in members), key=_OUTCOMES.index),
        "contradictions": _contradictions(members),
        "first_seen": _moment(lead, first),
        "last_seen": _moment(lead, last),
        "duration": max(_end(each) - first for each in members) // 1000 / 1_000_000,
        "device": _device(members),
        "destinations": _all(members, "destinations"),
        "names": sorted(_all(members, "names")),
        "counts": _counts(members, parts),
        "community_ids": sorted(_all(members, "community_ids")),
        "joined_by": joined,
        "seen_by": [_seen_by(each, members) for each in members[:MAX_LISTED]],
    }
    _set_unheard(record, members)
    placed = tuple(each.placed(each.run, identity) for each in members)
    return Case(identity, placed, first, last, joined, len(sensors), record)


def _alone(member: Member) -> Case:
    """The case of an incident that no other belongs to, as most do not."""
    identity, said, first = member.begins, member.record, member.first
    counts = said["counts"]
    outcomes = counts["outcomes"]
    record = {
        **said,
        "schema": SCHEMA,
        "id": identity,
        "first_seen": _moment(member, first),
        "last_seen": _moment(member, member.last),
        "duration": (_end(member) - first) // 1000 / 1_000_000,
        "destinations": _all((member,), "destinations"),
        "names": sorted(_all((member,), "names")),
        "counts": {
            **{name: counts[name] for name in _COUNTS},
            "outcomes": {name: outcomes[name] for name in _OUTCOMES},
        },
        "community_ids": sorted(_all((member,), "community_ids")),
        "joined_by": None,
        "seen_by": [_seen_by(member, ())],
    }
    placed = (member.placed(member.run, identity),)
    return Case(identity, placed, first, member.last, None, 1, record)


def case_line(case: Case) -> str:
    """The record of a case as its JSON line."""
    return json_line(case.record)


def _says(member: Member) -> tuple[int, int, int, int, tuple[str, str]]:
    record = member.record
    return (
        _VERDICTS.index(record["verdict"]),
        CONFIDENCE_RANK[record["confidence"]],
        _KINDS.index(record["kind"]["value"]),
        -member.first,
        member.key,
    )


def _status(states: set[str]) -> str:
    if len(states) == 1:
        return states.pop()
    return "update"


def _set_unheard(record: dict[str, Any], members: Sequence[Member]) -> None:
    """Mark a case that is over as one whose end is unknown, if that is true of an incident that was
    open when its sensor was last heard."""
    record.pop(UNHEARD, None)
    marks = [member.record[UNHEARD] for member in members if UNHEARD in member.record]
    if marks and record["status"] == "closed":
        record[UNHEARD] = min(marks, key=lambda mark: (mark["since"], mark["status"]))


def _moment(lead: Member, time: int) -> str:
    """A time by the centre's clock, with the precision of those in the record."""
    fraction = lead.record["first_seen"].partition(".")[2]
    return rfc3339(time, max(0, len(fraction) - 1))


def _end(member: Member) -> int:
    """The time of the last packet of an incident's flows, by the centre's clock (ns)."""
    return max(member.last, member.first + int(member.record["duration"] * 1_000_000) * 1000)


def _device(members: Sequence[Member]) -> Mapping[str, Any]:
    """The device as described by the sensor that knows it best: from an inventory, otherwise with
    most of MAC, host name and owner."""

    def knows(member: Member) -> tuple[bool, int, bool, int, tuple[str, str]]:
        device = member.record["device"]
        named = sum(bool(device[name]) for name in ("mac", "hostname", "owner"))
        return (
            member.is_listed, named, device["class"] != "unknown", -member.first, member.key,
        )  # fmt: skip

    found = max(members, key=knows)
    device: Mapping[str, Any] = found.record["device"]
    return device


def _all(members: Sequence[Member], name: str) -> list[Any]:
    """The values of lists of all members, each once, as many as a record has."""
    if len(members) == 1 and len(members[0].record[name]) <= 1:
        return list(members[0].record[name])
    found: dict[Any, Any] = {}
    for member in members:
        for value in member.record[name]:
            key = (value["ip"], value["port"]) if isinstance(value, dict) else value
            found.setdefault(key, value)
    return [found[key] for key in sorted(found)[:MAX_LISTED]]


def _contradictions(members: Sequence[Member]) -> list[Any]:
    """The contradictions of the incidents, each type and text once, with the first incident that
    has it."""
    found: dict[tuple[str, str], Any] = {}
    for member in members:
        for each in member.record.get("contradictions") or ():
            found.setdefault((each["type"], each["text"]), each)
    return [found[key] for key in sorted(found)[:MAX_LISTED]]


def _shared_flows(members: Sequence[Member]) -> list[set[str]]:
    """The sensors in groups: those that share a flow, directly or through a third, are in one
    group."""
    flows: dict[str, set[str]] = {}
    for member in members:
        flows.setdefault(member.sensor, set()).update(member.community_ids)
    parts: list[tuple[set[str], set[str]]] = []
    for sensor in sorted(flows):
        names, ids = {sensor}, set(flows[sensor])
        others = []
        for part in parts:
            if part[1].isdisjoint(ids):
                others.append(part)
            else:
                names |= part[0]
                ids |= part[1]
        parts = [*others, (names, ids)]
    return [names for names, _ in parts]


def _joined_by(sensors: int, parts: Sequence[set[str]]) -> JoinedBy | None:
    if sensors == 1:
        return None
    return "community_id" if len(parts) == 1 else "time"


def _counts(members: Sequence[Member], parts: Sequence[set[str]]) -> dict[str, Any]:
    """The counts of a case, see the module docstring."""
    by_sensor: dict[str, dict[str, int]] = {}
    names_all_flows: dict[str, bool] = {}
    for member in members:
        own = by_sensor.setdefault(member.sensor, dict.fromkeys((*_COUNTS, *_OUTCOMES), 0))
        said = member.record["counts"]
        for name in own:
            own[name] += said["outcomes"][name] if name in _OUTCOMES else said[name]
        is_whole = 0 < len(member.record["community_ids"]) < COMMUNITY_LIMIT
        names_all_flows[member.sensor] = names_all_flows.get(member.sensor, True) and is_whole
    proven = [part for part in parts if all(names_all_flows[one] for one in part)]
    unproven = [part for part in parts if part not in proven]
    total = {
        name: max(
            sum(max(by_sensor[one][name] for one in part) for part in proven),
            *(by_sensor[one][name] for part in unproven for one in part),
            0,
        )
        for name in (*_COUNTS, *_OUTCOMES)
    }
    return {
        **{name: total[name] for name in _COUNTS},
        "outcomes": {name: total[name] for name in _OUTCOMES},
    }


def _seen_by(member: Member, members: Sequence[Member]) -> dict[str, Any]:
    """One sensor's view of it, as reported and by its own clock."""
    record = member.record
    others: set[str] = set()
    for each in members:
        if each.sensor != member.sensor:
            others |= each.community_ids
    counts = record["counts"]
    return {
        "sensor": member.sensor,
        "incident": record["id"],
        "status": record["status"],
        "verdict": record["verdict"],
        "confidence": record["confidence"],
        "first_seen": record["first_seen"],
        "last_seen": record["last_seen"],
        "clock_offset": member.clock_offset / 1_000_000_000,
        "device": record["device"]["id"],
        "network": record["network"]["name"],
        "counts": {name: counts[name] for name in _COUNTS},
        "community_ids": len(member.community_ids),
        "shared_community_ids": len(member.community_ids & others),
    }


def case_values(case: Case, gap: int) -> dict[str, Any]:
    """The row of a case in the catalogue."""
    record = case.record
    return {
        "id": case.id,
        "status": record["status"],
        "verdict": record["verdict"],
        "confidence": record["confidence"],
        "kind": record["kind"]["value"],
        "outcome": record["outcome"],
        "app": record["app"]["id"],
        "ban": record["ban"]["id"],
        "device": record["device"]["id"] or "",
        "network": record["network"]["name"] or "",
        "joined_by": case.joined_by or "",
        "sensors": case.sensors,
        "incidents": len(case.members),
        "first_seen": case.first_seen,
        "last_seen": case.last_seen,
        "gap": gap,
        "severity": record["severity"],
        "contacts": contacts_of(record),
        "record": case_line(case),
    }
