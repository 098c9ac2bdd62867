"""Filters under a name: of one account, and shared with those of a role; who sees them, what the
audit has of it, and when they go."""

import json
import re
from collections.abc import Callable

import pytest
from sqlalchemy import select
from support.consoles import PASSWORD, Visitor

from netwatch.console import tables
from netwatch.console.console import Console
from netwatch.console.database import erase_from_console
from netwatch.console.saved_filters import MAX_FILTERS, SavedFilter
from netwatch.store.person import Person

FIELDS = {
    "page": "/incidents",
    "name": "Morning",
    "query": "verdict=violation&not-network=byod&sort=app&columns=app%2Cdevice",
    "shared": "yes",
}
ADDRESS = "/incidents?verdict=violation&not-network=byod&sort=app&columns=app%2Cdevice"


@pytest.fixture
def colleague(console: Console) -> Visitor:
    """Another analyst."""
    console.accounts.add("bea", "analyst", PASSWORD)
    visitor = Visitor(console)
    assert visitor.sign_in("bea").status_code == 303
    return visitor


def named(text: str) -> list[str]:
    """The saved filters of a page."""
    saved = text.partition('aria-label="Saved filters"')[2].partition("</ul>")[0]
    return re.findall(r'<a href="[^"]*"[^>]*>([^<]*)</a>', saved)


def test_a_shared_filter_is_seen_by_those_of_the_role_alone(
    colleague: Visitor, visit: Callable[[str], Visitor]
) -> None:
    visitor, auditor = visit("analyst"), visit("auditor")
    assert visitor.post("/filters", FIELDS).headers["location"] == ADDRESS
    text = colleague.get("/incidents").text
    assert named(text) == ["Morning"]
    assert "shared by ben" in text
    assert f'href="{ADDRESS.replace("&", "&amp;")}"' in text
    assert "shared by you" in visitor.get("/incidents").text
    assert named(colleague.open("/devices").text) == []
    assert named(auditor.get("/incidents").text) == []
    assert "Morning" not in auditor.get("/incidents").text
    # It has the order and the columns.
    assert 'aria-sort="ascending"' in colleague.get(ADDRESS).text


def test_only_who_shared_a_filter_replaces_and_removes_it(
    console: Console, colleague: Visitor, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    visitor.post("/filters", FIELDS)
    refused = colleague.post("/filters", {**FIELDS, "query": "verdict=exempt"})
    assert refused.status_code == 400
    assert "Somebody else shares a filter of this name" in refused.text
    assert "Remove the filter" not in colleague.get("/incidents").text
    assert colleague.post("/filters/remove", FIELDS).status_code == 303
    assert named(visitor.get("/incidents").text) == ["Morning"]
    # A filter of one's own may have the same name.
    own = {name: value for name, value in FIELDS.items() if name != "shared"}
    colleague.post("/filters", own)
    assert named(colleague.get("/incidents").text) == ["Morning", "Morning"]
    assert visitor.post("/filters", {**FIELDS, "query": "verdict=exempt"}).status_code == 303
    assert [each.query for each in console.filters.of("nobody", "/incidents", "analyst")] == [
        "verdict=exempt"
    ]
    visitor.post("/filters/remove", FIELDS)
    assert named(visitor.get("/incidents").text) == []
    assert named(colleague.get("/incidents").text) == ["Morning"]


def test_the_audit_has_what_is_shared_under_whom_it_names(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    query = "device=ws-021&verdict=violation"
    for fields in (FIELDS, {**FIELDS, "name": "One", "query": query}):
        visitor.post("/filters", fields)
        visitor.post("/filters/remove", fields)
        visitor.post("/filters/remove", fields)  # there is none any more
    rows = [each for each in console.audit.entries() if each.action.startswith("filter")]
    assert [(each.action, each.account, each.role, each.subject) for each in rows] == [
        ("filter shared", "ben", "analyst", "incidents"),
        ("filter unshared", "ben", "analyst", "incidents"),
        ("filter shared", "ben", "analyst", "device ws-021"),
        ("filter unshared", "ben", "analyst", "device ws-021"),
    ]
    assert json.loads(rows[2].detail) == {"path": "/incidents", "name": "One", "filter": query}
    assert "filter no longer shared" in visit("dpo").get("/audit").text


def test_who_sees_no_devices_shares_none(visit: Callable[[str], Visitor]) -> None:
    auditor = visit("auditor")
    for query in ("device=ws-021", "not-device=ws-021&app=tiktok"):
        assert auditor.post("/filters", {**FIELDS, "query": query}).status_code == 400
    assert auditor.post("/filters", FIELDS).status_code == 303


def test_a_role_shares_so_many(console: Console, visit: Callable[[str], Visitor]) -> None:
    for number in range(MAX_FILTERS):
        saved = SavedFilter(f"n {number}", "app=tiktok")
        assert console.filters.share("ann", "analyst", "/incidents", saved)
    assert visit("analyst").post("/filters", FIELDS).status_code == 400
    assert visit("auditor").post("/filters", FIELDS).status_code == 303


@pytest.mark.parametrize("how", ["removed", "another role"])
def test_what_an_account_shared_goes_with_it(
    how: str, console: Console, colleague: Visitor, visit: Callable[[str], Visitor]
) -> None:
    colleague.post("/filters", FIELDS)
    visitor = visit("analyst")
    assert named(visitor.get("/incidents").text) == ["Morning"]
    if how == "removed":
        console.accounts.remove("bea")
    else:
        console.accounts.set_role("bea", "auditor")
    assert named(visitor.get("/incidents").text) == []
    with console.database.reading() as connection:
        assert connection.execute(select(tables.shared_filter)).all() == []


def test_what_names_an_erased_person_goes(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    visitor.post("/filters", {**FIELDS, "query": "not-device=ws-021", "name": "others"})
    visitor.post("/filters", FIELDS)
    erased = erase_from_console(console.store, Person(words=["ws-021"]), "root")
    assert erased.filters == 1
    assert named(visitor.get("/incidents").text) == ["Morning"]
