"""Reads alerts that sensors sent, as lines of JSON or as the values of one."""

from typing import Any

import orjson

from netwatch.formats.values import line_of
from netwatch.store.alert_check import BadAlertError, check_alert
from netwatch.store.cases import SensorAlert

MAX_LINE = 1 << 20
"""Bytes of the record of one alert."""


def read_alert(sensor: str, line: bytes | str, clock_offset: int = 0) -> SensorAlert:
    """The alert that a sensor sent as JSON; `clock_offset` is how far its clock is ahead (ns).
    Raises `BadAlertError`."""
    if len(line) > MAX_LINE:
        raise _too_large(len(line))
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadAlertError(f"an alert that is not JSON: {error}") from None
    return read_record(sensor, record, clock_offset)


def read_record(sensor: str, record: Any, clock_offset: int = 0) -> SensorAlert:
    """The same for what was read from JSON already."""
    check_alert(record)
    try:
        raw = orjson.dumps(record)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise BadAlertError(f"an alert that cannot be stored: {error}") from None
    if len(raw) > MAX_LINE:
        raise _too_large(len(raw))
    return SensorAlert(sensor, record, line_of(raw), clock_offset)


def _too_large(size: int) -> BadAlertError:
    return BadAlertError(f"an alert of {size} bytes; expected at most {MAX_LINE}")
