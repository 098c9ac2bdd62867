"""Times with microseconds (RFC 3339), read quickly where many of them are of one minute."""

from netwatch.logs.times import SECOND, LocalTimes
from netwatch.logs.timestamps import rfc3339

_SECONDS = 17  # the offset of the seconds in 2023-03-20T10:04:31.123456Z
_ZONE = 26


class MinuteTimes:
    """Reads times like ``2023-03-20T10:04:31.123456+0100``, and all others that
    `netwatch.logs.timestamps.rfc3339` reads. The start of the last minute is remembered."""

    def __init__(self, times: LocalTimes) -> None:
        self._times = times
        self._minute = self._zone = ""
        self._start = 0

    def read(self, written: str) -> tuple[int, int]:
        """The time in ns since the epoch, and its digits after the second. Raises `RecordError`."""
        if written[:_SECONDS] == self._minute and written[_ZONE:] == self._zone:
            second, fraction = written[17:19], written[20:_ZONE]
            if written[19] == "." and second < "60" and (second + fraction).isdecimal():
                return self._start + int(second) * SECOND + int(fraction) * 1000, 6
        time, digits = rfc3339(written, self._times)
        if digits == 6 and written[19:20] == "." and written.isascii():
            second = written[17:19]
            if second < "60" and len(written) >= _ZONE and not written[_ZONE : _ZONE + 1].isdigit():
                self._minute, self._zone = written[:_SECONDS], written[_ZONE:]
                self._start = time - int(second) * SECOND - int(written[20:_ZONE]) * 1000
        return time, digits
