"""Who may see what: every route, as every role, as nobody, and by every method."""

from collections.abc import Callable

import pytest
from support.consoles import NAMES, Visitor, csrf_of

from netwatch.config.console_section import ROLES
from netwatch.console.console import Console
from netwatch.console.routes import ROUTES, Route

SEEN = {
    "/incidents": "analyst auditor",
    "/incidents.csv": "analyst auditor",
    "/incidents.jsonl": "analyst",
    "/incidents/{id}": "analyst",
    "/incidents/{id}/plain": "analyst dpo",
    "/incidents/{id}/packets.pcapng": "analyst",
    "/incidents/{id}/triage": "analyst",
    "/incidents/{id}/exemption": "analyst",
    "/triage": "analyst",
    "/false-alarms": "admin analyst auditor",
    "/filters": "analyst auditor",
    "/filters/remove": "analyst auditor",
    "/cases": "analyst auditor",
    "/cases.csv": "analyst auditor",
    "/cases.jsonl": "analyst",
    "/cases/{id}": "analyst",
    "/sensors": "admin analyst auditor",
    "/sensors/{name:path}": "admin analyst auditor",
    "/overview": "auditor",
    "/oversight": "dpo",
    "/now": "admin analyst",
    "/now/events": "admin analyst",
    "/devices": "analyst",
    "/devices/{id:path}": "analyst",
    "/hidden-lookups": "analyst",
    "/bans": "auditor admin analyst",
    "/bans/{id}": "auditor admin analyst",
    "/exemptions": "auditor analyst",
    "/reports": "auditor admin",
    "/reports/report.html": "auditor admin",
    "/reports/report.pdf": "auditor admin",
    "/reports/report.json": "auditor admin",
    "/lists": "admin analyst",
    "/configuration": "admin dpo",
    "/person": "dpo",
    "/person.json": "dpo",
    "/person/identify": "dpo",
    "/retention": "dpo admin",
    "/audit": "dpo",
    "/audit.csv": "dpo",
    "/audit.jsonl": "dpo",
    "/api/v1/incidents": "analyst",
    "/api/v1/incidents/{id}": "analyst",
    "/api/v1/incidents/{id}/triage": "analyst",
    "/api/v1/cases": "analyst",
    "/api/v1/cases/{id}": "analyst",
    "/api/v1/devices": "analyst",
    "/api/v1/coverage": "analyst",
    "/api/v1/bypasses": "analyst",
    "/api/v1/bans": "auditor admin analyst",
    "/api/v1/bans/{id}": "auditor admin analyst",
    "/api/v1/bans/{id}/answer": "auditor admin analyst",
    "/api/v1/report": "auditor admin",
    "/api/v1/sensors": "admin analyst auditor",
}
"""The roles that may see each page, written down once more: a row of the table that is changed by
mistake is noticed here."""

EVERYBODY_SIGNED_IN = {
    "/", "/account", "/account/password", "/account/sign-out-everywhere", "/blind-spots",
    "/purpose", "/sign-out", "/api/v1/", "/api/v1/coverage/hours", "/api/v1/health",
}  # fmt: skip
WITHOUT_ACCOUNT = {
    "/sign-in", "/sign-in/provider", "/sign-in/callback", "/lists/{ban}/{file}",
    "/api/v1/openapi.json",
}  # fmt: skip
"""What firewalls fetch is the list of domains of a ban: nothing of anybody. The document of the API
has nothing of the store either."""

PAGES = [route for route in ROUTES if route.operation is None]
"""What people look at; `test_api` has what programs ask for."""


def place(route: Route, incident: str) -> str:
    path = route.path.replace("{ban}", "be-fed-tiktok-2023").replace("{file}", "x.txt")
    return path.replace(":path}", "}").replace("{id}", incident).replace("{name}", "gate")


def test_pages_on_people_are_those_of_the_roles_that_need_them() -> None:
    roles = {route.path: route.roles for route in ROUTES}
    for path, names in SEEN.items():
        assert roles[path] == set(names.split()), path
    assert {path for path, each in roles.items() if each is None} == WITHOUT_ACCOUNT
    for path in EVERYBODY_SIGNED_IN:
        assert roles[path] == set(ROLES), path
    assert set(roles) == {*SEEN, *EVERYBODY_SIGNED_IN, *WITHOUT_ACCOUNT}


