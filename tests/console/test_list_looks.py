"""The order and the columns of lists: links, a form, the address, and what readers of screens are
told."""

import html
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from support.consoles import Visitor

from netwatch.console import lists
from netwatch.console.console import Console
from netwatch.console.pages import incidents
from netwatch.core.filter_words import SEVERITIES, WORDS
from netwatch.formats.values import epoch_ns
from netwatch.store.incident_pages import IncidentFilter, incident_page

SORTED = {
    "app": lambda each: each["app"]["id"],
    "device": lambda each: each["device"]["id"],
    "network": lambda each: each["network"]["name"] or "",
    "verdict": lambda each: WORDS["verdict"].index(each["verdict"]),
    "outcome": lambda each: WORDS["outcome"].index(each["outcome"]),
    "kind": lambda each: WORDS["kind"].index(each["kind"]["value"]) if each["kind"] else 9,
    "ban": lambda each: each["ban"]["id"],
    "severity": lambda each: SEVERITIES.index(each["severity"]),
}  # fmt: skip


def heads(text: str) -> dict[str, str]:
    """What each head of the table tells a reader of screens, by its text."""
    listed = text.partition('<table class="cards"')[2]
    found = re.findall(r'<th scope="col" role="columnheader"(.*?)>(.*?)</th>', listed)
    return {
        re.sub(r"<.*?>|[↑↓]", "", content): (re.findall(r'aria-sort="(\w+)"', said) or [""])[0]
        for said, content in found
    }


def links(text: str) -> dict[str, str]:
    """The address behind each head that sorts."""
    found = re.findall(r'<a class="sort" href="([^"]*)">([^<]*)', text)
    return {name: html.unescape(address) for address, name in found}


def walked(visitor: Visitor, place: str) -> list[str]:
    """The ids of all rows of a list, page after page."""
    found: list[str] = []
    while True:
        text = visitor.get(place).text
        found += re.findall(r'class="row-link" href="/incidents/([0-9a-f]+)"', text)
        following = re.search(r'rel="next" href="([^"]*)"', text)
        if following is None:
            return found
        place = html.unescape(following[1])


