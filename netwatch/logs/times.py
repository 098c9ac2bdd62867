"""Times in logs that lack the year or the time zone.

Nothing here asks the clock: the year and the zone are those that the user gave, else they are
assumed from the time of the file, and `LocalTimes` remembers that something was assumed so that it
can be said.
"""

from datetime import UTC, datetime, timedelta, tzinfo

SECOND = 1_000_000_000
LAST = 1 << 62
"""Times before 1970 and from here on (ns; in the year 2116) are no times of a log: a record with
one counts as unread."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LocalTimes:
    """Reads times of one log. `zone` and `year` are what the user said, None where he said nothing;
    `modified` is when the file was last written (ns since the epoch, 0 if unknown), from which a
    missing year follows; without a zone the times are taken as UTC.

    `assumed_zone` and `assumed_year` become true when a time was read for which it was needed.
    """

    def __init__(
        self, zone: tzinfo | None = None, year: int | None = None, modified: int = 0
    ) -> None:
        self._zone = zone
        self._year = year
        self._modified = modified
        self.assumed_zone = False
        self.assumed_year = False

    def file_written(self, modified: int) -> None:
        """The times that follow are in a file that was last written then."""
        self._modified = modified

    def local(self, moment: datetime, nanoseconds: int = 0) -> int:
        """A time of the log's zone, without a zone of its own, in ns since the epoch. Of the two
        times of an hour that is repeated in autumn it is the first one."""
        if self._zone is None:
            self.assumed_zone = True
        at = moment.replace(tzinfo=self._zone or UTC)
        return (at - _EPOCH) // timedelta(microseconds=1) * 1000 + nanoseconds

    def without_year(
        self, month: int, day: int, hour: int, minute: int, second: int, nanoseconds: int = 0
    ) -> int:
        """The same of a time without a year: that of the user, else the last one in which the time
        is not later than a day after the file was written. Raises `ValueError` where there is no
        such day."""
        if self._year is not None:
            return self.local(datetime(self._year, month, day, hour, minute, second), nanoseconds)
        self.assumed_year = True
        latest = _EPOCH + timedelta(microseconds=self._modified // 1000) + timedelta(days=1)
        for year in range(latest.year, latest.year - 8, -1):
            try:
                moment = datetime(year, month, day, hour, minute, second)
            except ValueError:
                if (month, day) != (2, 29):
                    raise
                continue
            time = self.local(moment, nanoseconds)
            if time <= (latest - _EPOCH) // timedelta(microseconds=1) * 1000:
                return time
        raise ValueError("no such day")

    def is_past(self, moment: datetime) -> bool:
        """Whether a time of the log's zone is not later than a day after the file was written."""
        at = moment.replace(tzinfo=self._zone or UTC)
        return at <= _EPOCH + timedelta(microseconds=self._modified // 1000) + timedelta(days=1)
