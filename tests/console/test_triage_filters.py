"""Incidents and cases by what was decided of them: the page, the API and `netwatch store query`
find what an obvious computation finds, over SQLite and PostgreSQL."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from support.asked_stores import run
from support.consoles import NAMES, PASSWORD, Visitor
from support.fleets import fill_fleet
from support.programs_of_api import Program

from netwatch.config import load
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.console import Console
from netwatch.console.triage import NEW, STATES, Change
from netwatch.store.cases import case_page
from netwatch.store.incident_pages import IncidentFilter, incident_page
from netwatch.store.options import StoreOptions

CONFIGURATION = """version: 1
networks: [{{name: hq, cidrs: [10.20.0.0/16], class: service}}]
bans:
  - {{id: default, authority: City, apps: [tiktok, wechat], forbids: [service], from: 2023-03-20}}
store: {{path: '{path}', catalogue: '{catalogue}'}}
"""

DECIDED = {0: ("in-work", "ben"), 1: ("false", ""), 2: ("seen", "ben")}
"""What is decided of the incidents with these numbers: a state, and who works on them."""

QUERIES = (
    "triage=new", "triage=seen", "triage=justified", "not-triage=new", "not-triage=false",
    "not-triage=new&not-triage=false", "triage=false&triage=new", "triage=seen&not-triage=seen",
    "assignee=ben", "triage=new&assignee=ben", "assignee=ben&not-triage=in-work",
    "not-triage=false&app=tiktok", "not-triage=seen&not-app=wechat",
    "not-triage=new&not-triage=seen&not-triage=in-work&not-triage=justified&not-triage=false",
)  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def triaged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Console, Path]]:
    """A console over the store of a fleet, and its configuration."""
    from support.postgres_server import new_catalogue

    folder = tmp_path_factory.mktemp("triaged")
    is_server = request.param == "postgresql"
    url = new_catalogue(request.getfixturevalue("postgres_server")) if is_server else ""
    options = StoreOptions(str(folder / "store"), url)
    file = folder / "netwatch.yaml"
    text = CONFIGURATION.format(path=options.path, catalogue=url)
    file.write_text(text.replace(", catalogue: ''", ""), encoding="utf-8")
    config = load(str(file))
    from netwatch.store.opening import open_catalogue

    open_catalogue(options, create=True).close()
    with Console(config, options, ConsoleOptions()) as console:
        console.accounts.add(NAMES["analyst"], "analyst", PASSWORD)
        fill_fleet(console.catalogue, console.now())
        for number, (state, assignee) in DECIDED.items():
            change = Change(state, assignee, reason="so")
            console.triage.change(incidents(console)[number], change, "ben")
        yield console, file


def incidents(console: Console) -> list[Any]:
    rows = incident_page(console.catalogue, IncidentFilter(), size=100).rows
    return sorted((json.loads(row.record) for row in rows), key=lambda each: str(each["id"]))


def cases(console: Console) -> list[Any]:
    return [json.loads(row.record) for row in case_page(console.catalogue, IncidentFilter()).rows]


def wanted(query: str, record: Mapping[str, Any], states: Any) -> bool:
    """Whether an incident or a case with the triage of these incidents fits a query."""
    words: dict[str, set[str]] = {}
    for name, value in parse_qsl(query):
        words.setdefault(name, set()).add(value)
    app = record["app"]["id"]
    if app in words.get("not-app", ()) or app not in words.get("app", {app}):
        return False
    excluded = words.get("not-triage", set())
    if any(state in excluded for state, _ in states):
        return False
    return any(
        state in words.get("triage", STATES) and assignee in words.get("assignee", {assignee})
        for state, assignee in states
    )


def expected(console: Console, query: str, kind: str) -> set[str]:
    known = {
        record["id"]: DECIDED.get(number, (NEW, ""))
        for number, record in enumerate(incidents(console))
    }
    found = incidents(console)
    if kind == "cases":
        found = cases(console)
    return {
        str(each["id"])
        for each in found
        if wanted(
            query,
            each,
            [known[seen["incident"]] for seen in each["seen_by"]]
            if kind == "cases"
            else [known[each["id"]]],
        )
    }


def on_page(visitor: Visitor, kind: str, query: str) -> set[str]:
    page = visitor.get(f"/{kind}?{query}").text
    found = {*re.findall(rf'class="row-link" href="/{kind}/([0-9a-f]+)"', page)}
    total = re.search(r'<p class="total" role="status">([\d,]+) ', page)
    assert total is not None, query
    assert int(total[1]) == len(found), query
    bars = re.findall(r"<title>.*: ([\d,]+|no capture)</title>", page)
    assert sum(int(count) for count in bars if count.isdigit()) == len(found), query
    return found


@pytest.mark.parametrize(
    ("kind", "in_order", "whole"),
    [("incidents", 5000, 20_000), ("cases", 5000, 20_000), ("cases", 0, 20_000), ("cases", 0, 0)],
)
def test_all_find_what_was_decided(
    triaged: tuple[Console, Path], kind: str, in_order: int, whole: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("netwatch.store.chosen_incidents.BY_IDS", in_order)
    monkeypatch.setattr("netwatch.store.chosen_incidents._ALL_BY_IDS", whole)
    console, file = triaged
    visitor = Visitor(console)
    assert visitor.sign_in(NAMES["analyst"]).status_code == 303
    asking = Program(
        console, console.tokens.add(f"{kind}-{in_order + whole}", "analyst", "case 2023/17")
    )
    sizes = set()
    for query in QUERIES:
        ids = expected(console, query, kind)
        sizes.add(len(ids))
        assert {each["id"] for each in asking.records(f"{kind}?{query}")} == ids, query
        options = [part for name, value in parse_qsl(query) for part in (f"--{name}", value)]
        ran = run("store", "query", kind, *options, "--format", "jsonl", "-c", str(file))
        assert ran.status == 0, ran.errors
        assert {each["id"] for each in ran.records} == ids, query
        if "&triage" not in query:  # a page has one value of each filter, as its form has
            assert on_page(visitor, kind, query) == ids, query
    assert len(sizes) > 3
    assert visitor.get(f"/{kind}?not-triage=gone").status_code == 400
    assert asking.get(f"{kind}?not-triage=gone").status_code == 400
    ran = run("store", "query", kind, "--not-triage", "gone", "-c", str(file))
    assert ran.status == 2
    assert "expected new, seen, in-work, justified or false; found 'gone'" in ran.errors


def test_a_case_shows_the_states_of_its_incidents(triaged: tuple[Console, Path]) -> None:
    console, _ = triaged
    visitor = Visitor(console)
    visitor.sign_in(NAMES["analyst"])
    states = dict.fromkeys((str(each["id"]) for each in incidents(console)), NEW)
    for number, (state, _) in DECIDED.items():
        states[[*states][number]] = state
    page = visitor.get("/cases").text
    assert "A case has no triage of its own, but the states of its incidents." in page
    seen = set()
    for case in cases(console):
        own = [states[each["incident"]] for each in case["seen_by"]]
        row = page[page.index(f'href="/cases/{case["id"]}"') :].partition("</tr>")[0]
        shown = re.findall(r'class="badge triage-([a-z-]+)"', row)
        assert shown == [state for state in STATES if state in own]
        one = visitor.open(f"/cases/{case['id']}").text
        badges = re.findall(r'class="badge triage-([a-z-]+)"', one)
        assert badges == [*shown, *own]
        seen |= {*own}
    assert len(seen) == 4
    # What a row has filters the list and leaves out.
    assert 'href="/cases?triage=in-work"' in page
    assert 'href="/cases?not-triage=in-work" aria-label="Leave out in work"' in page


def test_a_store_without_a_console_has_only_new_incidents(tmp_path: Path) -> None:
    from netwatch.store.opening import open_catalogue

    options = StoreOptions(str(tmp_path / "store"))
    with open_catalogue(options, create=True) as catalogue:
        fill_fleet(catalogue, 1_700_000_000 * 10**9)
    for words, count in {
        ("--triage", "new"): 5, ("--not-triage", "new"): 0, ("--triage", "seen"): 0,
        ("--not-triage", "false"): 5, ("--assignee", "ben"): 0,
    }.items():  # fmt: skip
        place = ["--store-path", options.path, "--format", "jsonl"]
        ran = run("store", "query", "incidents", *words, *place)
        assert ran.status == 0, ran.errors
        assert len(ran.records) == count, words
    assert not (tmp_path / "store" / "console.sqlite").exists()