@pytest.mark.parametrize("name", SORTED)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_sorted_list_has_every_row_once_in_its_order(
    name: str,
    is_reversed: bool,
    console: Console,
    visit: Callable[[str], Visitor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incidents, "PAGE", 4)
    rows = incident_page(console.catalogue, IncidentFilter(), size=1000).rows
    newest_first: list[dict[str, Any]] = [json.loads(row.record) for row in rows]
    # The newest is the first among those with the same word, also if that is the last word.
    wanted = [each["id"] for each in sorted(newest_first, key=SORTED[name], reverse=is_reversed)]
    sort = f"{'-' * is_reversed}{name}"
    assert walked(visit("analyst"), f"/incidents?sort={sort}") == wanted
    monkeypatch.setattr(lists, "_BATCH", 7)
    exported = visit("analyst").get(f"/incidents.jsonl?sort={sort}").text
    assert [json.loads(line)["id"] for line in exported.splitlines()] == wanted


def test_most_contacts_are_first(
    console: Console, visit: Callable[[str], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidents, "PAGE", 4)
    rows = incident_page(console.catalogue, IncidentFilter(), size=1000).rows
    records = [json.loads(row.record) for row in rows]

    def key(record: dict[str, Any]) -> tuple[int, int, str]:
        counts = record["counts"]
        contacts = counts["lookups"] + counts["handshakes"]
        return contacts, epoch_ns(record["first_seen"]), record["id"]

    wanted = [each["id"] for each in sorted(records, key=key)]
    visitor = visit("analyst")
    assert walked(visitor, "/incidents?sort=contacts") == wanted
    text = visitor.get("/incidents?columns=severity,contacts").text
    assert links(text)["Contacts"] == "/incidents?columns=severity%2Ccontacts&sort=-contacts"
    assert walked(visitor, links(text)["Contacts"]) == wanted[::-1]
    for place in ("7.abc", "x/7.abc", f"{1 << 63}/7.abc"):
        assert visitor.get(f"/incidents?sort=contacts&after={place}").status_code == 400


def test_a_sorted_list_is_filtered_as_well(
    console: Console, visit: Callable[[str], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidents, "PAGE", 3)
    visitor = visit("analyst")
    query = "verdict=violation&not-network=byod&from=2023-03-20T09:00:00Z"
    plain = walked(visitor, f"/incidents?{query}")
    assert len(plain) > 3
    for sort in ("first_seen", "device", "-device", "outcome", "-severity", "-contacts"):
        found = walked(visitor, f"/incidents?{query}&sort={sort}")
        assert sorted(found) == sorted(plain), sort
        if sort == "first_seen":
            assert found == plain[::-1]


def test_the_head_says_and_changes_the_order(visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    text = visitor.get("/incidents?verdict=violation").text
    assert {name: said for name, said in heads(text).items() if said} == {
        "First seen": "descending"
    }
    assert links(text)["First seen"] == "/incidents?verdict=violation&sort=first_seen"
    assert links(text)["App"] == "/incidents?verdict=violation&sort=app"
    text = visitor.get(links(text)["App"]).text
    assert {name: said for name, said in heads(text).items() if said} == {"App": "ascending"}
    assert links(text)["App"] == "/incidents?verdict=violation&sort=-app"
    # Filters keep the order.
    picks = [
        html.unescape(each) for each in re.findall(r'class="(?:pick|drop)" href="(.*?)"', text)
    ]
    assert picks
    assert all(("sort", "app") in parse_qsl(urlsplit(each).query) for each in picks)
    assert '<input type="hidden" name="sort" value="app">' in text
    assert links(text)["First seen"] == "/incidents?verdict=violation"


def test_pseudonyms_are_not_sorted_by_device(visit: Callable[[str], Visitor]) -> None:
    visitor = visit("auditor")
    text = visitor.get("/incidents").text
    assert "Device" in heads(text)
    assert "Device" not in links(text)
    for sort in ("device", "-device"):
        assert visitor.get(f"/incidents?sort={sort}").status_code == 400
        assert visitor.get(f"/incidents.csv?sort={sort}").status_code == 400


@pytest.mark.parametrize("place", ["/incidents", "/cases", "/devices"])
def test_an_order_or_column_that_there_is_not_is_said(
    place: str, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    for query in ("sort=luck", "sort=--app", "columns=app,luck", "columns=,"):
        answer = visitor.open(f"{place}?{query}")
        if answer.status_code == 303:
            answer = visitor.open(answer.headers["location"])
            assert query == "columns=,"
            continue
        assert answer.status_code == 400, query
        assert 'role="alert"' in answer.text
        assert "luck" not in str(links(answer.text))


def test_the_columns_of_the_address_are_shown(visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    answer = visitor.get("/incidents?columns=flows&columns=app&columns=last_seen&sort=app")
    place = answer.headers["location"]
    assert place == "/incidents?sort=app&columns=flows%2Capp%2Clast_seen"
    text = visitor.get(place).text
    assert [*heads(text)] == ["First seen", "Last seen", "App", "Flows"]
    body = text.partition('<table class="cards"')[2].partition("</tbody")[0]
    assert set(re.findall(r'data-label="([^"]*)"', body)) == {*heads(text)}
    assert text.count('name="columns" value="app" checked') == 1
    # The usual ones are not in the address.
    usual = ["verdict", "app", "device", "network", "kind", "outcome", "ban", "triage"]
    answer = visitor.get("/incidents?" + "&".join(f"columns={name}" for name in usual))
    assert answer.headers["location"] == "/incidents"


@pytest.mark.parametrize("sort", ["device", "last_seen", "first_seen", "violation", "exempt"])
@pytest.mark.parametrize("is_descending", [False, True])
def test_devices_are_sorted(
    sort: str, is_descending: bool, visit: Callable[[str], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = visit("analyst")
    label = {"device": "Device", "last_seen": "Last seen", "first_seen": "First seen",
             "violation": "Violations", "exempt": "Exempt"}[sort]  # fmt: skip
    place = f"/devices?sort={'-' * is_descending}{sort}"
    text = visitor.open(place).text
    assert heads(text)[label] == ("descending" if is_descending else "ascending")
    cells = re.findall(rf'data-label="{label}">(.*?)</td>', text, flags=re.S)
    if sort.endswith("seen"):
        values: list[Any] = [re.findall(r'datetime="(.*?)"', each)[0] for each in cells]
    else:
        values = [re.sub(r"<.*?>", "", each).strip() for each in cells]
        values = values if sort == "device" else [int(each.replace(",", "")) for each in values]
    assert len(values) > 5
    assert values == sorted(values, reverse=is_descending)
