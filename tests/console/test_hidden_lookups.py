"""The pages about devices that hid their lookups: the list, how many there are in each network, and
the page of a device."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from formats.test_notice import record_of
from support.asked_stores import run
from support.consoles import NAMES, Visitor
from support.paths import PCAPS
from support.programs_of_api import connect, program

from netwatch.config.console_section import ROLES
from netwatch.console.console import Console
from netwatch.formats.bypass import BypassRecord, day_number
from netwatch.formats.registry import FORMATS
from netwatch.store.bypass_rows import JudgedDay, keep_days

Visit = Callable[[str], Visitor]

MAC, OTHER = "02:00:00:00:00:07", "02:00:00:00:00:08"
DAY = 19_419
"""2023-03-03, in days since the epoch."""
PERIOD = "?from=2023-03-01&to=2023-03-31"


def in_network(record: BypassRecord, network: str) -> BypassRecord:
    return {
        **record,
        "id": record["id"] + network,
        "device": {**record["device"], "network": network},
    }


@pytest.fixture
def judged(console: Console) -> Console:
    """A console whose store has two devices that hid their lookups on a day."""
    records = [record_of(MAC), record_of(OTHER)]
    assert {day_number(each) for each in records} == {DAY}
    days = {DAY: JudgedDay(100, 12, 3), DAY + 1: JudgedDay(100, 11, 3)}
    networks = [scope.network.name for scope in console.config.networks.scopes]
    keep_days(console.catalogue, days, [in_network(each, networks[0]) for each in records])
    return console


def test_everybody_sees_how_many_and_only_analysts_which(judged: Console, visit: Visit) -> None:
    for role in sorted(ROLES & NAMES.keys()):
        text = visit(role).get(f"/blind-spots{PERIOD}").text
        assert "2 days were judged, and 23 days of devices had enough contacts." in text
        assert "2 devices" in text
        assert MAC not in text
        assert ('href="/hidden-lookups' in text) == (role == "analyst")
        if role != "analyst":
            assert visit(role).get("/hidden-lookups").status_code == 403


def test_a_period_that_nobody_judged_says_so(judged: Console, visit: Visit) -> None:
    text = visit("auditor").get("/blind-spots?from=2023-05-01&to=2023-05-02").text
    assert "No day of this period was judged." in text


def test_the_list_asks_why_and_leads_to_the_devices(judged: Console, visit: Visit) -> None:
    visitor = visit("analyst")
    assert MAC not in visitor.get(f"/hidden-lookups{PERIOD}").text
    text = visitor.open(f"/hidden-lookups{PERIOD}").text
    assert MAC in text
    assert OTHER in text
    assert "198.51.100.7:443" in text
    assert "far more such contacts than on earlier days" in text
    assert MAC not in visitor.get("/hidden-lookups?from=2023-04-01&to=2023-04-02").text
    network = text.partition(f'href="/devices/{MAC.replace(":", "%3A")}?network=')[2].partition(
        '"'
    )[0]
    page = visitor.open(f"/devices/{MAC}?network={network}").text
    assert 'id="hidden"' in page
    assert OTHER not in page
    assert "Devices that contacted addresses no visible lookup had named" in page
    # It had no incident, so its period is that of the last day on which it hid its lookups.
    assert "61" in page.partition('id="hidden"')[2]
    elsewhere = visitor.open(f"/devices/{MAC}?network=nowhere")
    assert 'id="hidden"' not in elsewhere.text
    assert visitor.open("/devices/02:00:00:00:00:09").status_code == 404


def test_it_is_in_the_copy_for_the_person(judged: Console, visit: Visit) -> None:
    visitor = visit("dpo")
    assert (
        "Days on which its lookups were not visible" in visitor.open(f"/person?device={MAC}").text
    )
    found = json.loads(visitor.open(f"/person.json?device={MAC}").text)
    assert [each["device"]["id"] for each in found["bypasses"]] == [MAC]
    (kind,) = (each for each in found["kinds"] if each["kind"] == "bypass")
    assert (kind["rows"], kind["from"]) == (1, "2023-03-03T00:00:00Z")


def test_the_page_of_retention_counts_them(judged: Console, visit: Visit) -> None:
    text = visit("dpo").get("/retention").text
    row = text.partition("Hidden lookups")[2].partition("</tr>")[0]
    assert ">2<" in row


def test_a_page_in_another_language_has_no_english(judged: Console, visit: Visit) -> None:
    visitor = visit("analyst")
    visitor.open(f"/hidden-lookups{PERIOD}")
    text = visitor.get(f"/hidden-lookups{PERIOD}", headers={"Accept-Language": "de"}).text
    assert "Verborgene Namensabfragen" in text
    assert "no visible lookup" not in text


def test_a_program_gets_them_in_pages_and_within_its_networks(judged: Console) -> None:
    asking = program(judged, "analyst")
    first = asking.get("bypasses?limit=1")
    answer = first.json()
    (record,) = answer["records"]
    assert (record["device"]["id"], answer["unjudged"] > 0) == (MAC, True)
    on_day = asking.get("bypasses?since=2023-03-03&until=2023-03-03").json()
    assert on_day["unjudged"] == 0
    unchanged = {"If-None-Match": first.headers["ETag"], **asking.headers}
    again = asking.client.get("/api/v1/bypasses?limit=1", headers=unchanged)
    assert again.status_code == 304
    (other,) = asking.get(f"bypasses?limit=1&after={answer['next']}").json()["records"]
    assert other["device"]["id"] == OTHER
    network = record["device"]["network"]
    asked = {
        f"network={network}": 2, "since=2023-03-03&until=2023-03-03": 2, "until=2023-03-02": 0,
        "since=2023-03-04": 0,
    }  # fmt: skip
    for query, count in asked.items():
        assert len(asking.records(f"bypasses?{query}")) == count, query
    within = program(judged, "analyst", "byod", name="within")
    assert asking.records("bypasses") == [record, other]
    assert within.records("bypasses") == []


def test_a_query_prints_the_same_from_store_and_console(
    judged: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_days(
        judged.catalogue, {DAY: JudgedDay(100, 12, 3)},
        [in_network(record_of(each), "hq") for each in ("ws-021", "10.20.5.7")],
    )  # fmt: skip
    connect(judged, monkeypatch)
    file = tmp_path / "a.token"
    file.write_text(judged.tokens.add("cli", "analyst", "case") + "\n")
    place = ("-c", str(PCAPS / "netwatch.yaml"), "--store-path", judged.store.path)
    there = ("--url", "https://netwatch.example:8477", "--token-file", str(file))
    period = ("--since", "2023-03-03", "--until", "2023-03-03")
    for arguments in (
        *(("--format", name) for name in FORMATS), ("--limit", "1"), ("--device", "WS-021"),
        ("--network", "byod"),
    ):  # fmt: skip
        query = ("store", "query", "bypasses", *period, *arguments)
        here, remote = run(*query, *place), run(*query, *there)
        assert here.status == remote.status == 0, (here.errors, remote.errors)
        assert here.output == remote.output
        assert bool(here.output) == (arguments[-1] != "byod"), arguments
        assert ("ws-021" in here.output) == (arguments[0] in ("--format", "--device")), arguments
