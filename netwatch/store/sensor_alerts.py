"""Reads alerts that sensors sent."""

from typing import Any

import orjson

from netwatch.core.alert import UNHEARD
from netwatch.formats.values import line_of
from netwatch.store.alert_check import BadAlertError, check_alert
from netwatch.store.case_members import DEVICES, NETWORKS
from netwatch.store.cases import SensorAlert

MAX_LINE = 1 << 20
"""Bytes of the record of one alert."""


def read_record(sensor: str, record: Any, clock_offset: int = 0) -> SensorAlert:
    """The alert that a sensor sent, read from JSON; `clock_offset` is how far its clock is ahead
    (ns). Raises `BadAlertError`."""
    check_alert(record)
    # These are for the centre to say.
    record.pop(UNHEARD, None)
    if isinstance(record.get("sensor"), dict):
        for limit in (NETWORKS, DEVICES):
            record["sensor"].pop(limit, None)
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
