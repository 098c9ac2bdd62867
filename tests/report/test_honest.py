"""The answer is never "kept" for what nobody captured or judged, and for what was silent."""

from datetime import date
from pathlib import Path

import pytest
from report.stores import CONFIGURATION, Office, make_office
from report.test_collect import SUMMER, codes, made, notes, only

from netwatch.config import load
from netwatch.report.answer import WEIGHTS
from netwatch.report.collect import Wanted, collect
from netwatch.report.files import record
from netwatch.store.run_rows import VersionHashes

ANOTHER_BAN = """
  - {id: later, authority: City, apps: [deepseek], forbids: [service], from: 2023-01-01,
     timezone: Europe/Brussels}
"""


def with_networks(text: str) -> str:
    return CONFIGURATION.replace("class: service, authority: City}", f"class: service{text}}}", 1)


def test_a_ban_that_no_run_judged_is_not_said_to_be_kept(tmp_path: Path) -> None:
    later = CONFIGURATION.replace("exemptions:", f"{ANOTHER_BAN}exemptions:")
    (tmp_path / "later.yaml").write_text(later)
    config = load(str(tmp_path / "later.yaml"))
    office = make_office(tmp_path)
    with office.catalogue as catalogue:
        office.whole()
        bans = {each.id: each for each in collect(catalogue, config, Wanted(*SUMMER)).bans}
    assert bans["city"].answer.word == "kept"
    assert bans["later"].answer.word == "cannot-be-said"
    (reason,) = bans["later"].answer.reasons
    assert reason.code == "not-judged"
    assert reason.values == {
        "hours": 720,
        "command": "netwatch rejudge --record --since 2023-05-31 --until 2023-06-30",
    }
    coverage = bans["later"].coverage
    assert (coverage.hours, coverage.captured, coverage.judged) == (720, 720, 0)
    assert {each.reason for each in coverage.missing} == {"not-judged"}


def test_nor_one_that_other_signatures_judged(office: Office) -> None:
    version = VersionHashes("1.0", "old", "old", "old")
    number = office.catalogue.version_id(version, {"city": "what other signatures said"})
    run = office.catalogue.begin_run("scan", "sensor-1", number)
    office.capture(run, "2023-02-01", "2023-11-01")
    office.coverage(run, "2023-02-01", "2023-11-01", {"hq": {"named": 100}})
    assert codes(only(made(office, SUMMER))) == ["not-judged"]


@pytest.mark.parametrize(
    ("signatures", "expected"), [("old", ["not-judged"]), ("", ["no-violation"])]
)
def test_of_an_older_store_the_hashes_of_everything_decide(
    office: Office, signatures: str, expected: list[str]
) -> None:
    sensor = office.config.sensor
    version = VersionHashes("1.0", signatures or sensor.signatures, sensor.bans, "old")
    run = office.catalogue.begin_run("scan", "sensor-1", office.catalogue.version_id(version))
    office.capture(run, "2023-02-01", "2023-11-01")
    office.coverage(run, "2023-02-01", "2023-11-01", {"hq": {"named": 100}})
    assert codes(only(made(office, SUMMER))) == expected


def test_names_that_nobody_judged(office: Office) -> None:
    run = office.catalogue.begin_run("names", "sensor-1", None)
    office.capture(run, "2023-02-01", "2023-11-01")
    office.coverage(run, "2023-02-01", "2023-11-01", {"hq": {"named": 100}})
    assert codes(only(made(office, SUMMER))) == ["not-judged"]


@pytest.mark.parametrize(
    ("holes", "word"),
    [
        ([("2023-06-14T10:00", "2023-06-14T14:00")], "cannot-be-said"),  # a hole amid a file
        ([("2023-06-16", "2023-06-19")], "cannot-be-said"),  # three files are missing
        ([("2023-06-14T10:00", "2023-06-14T11:00")], "cannot-be-said"),
        ([("2023-06-14T10:00", "2023-06-14T10:45")], "kept"),
        ([], "kept"),
    ],
)
def test_a_hole_amid_one_capture(office: Office, holes: list[tuple[str, str]], word: str) -> None:
    run, begin = office.run(), "2023-05-30"
    for first, last in holes:
        office.heard(run, begin, first)
        begin = last
    office.heard(run, begin, "2023-07-02")
    number = office.catalogue.begin_capture(run, 0, [])
    office.catalogue.end_capture(number, "complete", None, None)
    office.flows(run, "2023-05-30", "2023-07-02", {"hq": {"named": 100}})
    ban = only(made(office, SUMMER))
    assert ban.answer.word == word
    assert [(each.begin, each.end) for each in ban.coverage.missing if word != "kept"] == [
        tuple(f"{each}T00:00:00Z" if "T" not in each else f"{each}:00Z" for each in hole)
        for hole in holes
        if word != "kept"
    ]


