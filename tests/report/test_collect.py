"""What a report finds in a store."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from report.stores import CONFIGURATION, HOSTILE, Office, make_office, ns
from sqlalchemy import func, select

from netwatch.core.errors import ConfigError
from netwatch.coverage.judged import QUARTER
from netwatch.formats import registry
from netwatch.formats.values import epoch_ns
from netwatch.report import blind_devices, words
from netwatch.report.collect import Wanted, collect
from netwatch.report.files import report_json
from netwatch.report.page import report_language
from netwatch.report.reading import server_seen
from netwatch.report.values import BanReport, Report, Thresholds
from netwatch.store import catalogue_tables as tables
from netwatch.store.hour_rows import ALL

MARCH = date(2023, 3, 1), date(2023, 3, 31)
SUMMER = date(2023, 6, 1), date(2023, 6, 30)


def made(office: Office, days: tuple[date, date] = MARCH, **more: Any) -> Report:
    report = collect(office.catalogue, office.config, Wanted(*days, **more))
    schema = json.loads(registry.schema_text("report"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(report_json(report)))
    return report


def only(report: Report) -> BanReport:
    (found,) = report.bans
    return found


def codes(ban: BanReport) -> list[str]:
    return [each.code for each in ban.answer.reasons]


def notes(ban: BanReport) -> dict[str, Any]:
    return {each.code: dict(each.values) for each in ban.answer.notes}


def test_an_empty_store_says_nothing(office: Office) -> None:
    ban = only(made(office))
    assert ban.answer.word == "cannot-be-said"
    assert codes(ban) == ["no-coverage", "network-unseen"]
    assert ban.answer.unnamed_share is None
    assert ban.totals.all.total == 0
    assert not any(week.captured for week in ban.weeks)
    assert ban.change.named_before is None


def test_kept_where_all_was_seen(office: Office) -> None:
    office.whole()
    ban = only(made(office, SUMMER))
    assert ban.answer.word == "kept"
    assert ban.answer.unnamed_share == pytest.approx(0.01)
    assert notes(ban) == {"beyond": {"records": 1}}


def test_one_proved_violation_is_enough(office: Office) -> None:
    run = office.whole()
    office.incident(run, "2023-06-10T12:00", device="ws-1")
    office.incident(run, "2023-06-10T13:00", device="ws-2", kind="embed", confidence="probable")
    office.incident(run, "2023-06-11T13:00", device="ws-1", outcome="blocked", kind="background")
    ban = only(made(office, SUMMER))
    assert ban.answer.word == "not-kept"
    assert codes(ban) == ["proved", "blocked", "embed"]
    assert [each.weight for each in ban.incidents] == ["proved", "embed", "blocked"]


def test_an_embedded_video_alone_leaves_it_open(office: Office) -> None:
    run = office.whole()
    for hour in range(10, 20):
        office.incident(run, f"2023-06-10T{hour}:00", kind="embed", confidence="probable")
    assert only(made(office, SUMMER)).answer.word == "cannot-be-said"


def test_days_are_those_of_the_zone_of_the_ban_when_clocks_change(office: Office) -> None:
    run = office.whole()
    office.incident(run, "2023-03-25T22:59:59")  # 23:59:59 in Brussels on the 25th
    office.incident(run, "2023-03-25T23:00:00", device="ws-2")  # midnight, the 26th begins
    office.incident(run, "2023-03-26T21:59:59", device="ws-3")  # 23:59:59 on the 26th, UTC+2 now
    office.incident(run, "2023-03-26T22:00:00", device="ws-4")  # the 27th
    day = date(2023, 3, 26)
    ban = only(made(office, (day, day), names_devices=True))
    assert [each.device for each in ban.incidents] == ["ws-2", "ws-3"]
    report = made(office, (day, day))
    assert report.coverage.hours_of_period == 23


def test_two_adjacent_reports_have_each_incident_once(office: Office) -> None:
    run = office.whole()
    office.incident(run, "2023-05-31T21:59", seconds=7200)  # goes on into June
    office.incident(run, "2023-05-31T22:00", device="ws-2")
    may = only(made(office, (date(2023, 5, 1), date(2023, 5, 31))))
    june = only(made(office, SUMMER))
    assert (may.totals.all.total, june.totals.all.total) == (1, 1)
    assert june.change.before.violation == 0 or june.change.before.violation == 1


def test_a_ban_in_force_on_some_days_is_answered_for_these(office: Office) -> None:
    run = office.whole()
    office.incident(run, "2023-03-05T12:00")  # before the ban, by other dates
    ban = only(made(office))
    assert (ban.answer.word, ban.answer.days_in_force) == ("kept", 22)
    assert notes(ban)["part-in-force"] == {"days": 22, "all": 31}
    assert notes(ban)["outside-periods"] == {"incidents": 1}
    assert [(each.first, each.last) for each in ban.periods] == [("2023-03-10", "2023-03-31")]


def test_a_gap_between_two_periods_is_not_in_force(office: Office) -> None:
    run = office.whole()
    gap = date(2023, 9, 17), date(2023, 9, 25)
    assert only(made(office, gap)).answer.word == "not-in-force"
    office.incident(run, "2023-09-16T21:00")  # 23:00 on the last day
    office.incident(run, "2023-09-16T22:30", device="ws-2")  # 00:30 on the first day of the gap
    ban = only(made(office, (date(2023, 9, 1), date(2023, 9, 30))))
    assert ban.answer.days_in_force == 16 + 5
    assert ban.answer.reasons[0].values == {"incidents": 1, "devices": 1}
    assert notes(ban)["outside-periods"] == {"incidents": 1}
    assert [(each.day, each.event) for each in ban.days] == [
        ("2023-09-01", "review"),
        ("2023-09-16", "until"),
        ("2023-09-26", "extended"),
    ]


def test_a_gap_in_the_capture_leaves_it_open(office: Office) -> None:
    run = office.run()
    office.capture(run, "2023-05-01", "2023-06-10T12:00")
    office.capture(run, "2023-06-10T15:00", "2023-07-02", position=1)
    office.coverage(run, "2023-05-01", "2023-07-02", {"hq": {"named": 100}})
    report = made(office, SUMMER)
    assert codes(only(report)) == ["gaps"]
    assert only(report).answer.reasons[0].values == {"count": 1, "hours": 3.0}
    (gap,) = report.coverage.gaps
    assert (gap.begin, gap.end, gap.hours) == ("2023-06-10T12:00:00Z", "2023-06-10T15:00:00Z", 3.0)
    assert report.coverage.hours == report.coverage.hours_of_period - 3


def test_the_hours_of_a_live_capture_that_goes_on_are_a_capture(office: Office) -> None:
    run = office.run("live")
    office.catalogue.begin_capture(run, 0, [])
    for day in range(1, 31):
        hours = f"2023-06-{day:02d}T00:00", f"2023-06-{day:02d}T23:59"
        office.heard(run, *hours)
        office.coverage(run, *hours, {"hq": {"named": 9}}, day)
    ban = only(made(office, (date(2023, 6, 2), date(2023, 6, 29))))
    assert ban.answer.word == "kept"


def test_runs_that_overlap_count_an_incident_once(office: Office) -> None:
    run = office.whole()
    second = office.run()
    office.incident(run, "2023-06-10T12:00", identity="1" * 32, seconds=600, confidence="probable")
    office.incident(second, "2023-06-10T12:05", identity="2" * 32, seconds=60)
    office.incident(second, "2023-06-10T12:20", identity="3" * 32)
    ban = only(made(office, SUMMER))
    assert (ban.totals.all.violation, ban.totals.merged) == (2, 1)
    assert notes(ban)["merged"] == {"incidents": 1}  # lists of the store have three
    assert [each.weight for each in ban.incidents] == ["proved", "proved"]


def test_a_network_that_the_ban_is_about_has_to_be_seen(office: Office) -> None:
    office.whole(byod={"named": 500})
    assert codes(only(made(office, SUMMER))) == ["no-coverage", "network-unseen"]


def test_other_networks_do_not_weigh(office: Office) -> None:
    office.whole(hq={"named": 100}, byod={"vpn": 500})
    report = made(office, SUMMER)
    assert only(report).answer.word == "kept"
    assert {each.network: each.named_share for each in report.coverage.networks} == {
        "byod": 0.0,
        "hq": 1.0,
    }


def test_lost_packets_and_partial_captures_leave_it_open(office: Office) -> None:
    run = office.run()
    office.capture(run, "2023-05-01", "2023-07-02", state="partial", lost_rows=7)
    office.coverage(
        run, "2023-05-01", "2023-07-02", {"hq": {"named": 100}}, packets={"dropped": 50}
    )
    ban = only(made(office, SUMMER))
    assert codes(ban) == ["packets", "partial"]
    assert ban.answer.reasons[1].values == {"captures": 1, "rows": 7}


def test_hours_with_losses_leave_it_open(office: Office) -> None:
    """Though something was captured in each of them: nobody knows what else was."""
    run = office.whole()
    assert codes(only(made(office, SUMMER))) == ["no-violation"]
    quarter = epoch_ns("2023-06-14T12:00:00Z") // QUARTER
    office.catalogue.store_losses(run, ALL, {"skipped": {quarter: 7, quarter + 1: 2}})
    ban = only(made(office, SUMMER))
    assert ban.answer.word == "cannot-be-said"
    assert codes(ban) == ["lost"]
    assert ban.answer.reasons[0].values == {"hours": 0.5}
    assert ban.coverage is not None
    assert ban.coverage.hours - ban.coverage.captured == 0.5
    ((begin, reason),) = [(each.begin, each.reason) for each in ban.coverage.missing]
    assert (begin, reason) == ("2023-06-14T12:00:00Z", "lost")


def test_erasures_since_then_leave_it_open(office: Office) -> None:
    office.whole()
    office.catalogue.add_journal("root", "erase", {"rows": 0, "incidents": 0, "clients": 0})
    assert codes(only(made(office, SUMMER))) == ["no-violation"]
    office.catalogue.add_journal("root", "erase", {"rows": 8, "incidents": 1, "clients": 1})
    assert codes(only(made(office, SUMMER))) == ["erased"]


def test_exemptions(office: Office) -> None:
    run = office.whole()
    granted = {"reason": "research", "approved_by": "CISO", "until": "2023-03-20"}
    office.incident(run, "2023-03-15T12:00", device="lab-07", verdict="exempt", exemption=granted)
    office.incident(run, "2023-03-25T12:00", device="lab-07")
    office.incident(run, "2023-03-25T12:00", device="old-1", verdict="exempt", exemption=granted)
    ban = only(made(office, names_devices=True))
    found = {each.device: (each.state, each.used, each.after_expiry) for each in ban.exemptions}
    assert found == {
        "lab-07": ("used-after-expiry", 1, 1),
        "lab-08": ("unused", 0, 0),
        "old-1": ("not-registered", 1, 0),
    }
    assert notes(ban)["after-expiry"] == {"incidents": 1}
    assert ban.answer.word == "not-kept"


def test_an_exemption_for_some_apps_is_used_for_these_alone(tmp_path: Path) -> None:
    text = CONFIGURATION.replace("apps: [tiktok]", "apps: [tiktok, wechat]").replace(
        "{ban: city, device: lab-07,", "{ban: city, device: lab-07, apps: [wechat],"
    )
    office = make_office(tmp_path, text)
    run = office.whole()
    office.incident(run, "2023-03-25T12:00", device="lab-07")
    office.incident(run, "2023-03-26T12:00", device="lab-07", app="WeChat")
    ban = only(made(office, names_devices=True))
    assert ban.exemptions[0].after_expiry == 1
    office.catalogue.close()


def test_devices_have_pseudonyms_that_no_other_report_has(office: Office) -> None:
    run = office.whole()
    office.incident(run, "2023-06-10T12:00")
    office.incident(run, "2023-06-17T12:00")
    office.incident(run, "2023-06-17T12:00", device="p3f9a-k7q2m5xw4n6b3c2d")
    reports = [made(office, SUMMER) for _ in range(2)]
    for report in reports:
        text = report_json(report)
        assert "ws-1" not in text
        assert "Jane" not in text
        assert "10.20.1.1" not in text
        assert "p3f9a-k7q2m5xw4n6b3c2d" in text  # a pseudonym of the store
    devices = [{each.device for each in only(report).devices} for report in reports]
    assert len(devices[0]) == 2
    assert devices[0] & devices[1] == {"p3f9a-k7q2m5xw4n6b3c2d"}
    first = only(reports[0])
    assert {each.device for each in first.incidents} == devices[0]
    assert (first.devices[0].days, len(first.devices[0].weeks)) == (2, 2)


def test_what_changed(office: Office) -> None:
    run = office.whole()
    office.incident(run, "2023-05-10T12:00", device="gone")
    office.incident(run, "2023-05-11T12:00", device="again")
    office.incident(run, "2023-06-10T12:00", device="again", app="WeChat")
    office.incident(run, "2023-06-11T12:00", device="new", network="byod", verdict="advisory")
    change = only(made(office, SUMMER)).change
    assert (change.before.total, change.after.total) == (2, 2)
    assert (change.devices_gone, change.devices_again, change.devices_new) == (1, 1, 1)
    assert {name: (each.before, each.after) for name, each in change.networks.items()} == {
        "byod": (None, 1),  # no sensor ever saw it before
        "hq": (2, 1),
    }
    assert {app: (a.total, b.total) for app, (a, b) in change.apps.items()} == {
        "TikTok": (2, 1),
        "WeChat": (0, 1),
    }


def test_bans_that_the_configuration_does_not_have_are_named(office: Office) -> None:
    run = office.whole()
    office.incident(run, "2023-06-10T12:00", ban="older")
    report = made(office, SUMMER)
    assert report.other_bans == {"older": 1}
    assert only(report).totals.all.total == 0
    with pytest.raises(
        ConfigError, match="--ban: expected a ban of the configuration, found 'cty'"
    ):
        made(office, SUMMER, bans=("cty",))


def test_another_version_of_the_bans_is_named(office: Office) -> None:
    run = office.whole()
    other = Office(office.folder, office.config, office.catalogue, "0" * 12)
    other.incident(run, "2023-06-10T12:00")
    report = made(office, SUMMER)
    assert notes(only(report))["other-versions"] == {"incidents": 1}
    assert [each.bans for each in report.sources.versions] == [office.bans_version]
    assert report.sources.captures[0].sha256 == "a" * 64


def test_bans_of_different_zones_have_their_own_days(tmp_path: Path) -> None:
    text = """
