"""The four pictures with values that are as unlike as they come, hostile names among them."""

from datetime import date, timedelta

from netwatch.charts.change import NetworkChange, Seen, before_after
from netwatch.charts.coverage import NetworkCoverage, coverage_picture
from netwatch.charts.days import BanDay
from netwatch.charts.heat_map import DeviceWeeks, heat_map
from netwatch.charts.picture import Picture
from netwatch.charts.weeks import Week, WeeklyIncidents, weeks_picture
from netwatch.language.language import Language

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b[31m=1+1"
MONDAY = date(2023, 2, 27)


def weekly(weeks: int = 9) -> WeeklyIncidents:
    """Weeks with incidents, one of them without a capture, and one without that of two days."""
    counts = [{"proved": 3, "advisory": 1}, {}, {"open": 7, "blocked": 2, "exempt": 1}]
    missing = {4: range(7), 6: range(2, 4)}
    return WeeklyIncidents(
        [
            Week(
                MONDAY + timedelta(weeks=number),
                counts[number % 3],
                [MONDAY + timedelta(weeks=number, days=day) for day in missing.get(number, ())],
                captured=number != 4,
            )
            for number in range(weeks)
        ],
        [
            BanDay(date(2023, 3, 10), "from"),
            BanDay(date(2023, 4, 10), "review"),
            BanDay(date(2023, 4, 14), "extended"),
            BanDay(date(2023, 3, 20), "exemption"),
            BanDay(date(2023, 3, 20), "exemption"),
            BanDay(date(2023, 4, 20), "block"),
        ],
    )


def all_pictures(language: Language) -> list[Picture]:
    """The four pictures."""
    networks = [
        NetworkCoverage("hq", 107, 104, {"one-direction": 1, "no-hello": 2}),
        NetworkCoverage(HOSTILE, 388, 9, {"encrypted-dns": 300, "vpn": 61, "no-data": 18}),
        NetworkCoverage("empty", 0, 0, {}),
    ]
    devices = [
        DeviceWeeks(HOSTILE, {MONDAY: 1, MONDAY + timedelta(weeks=2): 3}),
        DeviceWeeks("ws-021", {MONDAY: 7}),
    ]
    changes = [
        NetworkChange("hq", Seen(30, 0.95), Seen(8, 0.9)),
        NetworkChange(HOSTILE, Seen(None, None), Seen(2, 0.0)),
    ]
    return [
        weeks_picture(weekly(), language),
        coverage_picture(networks, language),
        heat_map(
            devices, MONDAY, MONDAY + timedelta(weeks=8), language, weekly().missing, weekly().days
        ),
        before_after(changes, ("January", HOSTILE), language),
    ]
