"""The record of a sensor that is silent.

It is sent by the same outputs as alerts (`netwatch.formats.notice`): receivers of violations must
know when these can no longer be seen.
"""

import hashlib

from netwatch.core.alert import AlertRecord
from netwatch.core.text import quantity
from netwatch.formats.values import rfc3339

SCHEMA = "netwatch.silence/1"
"""The value of ``schema``. A record with another number after the slash has other fields."""

SEVERITY = "high"
"""The severity of a silence: while it lasts, violations at the sensor are not seen."""


def silence_record(
    sensor: str, version: str, since: int, at: int, *, ended: str = ""
) -> AlertRecord:
    """The record of a silence that began at `since` and was noticed, or has `ended`, at `at` (both
    ns by the centre's clock); `ended` tells how: ``present`` or ``stopped``. `version` is the
    version of the sensor's netwatch, empty if it is not known."""
    id_ = hashlib.sha256(f"silence\0{sensor}\0{since}".encode()).hexdigest()[:16]
    seconds = max(0, at - since) / 1e9
    for_ = _duration(seconds)
    message = f"sensor {sensor} has given no sign of life for {for_}"
    if ended == "stopped":
        message = f"sensor {sensor} was stopped; it had given no sign of life for {for_}"
    elif ended:
        message = f"sensor {sensor} gives signs of life again, after {for_}"
    return {
        "schema": SCHEMA,
        "id": id_,
        "status": "closed" if ended else "open",
        "severity": SEVERITY,
        "first_seen": rfc3339(since, 3),
        "last_seen": rfc3339(at, 3),
        "duration": round(seconds, 3),
        "ended_by": ended or None,
        "message": message,
        "sensor": {"name": sensor, "version": version},
    }


def _duration(seconds: float) -> str:
    """A time for people, in the largest unit with at least two."""
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return quantity(int(seconds // size), unit)
    return quantity(int(seconds), "second")
