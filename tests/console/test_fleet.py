"""Pages on the sensors of a fleet, and on the cases that they saw together."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from support.consoles import Visitor
from support.fleet_alerts import GAP, MINUTE, SECOND, fleet_alert
from support.fleets import STATUS, fill_fleet

from netwatch.console import lists
from netwatch.console.console import Console
from netwatch.console.pages import reports
from netwatch.console.pages.incidents import CASE_COLUMNS
from netwatch.fleet.sensor_records import read_record
from netwatch.store.cases import case_page, keep_alerts
from netwatch.store.database import QueryTimeoutError
from netwatch.store.fleet_sensors import applied, enrolled, heard
from netwatch.store.incident_pages import IncidentFilter


@pytest.fixture
def fleet(console: Console) -> Console:
    fill_fleet(console.catalogue, console.now())
    return console


def rows(text: str) -> list[str]:
    """The rows of the table of a page, as words."""
    list_ = text.rpartition("</figure>")[2]
    body = list_.partition('<tbody role="rowgroup">')[2].partition("</tbody>")[0]
    plain = [re.sub(r"<[^>]+>", " ", part) for part in body.split('<tr role="row">')[1:]]
    return [" ".join(each.split()).replace(" ,", ",") for each in plain]


def test_sensors_that_need_attention_come_first(
    fleet: Console, visit: Callable[[str], Visitor]
) -> None:
    found = rows(visit("auditor").get("/sensors").text)
    assert [each.split()[0] for each in found] == ["liege", "namur", "new", "ghent"]
    assert "UNHEALTHY" in found[0]
    assert "eth1 dropped 5 % of its packets" in found[0]
    assert "+5.000 s" in found[0]
    assert "11 rejected 12 signature of a stranger" in found[0]
    assert "silent" in found[1]
    assert "812" not in found[1]  # what it said two hours ago
    assert "not heard yet" in found[2]
    assert "healthy" in found[3]
    assert "812 17 +0.001 s 12" in found[3]


def test_a_healthy_sensor_that_rejects_or_has_a_bad_clock_comes_before_those_that_are_well(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    for name in ("a", "b", "c", "d"):
        heard(console.catalogue, name, console.now(), STATUS, 9 * SECOND if name == "d" else 0)
    applied(console.catalogue, "c", "set", "2", "rejected", "no", console.now())
    found = rows(visit("auditor").get("/sensors").text)
    assert [each.split()[0] for each in found] == ["c", "d", "a", "b"]


def test_sensors_by_state_and_name(fleet: Console, visit: Callable[[str], Visitor]) -> None:
    visitor = visit("admin")
    assert [each.split()[0] for each in rows(visitor.get("/sensors?state=silent").text)] == [
        "namur"
    ]
    assert [each.split()[0] for each in rows(visitor.get("/sensors?name=GHE").text)] == ["ghent"]
    assert rows(visitor.get("/sensors?name=nobody").text) == []
    for name in ("state", "not-state"):
        assert visitor.get(f"/sensors?{name}=odd").status_code == 400


def test_the_state_of_a_sensor_filters_by_a_click(
    fleet: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("admin")
    text = visitor.get("/sensors").text
    everybody = {each.split()[0] for each in rows(text)}
    only = {each.split()[0] for each in rows(visitor.get("/sensors?state=silent").text)}
    for address, expected in (("state", only), ("not-state", everybody - only)):
        assert f'href="/sensors?{address}=silent"' in text
        page = visitor.get(f"/sensors?{address}=silent").text
        assert {each.split()[0] for each in rows(page)} == expected
        assert 'class="cross" href="/sensors"' in page


def test_pages_of_sensors(console: Console, visit: Callable[[str], Visitor]) -> None:
    for number in range(120):
        enrolled(console.catalogue, f"s{number:03}", 1)
    visitor, found, place = visit("analyst"), [], "/sensors"
    while place:
        text = visitor.get(place).text
        found += [each.split()[0] for each in rows(text)]
        following = re.search(r'rel="next" href="([^"]+)"', text)
        place = following[1].replace("&amp;", "&") if following else ""
    assert found == [f"s{number:03}" for number in range(120)]


def test_one_sensor(fleet: Console, visit: Callable[[str], Visitor]) -> None:
    text = visit("analyst").get("/sensors/liege").text
    for expected in (
        "signature of a stranger", "schema netwatch.fleet/9", "eth1", "9.9", "/cases/", "5 Mbit/s",
    ):  # fmt: skip
        assert expected in text, expected
    # When it applied a version is beside that version, and not beside the one that it rejected.
    parts = ("<code>11</code>", "<time", "rejected", "<code>12</code>", "<time", "signature of a")
    place = text.index(">Versions in use<")
    for part in parts:
        place = text.index(part, place)
    text = visit("admin").get("/sensors/namur").text
    assert "Silent since" in text
    assert "2 h" in text
    assert "/cases/" not in text
    assert visit("admin").get("/sensors/nobody").status_code == 404


@pytest.mark.parametrize(
    "status",
    [
        {"troubles": 1, "rates": [], "interfaces": {"a": 1}, "outputs": ["x"], "store": 7},
        {"rates": {"packets": "many"}, "packets": None, "dropped": True, "reasons": "no"},
        {"health": "failed", "reasons": ["disk is full", 7], "version": ["1"], "cpu": 1.5},
    ],
)
def test_a_status_of_another_form_breaks_no_page(
    console: Console, visit: Callable[[str], Visitor], status: dict[str, object]
) -> None:
    heard(console.catalogue, "odd", console.now(), status)
    visitor = visit("analyst")
    for place in ("/sensors", "/sensors/odd", "/now"):
        assert visitor.get(place).status_code == 200, place
    if "health" in status:
        assert "disk is full" in visitor.get("/now").text


def test_the_list_of_cases(fleet: Console, visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    found = rows(visitor.get("/cases").text)
    assert len(found) == 3
    assert "kiosk-3 hq ghent namur device and time only" in found[0]
    assert "kiosk-2 hq ghent" in found[1]
    assert "kiosk-1 hq ghent liege shared flows" in found[2]
    for query, count in (
        ("sensor=liege", 1), ("joined=time", 1), ("app=wechat", 1), ("device=kiosk-1", 1),
        ("state=closed", 2), ("from=2023-03-20T12:00:00Z", 2),
    ):  # fmt: skip
        assert len(rows(visitor.open(f"/cases?{query}").text)) == count, query
    assert visitor.get("/cases?joined=luck").status_code == 400
    text = visit("auditor").get("/cases").text
    assert "kiosk-" not in text
    assert "/cases/" not in text


def test_pages_of_cases(console: Console, visit: Callable[[str], Visitor]) -> None:
    keep_alerts(
        console.catalogue,
        [fleet_alert("ghent", number * 60 * MINUTE) for number in range(60)],
        GAP,
    )
    visitor = visit("analyst")
    text = visitor.get("/cases").text
    assert len(rows(text)) == 50
    following = re.search(r'rel="next" href="([^"]+)"', text)
    assert following is not None
    assert len(rows(visitor.get(following[1].replace("&amp;", "&")).text)) == 10


def exported(visitor: Visitor, query: str = "") -> list[dict[str, str]]:
    """The rows of the list of cases as CSV."""
    answer = visitor.get(f"/cases.csv{query}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="cases.csv"'
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_cases_as_files(fleet: Console, visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    found = exported(visitor)
    assert tuple(found[0]) == CASE_COLUMNS
    assert [each["device"] for each in found] == ["kiosk-3", "kiosk-2", "kiosk-1"]
    kiosk_3, kiosk_2, kiosk_1 = found
    # What two sensors saw is one row, with the greater number and not the sum.
    assert (kiosk_1["sensors"], kiosk_1["seen_by"]) == ("2", "ghent liege")
    assert (kiosk_1["joined_by"], kiosk_1["flows"]) == ("community_id", "5")
    assert (kiosk_1["kind"], kiosk_1["outcome"], kiosk_1["severity"]) == (
        "session", "reached", "high",
    )  # fmt: skip
    assert (kiosk_2["sensors"], kiosk_2["joined_by"], kiosk_2["bytes_in"]) == ("1", "", "1")
    assert (kiosk_3["joined_by"], kiosk_3["state"]) == ("time", "update")
    answer = visitor.get("/cases.jsonl")
    assert answer.headers["content-disposition"] == 'attachment; filename="cases.jsonl"'
    kept = [row.record for row in case_page(fleet.catalogue, IncidentFilter()).rows]
    assert answer.text.splitlines() == kept


@pytest.mark.parametrize(
    "query",
    ["sensor=liege", "joined=time", "app=wechat", "device=kiosk-1", "state=closed",
     "from=2023-03-20T12:00:00Z", "to=2023-03-20T12:00:00Z"],
)  # fmt: skip
def test_files_have_the_cases_of_the_page(
    fleet: Console, visit: Callable[[str], Visitor], query: str
) -> None:
    visitor = visit("analyst")
    text = visitor.open(f"/cases?{query}").text
    shown = re.findall(r'href="/cases/([0-9a-f]+)"', text)
    assert [each["id"] for each in exported(visitor, f"?{query}")] == shown
    lines = visitor.get(f"/cases.jsonl?{query}").text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == shown
    for name in ("csv", "jsonl"):
        (link,) = re.findall(rf'href="(/cases\.{name}[^"]*)"', text)
        pages = [visitor.get(place).text for place in (link, f"/cases.{name}?{query}")]
        assert pages[0] == pages[1]


def test_many_cases_are_in_a_file_once(
    console: Console, visit: Callable[[str], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "_BATCH", 7)
    keep_alerts(
        console.catalogue,
        [fleet_alert("ghent", number // 2 * 60 * MINUTE, device=f"kiosk-{number}", ip=None)
         for number in range(60)],
        GAP,
    )  # fmt: skip
    found = [each["device"] for each in exported(visit("analyst"))]
    assert sorted(found) == sorted(f"kiosk-{number}" for number in range(60))


def test_what_cannot_be_read_is_refused_before_a_file_is_sent(
    fleet: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    for query in ("joined=luck", "from=yesterday", "from=2024-01-01&to=2023-01-01", "kind=x"):
        for name in ("csv", "jsonl"):
            assert visitor.get(f"/cases.{name}?{query}").status_code == 400, query


def test_files_of_cases_by_role_and_in_the_audit(
    fleet: Console, visit: Callable[[str], Visitor]
) -> None:
    auditor = visit("auditor")
    assert auditor.get("/cases.csv?joined=community_id&device=kiosk-2").status_code == 403
    found = exported(auditor, "?joined=community_id")
    assert [each["seen_by"] for each in found] == ["ghent liege"]
    assert all(re.fullmatch(r"d-[0-9a-f]{12}", each["device"]) for each in exported(auditor))
    assert "kiosk" not in auditor.get("/cases.csv").text
    assert auditor.get("/cases.jsonl").status_code == 403
    for role in ("admin", "dpo"):
        assert visit(role).get("/cases.csv").status_code == 403
    assert 'href="/cases.csv"' in auditor.get("/cases").text
    assert "/cases.jsonl" not in auditor.get("/cases").text
    entries = [each for each in fleet.audit.entries() if each.action == "export"]
    assert {(each.role, each.subject) for each in entries} == {("auditor", "cases")}
    assert json.loads(entries[0].detail)["filter"] == {"joined": "community_id"}


def test_cells_of_cases_are_safe_in_a_spreadsheet(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    hostile = ("=1+1", "@SUM(A1)", "+1", "-1", "a\r\nb", '",=2', "\tx", "\u202egnp.exe")
    alerts = [
        fleet_alert("ghent", number * 60 * MINUTE, device=text, network=text, ip=None)
        for number, text in enumerate(hostile)
    ]
    record: dict[str, Any] = {**fleet_alert("-ghent", 600 * 60 * MINUTE).record}
    record["app"] |= {"name": "=cmd|' /C calc'!A0"}
    alerts.append(read_record("-ghent", record))
    keep_alerts(console.catalogue, alerts, GAP)
    text = visit("analyst").get("/cases.csv").text
    table = list(csv.reader(io.StringIO(text)))
    assert len(table) == len(alerts) + 1
    assert {len(row) for row in table} == {len(CASE_COLUMNS)}
    assert not [cell for row in table for cell in row if cell.startswith(("=", "@", "+", "-"))]
    assert not [cell for row in table for cell in row if set(cell) & set("\r\n\t\u202e")]
    assert "'-ghent" in table[1]
    assert "'=1+1" in table[-1]


def test_bans_count_cases_beside_incidents(
    console: Console, visit: Callable[[str], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    ban = "be-fed-tiktok-2023"
    visitor = visit("auditor")

    def facts() -> dict[str, str]:
        text = visitor.get("/bans").text.partition(f">{ban}</a>")[2].partition("</section>")[0]
        found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text, re.DOTALL)
        return {name: " ".join(re.sub(r"<[^>]+>", " ", value).split()) for name, value in found}

    before = facts()
    assert "Cases" not in before
    alerts = [
        fleet_alert(name, number * SECOND, ban=ban, flows=("1:x",))
        for number, name in enumerate(("ghent", "liege", "namur"))
    ]
    keep_alerts(console.catalogue, alerts, GAP)
    assert facts()["Cases"] == "violation 1 advisory 0 exempt 0"
    violations = [int(each["Incidents"].split()[1]) for each in (before, facts())]
    assert violations[1] == violations[0] + 3
    place = f"/bans/{ban}?from=2023-03-01&to=2023-03-31"
    assert f'href="/cases?ban={ban}"' in visitor.get(place).text
    monkeypatch.setattr(reports, "case_counts", too_long)
    assert "Cases" not in facts()


def too_long(*_: object, **__: object) -> None:
    raise QueryTimeoutError("the query took too long")


def test_one_case_and_the_ways_to_it(fleet: Console, visit: Callable[[str], Visitor]) -> None:
    (row,) = case_page(fleet.catalogue, IncidentFilter(sensor=frozenset({"liege"}))).rows
    visitor = visit("analyst")
    visitor.state_purpose(f"/cases/{row.id}")
    text = visitor.get(f"/cases/{row.id}").text
    assert "Flows that the sensors share prove" in text
    ghent, liege = rows(text)
    assert ghent.startswith("ghent 2023-03-20 09:00:00")
    assert liege.startswith("liege 2023-03-20 09:00:05")
    assert "+5.000 s" in liege
    assert "1 / 1" in liege
    incidents = re.findall(r'href="/incidents/([0-9a-f]{32})"', text)
    assert len(incidents) == 2
    for identity in incidents:
        page = visitor.get(f"/incidents/{identity}")
        assert page.status_code == 200
        assert f'href="/cases/{row.id}"' in page.text
        answer = visitor.get(f"/cases/{identity}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/{row.id}")
    assert visitor.get("/cases/unknown").status_code == 404
    entries = [each for each in fleet.audit.entries() if each.action == "case"]
    assert {each.subject for each in entries} == {f"device kiosk-1, case {row.id}"}


def test_a_purpose_is_asked_for_a_case(fleet: Console, visit: Callable[[str], Visitor]) -> None:
    (row,) = case_page(fleet.catalogue, IncidentFilter(app=frozenset({"wechat"}))).rows
    assert "kiosk-2" not in visit("analyst").get(f"/cases/{row.id}").text


def test_now_has_the_fleet_in_short(fleet: Console, visit: Callable[[str], Visitor]) -> None:
    text = visit("admin").get("/now").text
    assert ">1 / 4</a>" in text
    assert "1 rejected what was published" in text
    assert "Cases going on" in text
    for number in range(10):
        heard(fleet.catalogue, f"s{number}", fleet.now(), STATUS)
    text = visit("admin").get("/now").text
    assert ">11 / 14</a>" in text
    assert "/sensors/liege" in text
    assert "/sensors/s3" not in text
    assert "more sensors" not in text
    trouble = {"kind": "dropping", "where": "eth1", "message": "eth1 dropped packets"}
    for number in range(8):
        status = {**STATUS, "troubles": [trouble]}
        heard(fleet.catalogue, f"s{number}", fleet.now(), status)
    text = visit("admin").get("/now").text
    # Liège and eight others are unhealthy: what is silent or new is behind them.
    assert re.findall(r'<h3><a href="/sensors/(\w+)"', text) == [
        "liege", "s0", "s1", "s2", "s3", "s4",
    ]  # fmt: skip
    assert '<a href="/sensors">5 more sensors need attention</a>' in text


def test_a_store_of_one_sensor_says_so(console: Console, visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    assert "This is the store of one sensor" in visitor.get("/cases").text
    assert "No live sensor writes to this store" in visitor.get("/sensors").text
    assert "Cases going on" not in visitor.get("/now").text
