"""The one table of all pages: what they are called, who may see them, and what is written down.

The server, the check of rights, the audit, the menu, the tests and the documentation read `ROUTES`.

**To add a page**, write functions that take a `View` and return an `Answer` (`Page`, `Download`,
`Events` or `Redirect`, see `netwatch.console.view`) in the module of its topic in ``pages``, one
template ``templates/NAME.html`` that begins with ``{% extends "base.html" %}`` and fills ``title``
and ``content``, and one row here per path and method:

    Route("/bans", "GET", reports.show_bans, {"auditor"}, menu=mark("Bans"), group=mark("Rules"))

- The path names its parts as Starlette does: ``{id}`` has no slash, ``{id:path}`` may have some.
- `roles`: who may see it; None is everybody, signed in or not. `SIGNED_IN` is every role.
- `audited`: what the audit calls it; then the row is written before the answer is sent, and the
  answer has to say its `subject` (``"device ws-021"``). Every page on a person, every export and
  every re-identification has one.
- `purpose`: a function that says whom the page is about by its path, in the words of the audit
  (``"device ws-021"``), or about whom a form is. Then the console asks why this person is looked
  at, before the page is made, and remembers the answer for this person and session for an hour. It
  is in the audit.
- `people`: the values of its address that filter by a person, of those in
  `netwatch.console.console`. The console asks for the purpose as it does for a path, and the audit
  has the filtered page under this person, whether or not `audited` calls it something. A page that
  does not say that it has such a filter never sees its value.
- `menu` and `group`: its text in the menu, and the heading that it is under.
- `operation`: what a path of the API answers programs (`netwatch.console.api`). It has the same
  checks; who asks may have a token in place of a session.

A page is a plain function that runs in a bounded pool of threads. Its queries of
``view.console.catalogue`` get ``timeout=QUERY_SECONDS``, and what is cut is said so. It raises
`not_found()` and `bad_request(reason)`.
A ``POST`` needs no check of its own against forgery: the server has compared the hidden field
``csrf`` (in a template: ``{{ csrf_field() }}``) and the origin before. All texts go through ``say``
(``view.say("…")``, in templates ``{{ say("…") }}``); `make messages` collects them. Templates have
the macros of ``_macros.html`` (``moment``, ``badge``, ``field``…) and no inline style or script.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from starlette.routing import compile_path

from netwatch.config.console_section import ROLES
from netwatch.console import api, api_document, api_triage
from netwatch.console.api_operations import Operation
from netwatch.console.console import (
    ACCOUNT,
    DEVICE,
    NOT_DEVICE,
    SUBJECT,
    PersonFilter,
    admitted,
    persons,
)
from netwatch.console.pages import (
    account,
    case,
    device,
    firewall_lists,
    hidden_lookups,
    incident,
    incidents,
    now,
    oversight,
    overview,
    reports,
    saved_views,
    sensors,
    triage,
)
from netwatch.console.view import Answer, View, parse_pairs
from netwatch.core.text import storable
from netwatch.language.sentences import mark

SIGNED_IN = frozenset(ROLES)
"""Every role."""

PEOPLE, RULES, OVERSIGHT, YOURS = (
    mark("What was seen"), mark("Rules"), mark("Oversight"), mark("You"),
)  # fmt: skip
"""The headings of the menu, in their order."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path and a method, and what answers them; see the head of this module."""

    path: str
    method: str
    endpoint: Callable[[View], Answer]
    roles: Set[str] | None
    audited: str = ""
    purpose: Callable[[View], str | tuple[str, ...]] | None = None
    people: tuple[PersonFilter, ...] = ()
    menu: str = ""
    group: str = field(default="")
    operation: Operation | None = None


def _api(path: str, operation: Operation, roles: Set[str], **more: Any) -> Route:
    """A path of the API, which is read, or changed where something is sent."""
    method = "GET" if operation.body is None else "PATCH"
    return Route(f"/api/v1/{path}", method, operation.answer, roles, operation=operation, **more)


