"""The report of a centre: cases are counted, and silent sensors are a reason to acquit nobody."""

import csv
import io
import json
from datetime import date

import pytest
from report.stores import Office, incident_record, ns
from report.test_collect import codes, made, only
from support.fleet_alerts import GAP, MINUTE, SECOND, fleet_alert

from netwatch.language.language import LANGUAGES, Language
from netwatch.report.page import report_language
from netwatch.report.tables import csv_text, incidents, silences
from netwatch.report.values import Report
from netwatch.report.words import limits, short_moment
from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import keep_alerts
from netwatch.store.fleet_sensors import enrolled, heard, silent
from netwatch.store.status import status
from netwatch.store.unheard import close_of_silent_sensors

SUMMER = date(2023, 6, 1), date(2023, 6, 30)


def fill(office: Office) -> None:
    """Three contacts: one that two sensors saw and its flow proves, one of one sensor, and one of a
    capture that was scanned into the store of the centre."""
    for name in ("ghent", "liege"):
        enrolled(office.catalogue, name, 1)
    keep_alerts(
        office.catalogue,
        [
            fleet_alert("ghent", 0, ban="city", flows=("1:x",), count=3),
            fleet_alert("liege", 5 * SECOND, ban="city", flows=("1:x",), count=5),
            fleet_alert("liege", 300 * MINUTE, ban="city", verdict="advisory"),
        ],
        GAP,
    )
    record = incident_record("2023-03-21T10:00:00")
    office.catalogue.add_incidents(office.run(), [(record, json.dumps(record))])


def test_counts_cases_and_says_who_saw_them(office: Office) -> None:
    fill(office)
    report = made(office)
    ban = only(report)
    assert (ban.totals.all.violation, ban.totals.all.advisory) == (2, 1)
    assert [(each.seen_by, each.joined_by) for each in ban.incidents] == [
        (("ghent", "liege"), "community_id"), (("liege",), ""), ((), ""),
    ]  # fmt: skip
    assert ban.answer.word == "not-kept"
    assert report.sources.sensors == ("ghent", "liege")
    assert only(made(office, SUMMER)).totals.all.total == 0


@pytest.mark.parametrize("code", LANGUAGES)
def test_incidents_whose_end_nobody_reported(office: Office, code: str) -> None:
    """In the record, in the table that is also a CSV file, and among the limits."""
    enrolled(office.catalogue, "ghent", 1)
    alerts = [fleet_alert("ghent", at * GAP * 3, ban="city", status="open") for at in range(2)]
    keep_alerts(office.catalogue, alerts[:1], GAP)
    used = report_language(code)
    report = made(office)
    without = tables_of(report, used), limits(report, used)
    last = ns("2023-03-20T01:00:00")
    heard(office.catalogue, "ghent", last)
    silent(office.catalogue, "ghent", last)
    assert close_of_silent_sensors(office.catalogue, last + 1) == 1
    keep_alerts(office.catalogue, alerts[1:], GAP)
    report = made(office)
    assert [each.unheard for each in only(report).incidents] == ["2023-03-20T01:00:00.000Z", ""]
    header, *rows = tables_of(report, used)
    (added,) = {*header} - {*without[0][0]}
    shown = short_moment("2023-03-20T01:00:00Z", "Europe/Brussels", used)
    assert [row[header.index(added)] for row in rows] == [shown, ""]
    (sentence,) = {*limits(report, used)} - {*without[1]}
    assert "1" in sentence
    if code != "en":
        english = report_language("en")
        assert added not in tables_of(report, english)[0]
        assert sentence not in limits(report, english)


def tables_of(report: Report, used: Language) -> list[list[str]]:
    """The rows of the CSV file of incidents."""
    grid = incidents(only(report), used)
    return list(csv.reader(io.StringIO(csv_text(grid.table))))


def test_an_incident_that_was_closed_for_want_of_news(office: Office) -> None:
    """Without a centre, of a run that was killed."""
    record = incident_record("2023-03-21T10:00:00")
    record["unheard"] = {"since": "2023-03-21T10:05:00.000Z", "status": "open"}
    office.catalogue.add_incidents(office.run("live"), [(record, json.dumps(record))])
    (incident,) = only(made(office)).incidents
    assert incident.unheard == "2023-03-21T10:05:00.000Z"


def test_a_silent_sensor_acquits_nobody(office: Office) -> None:
    office.whole()
    for name in ("ghent", "liege", "namur"):
        enrolled(office.catalogue, name, 1)
    assert only(made(office, SUMMER)).answer.word == "kept"
    silent(office.catalogue, "ghent", ns("2023-05-30T00:00:00"))
    heard(office.catalogue, "ghent", ns("2023-06-03T00:00:00"))
    silent(office.catalogue, "liege", ns("2023-06-10T00:00:00"))
    heard(office.catalogue, "liege", ns("2023-06-10T00:59:00"))  # shorter than the threshold
    silent(office.catalogue, "namur", ns("2023-06-29T12:00:00"))
    report = made(office, SUMMER)
    ban = only(report)
    assert (ban.answer.word, codes(ban)) == ("cannot-be-said", ["silent-sensors"])
    begin = ns("2023-06-01T00:00:00+02:00")
    end = ns("2023-07-01T00:00:00+02:00")
    hours = (ns("2023-06-03T00:00:00") - begin + end - ns("2023-06-29T12:00:00")) / 3600 / SECOND
    assert dict(ban.answer.reasons[0].values) == {"count": 2, "hours": round(hours, 1)}
    assert [(each.sensor, each.hours) for each in report.coverage.silences] == [
        ("ghent", 50.0), ("liege", 0.98), ("namur", 34.0),
    ]  # fmt: skip
    grid = silences(report, report_language("de"))
    assert [row[0] for row in grid.table.rows] == ["ghent", "liege", "namur"]
    assert only(made(office)).answer.word == "kept"


def test_numbers_that_no_sum_survives_do_not_end_the_report(office: Office) -> None:
    """Earlier releases stored whatever a sensor said."""
    office.whole()
    run = office.run()
    at = ns("2023-06-10T00:00:00")
    rows = [
        {"run": run, "part": part, "network": "", "reason": reason, "class": "", "first": at,
         "last": at + 1, "flows": (1 << 63) - 1}
        for part in (1, 2) for reason in ("", "ech")
    ]  # fmt: skip
    captures = [
        {"run": run, "position": position, "sources": "[]", "content": "", "state": "partial",
         "lost_rows": (1 << 63) - 1, "first": at, "last": at + 1}
        for position in (7, 8)
    ]  # fmt: skip
    with office.catalogue.database.writing() as connection:
        connection.execute(tables.coverage_network.insert(), rows)
        connection.execute(tables.capture.insert(), captures)
    report = made(office, SUMMER)
    assert only(report).answer.word != "kept"
    assert status(office.catalogue).lost_rows == 2 * 10**12
