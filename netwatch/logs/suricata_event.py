"""What all EVE events have in common: time, sides, flow, VLAN and MAC addresses."""

from typing import Literal, NamedTuple

from netwatch.logs.records import Endpoint
from netwatch.logs.times import SECOND, LocalTimes
from netwatch.logs.timestamps import rfc3339


class Event(NamedTuple):
    """The common part of an event: its time in ns since the epoch, the digits of it after the
    second, source and destination, the flow, the VLAN, and the MAC addresses of the frame."""

    time: int
    digits: int
    source: Endpoint
    destination: Endpoint
    transport: Literal["tcp", "udp"]
    flow: str
    vlan: int | None
    source_mac: bytes | None
    destination_mac: bytes | None


class EventTimes:
    """Reads times like ``2023-03-20T10:04:31.123456+0100``. Old versions write no zone."""

    def __init__(self, times: LocalTimes) -> None:
        self._times = times
        self._minute = self._zone = ""
        self._start = 0

    def read(self, written: str) -> tuple[int, int]:
        """The time in ns since the epoch, and its digits after the second. Raises `RecordError`."""
        # Many events are of one minute, whose start is then known.
        if len(written) == 31 and written[:17] == self._minute and written[26:] == self._zone:
            fraction = written[17:26]
            if fraction[2] == "." and (fraction[:2] + fraction[3:]).isdecimal():
                second = int(fraction[:2])
                if second < 60:
                    return self._start + second * SECOND + int(fraction[3:]) * 1000, 6
        time, digits = rfc3339(written, self._times)
        if len(written) == 31 and digits == 6 and written.isascii():
            second = int(written[17:19])
            if second < 60:
                self._minute, self._zone = written[:17], written[26:]
                self._start = time - second * SECOND - int(written[20:26]) * 1000
        return time, digits
