"""Pages on the sensors of a fleet, and on the cases that they saw together."""

import re
from collections.abc import Callable

import pytest
from support.consoles import Visitor
from support.fleet_alerts import GAP, MINUTE, fleet_alert
from support.fleets import STATUS, fill_fleet

from netwatch.console.console import Console
from netwatch.store.case_pages import CaseFilter, case_page
from netwatch.store.cases import keep_alerts
from netwatch.store.fleet_sensors import enrolled, heard


@pytest.fixture
def fleet(console: Console) -> Console:
    fill_fleet(console.catalogue, console.now())
    return console


def rows(text: str) -> list[str]:
    """The rows of the table of a page, as words."""
    body = text.partition('<tbody role="rowgroup">')[2].partition("</tbody>")[0]
    plain = [re.sub(r"<[^>]+>", " ", part) for part in body.split('<tr role="row">')[1:]]
    return [" ".join(each.split()) for each in plain]


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
    assert "not heard yet" in found[2]
    assert "healthy" in found[3]
    assert "812 17 +0.001 s 12" in found[3]


def test_sensors_by_state_and_name(fleet: Console, visit: Callable[[str], Visitor]) -> None:
    visitor = visit("admin")
    assert [each.split()[0] for each in rows(visitor.get("/sensors?state=silent").text)] == [
        "namur"
    ]
    assert [each.split()[0] for each in rows(visitor.get("/sensors?name=GHE").text)] == ["ghent"]
    assert rows(visitor.get("/sensors?name=nobody").text) == []
    assert visitor.get("/sensors?state=odd").status_code == 400


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
    assert "kiosk-3 hq ghent, namur device and time alone" in found[0]
    assert "kiosk-2 hq ghent" in found[1]
    assert "kiosk-1 hq ghent, liege shared flows" in found[2]
    for query, count in (
        ("sensor=liege", 1), ("joined=time", 1), ("app=wechat", 1), ("device=kiosk-1", 1),
        ("state=closed", 2), ("from=2023-03-20T12:00:00Z", 2), ("network=other", 0),
    ):  # fmt: skip
        assert len(rows(visitor.get(f"/cases?{query}").text)) == count, query
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


def test_one_case_and_the_ways_to_it(fleet: Console, visit: Callable[[str], Visitor]) -> None:
    (row,) = case_page(fleet.catalogue, CaseFilter(sensor=frozenset({"liege"}))).rows
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
    (row,) = case_page(fleet.catalogue, CaseFilter(app=frozenset({"wechat"}))).rows
    assert "kiosk-2" not in visit("analyst").get(f"/cases/{row.id}").text


def test_now_has_the_fleet_in_short(fleet: Console, visit: Callable[[str], Visitor]) -> None:
    text = visit("admin").get("/now").text
    assert ">1 / 4</a>" in text
    assert "1 rejected what was published" in text
    assert "Open cases" in text
    for number in range(10):
        heard(fleet.catalogue, f"s{number}", fleet.now(), STATUS)
    text = visit("admin").get("/now").text
    assert ">11 / 14</a>" in text
    assert "/sensors/liege" in text
    assert "/sensors/s3" not in text


def test_a_store_of_one_sensor_says_so(console: Console, visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    assert "This is the store of one sensor" in visitor.get("/cases").text
    assert "No live sensor writes to this store" in visitor.get("/sensors").text
    assert "Open cases" not in visitor.get("/now").text