version: 1
networks: [{name: hq, cidrs: [10.20.0.0/16], class: service}]
bans:
  - {id: east, authority: A, apps: [tiktok], timezone: Pacific/Kiritimati}
  - {id: west, authority: B, apps: [tiktok], timezone: Pacific/Pago_Pago}
"""
    office = make_office(tmp_path, text)
    run = office.whole()
    office.incident(run, "2023-05-31T10:30", ban="east", device="a")  # 00:30 on 1 June
    office.incident(run, "2023-07-01T10:30", ban="west", device="b")  # 23:30 on 30 June
    report = made(office, SUMMER)
    assert report.timezone == "UTC"
    assert [ban.totals.all.violation for ban in report.bans] == [1, 1]
    assert [ban.weeks[0].counts.violation for ban in report.bans] == [1, 0]
    office.catalogue.close()


def test_incidents_say_what_was_seen_of_servers() -> None:
    def record(*seen: tuple[bool, str]) -> dict[str, Any]:
        return {
            "evidence": [
                {"seen": {"server": server, "directions": directions, "checksum": "right"}}
                for server, directions in seen
            ]
        }

    assert server_seen(record((False, "client"), (True, "both"))) == "acknowledged"
    assert server_seen(record((False, "client"), (False, "both"))) == "not-acknowledged"
    assert server_seen(record((False, "client"), (False, "client"))) == "client-only"
    assert server_seen({"evidence": [{"name": '"seen": {"server": true'}]}) == ""


def test_hostile_names_are_escaped_in_the_record(office: Office) -> None:
    run = office.whole(**{HOSTILE: {"named": 5, "ech": 2}})
    office.incident(run, "2023-06-10T12:00", device=HOSTILE, network=HOSTILE, app=HOSTILE)
    text = report_json(made(office, SUMMER, names_devices=True))
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text)["bans"][0]["incidents"][0]["device"] == HOSTILE
    assert ns("2023-06-10T12:00") > 0


def test_devices_with_blind_spots_are_listed_with_pseudonyms(office: Office) -> None:
    run = office.run()
    hidden = {"named": 10, "ech": 60, "no-sni": 5, "no-data": 900}
    by_device = {
        "hq": {"ws-1": hidden, "ws-2": {"named": 99, "ech": 1}, "ws-3": {"ech": 19}},
        "byod": {"ws-1": {"vpn": 40}},
    }
    for part in range(2):
        office.coverage(
            run, f"2023-06-0{part + 1}", f"2023-06-0{part + 2}", {"hq": {}, "byod": {}}, part,
            devices=by_device if part == 0 else {"hq": {"ws-1": {"ech": 1}}},
        )  # fmt: skip
    office.incident(run, "2023-06-01T10:00:00", device="ws-1")
    report = made(office, SUMMER)
    found = report.coverage.by_device
    assert found is not None
    assert (found.records, found.read, found.left, found.uncounted) == (2, 2, 0, 0)
    first, second = found.devices
    assert (first.network, first.flows, dict(first.unnamed)) == ("hq", 76, {"ech": 61, "no-sni": 5})
    assert first.unnamed_share == pytest.approx(66 / 76)
    assert (second.network, second.flows, second.device_class) == ("byod", 40, "personal")
    assert "ws-" not in report_json(report)
    # Its incidents and its blind spots have one pseudonym.
    assert first.device == second.device == only(report).incidents[0].device
    named = made(office, SUMMER, names_devices=True).coverage.by_device
    assert named is not None
    assert [each.device for each in named.devices] == ["ws-1", "ws-1"]
    assert made(office, SUMMER, counts_devices=False).coverage.by_device is None
    none = made(office, SUMMER, thresholds=Thresholds(unnamed=1.0)).coverage.by_device
    assert none is not None
    assert not none.devices


def test_blind_spots_of_devices_are_bounded_and_say_so(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = office.run()
    for part in range(8):
        devices = {"hq": {f"ws-{n}": {"ech": 30 + n} for n in range(60)}}
        office.coverage(run, "2023-06-01", "2023-06-02", {"hq": {}}, part, devices=devices)
    whole = made(office, SUMMER).coverage.by_device
    assert whole is not None
    assert (len(whole.devices), whole.left, whole.read) == (50, 10, 8)
    assert whole.devices[0].flows == 8 * 89
    with office.catalogue.database.reading() as connection:
        length = connection.execute(select(func.length(tables.coverage.c.record))).scalars().all()
    monkeypatch.setattr(blind_devices, "MAX_CHARACTERS", sum(length) // 3)
    monkeypatch.setattr(blind_devices, "MAX_COUNTED", 20)
    part_of_it = made(office, SUMMER).coverage.by_device
    assert part_of_it is not None
    assert (part_of_it.records, part_of_it.read) == (8, 2)
    assert (len(part_of_it.devices), part_of_it.left, part_of_it.uncounted) == (20, 0, 2 * 40)
    caption = words.blind_devices(part_of_it, report_language("nl"))
    assert "geteld in 2 van de 8" in caption
