"""Where the record of an incident comes from: alerts that were written, the store, or the evidence
capture of the incident.

An incident is named by its id or by the beginning of it. Of several records of one incident, as a
live capture writes them, the last one counts.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.text import escaped
from netwatch.explain.steps import CaptureFile

MAX_NEAR = 5
"""Ids that are named where one is unknown."""

SCHEMA = "netwatch.alert/1"
"""The records that can be explained."""


@dataclass(frozen=True, slots=True)
class Found:
    """The record of an incident, and the capture files that its packets are in, by source.

    `origin` says where the record was read, in words. `notes` are sentences about it."""

    record: AlertRecord
    origin: str
    files: Mapping[str, CaptureFile]
    notes: tuple[str, ...] = ()


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
    """The id that `wanted` is the beginning of. Raises `ConfigError` if there is none, with near
    ones, and if there are several."""
    fitting = [each for each in ids if each.startswith(wanted)] if wanted else []
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        shown = ", ".join(sorted(fitting)[:MAX_NEAR])
        more = ", …" if len(fitting) > MAX_NEAR else ""
        message = f"'{wanted}' begins the ids of {len(fitting)} incidents: {shown}{more}"
    else:
        message = f"no incident '{wanted}' in {place}{_near(ids, wanted)}"
    raise ConfigError([Problem("netwatch explain", 0, 0, escaped(message))])


def from_alerts(lines: Iterable[str], place: str, wanted: str) -> Found:
    """The incident with an id in alerts that were written as JSON lines."""
    records = read_alerts(lines, place)
    return Found(records[chosen(list(records), wanted, place)], place, {})


def _near(ids: Sequence[str], wanted: str) -> str:
    if not ids:
        return ": it has no incidents"
    # People who type an id mistype a digit near its start.
    beginnings = {each[: max(len(wanted), 4)]: each for each in sorted(ids)}
    near = difflib.get_close_matches(wanted, beginnings, MAX_NEAR, 0.5)
    if not near:
        return f"; it has {len(ids)}, the first is {ids[0]}"
    return "; near ones are " + ", ".join(beginnings[each] for each in near)