def test_a_network_that_is_silent_on_a_working_day(office: Office) -> None:
    run = office.run()
    office.capture(run, "2023-05-30", "2023-07-02")
    office.flows(run, "2023-05-30", "2023-06-21", {"hq": {"named": 100}})
    office.flows(run, "2023-06-22", "2023-07-02", {"hq": {"named": 100}})
    ban = only(made(office, SUMMER))
    assert ban.answer.word == "cannot-be-said"
    assert [(each.code, each.values) for each in ban.answer.reasons] == [
        ("silent", {"network": "hq", "hours": 24})
    ]
    (missing,) = record(made(office, SUMMER))["bans"][0]["coverage"]["missing"]
    assert missing == {
        "from": "2023-06-20T22:00:00Z",
        "until": "2023-06-21T22:00:00Z",
        "network": "hq",
        "reason": "silent",
        "command": None,
    }


@pytest.mark.parametrize(
    ("expected", "hours"),
    [
        ("", 0),  # a weekend without a flow
        (', expected: "never"', 0),
        (', expected: "Mon-Fri 07:00-19:00"', 0),
        (', expected: "Mon-Fri 07:00-19:00, Sat 10:00-12:00"', 2),
        (', expected: "Sun 11:30-15:30"', 3),  # whole hours
        (', expected: "always"', 48),
    ],
)
def test_a_network_says_when_it_is_used(tmp_path: Path, expected: str, hours: int) -> None:
    office = make_office(tmp_path, with_networks(expected))
    with office.catalogue:
        run = office.run()
        office.capture(run, "2023-06-01", "2023-06-20")
        office.flows(run, "2023-06-01", "2023-06-10", {"hq": {"named": 100}})
        weekend = date(2023, 6, 10), date(2023, 6, 11)
        found = only(made(office, weekend))
        silent = {each.code: each.values for each in found.answer.reasons}.get("silent")
        assert (silent or {"hours": 0})["hours"] == hours


def test_what_no_sensor_of_a_network_captured(office: Office) -> None:
    """Another sensor listened elsewhere all the time."""
    run = office.run()
    office.heard(run, "2023-05-30", "2023-06-14T22:00")
    office.flows(run, "2023-05-30", "2023-06-14T22:00", {"hq": {"named": 100}})
    other = office.catalogue.begin_run("live", "elsewhere", None)
    office.capture(other, "2023-05-01", "2023-08-01")
    office.flows(other, "2023-05-01", "2023-08-01", {"byod": {"named": 100}})
    report = made(office, SUMMER)
    assert codes(only(report)) == ["gaps"]
    assert report.coverage.hours == report.coverage.hours_of_period


def test_a_day_on_which_nobody_could_read_anything(office: Office) -> None:
    run = office.run()
    office.capture(run, "2023-05-30", "2023-07-02")
    office.flows(run, "2023-05-30", "2023-07-02", {"hq": {"named": 10_000}})
    office.flows(run, "2023-06-24T08:00", "2023-06-24T09:00", {"hq": {"vpn": 10_001}})
    ban = only(made(office, SUMMER))
    assert ban.answer.unnamed_share is not None
    assert ban.answer.unnamed_share < 0.05
    assert [(each.code, each.values) for each in ban.answer.reasons] == [
        ("unreadable", {"network": "hq", "hours": 24})
    ]


def test_what_was_not_captured_is_no_zero(office: Office) -> None:
    run = office.run()
    office.capture(run, "2023-06-01", "2023-07-02")
    office.flows(run, "2023-06-01", "2023-07-02", {"hq": {"named": 100}})
    days = date(2023, 6, 5), date(2023, 6, 11)
    text = record(collect(office.catalogue, office.config, Wanted(*days)))
    (ban,) = text["bans"]
    before = ban["change"]["before"]
    assert {"violation", "advisory", "exempt", *WEIGHTS} <= before.keys()
    assert set(before.values()) == {0}
    days = date(2023, 5, 30), date(2023, 6, 5)
    (ban,) = record(collect(office.catalogue, office.config, Wanted(*days)))["bans"]
    assert ban["change"]["before"] is None
    assert ban["change"]["networks"]["hq"]["before"] is None
    week = ban["weeks"][0]
    assert (week["hours"], week["hours_captured"]) == (
        168,
        94,
    )  # the week begins two hours before that of UTC


def test_numbers_of_the_period_are_those_of_the_period(office: Office) -> None:
    office.whole()
    day = date(2023, 6, 14)
    report = made(office, (day, day))
    assert only(report).answer.flows == 1000
    assert [(each.network, each.flows) for each in report.coverage.networks] == [("hq", 1000)]
    assert notes(only(report)) == {"beyond": {"records": 1}}