def test_pages_on_persons_and_exports_are_written_down() -> None:
    for route in ROUTES:
        path = route.path.removeprefix("/api/v1")
        on_person = path.startswith(("/incidents/{", "/cases/{", "/devices/{", "/person"))
        is_file = path.endswith((".csv", ".jsonl", ".pcapng", ".pdf", ".json"))
        if on_person or (is_file and path != "/openapi.json"):
            assert route.audited, route.path
        if on_person and route.method == "GET":
            assert route.purpose is not None or route.people, route.path


def test_nobody_sees_a_page_without_signing_in(console: Console, incident: str) -> None:
    visitor = Visitor(console)
    token = csrf_of(visitor.get("/sign-in").text)
    before = console.audit.verify().rows
    for route in PAGES:
        if route.roles is None:
            continue
        if route.method == "GET":
            answer = visitor.get(place(route, incident))
            assert answer.status_code == 303, route.path
            assert answer.headers["location"].startswith("/sign-in"), route.path
            assert "ws-0" not in answer.text, route.path
        else:
            answer = visitor.send(place(route, incident), {"csrf": token})
            assert answer.status_code == 401, route.path
    assert console.audit.verify().rows == before


@pytest.mark.parametrize("role", ROLES)
def test_the_menu_has_what_the_role_may_see(role: str, visit: Callable[[str], Visitor]) -> None:
    text = visit(role).get("/account").text
    for route in ROUTES:
        if route.menu:
            shown = f'<a href="{route.path}"' in text
            assert shown == (role in (route.roles or ())), route.path


def test_other_methods_are_refused_with_a_page(
    visit: Callable[[str], Visitor], incident: str
) -> None:
    visitor = visit("analyst")
    # The framework decides by a list of the methods that a route has; one is not a method at all.
    methods = ("PUT", "NETWATCH", "DELETE", "PATCH", "OPTIONS", "TRACE")
    for route in PAGES:
        for method in methods if route is ROUTES[0] else methods[:2]:
            answer = visitor.client.request(method, place(route, incident))
            assert answer.status_code == 405, (method, route.path)
            assert "<h1>" in answer.text, (method, route.path)
        if "POST" not in {each.method for each in ROUTES if each.path == route.path}:
            assert visitor.send(place(route, incident), {}).status_code == 405, route.path


@pytest.mark.parametrize(
    "target",
    ["/", "/sign-in", "/nothing", "/incidents/unknown", "/static/console.css", "/static/x"],
)
def test_every_answer_has_the_headers_that_protect_it(
    target: str, visit: Callable[[str], Visitor]
) -> None:
    headers = visit("auditor").get(target).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    kept = target == "/static/console.css"
    assert ("immutable" if kept else "no-store") in headers["cache-control"]


@pytest.mark.parametrize(
    "target",
    [
        "/static/../console.py", "/static/..%2fconsole.py", "/static/%2e%2e/tables.py",
        "/static/%00", "/../../etc/passwd", "/incidents/..%2f..%2faudit", "//example.org/",
        "/static/console.css/", "/incidents/%ff%fe", "/incidents/" + "a" * 4000,
    ],
)  # fmt: skip
def test_paths_lead_nowhere_else(target: str, visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    assert visitor.state_purpose("/devices").status_code == 303
    answer = visitor.client.request("GET", f"http://{'127.0.0.1:8477'}{target}")
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8477", "[::1", "127.0.0.1:x", ""])
def test_a_host_that_is_not_ours_is_refused(host: str, visit: Callable[[str], Visitor]) -> None:
    answer = visit("analyst").get("/incidents", headers={"Host": host})
    assert answer.status_code == 421
    assert "TikTok" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8477", "127.0.0.1", "[::1]:8477"])
def test_our_own_names_are_accepted(host: str, visit: Callable[[str], Visitor]) -> None:
    assert visit("analyst").get("/incidents", headers={"Host": host}).status_code == 200


def test_accounts_of_the_tests_have_all_roles() -> None:
    assert set(NAMES) == set(ROLES)
