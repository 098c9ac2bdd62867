"""The list of incidents, one incident, and its page in plain words: what they show, and to whom."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.consoles import Visitor, add, records

from netwatch.console.console import Console
from netwatch.console.saved_filters import MAX_FILTERS, SavedFilter

HOSTILE = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "{{ 7 * 7 }}", "=1+1",
    "@SUM(A1)", "\u202egnp.exe", "a\r\nSet-Cookie: x=y", "%s%n%(x)s", "'; DROP TABLE incident; --",
    "javascript:alert(1)", "\x1b[31m", "</td></tr></table>",
)  # fmt: skip


def listed(text: str) -> list[str]:
    return re.findall(r'href="/incidents/([0-9a-f]{32})"', text)


@pytest.mark.parametrize("query", ["app=tictoc", "network=hq2", "ban=nothing", "sensor=no"])
@pytest.mark.parametrize("place", ["/incidents", "/incidents.csv", "/devices", "/cases"])
def test_what_nobody_knows_is_refused(
    place: str, query: str, visit: Callable[[str], Visitor]
) -> None:
    name, _, value = query.partition("=")
    if place == "/devices" and name != "network":
        pytest.skip("devices have no such filter")
    answer = visit("analyst").open(f"{place}?{query}")
    assert answer.status_code == 400
    assert f"“{name}” cannot be “{value}”: neither" in answer.text


def test_the_list_is_that_of_the_store_the_newest_first(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    wanted = sorted(records(console), key=lambda record: record["first_seen"], reverse=True)
    assert listed(visit("analyst").get("/incidents").text) == [each["id"] for each in wanted]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("verdict=advisory", lambda record: record["verdict"] == "advisory"),
        ("severity=medium", lambda record: record["severity"] == "medium"),
        ("confidence=confirmed", lambda record: record["confidence"] == "confirmed"),
        ("kind=lookup", lambda record: record["kind"]["value"] == "lookup"),
        ("outcome=blocked", lambda record: record["outcome"] == "blocked"),
        ("state=closed", lambda record: record["status"] == "closed"),
        ("state=open", lambda record: False),
        ("app=tiktok", lambda record: record["app"]["id"] == "tiktok"),
        ("device=ws-021", lambda record: record["device"]["id"] == "ws-021"),
        ("network=byod", lambda record: record["network"]["name"] == "byod"),
        (
            "from=2023-03-21T00:00:00Z&to=2023-04-01T00:00:00Z",
            lambda record: "2023-03-21" <= record["first_seen"] < "2023-04-01",
        ),
        (
            "from=2023-03-20T09:12:41%2B01:00&network=hq&kind=embed&verdict=exempt",
            lambda record: record["verdict"] == "exempt" and record["kind"]["value"] == "embed",
        ),
    ],
)
def test_filters_are_in_the_address(
    query: str, field: Callable[[Any], bool], console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    wanted = {record["id"] for record in records(console) if field(record)}
    answer = visitor.open(f"/incidents?{query}")
    if answer.status_code == 303:  # a time with an offset becomes one in UTC
        answer = visitor.get(answer.headers["location"])
    assert set(listed(answer.text)) == wanted
    rows = visitor.get(f"/incidents.jsonl?{query}").text.splitlines()
    assert {json.loads(row)["id"] for row in rows} == wanted


def test_incidents_are_filtered_by_their_sensor(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    others, visitor = {each["id"] for each in records(console)}, visit("analyst")
    own = records(console)[0] | {"id": "c" * 32, "sensor": {"name": "test", "version": "1"}}
    add(console, [own])
    page = visitor.get("/incidents?columns=sensor").text
    assert '<option value="test">1 incident</option>' in page
    assert 'href="/incidents?sensor=test&amp;columns=sensor"' in page
    assert 'href="/incidents?not-sensor=test&amp;columns=sensor"' in page
    for query, wanted in (("sensor=test", {own["id"]}), ("not-sensor=test", others)):
        page = visitor.get(f"/incidents?{query}").text
        assert set(listed(page)) == wanted
        assert f'<p class="total" role="status">{len(wanted)} incident' in page
        sorted_ = visitor.get(f"/incidents?{query}&sort=device").text
        assert set(listed(sorted_)) == wanted
    text = visitor.get("/incidents?sensor=test").text
    assert '<span class="chip-value">test</span>' in text


def test_what_a_form_sends_becomes_a_tidy_address(visit: Callable[[str], Visitor]) -> None:
    answer = visit("analyst").get("/incidents?from=2023-03-20T09%3A00&to=&verdict=&app=+tiktok+")
    assert answer.headers["location"] == "/incidents?from=2023-03-20T09%3A00%3A00Z&app=tiktok"


@pytest.mark.parametrize(
    "query",
    [
        "verdict=guilty", "from=yesterday", "to=99999-01-01", "from=0001-01-01", "after=x",
        "after=1.", "after=99999999999999999999.a", "from=2023-02-30", "kind=%00", "after=%31.%00",
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused_with_a_reason(
    query: str, visit: Callable[[str], Visitor]
) -> None:
    answer = visit("analyst").get(f"/incidents?{query}")
    assert answer.status_code in (200, 400)
    assert answer.status_code == 400 or "after=" in query
    assert "<h1>" in answer.text


def test_pages_join_without_gaps_and_stay_when_more_comes(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    template = records(console)[0]
    many = [
        template | {"id": f"{n:032x}", "first_seen": f"2025-01-01T00:00:{n // 4:02d}.000000Z",
                    "last_seen": "2025-01-02T00:00:00.000000Z"}
        for n in range(130)
    ]  # fmt: skip
    add(console, many)
    visitor, seen, place = visit("analyst"), [], "/incidents?from=2025-01-01T00:00:00Z"
    while place:
        page = visitor.get(place).text
        assert len(listed(page)) <= 50
        seen += listed(page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        place = older[1].replace("&amp;", "&") if older else ""
        if len(seen) == 50:
            add(console, [template | {"id": "f" * 32, "first_seen": "2025-06-01T00:00:00.000000Z"}])
    assert seen == [f"{n:032x}" for n in reversed(range(130))]


def test_an_auditor_sees_pseudonyms_alone(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("auditor")
    known = {
        record["device"][key]
        for record in records(console)
        for key in ("id", "ip", "mac", "hostname", "owner")
        if record["device"][key]
    }
    for place in ("/incidents", "/incidents.csv"):
        text = visitor.get(place).text
        assert not [each for each in known if each in text]
        assert len({*re.findall(r"\bd-[0-9a-f]{12}\b", text)}) == len(
            {record["device"]["id"] or record["device"]["ip"] for record in records(console)}
        )
    # The name of a device must not be found out by asking for it.
    refused = [visitor.get(f"/incidents?device={name}") for name in ("ws-021", "nobody")]
    assert [each.status_code for each in refused] == [403, 403]
    assert refused[0].text.count("\n") == refused[1].text.count("\n")


def test_hostile_names_are_text_everywhere(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    template = records(console)[0]
    add(console, [
        template | {
            "id": f"{n:032x}",
            "device": template["device"] | {"id": name, "hostname": name, "owner": name},
            "network": template["network"] | {"name": name},
            "app": template["app"] | {"name": name},
            "names": [name],
            "evidence": [each | {"name": name, "raw": name} for each in template["evidence"]],
        }
        for n, name in enumerate(HOSTILE)
    ])  # fmt: skip
    visitor = visit("analyst")
    pages = [visitor.get("/incidents")]
    pages += [
        visitor.open(f"/incidents/{n:032x}{place}")
        for n in range(len(HOSTILE))
        for place in ("", "/plain", "/plain?text=fr")
    ]
    for page in pages:
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img" not in page.text
        assert "\u202e" not in page.text
        assert "\x1b" not in page.text
        assert page.text.count("<script") == 1
        assert "onerror=alert(1)>" not in page.text
    table = list(csv.reader(io.StringIO(visitor.get("/incidents.csv").text)))
    assert all(len(row) == len(table[0]) for row in table)
    assert not [cell for row in table for cell in row if cell.startswith(("=", "@", "+", "-"))]
    audit = visit("dpo").get("/audit.csv").text
    assert not [cell for row in csv.reader(io.StringIO(audit)) for cell in row if cell[:1] in "=@"
                and cell]  # fmt: skip


def test_an_incident_is_shown_from_the_packet_to_the_clause(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    record = next(
        each
        for each in records(console)
        if each["device"]["id"] == "ws-021" and each["first_seen"].startswith("2023")
    )
    visitor = visit("analyst")
    text = visitor.open(f"/incidents/{record['id']}").text
    for shown in (
        record["names"][0], record["device"]["mac"], record["ban"]["id"],
        record["evidence"][0]["rule"]["text"], record["versions"]["signatures"],
        "What would refute it", "What it does not prove", "08:12:41 UTC",
    ):  # fmt: skip
        assert shown in text, shown
    packets = visitor.get(f"/incidents/{record['id']}/packets.pcapng")
    assert packets.content == Path(record["evidence_file"]).read_bytes()
    assert packets.headers["content-disposition"].startswith("attachment; filename=")


@pytest.mark.parametrize("path", ["/etc/hostname", "/etc/{id}.pcapng", "../{id}.pcapng", "\0"])
def test_packets_are_those_of_evidence_captures_alone(
    path: str, console: Console, visit: Callable[[str], Visitor]
) -> None:
    record = records(console)[0]
    add(console, [record | {"id": "e" * 32, "evidence_file": path.format(id="e" * 32)}])
    visitor = visit("analyst")
    assert visitor.open(f"/incidents/{'e' * 32}/packets.pcapng").status_code == 404


@pytest.mark.parametrize(
    ("code", "words", "authority"),
    [
        ("nl", "Wat niet is bewezen|bewijst", "Nationale Veiligheidsraad"),
        ("fr", "prouve", "Conseil national de sécurité"),
        ("de", "beweist", "Nationaler Sicherheitsrat"),
    ],
)
def test_the_plain_page_is_in_the_language_that_is_asked_for(
    code: str, words: str, authority: str, visit: Callable[[str], Visitor], incident: str
) -> None:
    visitor = visit("dpo")
    text = visitor.open(f"/incidents/{incident}/plain?text={code}").text
    assert f'lang="{code}"' in text
    assert re.search(words, text, re.IGNORECASE)
    assert '<html lang="en">' in text
    assert authority in text
    assert "National Security Council" not in text


@pytest.mark.parametrize(
    ("role", "place", "words"),
    [
        (
            "analyst",
            "/incidents/{id}",
            "Nationale Veiligheidsraad|Omzendbrief nr. 716|zonder einddatum",
        ),
        ("admin", "/bans", "Nationale Veiligheidsraad|Omzendbrief nr. 716"),
        ("admin", "/configuration", "Nationale Veiligheidsraad"),
        ("dpo", "/person?device=ws-021", "Omzendbrief nr. 716"),
    ],
)
def test_pages_have_the_words_of_a_ban_in_their_language(
    role: str, place: str, words: str, visit: Callable[[str], Visitor], incident: str
) -> None:
    visitor = visit(role)
    visitor.get("/account?lang=nl")
    text = visitor.open(place.format(id=incident)).text
    assert all(each in text for each in words.split("|"))
    assert "National Security Council" not in text
    assert "Circular no. 716" not in text


def test_a_query_that_takes_too_long_is_cut_and_says_so(
    console: Console, visit: Callable[[str], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    from netwatch.console.pages import incidents

    visitor = visit("analyst")
    monkeypatch.setattr(incidents, "QUERY_SECONDS", -1.0)
    monkeypatch.setattr("netwatch.store.database._STEPS", 1)
    answer = visitor.get("/incidents")
    assert answer.status_code == 503
    assert "was stopped" in answer.text


def test_filters_are_saved_for_the_account_alone(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor, other = visit("analyst"), visit("auditor")
    query = "verdict=violation&device=ws-021&other=x"
    fields = {"page": "/incidents", "name": "<b>Mine</b>", "query": query}
    answer = visitor.post("/filters", fields)
    assert answer.headers["location"] == "/incidents?verdict=violation&device=ws-021"
    page = visitor.get("/incidents").text
    assert 'href="/incidents?verdict=violation&amp;device=ws-021"' in page
    assert "&lt;b&gt;Mine&lt;/b&gt;" in page
    assert "Mine" not in other.get("/incidents").text
    for wrong in ({"page": "/audit"}, {"name": " "}, {"name": "x" * 61}, {"query": "after=1"}):
        assert visitor.post("/filters", fields | wrong).status_code == 400
    for n in range(MAX_FILTERS - 1):
        console.filters.save("ben", "/incidents", SavedFilter(f"filter {n}", "app=tiktok"))
    assert visitor.post("/filters", fields | {"name": "one more"}).status_code == 400
    assert visitor.post("/filters", fields).status_code == 303  # replaces the one of its name
    assert visitor.post("/filters/remove", fields).headers["location"] == "/incidents"
    assert "Mine" not in visitor.get("/incidents").text


@pytest.mark.parametrize(
    ("code", "said"),
    [("nl", "Pakketten noemen toestellen"), ("fr", "Les paquets nomment"), ("de", "Pakete nennen")],
)
def test_what_an_incident_does_not_prove_is_said_in_the_language_of_the_page(
    code: str, said: str, visit: Callable[[str], Visitor], incident: str
) -> None:
    visitor = visit("analyst")
    visitor.state_purpose(f"/incidents/{incident}")
    text = visitor.get(f"/incidents/{incident}?lang={code}").text
    assert said in text
    assert "Packets name devices" not in text
