"""Reads and checks the alerts that sensors sent, which may be of another version of netwatch, or
forged.

What the catalogue, cases and pages need of a record has to be there, so that a wrong record is
refused by itself and never fails the transaction of others. Fields that are not known are kept.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from netwatch.core.alert import UNHEARD
from netwatch.core.errors import NetwatchError
from netwatch.formats.alert_record import Incident
from netwatch.formats.typed_records import RecordError, check
from netwatch.formats.values import epoch_ns, line_of
from netwatch.store.case_members import DEVICES, NETWORKS
from netwatch.store.cases import SensorAlert

MAX_VALUES = 4096
"""Values in one list of a record."""

_YEAR = 366 * 86_400 * 10**9
_LATEST = 240 * _YEAR  # ns since the epoch that fit into 64 bits, with any offset of a clock

MAX_LINE = 1 << 20
"""Bytes of the record of one alert."""


class BadAlertError(NetwatchError, ValueError):
    """The record of an alert is not one; the message says what is wrong."""


def check_alert(record: Any) -> None:
    """Check the record of an alert. Raises `BadAlertError`."""
    if not isinstance(record, dict):
        raise BadAlertError("an alert that is no object")
    try:
        check(Incident, record, MAX_VALUES)
        _check_together(record)
    except (RecordError, ValueError, OverflowError) as error:
        raise BadAlertError(f"an alert with a wrong value: {error}") from None


def _check_together(record: Mapping[str, Any]) -> None:
    """Check what no type says of a value."""
    for name, text in (
        ("id", record["id"]),
        ("app.id", record["app"]["id"]),
        ("ban.id", record["ban"]["id"]),
        ("versions", record.get("versions")),
        ("evidence", record["evidence"]),
        *(("contradictions.text", each["text"]) for each in record.get("contradictions", ())),
    ):
        if not text:
            raise ValueError(f"{name} is missing or empty")
    first, last = epoch_ns(record["first_seen"]), epoch_ns(record["last_seen"])
    if not 0 <= first <= last <= _LATEST:
        raise ValueError("first_seen is after last_seen, or a time is out of range")
    if record["duration"] > _LATEST / 1e9:
        raise ValueError("duration is out of range")
    for item in record["evidence"]:
        if item.get("packet") is None and not item.get("log"):
            raise ValueError("evidence without a packet or a log")


def read_record(sensor: str, record: Any, clock_offset: int = 0) -> SensorAlert:
    """The alert that a sensor sent, read from JSON; `clock_offset` is how far its clock is ahead
    (ns). Raises `BadAlertError`."""
    if isinstance(record, dict):
        # These are for the centre to say.
        record.pop(UNHEARD, None)
        if isinstance(record.get("sensor"), dict):
            for limit in (NETWORKS, DEVICES):
                record["sensor"].pop(limit, None)
    check_alert(record)
    return stored_alert(sensor, record, clock_offset)


def stored_alert(sensor: str, record: Any, clock_offset: int = 0) -> SensorAlert:
    """The same of a record that was read, and may have been marked here."""
    try:
        raw = orjson.dumps(record)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise BadAlertError(f"an alert that cannot be stored: {error}") from None
    if len(raw) > MAX_LINE:
        raise BadAlertError(f"an alert of {len(raw)} bytes; expected at most {MAX_LINE}")
    return SensorAlert(sensor, record, line_of(raw), clock_offset)
