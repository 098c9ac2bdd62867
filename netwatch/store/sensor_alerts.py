"""Reads alerts that sensors sent as lines of JSON."""

import orjson

from netwatch.formats.values import json_line
from netwatch.store.alert_check import BadAlertError, check_alert
from netwatch.store.cases import SensorAlert

MAX_LINE = 1 << 20
"""Bytes of the record of one alert."""


def read_alert(sensor: str, line: bytes | str, clock_offset: int = 0) -> SensorAlert:
    """The alert that a sensor sent as JSON; `clock_offset` is how far its clock is ahead (ns).
    Raises `BadAlertError`."""
    if len(line) > MAX_LINE:
        raise BadAlertError(f"an alert of {len(line)} bytes; expected at most {MAX_LINE}")
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadAlertError(f"an alert that is not JSON: {error}") from None
    check_alert(record)
    return SensorAlert(sensor, record, json_line(record), clock_offset)