_DOCUMENT = Operation(
    "openapi", "This document, as OpenAPI 3.1",
    lambda view: api_document.show_document(view, ROUTES),
    {"type": "object", "required": ["openapi", "info", "paths"]}, by_network=True,
)  # fmt: skip


ROUTES: tuple[Route, ...] = (
    Route("/", "GET", account.go_home, SIGNED_IN),
    # Signing in and out
    Route("/sign-in", "GET", account.show_sign_in, None),
    Route("/sign-in", "POST", account.sign_in, None),
    Route("/sign-in/provider", "GET", account.begin, None),
    Route("/sign-in/callback", "GET", account.finish, None),
    Route("/sign-out", "POST", account.sign_out, SIGNED_IN),
    Route("/purpose", "POST", account.state_purpose, SIGNED_IN),
    # The first pages of roles
    Route(
        "/overview", "GET", overview.show_bans, {"auditor"}, menu=mark("Overview"), group=PEOPLE,
    ),
    Route(
        "/oversight", "GET", overview.show_oversight, {"dpo"},
        menu=mark("Overview"), group=OVERSIGHT,
    ),
    # What was seen
    Route(
        "/now", "GET", now.show_now, {"admin", "analyst"}, menu=mark("Now"), group=PEOPLE,
    ),
    Route("/now/events", "GET", now.events, {"admin", "analyst"}),
    Route(
        "/incidents", "GET", incidents.show, {"analyst", "auditor"}, people=(DEVICE, NOT_DEVICE),
        menu=mark("Incidents"), group=PEOPLE,
    ),
    Route("/filters", "POST", saved_views.save, {"analyst", "auditor"}),
    Route("/filters/remove", "POST", saved_views.remove, {"analyst", "auditor"}),
    Route(
        "/incidents.csv", "GET", incidents.INCIDENTS.csv, {"analyst", "auditor"},
        audited="export", people=(DEVICE, NOT_DEVICE),
    ),
    Route(
        "/incidents.jsonl", "GET", incidents.INCIDENTS.lines, {"analyst"},
        audited="export", people=(DEVICE, NOT_DEVICE),
    ),
    Route(
        "/incidents/{id}", "GET", incident.show, {"analyst"},
        audited="incident", purpose=incident.person,
    ),
    Route(
        "/incidents/{id}/plain", "GET", incident.show_plain, {"analyst", "dpo"},
        audited="plain words", purpose=incident.person,
    ),
    Route(
        "/incidents/{id}/triage", "POST", triage.decide, {"analyst"},
        audited="triage", purpose=incident.person,
    ),
    Route(
        "/incidents/{id}/exemption", "GET", triage.show_exemption, {"analyst"},
        audited="exemption draft", purpose=incident.person,
    ),
    Route(
        "/incidents/{id}/exemption", "POST", triage.write_exemption, {"analyst"},
        audited="exemption draft", purpose=incident.person,
    ),
    # It writes its own rows of the audit, one for each incident.
    Route("/triage", "POST", triage.decide_all, {"analyst"}, purpose=triage.persons_of_selection),
    Route(
        "/incidents/{id}/packets.pcapng", "GET", incident.packets, {"analyst"},
        audited="export", purpose=incident.person,
    ),
    Route(
        "/cases", "GET", incidents.show_cases, {"analyst", "auditor"}, people=(DEVICE, NOT_DEVICE),
        menu=mark("Cases"), group=PEOPLE,
    ),
    Route(
        "/cases.csv", "GET", incidents.CASES.csv, {"analyst", "auditor"},
        audited="export", people=(DEVICE, NOT_DEVICE),
    ),
    Route(
        "/cases.jsonl", "GET", incidents.CASES.lines, {"analyst"},
        audited="export", people=(DEVICE, NOT_DEVICE),
    ),
    Route(
        "/cases/{id}", "GET", case.show, {"analyst"},
        audited="case", purpose=case.person,
    ),
    Route(
        "/devices", "GET", device.show_devices, {"analyst"}, purpose=device.everybody,
        people=(DEVICE, NOT_DEVICE), menu=mark("Devices"), group=PEOPLE,
    ),
    Route(
        "/devices/{id:path}", "GET", device.show, {"analyst"},
        audited="device", purpose=device.person,
    ),
    Route(
        "/sensors", "GET", sensors.show, {"admin", "analyst", "auditor"},
        menu=mark("Sensors"), group=PEOPLE,
    ),
    Route("/sensors/{name:path}", "GET", sensors.one, {"admin", "analyst", "auditor"}),
    Route(
        "/blind-spots", "GET", reports.show_blind_spots, SIGNED_IN,
        menu=mark("Blind spots"), group=PEOPLE,
    ),
    Route(
        "/hidden-lookups", "GET", hidden_lookups.show, reports.SEES_HIDING,
        purpose=device.everybody, menu=mark("Hidden lookups"), group=PEOPLE,
    ),
    # Rules
    Route(
        "/bans", "GET", reports.show_bans, {"auditor", "admin", "analyst"},
        menu=mark("Bans"), group=RULES,
    ),
    Route("/bans/{id}", "GET", reports.one, {"auditor", "admin", "analyst"}),
    Route(
        "/exemptions", "GET", reports.show_exemptions, {"auditor", "analyst"},
        menu=mark("Exemptions"), group=RULES,
    ),
    Route(
        "/reports", "GET", reports.show_reports, {"auditor", "admin"},
        menu=mark("Reports"), group=RULES,
    ),
    Route(
        "/reports/report.html", "GET", reports.as_page, {"auditor", "admin"},
        audited="export",
    ),
    Route(
        "/reports/report.pdf", "GET", reports.as_pdf, {"auditor", "admin"},
        audited="export",
    ),
    Route(
        "/reports/report.json", "GET", reports.as_json, {"auditor", "admin"},
        audited="export",
    ),
    Route(
        "/lists", "GET", firewall_lists.show_lists, {"admin", "analyst"},
        menu=mark("Lists for firewalls"), group=RULES,
    ),
    Route("/lists/{ban}/{file}", "GET", firewall_lists.list_text, None),
    Route(
        "/configuration", "GET", oversight.show_configuration, {"admin", "dpo"},
        menu=mark("Configuration"), group=RULES,
    ),
    Route(
        "/false-alarms", "GET", triage.show_false_alarms, {"admin", "analyst", "auditor"},
        menu=mark("False alarms"), group=RULES,
    ),
    # Oversight
    Route(
        "/person", "GET", oversight.show_person, {"dpo"}, audited="person", people=(DEVICE,),
        menu=mark("One person"), group=OVERSIGHT,
    ),
    Route(
        "/person.json", "GET", oversight.export_person, {"dpo"},
        audited="export", people=(DEVICE,),
    ),
    Route("/person/identify", "POST", oversight.identify_pseudonym, {"dpo"}, audited="identify"),
    Route(
        "/retention", "GET", oversight.show_retention, {"dpo", "admin"},
        menu=mark("Retention"), group=OVERSIGHT,
    ),
    Route(
        "/audit", "GET", oversight.show_audit, {"dpo"}, people=(SUBJECT, ACCOUNT),
        menu=mark("Audit"), group=OVERSIGHT,
    ),
    Route(
        "/audit.csv", "GET", oversight.export_csv, {"dpo"},
        audited="export", people=(SUBJECT, ACCOUNT),
    ),
    Route(
        "/audit.jsonl", "GET", oversight.export_lines, {"dpo"},
        audited="export", people=(SUBJECT, ACCOUNT),
    ),
    # You
    Route("/account", "GET", account.show, SIGNED_IN, menu=mark("Account"), group=YOURS),
    Route("/account/password", "POST", account.change_password, SIGNED_IN),
    Route("/account/sign-out-everywhere", "POST", account.sign_out_everywhere, SIGNED_IN),
    # Programs
    Route(
        "/api/v1/", "GET", lambda view: api_document.show_page(view, ROUTES), SIGNED_IN,
        menu=mark("API for programs"), group=YOURS,
    ),
    Route(
        "/api/v1/openapi.json", "GET", _DOCUMENT.answer, None, operation=_DOCUMENT,
    ),
    _api("incidents", api.INCIDENTS, {"analyst"}, audited="export", people=(DEVICE, NOT_DEVICE)),
    _api(
        "incidents/{id}", api.INCIDENT, {"analyst"},
        audited="incident", purpose=api.person_of_incident,
    ),
    _api(
        "incidents/{id}", api_triage.DECIDE, {"analyst"},
        audited="triage", purpose=api.person_of_incident,
    ),
    _api(
        "incidents/{id}/triage", api_triage.TRIAGE, {"analyst"},
        audited="incident", purpose=api.person_of_incident,
    ),
    _api("cases", api.CASES, {"analyst"}, audited="export", people=(DEVICE, NOT_DEVICE)),
    _api("cases/{id}", api.CASE, {"analyst"}, audited="case", purpose=api.person_of_case),
    _api(
        "devices", api.DEVICES, {"analyst"},
        audited="export", purpose=device.everybody, people=(DEVICE, NOT_DEVICE),
    ),
    _api("coverage", api.COVERAGE, {"analyst"}, audited="export", people=(DEVICE,)),
    _api("coverage/hours", api.HOURS, SIGNED_IN),
    _api(
        "bypasses", api.BYPASSES, reports.SEES_HIDING,
        audited="export", purpose=device.everybody, people=(DEVICE,),
    ),
    _api("bans", api.BANS, {"admin", "analyst", "auditor"}),
    _api("bans/{id}", api.BAN, {"admin", "analyst", "auditor"}),
    _api("bans/{id}/answer", api.ANSWER, {"admin", "analyst", "auditor"}),
    _api("report", api.REPORT, {"admin", "auditor"}, audited="export"),
    _api("sensors", api.SENSORS, {"admin", "analyst", "auditor"}),
    _api("health", api.HEALTH, SIGNED_IN),
)  # fmt: skip
"""All of them; the order is that of the menu."""


