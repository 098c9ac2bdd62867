"""Times as logs write them: RFC 3339, seconds since the epoch with a fraction, and those of access
logs.

All give the time in ns since the epoch and the number of digits after the second. Digits beyond the
ninth are cut off. Times of RFC 3339 with microseconds are read quickly where many of them are of
one minute. The Common Log Format has ``20/Mar/2023:10:04:31 +0100``; HAProxy writes milliseconds
and no zone.
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

_SECONDS = 17  # the offset of the seconds in 2023-03-20T10:04:31.123456Z
_ZONE = 26
_LATEST = 9_000_000_000 * SECOND  # A later time may not fit into 64 bits.

_CLF = re.compile(
    rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?: ?([+-]\d{4}))?"
)
_EPOCH_SECONDS = re.compile(rb"\d{9,11}(\.\d{1,12})?")
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun",
         b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}  # fmt: skip
_LATEST_SECOND = 9_000_000_000  # The count of ns of a later second may not fit into 64 bits.
_START_OF_OFFSET = datetime(1970, 1, 1, tzinfo=timezone(timedelta()))


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


class MinuteTimes:
    """Reads times like ``2023-03-20T10:04:31.123456+0100``, and all others that
    `netwatch.logs.timestamps.rfc3339` reads. The start of the last minute is remembered."""

    def __init__(self, times: LocalTimes) -> None:
        self._times = times
        self._minute = self._zone = ""
        self._start = 0

    def read(self, written: str) -> tuple[int, int]:
        """The time in ns since the epoch, and its digits after the second. Raises `RecordError`."""
        if (
            len(written) >= _ZONE
            and written[:_SECONDS] == self._minute
            and written[_ZONE:] == self._zone
        ):
            second, fraction = written[17:19], written[20:_ZONE]
            is_number = fraction.isdecimal() and second.isdecimal() and written.isascii()
            if is_number and second < "60" and written[19] == ".":
                return self._start + int(second) * SECOND + int(fraction) * 1000, 6
        time, digits = rfc3339(written, self._times)
        if not 0 <= time < _LATEST:
            raise RecordError("time-invalid")
        second, fraction = written[17:19], written[20:_ZONE]
        is_usual = written.isascii() and written[19:20] == "." and len(fraction) == 6
        if is_usual and digits == 6 and second.isdecimal() and second < "60":
            self._minute, self._zone = written[:_SECONDS], written[_ZONE:]
            self._start = time - int(second) * SECOND - int(fraction) * 1000
        return time, digits


def access_time(written: bytes, times: LocalTimes) -> tuple[int, int]:
    """A time in one of these forms, in ns since the epoch, and its digits after the second.
    Without a zone it is read by `times`. Raises `RecordError`."""
    written = written.strip(b"[]")
    found = _CLF.fullmatch(written)
    if found is None:
        text = written.decode("ascii", "replace")
        time, digits = epoch(text) if _EPOCH_SECONDS.fullmatch(written) else rfc3339(text, times)
        if not 0 <= time < _LATEST_SECOND * SECOND:
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
            if not 0 <= local < _LATEST_SECOND * SECOND:
                raise RecordError("time-invalid")
            return local, digits
        offset = int(zone[1:3]) * 60 + int(zone[3:])
        at = moment.replace(
            tzinfo=timezone(timedelta(minutes=-offset if zone[:1] == b"-" else offset))
        )
    except (KeyError, ValueError, OverflowError):
        raise RecordError("time-invalid") from None
    seconds = (at - _START_OF_OFFSET) // timedelta(seconds=1)
    if not 0 <= seconds < _LATEST_SECOND:
        raise RecordError("time-invalid")
    return seconds * SECOND + nanoseconds, digits
