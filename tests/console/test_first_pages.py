"""What each role sees first."""

import html
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from support.consoles import Visitor
from support.fleets import STATUS, fill_fleet

from netwatch.console.console import Console
from netwatch.console.triage import Change
from netwatch.formats.values import rfc3339
from netwatch.report.answer import WEIGHTS, weight
from netwatch.store import catalogue_tables as tables
from netwatch.store.fleet_sensors import heard
from netwatch.store.incident_pages import IncidentFilter, incident_page

NONE = "\N{EN DASH}"


def records(console: Console) -> list[dict[str, Any]]:
    page = incident_page(console.catalogue, IncidentFilter(), size=1000)
    return [json.loads(row.record) for row in page.rows]


def add(console: Console, changed: list[dict[str, Any]]) -> None:
    """Store more incidents, as a run would."""
    run = console.catalogue.begin_run("scan", "test")
    console.catalogue.add_incidents(
        run,
        [(record, json.dumps(record)) for record in changed],  # type: ignore[misc]
    )
    console.catalogue.end_run(run)


@pytest.mark.parametrize(
    ("role", "place"),
    [("admin", "/now"), ("analyst", "/now"), ("auditor", "/overview"), ("dpo", "/oversight")],
)
def test_each_role_begins_with_its_page(
    role: str, place: str, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit(role)
    assert visitor.get("/").headers["location"] == place
    assert visitor.get(place).status_code == 200


def made(console: Console, moment: float, **values: Any) -> dict[str, Any]:
    """An incident like one of the store, at another time (s)."""
    record = records(console)[0]
    at = rfc3339(round(moment) * 10**9, 6)
    name = f"{len(values)}{round(moment * 1000)}"
    return {**record, "id": f"{name:0>32}", "first_seen": at, "last_seen": at, **values}


def number(text: str, label: str) -> str:
    """The number under a label."""
    found = re.search(rf"<dt>{re.escape(label)}</dt><dd>(?:<a [^>]*>)?([^<]*)<", text)
    assert found is not None, label
    return found[1]


def test_what_is_new_since_the_last_visit_is_counted(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    assert "This is your first visit." in visit("analyst").get("/now").text
    assert number(visit("analyst").get("/now").text, "New since your last visit") == "0"
    add(console, [made(console, time.time() + 60)])
    text = visit("analyst").get("/now").text
    assert number(text, "New since your last visit") == "1"
    place = re.search(r'New since your last visit</dt><dd><a href="([^"]*)"', text)
    assert place is not None
    assert "1 incident<" in visit("analyst").get(place[1]).text
    assert "New since" not in visit("admin").get("/now").text


def test_violations_are_open_until_somebody_closes_them(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    found = [each for each in records(console) if each["verdict"] == "violation"]
    severities = Counter(each["severity"] for each in found)
    analyst = visit("analyst")
    closed: dict[str, int] = {}
    for _ in range(2):
        text = analyst.get("/now").text
        for severity in ("high", "medium", "low"):
            left = severities[severity] - closed.get(severity, 0)
            assert number(text, f"Open, {severity} severity") == str(left)
        left = len(found) - sum(closed.values())
        assert number(visit("admin").get("/now").text, "Open violations") == str(left)
        for record, state in zip(found, ("justified", "false", "in-work"), strict=False):
            console.triage.change(record, Change(state), "ben")  # type: ignore[arg-type]
        closed = Counter(each["severity"] for each in found[:2])
    for severity in ("high", "medium"):
        place = re.search(rf'Open, {severity} severity</dt><dd><a href="([^"]*)"', text)
        assert place is not None
        left = severities[severity] - closed.get(severity, 0)
        shown = analyst.get(html.unescape(place[1])).text
        assert re.search(rf"\b{left} incidents?<", shown), severity


def test_critical_violations_come_first(console: Console, visit: Callable[[str], Visitor]) -> None:
    assert "critical" not in visit("analyst").get("/now").text
    gravest = made(console, time.time() - 60, verdict="violation", severity="critical")
    add(console, [gravest])
    analyst = visit("analyst")
    text = analyst.get("/now").text
    assert number(text, "Open, critical severity") == "1"
    worst = text.partition('<ol class="latest">')[2]
    assert re.findall(r"/incidents/(\w+)", worst)[0] == gravest["id"]
    assert "1 incident<" in analyst.get("/incidents?severity=critical").text


def uncaptured(console: Console, days: list[str], zone: ZoneInfo) -> set[str]:
    """Those of some days on which no capture has a packet."""
    capture = tables.capture.c
    with console.catalogue.database.reading() as connection:
        spans = connection.execute(select(capture.first, capture.last)).all()
    touched = {
        datetime.fromtimestamp(moment / 1e9, zone).date().isoformat()
        for first, last in spans
        if first is not None
        for moment in (first, last)
    }
    return {*days} - touched


def test_the_most_serious_violations_are_listed(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    listed = r'<li><a class="row-link" href="/incidents/(\w+)">'
    text = visit("analyst").get("/now").text
    assert "The most serious of the week of the last incident" in text
    # What came since the last visit takes their place, the most serious first.
    found = {each["id"]: each for each in records(console)}
    violations = [each for each in found.values() if each["verdict"] == "violation"]
    ranks = {
        each["id"]: (
            ("high", "medium", "low").index(each["severity"]),
            WEIGHTS.index(weight(each["confidence"], each["kind"]["value"], each["outcome"])),
        )
        for each in violations
    }
    at = rfc3339(round(time.time() + 60) * 10**9, 6)
    add(console, [
        {**each, "id": each["id"][::-1], "first_seen": at, "last_seen": at} for each in violations
    ])  # fmt: skip
    text = visit("analyst").get("/now").text.partition("New and most serious")[2]
    shown = re.findall(listed, text.partition("</ol>")[0])
    assert [ranks[each[::-1]] for each in shown] == sorted(ranks.values())[:5]
    assert len(set(ranks.values())) > 2
    assert "most serious" not in visit("admin").get("/now").text


def test_silent_unhealthy_and_lossy_sensors_are_listed(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    fill_fleet(console.catalogue, time.time_ns())
    well = {**STATUS, "packets": 10, "dropped": 0}
    heard(console.catalogue, "aalst", console.now(), well)
    text = visit("analyst").get("/now").text.partition('id="attention"')[2]
    part = text.partition("</section>")[0]
    assert re.findall(r'href="/sensors/(\w+)"', part) == ["liege", "namur", "new", "ghent"]
    assert part.count(">lossy<") == 3


@pytest.mark.parametrize("name", ["UTC", "America/New_York", "Pacific/Auckland"])
def test_the_week_of_the_last_incident_is_shown_where_nothing_is_newer(
    name: str, console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor, zone = visit("analyst"), ZoneInfo(name)
    text = visitor.get(f"/now?zone={name}").text
    assert "The week of the last incident" in text
    assert f"Days are those of the time zone {name}." in text

    def day(record: Any) -> str:
        return datetime.fromisoformat(record["first_seen"]).astimezone(zone).date().isoformat()

    days = [day(each) for each in records(console)]
    last = datetime.fromisoformat(max(days))
    week = [(last - timedelta(days=back)).date().isoformat() for back in range(7)]
    inside = [each for each in records(console) if day(each) in week]
    shown = re.findall(r'<th scope="row" role="rowheader">(?:<a [^>]*>)?([\d-]{10})', text)
    assert shown == sorted(week)
    counts = re.findall(rf'data-label="Together">(\d+|{NONE})</td></tr>', text)
    blank = uncaptured(console, sorted(week), zone)
    assert counts == [
        NONE if each in blank and not days.count(each) else str(days.count(each))
        for each in sorted(week)
    ]
    assert text.count(">no capture<") == text.count('"stacked blank"') == counts.count(NONE) > 0
    total, most = sum(map(days.count, week)), max(map(days.count, week))
    assert f"Incidents: {total}, of which proved: " in text
    assert f"the most in a day: {most}, on " in text
    assert f"{counts.count(NONE)} days were not captured and are hatched." in text
    blocked = sum(
        weight(each["confidence"], each["kind"]["value"], each["outcome"]) == "blocked"
        for each in inside
        if each["verdict"] == "violation"
    )
    assert ("Blocked" in text) == bool(blocked)
    assert text.count('<svg class="key category-') == text.count('<rect class="category-') > 0
    # Each row of a top list leads to as many incidents as it says.
    tops = re.findall(r'<dd><a href="(/incidents\?[^"]*)">(\d+) incident', text)
    assert tops
    tops += re.findall(
        r'<th scope="row" [^>]*><a href="([^"]*)">.*data-label="Together">(\d+)</td></tr>', text
    )
    for place, count in tops:
        assert f'role="status">{count} incident' in visitor.open(place.replace("&amp;", "&")).text


def test_the_last_seven_days_are_shown_where_they_have_incidents(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    add(console, [made(console, time.time() - 3600)])
    text = visit("analyst").get("/now").text
    assert "The last 7 days" in text
    assert "The week of the last incident" not in text


def test_an_auditor_sees_the_answer_of_each_ban(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("auditor")
    days = "from=2023-03-01&to=2023-05-31"
    text = visitor.get(f"/overview?{days}").text
    for ban in console.config.policy.bans:
        part = text.partition(f'href="/bans/{ban.id}?')[2].partition("</section>")[0]
        page = visitor.get(f"/bans/{ban.id}?{days}").text
        answer = re.search(r'<h2 id="answer">([^<]*)</h2>', page)
        assert answer is not None
        assert f'answer-word">{answer[1]}<' in part
        for label in ("Answer", "Trend", "Missing days", "Last gap", "Next review"):
            assert f"<dt>{label}</dt>" in part, label
    for device in {each["device"]["id"] for each in records(console)} - {None}:
        assert device not in text
    for word in ("7d", "30d", "6m", "force"):
        answer = visitor.get(f"/overview?range={word}")
        assert answer.status_code == 200
        assert f'range={word}" aria-current="true"' in answer.text


def test_a_data_protection_officer_sees_who_looked_at_whom(
    visit: Callable[[str], Visitor],
) -> None:
    officer, analyst = visit("dpo"), visit("analyst")
    assert "Nobody opened data" in officer.get("/oversight").text
    for device in ("ws-021", "phone-100"):
        assert analyst.open(f"/devices/{device}").status_code in (200, 404)
    assert officer.open("/person?device=ws-021").status_code == 200
    text = officer.get("/oversight").text
    looks = re.search(r">ben</a></td><td [^>]*>analyst</td><td [^>]*>[12]<.*?</tr>", text)
    assert looks is not None
    assert '<a href="/person?device=ws-021">ws-021</a>' in looks[0]
    row = text.partition('id="requests"')[2].partition("/person?device=ws-021")[2]
    row = row.partition("</tr>")[0]
    assert ">ws-021</a>" in row
    assert "not yet" in row
    assert officer.get("/person.json?device=ws-021").status_code == 200
    row = officer.get("/oversight").text.partition('id="requests"')[2]
    row = row.partition("/person?device=ws-021")[2].partition("</tr>")[0]
    assert "downloaded" in row


def test_a_data_protection_officer_sees_what_is_deleted_next(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    text = visit("dpo").get("/oversight").text
    kept = text.partition('id="next"')[2].partition("</table>")[0]
    assert kept.count('<tr role="row">') == 5  # with the head
    retention = console.config.retention
    assert ("without end" in kept) == (retention is None or retention.observations is None)
    assert json.dumps("Nothing was erased yet.")[1:-1] in text
