"""Whatever is filtered by a person asks why, and is in the audit under this person."""

import importlib
import json
import pkgutil
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from sqlalchemy import delete
from support.consoles import Visitor

from netwatch.config.console_section import ROLES
from netwatch.console import dispatch, pages, tables
from netwatch.console.console import PERSON_FILTERS, Console, admitted
from netwatch.console.routes import ROUTES, Route
from netwatch.console.view import Refused, View

NOBODY = "zz-nobody-here"
WHO = {"device": (NOBODY, f"device {NOBODY}"), "account": (NOBODY, f"account {NOBODY}"),
       "not-device": (NOBODY, ""), "subject": (f"device {NOBODY}", f"device {NOBODY}")}  # fmt: skip
"""A value of each filter by a person, and whom it names."""

OF_PEOPLE = {"device", "owner", "person", "user", "account", "subject", "client", "ip", "mac",
             "address", "hostname", "pseudonym", "name"}  # fmt: skip
"""What a filter by a person may be called."""

VISITED = [
    route
    for route in ROUTES
    if route.method == "GET" and route.roles is not None and "{" not in route.path
    and route.operation is None
]  # fmt: skip


def test_every_filter_by_a_person_is_tried_here() -> None:
    assert set(WHO) == set(PERSON_FILTERS)
    assert {name: each.subject(WHO[name][0]) for name, each in PERSON_FILTERS.items()} == {
        name: person for name, (_, person) in WHO.items()
    }
    for found in pkgutil.iter_modules(pages.__path__):
        module = importlib.import_module(f"{pages.__name__}.{found.name}")
        names = set(getattr(module, "FILTERS", ()))
        assert names & OF_PEOPLE <= set(PERSON_FILTERS), found.name


@pytest.mark.parametrize("role", ROLES)
def test_no_page_is_filtered_by_a_person_without_purpose_and_audit(
    role: str,
    console: Console,
    visit: Callable[[str], Visitor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visitor = visit(role)
    seen: list[View] = []

    def admit(route: Route, view: View) -> View:
        seen.append(admitted(route, view))
        if not route.people and NOBODY in str(view.raw_query):
            raise Refused(418)  # what a page may see is known, and to make it takes its time
        return seen[-1]

    monkeypatch.setattr(dispatch, "admitted", admit)

    def came_to(route: Route, name: str) -> str:
        value, person = WHO[name]
        place = f"{route.path}?{urlencode({name: value})}"
        rows = console.audit.verify().rows
        answer = visitor.get(place)
        if answer.status_code == 403:
            assert console.audit.verify().rows == rows
            return "refused"
        if NOBODY not in str((seen[-1].query.pairs, seen[-1].raw_query)):
            return "not seen"
        if not person:
            return "about nobody"
        assert 'name="purpose"' in answer.text
        assert console.audit.verify().rows == rows
        assert visitor.state_purpose(place).status_code == 303
        assert visitor.get(place).status_code == 200
        row = list(console.audit.entries(rows))[-1]
        assert row.subject == person or row.subject.startswith(f"{person}, ")
        assert (row.purpose, row.role) == ("case 2023/17", role)
        assert row.action == (route.audited or "list")
        return "audited"

    for route in VISITED:
        if role not in (route.roles or ()):
            continue
        for name, known in PERSON_FILTERS.items():
            with console.database.writing() as connection:
                connection.execute(delete(tables.purpose))
            has_filter = known in route.people
            expected = "refused" if has_filter and role not in known.roles else "not seen"
            if has_filter and role in known.roles:
                expected = "audited" if WHO[name][1] else "about nobody"
            assert came_to(route, name) == expected, (route.path, name)


def test_the_audit_has_no_filter_that_was_not_applied(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("auditor")
    for place in ("/incidents", "/incidents.csv", "/cases", "/cases.csv"):
        rows = console.audit.verify().rows
        answer = visitor.get(f"{place}?device=ws-021&app=tiktok")
        assert answer.status_code == 403
        assert "cannot filter by a device" in answer.text
        assert console.audit.verify().rows == rows
    assert visitor.get("/incidents.csv?app=tiktok&nothing=ws-021").status_code == 200
    detail = json.loads(list(console.audit.entries())[-1].detail)
    assert detail["filter"] == {"app": "tiktok"}


def test_a_filtered_list_is_under_its_person(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    lines = visitor.open("/incidents.jsonl?device=ws-021&verdict=violation").text.splitlines()
    assert {json.loads(line)["device"]["id"] for line in lines} == {"ws-021"}
    row = list(console.audit.entries())[-1]
    assert (row.action, row.subject) == ("export", "device ws-021, incidents")
    assert json.loads(row.detail) == {
        "path": "/incidents.jsonl", "filter": {"verdict": "violation", "device": "ws-021"},
    }  # fmt: skip
    # The purpose is that of the person: the page on her does not ask again.
    assert 'name="purpose"' not in visitor.get("/devices/ws-021").text
    assert 'name="purpose"' in visitor.get("/incidents?device=ws-014").text


def test_an_address_that_is_put_in_order_is_not_a_look(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    assert visitor.state_purpose("/devices/ws-021").status_code == 303
    rows = console.audit.verify().rows
    for place in ("/devices/ws-021?from=2023-03-20&to=", "/incidents?device=ws-021&app="):
        assert visitor.get(place).status_code == 303
    assert console.audit.verify().rows == rows
