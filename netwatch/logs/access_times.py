"""Times in the access logs of proxies: since the epoch, RFC 3339, and those of the Common Log
Format (``20/Mar/2023:10:04:31 +0100``), of which HAProxy writes milliseconds and no zone."""

import re
from datetime import datetime, timedelta, timezone

from netwatch.logs.reading import RecordError
from netwatch.logs.times import SECOND, LocalTimes
from netwatch.logs.timestamps import epoch, rfc3339

_CLF = re.compile(
    rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?: ?([+-]\d{4}))?"
)
_EPOCH = re.compile(rb"\d{9,11}(\.\d{1,12})?")
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun",
         b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}  # fmt: skip
_LATEST = 9_000_000_000  # The count of ns of a later second may not fit into 64 bits.
_START = datetime(1970, 1, 1, tzinfo=timezone(timedelta()))


def access_time(written: bytes, times: LocalTimes) -> tuple[int, int]:
    """A time in one of these forms, in ns since the epoch, and its digits after the second.
    Without a zone it is read by `times`. Raises `RecordError`."""
    written = written.strip(b"[]")
    found = _CLF.fullmatch(written)
    if found is None:
        text = written.decode("ascii", "replace")
        time, digits = epoch(text) if _EPOCH.fullmatch(written) else rfc3339(text, times)
        if not 0 <= time < _LATEST * SECOND:
            raise RecordError("time-invalid")
        return time, digits
    day, month, year, hour, minute, second, fraction, zone = found.groups()
    digits = len(fraction or b"")
    nanoseconds = int((fraction or b"").ljust(9, b"0"))
    try:
        moment = datetime(
            int(year), _MONTHS[month], int(day), int(hour), int(minute), min(int(second), 59)
        )
        if zone is None:
            local = times.local(moment, nanoseconds)
            if not 0 <= local < _LATEST * SECOND:
                raise RecordError("time-invalid")
            return local, digits
        offset = int(zone[1:3]) * 60 + int(zone[3:])
        at = moment.replace(
            tzinfo=timezone(timedelta(minutes=-offset if zone[:1] == b"-" else offset))
        )
    except (KeyError, ValueError, OverflowError):
        raise RecordError("time-invalid") from None
    seconds = (at - _START) // timedelta(seconds=1)
    if not 0 <= seconds < _LATEST:
        raise RecordError("time-invalid")
    return seconds * SECOND + nanoseconds, digits
