"""The bench of the console measures every page and operation with all that filters it."""

import sys
from collections.abc import Callable, Iterator

import pytest
from support.consoles import Visitor
from support.paths import ROOT

from netwatch.config.console_section import ROLES
from netwatch.console.console import Console
from netwatch.console.routes import ROUTES, may
from netwatch.console.view import Values

GENERAL = {"lang", "zone"}
"""What every page reads."""


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import console_pages

    yield console_pages
    del sys.modules["console_pages"]


def test_every_route_has_addresses(console: Console, pages: object) -> None:
    bans = [ban.id for ban in console.config.policy.bans]
    known = pages.addresses(console.catalogue, bans)  # type: ignore[attr-defined]
    gets = {route.path for route in ROUTES if route.method == "GET"}
    assert known.keys() == gets - pages.NO_PAGES  # type: ignore[attr-defined]
    # The sample store is not that of a centre.
    without = {path for path, each in known.items() if not each}
    assert without == {"/cases/{id}", "/sensors/{name:path}", "/api/v1/cases/{id}"}
    for route in ROUTES:
        if not known.get(route.path) or pages.is_file(route):  # type: ignore[attr-defined]
            continue
        is_of_report = pages.is_of_report(route)  # type: ignore[attr-defined]
        names = ("from", "to") if is_of_report else pages.names_of(route)  # type: ignore[attr-defined]
        for name in names:
            assert any(f"{name}=" in each for each in known[route.path]), (route.path, name)


@pytest.mark.parametrize("role", ROLES)
def test_what_a_page_reads_of_its_address_is_measured(
    role: str,
    visit: Callable[[str], Visitor],
    console: Console,
    incident: str,
    pages: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console.sessions, "purpose", lambda *_: "case 2023/17")
    asked: set[str] = set()
    read, read_all = Values.text, Values.all

    def text(self: Values, name: str, default: str = "") -> str:
        asked.add(name)
        return read(self, name, default)

    def every(self: Values, name: str) -> tuple[str, ...]:
        asked.add(name)
        return read_all(self, name)

    monkeypatch.setattr(Values, "text", text)
    monkeypatch.setattr(Values, "all", every)
    visitor = visit(role)
    for route in ROUTES:
        if route.method != "GET" or route.operation is not None or not may(route, role):
            continue
        if route.roles is None or route.path.startswith("/reports/report."):
            continue  # a report takes seconds to make
        place = route.path.replace(":path}", "}").replace("{id}", incident).replace("{name}", "x")
        asked.clear()
        visitor.get(place)
        assert asked - GENERAL <= {*pages.names_of(route)}, route.path  # type: ignore[attr-defined]
