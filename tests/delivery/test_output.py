"""In quiet hours an output for people collects alerts, and sends them when the hours end."""

import time
from datetime import datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from support.made_alerts import output, records
from support.waiting import wait_until

from netwatch.core.errors import ConfigError
from netwatch.delivery import worker
from netwatch.delivery.output import QuietHours

BRUSSELS = ZoneInfo("Europe/Brussels")
NIGHT = QuietHours(22 * 60, 7 * 60, BRUSSELS)
LUNCH = QuietHours(12 * 60, 13 * 60 + 30, BRUSSELS)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BRUSSELS).timestamp()


@pytest.mark.parametrize(
    ("hours", "moment", "left"),
    [
        (NIGHT, "2026-01-10T21:59:59", 0),
        (NIGHT, "2026-01-10T22:00:00", 9 * 3600),
        (NIGHT, "2026-01-10T23:30:00", 7.5 * 3600),
        (NIGHT, "2026-01-11T06:59:00", 60),
        (NIGHT, "2026-01-11T07:00:00", 0),
        (LUNCH, "2026-01-11T11:59:59", 0),
        (LUNCH, "2026-01-11T12:30:00", 3600),
        (LUNCH, "2026-01-11T13:30:00", 0),
        # The night in which the clocks go forward has an hour less, the other one an hour more.
        (NIGHT, "2026-03-28T22:00:00", 8 * 3600),
        (NIGHT, "2026-10-24T22:00:00", 10 * 3600),
        (NIGHT, "2026-12-31T23:00:00", 8 * 3600),
    ],
)
def test_time_that_is_left(hours: QuietHours, moment: str, left: float) -> None:
    assert hours.left(at(moment)) == left


def test_alerts_wait_for_the_end(http, deliver, tmp_path, monkeypatch):
    monkeypatch.setenv("CHAT", f"json://127.0.0.1:{http.server_port}/")
    now = [at("2026-01-10T23:00:00")]
    clock = SimpleNamespace(monotonic=time.monotonic, time=lambda: now[0])
    monkeypatch.setattr(worker, "time", clock)
    one = output(
        tmp_path, type="apprise", url={"env": "CHAT"}, every="1s",
        quiet_hours="22:00-07:00", timezone="Europe/Brussels",
    )  # fmt: skip
    delivery = deliver(one)
    delivery.put(*records(3))
    wait_until(lambda: delivery.status()[0].queued == 3)
    now[0] += 3600  # longer than alerts are collected
    assert not http.accepted
    assert delivery.status()[0].queued == 3
    now[0] = at("2026-01-11T07:00:01")
    wait_until(lambda: http.accepted)
    wait_until(lambda: delivery.status()[0].queued == 0)
    assert len(http.accepted) == 1


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"quiet_hours": "22-7"}, "'quiet_hours': expected hours like 22:00-07:00"),
        ({"quiet_hours": "24:00-07:00"}, "expected hours like 22:00-07:00"),
        (
            {"quiet_hours": "07:00-07:00"},
            "'quiet_hours': expected hours that end later than they begin",
        ),
        ({"quiet_hours": "22:00-07:00", "timezone": "Mars"}, "time zone, like Europe/Brussels"),
        ({"quiet_hours": "22:00-07:00", "timezone": "../etc"}, "time zone, like Europe/Brussels"),
        ({"timezone": "UTC"}, "'timezone' needs 'quiet_hours'"),
    ],
)
def test_mistakes(tmp_path, keys, reason):
    with pytest.raises(ConfigError) as caught:
        output(tmp_path, type="apprise", url={"env": "CHAT"}, **keys)
    assert reason in str(caught.value)


def test_types_that_send_immediately_have_no_quiet_hours(tmp_path):
    with pytest.raises(ConfigError, match="unknown key 'quiet_hours'"):
        output(tmp_path, type="file", path="alerts.jsonl", quiet_hours="22:00-07:00")
