"""Times as logs write them: RFC 3339, and seconds since the epoch with a fraction.

Both give the time in ns since the epoch and the number of digits after the second. Digits beyond
the ninth are cut off.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

from netwatch.logs.reading import RecordError
from netwatch.logs.times import LAST, SECOND, LocalTimes

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,12}))?"
    r"\s*(Z|z|UTC|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_EPOCH = re.compile(r"(\d{1,11})(?:\.(\d{1,12}))?", re.ASCII)
_START = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(text: str, times: LocalTimes | None = None) -> tuple[int, int]:
    """A time like ``2023-03-20T10:04:31.123456+01:00`` (RFC 3339, also with a space, a comma, or
    ``+0100``). Without a zone it is read by `times`. Raises `RecordError` where it is none, or has
    no zone and `times` is None."""
    found = _RFC3339.fullmatch(text.strip())
    if found is None:
        raise RecordError("time-invalid")
    digits, offset = found[7] or "", found[8]
    try:
        year, month, day, hour, minute, second = (int(found[at]) for at in range(1, 7))
        # A leap second has no time of its own since the epoch.
        moment = datetime(year, month, day, hour, minute, min(second, 59))
        fraction = int(digits[:9].ljust(9, "0"))
        if offset is None:
            if times is None:
                raise RecordError("time-zone-missing")
            return times.local(moment, fraction), min(len(digits), 9)
        at = moment.replace(tzinfo=_zone(offset))
    except (ValueError, OverflowError):
        raise RecordError("time-invalid") from None
    time = (at - _START) // timedelta(seconds=1) * SECOND + fraction
    if not 0 <= time < LAST:
        raise RecordError("time-invalid")
    return time, min(len(digits), 9)


def epoch(text: str) -> tuple[int, int]:
    """A time like ``1679303071.123456``, in seconds since the epoch. Raises `RecordError`."""
    found = _EPOCH.fullmatch(text)
    if found is None:
        raise RecordError("time-invalid")
    digits = found[2] or ""
    time = int(found[1]) * SECOND + int(digits[:9].ljust(9, "0"))
    if time >= LAST:
        raise RecordError("time-invalid")
    return time, min(len(digits), 9)


def _zone(offset: str) -> timezone:
    if offset in ("Z", "z", "UTC"):
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