def first_page(role: str) -> str:
    """The page that a role begins with: the first of the menu that it may see."""
    return next(route.path for route in ROUTES if route.menu and may(route, role))


def may(route: Route, role: str) -> bool:
    """Whether a role may see what a route leads to."""
    return route.roles is None or role in route.roles


def menu_of(view: View) -> Mapping[str, list[dict[str, Any]]]:
    """The menu of a page: the pages that its role may see, by the translated heading."""
    menu: dict[str, list[dict[str, Any]]] = {}
    for route in ROUTES:
        if route.menu and view.identity and may(route, view.role):
            is_here = view.place == route.path or view.place.startswith(f"{route.path}/")
            entry = {"path": route.path, "text": view.say(route.menu), "is_here": is_here}
            menu.setdefault(view.say(route.group), []).append(entry)
    return menu


def persons_at(view: View, place: str) -> tuple[str, ...]:
    """Whom the page at a place of this console is about; nobody where it asks for no purpose, or
    the role may not see it. Raises `Refused` where it is of nothing there is."""
    path, _, query = place.partition("?")
    for route in ROUTES:
        if route.method != "GET" or not may(route, view.role):
            continue
        match = compile_path(route.path)[0].match(unquote(path))
        if match is not None:
            parts = {name: storable(value) for name, value in match.groupdict().items()}
            values = replace(view.query, pairs=parse_pairs(query))
            there = replace(view, place=path, path=parts, query=values)
            return persons(route, admitted(route, there))
    return ()
