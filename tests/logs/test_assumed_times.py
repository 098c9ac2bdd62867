"""What was assumed of a time goes with each entry that has it, and with no other."""

from datetime import UTC
from pathlib import Path

import pytest
from support.log_records import SAMPLES
from support.logs import items_of

from netwatch.core.statistics import RunStatistics
from netwatch.logs import LogOptions
from netwatch.logs.records import LogName

CARRIED = (
    b'Mar  2 10:15:01 fgt-1 devname="FGT-1" devid="FG100FTK00000001" logid="0317013312" type="utm"'
    b' subtype="webfilter" srcip=10.1.100.11 srcport=54622 dstip=198.51.100.7 dstport=443 proto=6'
    b' service="HTTPS" hostname="www.tiktok.com" action="passthrough"\n'
)


def lacks_of(path: Path, name: str, **options: object) -> tuple[list[tuple[str, ...]], list[str]]:
    """What was assumed of the time of each name in a log, and the notes about it."""
    statistics = RunStatistics()
    found = items_of(path, name, options=LogOptions(**options), statistics=statistics)
    names = [each for each in found if isinstance(each.entry, LogName)]
    return [each.assumed for each in names], statistics.notes


def test_a_time_of_its_own_is_not_that_of_syslog_even_where_they_are_equal() -> None:
    lacks, notes = lacks_of(SAMPLES / "palo-alto" / "v8-syslog.log", "palo-alto")
    assert lacks == [("time-zone",)]
    assert [note.split(": ")[1] for note in notes] == [
        "times without a zone were read as UTC; --timezone sets another"
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("year", "time-zone")),
        ({"year": 2026}, ("time-zone",)),
        ({"year": 2026, "zone": UTC}, ()),
    ],
)
def test_the_time_of_syslog_lacks_what_the_user_does_not_say(
    tmp_path: Path, options: dict[str, object], expected: tuple[str, ...]
) -> None:
    path = tmp_path / "fortigate.log"
    path.write_bytes(CARRIED * 2)
    lacks, notes = lacks_of(path, "fortigate", **options)
    assert lacks == [expected, expected]
    assert len(notes) == len(expected)


def test_times_with_a_zone_lack_nothing() -> None:
    lacks, notes = lacks_of(SAMPLES / "fortigate" / "v7.log", "fortigate")
    assert set(lacks) == {()}
    assert notes == []
