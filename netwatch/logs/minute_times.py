"""Times with microseconds (RFC 3339), read quickly where many of them are of one minute."""

from netwatch.logs.reading import RecordError
from netwatch.logs.times import SECOND, LocalTimes
from netwatch.logs.timestamps import rfc3339

_SECONDS = 17  # the offset of the seconds in 2023-03-20T10:04:31.123456Z
_ZONE = 26
_LATEST = 9_000_000_000 * SECOND  # A later time may not fit into 64 bits.


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
