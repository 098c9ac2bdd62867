"""Days in a time zone: weeks, changes of clocks, and the periods of a ban in them.

Devices of several sites that are known by one address are several in a report.
"""

from datetime import date
from typing import Any

import pytest
from report.stores import Office, ns
from report.test_answer import ban
from report.test_collect import MARCH, made, only
from support.fleet_alerts import GAP, MINUTE, fleet_alert

from netwatch.core.addresses import parse_ip
from netwatch.core.verdict import BanPeriod
from netwatch.report.reading import Days, days_in_force
from netwatch.store.cases import keep_alerts

HOUR = 3_600_000_000_000
BRUSSELS = "Europe/Brussels"


@pytest.mark.parametrize(
    ("first", "last", "hours"),
    [
        (date(2023, 3, 26), date(2023, 3, 26), 23),
        (date(2023, 10, 29), date(2023, 10, 29), 25),
        (date(2023, 3, 1), date(2023, 3, 31), 31 * 24 - 1),
        (date(2023, 1, 1), date(2023, 12, 31), 365 * 24),
    ],
)
def test_days_have_the_hours_of_their_zone(first: date, last: date, hours: int) -> None:
    begin, end = Days(first, last, BRUSSELS).span
    assert (end - begin) // HOUR == hours


def test_a_day_begins_at_midnight_of_the_zone() -> None:
    days = Days(date(2023, 3, 27), date(2023, 3, 27), BRUSSELS)
    assert days.span == (ns("2023-03-26T22:00"), ns("2023-03-27T22:00"))
    assert days.day_of(days.span[0]) == date(2023, 3, 27)
    assert days.day_of(days.span[0] - 1) == date(2023, 3, 26)


def test_the_period_before_is_as_many_days() -> None:
    days = Days(date(2023, 3, 1), date(2023, 4, 30), BRUSSELS)
    assert (days.previous.first, days.previous.last) == (date(2022, 12, 30), date(2023, 2, 28))
    assert days.previous.span[1] == days.span[0]


def test_weeks_begin_on_mondays() -> None:
    days = Days(date(2023, 3, 1), date(2023, 3, 13), BRUSSELS)
    assert days.mondays == [date(2023, 2, 27), date(2023, 3, 6), date(2023, 3, 13)]
    assert Days(date(2023, 3, 6), date(2023, 3, 6), BRUSSELS).mondays == [date(2023, 3, 6)]


@pytest.mark.parametrize(
    ("periods", "forbids", "expected"),
    [
        ([(date(2023, 3, 10), None)], "service", [("2023-03-10", "2023-04-30")]),
        ([(None, date(2023, 3, 5))], "service", [("2023-03-01", "2023-03-05")]),
        (
            [(date(2023, 1, 1), date(2023, 3, 9)), (date(2023, 3, 20), None)],
            "service",
            [("2023-03-01", "2023-03-09"), ("2023-03-20", "2023-04-30")],
        ),
        ([(date(2023, 5, 1), None)], "service", []),
        ([(date(2023, 1, 1), date(2023, 2, 28))], "service", []),
        ([(date(2023, 1, 1), None)], "", []),
    ],
)
def test_periods_of_a_ban_within_the_days(
    periods: list[Any], forbids: str, expected: list[tuple[str, str]]
) -> None:
    rule = ban(
        periods=tuple(BanPeriod(first, last) for first, last in periods),
        forbids=frozenset({forbids} - {""}),
    )
    days = Days(date(2023, 3, 1), date(2023, 4, 30), BRUSSELS)
    found = [(f"{part.first}", f"{part.last}") for _, part in days_in_force(rule, days)]
    assert found == expected


def test_days_of_advice_are_not_in_force() -> None:
    rule = ban(
        periods=(
            BanPeriod(date(2023, 3, 1), date(2023, 3, 31), advice=True),
            BanPeriod(date(2023, 4, 1), None),
        )
    )
    days = Days(date(2023, 3, 1), date(2023, 4, 30), BRUSSELS)
    assert [part.first for _, part in days_in_force(rule, days)] == [date(2023, 4, 1)]


IP = "10.0.0.5"


@pytest.mark.parametrize("names_devices", [True, False])
def test_an_address_in_two_networks_is_two_devices(office: Office, names_devices: bool) -> None:
    for second, network in enumerate(("hq", "byod")):
        # The same app at the same time: two runs that saw one thing would be counted once.
        at = f"2023-03-21T10:00:0{second}"
        office.incident(office.run(), at, device=IP, network=network)
    office.incident(office.run(), "2023-03-21T12:00:00", device="10.0.0.6")
    ban = only(made(office, MARCH, names_devices=names_devices))
    assert (ban.totals.all.violation, ban.totals.merged) == (3, 0)
    assert {each.counts.violation for each in ban.devices} == {1}
    devices = [each.device for each in ban.devices]
    assert len(set(devices)) == 3
    if names_devices:
        assert sorted(devices) == [f"{IP} (byod)", f"{IP} (hq)", "10.0.0.6"]
    else:
        assert all(parse_ip(each) is None for each in devices)


def test_of_the_built_in_network_sensors_tell(office: Office) -> None:
    keep_alerts(
        office.catalogue,
        [
            fleet_alert(sensor, at * MINUTE, ban="city", device=IP, ip=IP, network="private",
                        is_listed=False)
            for at, sensor in enumerate(("ghent", "liege"))
        ],
        GAP,
    )  # fmt: skip
    ban = only(made(office, MARCH, names_devices=True))
    assert sorted(each.device for each in ban.devices) == [f"{IP} (ghent)", f"{IP} (liege)"]


def test_blind_devices_are_told_apart(office: Office) -> None:
    run = office.whole()
    flows = {IP: {"named": 1, "ech": 500}}
    office.coverage(run, "2023-03-02", "2023-03-03", {"hq": {"ech": 500}, "byod": {"ech": 500}},
                    part=1, devices={"hq": flows, "byod": flows})  # fmt: skip
    found = made(office, MARCH, names_devices=True).coverage.by_device
    assert found is not None
    assert sorted(each.device for each in found.devices) == [f"{IP} (byod)", f"{IP} (hq)"]
