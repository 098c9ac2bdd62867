"""Every page in the system's Chromium: no error, no violation of the policy, no request elsewhere,
nothing that a screen reader trips over, from 320 px on, and all of it without script."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.console_server import Served, served
from support.consoles import NAMES, copied
from support.fleet_alerts import GAP, SECOND, fleet_alert
from support.fleets import STATUS, fill_fleet
from support.visits import Visit, check

from netwatch.console.routes import ROUTES
from netwatch.store.cases import keep_alerts
from netwatch.store.catalogue import Catalogue
from netwatch.store.fleet_sensors import applied, heard
from netwatch.store.opening import open_catalogue

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def console(sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    store = copied(sample_store, tmp_path_factory.mktemp("browsed"))
    with open_catalogue(store) as catalogue:
        fill_fleet(catalogue, time.time_ns())
        fill_with_long_names(catalogue, time.time_ns())
    with served("--store-path", store.path) as running:
        yield running


LONG = "saint-gilles-municipal-library-annex-guest-wireless-controller"


def fill_with_long_names(catalogue: Catalogue, now: int) -> None:
    """What is long in a fleet: names of sensors, devices and networks, addresses, reasons."""
    alerts = []
    for number in range(4):
        name = f"{LONG}-{number:02}"
        status = {**STATUS, "troubles": [{"message": "enp5s0f1np1 dropped 5 % of its packets"}]}
        heard(catalogue, name, now, status if number else STATUS, number * 10 * SECOND)
        applied(catalogue, name, "set", "2026.11.20-1", "applied", "", now - SECOND)
        applied(catalogue, name, "set", "2026.11.27-1", "rejected", "the hash is another one", now)
        alerts.append(
            fleet_alert(name, number * SECOND, flows=("1:x",), device=f"{LONG}.city.example",
                        ip="2001:db8:1234:5678:9abc:def0:1234:5678", network=LONG,
                        ban="be-fed-tiktok-2023", count=10**9)
        )  # fmt: skip
    keep_alerts(catalogue, alerts, GAP)


def pages_of(role: str) -> list[str]:
    """The pages of the menu of a role that no role before it has seen; what an auditor sees of
    incidents is another page."""
    before = set(list(NAMES)[: list(NAMES).index(role)])
    return [
        each.path
        for each in ROUTES
        if each.menu
        and role in (each.roles or ())
        and (not before & set(each.roles or ()) or (role, each.path) == ("auditor", "/incidents"))
    ]


def test_each_page_is_looked_at() -> None:
    seen = {place for role in NAMES for place in pages_of(role)}
    assert seen == {each.path for each in ROUTES if each.menu}


@pytest.mark.parametrize("role", NAMES)
def test_pages_are_free_of_errors(role: str, browser: "Browser", console: Served) -> None:
    visit = Visit(browser, console, role)
    for place in pages_of(role):
        visit.open(place)
        check(visit, place)
    if role == "analyst":
        visit.open("/incidents?device=ws-021")
        visit.open(visit.page.get_attribute(".row-link >> nth=0", "href") or "")
        check(visit, "an incident")
        visit.open(visit.page.url.removeprefix(visit.address) + "/plain?text=nl")
        check(visit, "plain words")
        visit.open("/cases?sensor=liege")
        visit.open(visit.page.get_attribute(".row-link >> nth=0", "href") or "")
        check(visit, "a case")
        for place in (f"/cases?sensor={LONG}-00", f"/incidents?device={LONG}.city.example"):
            visit.open(place)
            check(visit, place)
            visit.open(visit.page.get_attribute(".row-link >> nth=0", "href") or "")
            check(visit, f"one of {place}")
        for name in ("liege", f"{LONG}-02"):
            visit.open(f"/sensors/{name}")
            check(visit, name)
    visit.context.close()


def test_what_comes_before_signing_in_is_free_of_errors(
    browser: "Browser", console: Served
) -> None:
    # The first page of an auditor has no events, which would go on without the cookie.
    visit = Visit(browser, console, "auditor")
    visit.context.clear_cookies()
    visit.page.goto(visit.address + "/incidents?lang=de")
    assert "/sign-in" in visit.page.url
    check(visit, "/sign-in")
    visit.context.close()


def test_the_page_in_plain_words_is_one_sheet_of_paper(browser: "Browser", console: Served) -> None:
    visit = Visit(browser, console, "analyst")
    visit.open("/incidents?device=ws-021")
    visit.open(visit.page.get_attribute(".row-link >> nth=0", "href") or "")
    place = visit.page.url
    for code in ("en", "fr", "nl", "de"):
        visit.page.goto(f"{place}/plain?text={code}")
        sides = dict.fromkeys(("top", "bottom", "left", "right"), "18mm")
        paper = visit.page.pdf(format="A4", margin=sides)  # type: ignore[arg-type]
        assert len(re.findall(rb"/Type /Page\b(?!s)", paper)) == 1, code
    visit.context.close()


def test_single_keys_can_be_switched_off(browser: "Browser", console: Served) -> None:
    """WCAG 2.1.4: what somebody dictates must not move the page."""
    visit = Visit(browser, console, "analyst")
    in_focus = "document.activeElement.className"
    visit.open("/incidents")
    visit.page.keyboard.press("j")
    assert visit.page.evaluate(in_focus) == "row-link"
    visit.open("/account")
    visit.page.uncheck("[data-keys]")
    visit.open("/incidents")
    visit.page.keyboard.press("j")
    visit.page.keyboard.press("/")
    assert visit.page.evaluate(in_focus) == ""
    visit.context.close()


def test_everything_works_without_script(browser: "Browser", console: Served) -> None:
    visit = Visit(browser, console, "analyst", java_script_enabled=False)
    visit.open("/incidents")
    visit.page.click("details.filters summary")
    visit.page.fill("[name=device]", "ws-021")
    visit.follow("details.filters button")
    if visit.page.query_selector("input[name=purpose]"):
        visit.page.fill("[name=purpose]", "case 2023/17")
        visit.follow("main button")
    assert visit.page.url.endswith("/incidents?device=ws-021")
    visit.follow(".row-link >> nth=0")
    assert "ws-021" in visit.page.inner_text("h1")
    with visit.page.expect_download() as download:
        visit.page.click("a[download]")
    assert Path(download.value.path()).read_bytes()[:4] == bytes.fromhex("0a0d0d0a")
    visit.follow(".who button")
    assert visit.page.url.endswith("/sign-in")
    visit.open("/incidents")
    assert "/sign-in" in visit.page.url
    visit.context.close()


def test_the_session_is_kept_by_the_browser_and_hidden_from_script(
    browser: "Browser", console: Served
) -> None:
    visit = Visit(browser, console, "dpo")
    kept = {each["name"]: each for each in visit.context.cookies()}
    assert kept["netwatch"]["httpOnly"]
    assert kept["netwatch"]["sameSite"] == "Lax"
    assert visit.page.evaluate("document.cookie") == ""
    visit.context.close()


def test_a_narrow_screen_has_a_menu_that_opens_without_script(
    browser: "Browser", console: Served
) -> None:
    visit = Visit(browser, console, "auditor", java_script_enabled=False,
                  viewport={"width": 400, "height": 900})  # fmt: skip
    visit.open("/incidents")
    link = visit.page.locator('.fold a[href="/reports"]')
    assert not link.is_visible()
    assert visit.page.locator(".fold").bounding_box()["height"] < 60  # type: ignore[index]
    visit.page.focus(".fold summary")
    visit.page.keyboard.press("Enter")
    with visit.page.expect_navigation():
        link.click()
    assert visit.page.url.endswith("/reports")
    visit.page.set_viewport_size({"width": 1280, "height": 900})
    assert not visit.page.locator(".fold").is_visible()
    assert visit.page.locator('.frame > .menu a[href="/reports"]').is_visible()
    visit.context.close()


def test_an_analyst_decides_and_proposes_an_exemption(browser: "Browser", console: Served) -> None:
    visit = Visit(browser, console, "analyst", permissions=["clipboard-read", "clipboard-write"])
    page = visit.page
    visit.open("/incidents?triage=new&verdict=violation&device=ws-021")
    visit.follow(".row-link >> nth=0")
    place = page.url
    check(visit, place)
    page.select_option("#t-state", "false")
    page.fill("#t-note", "one\ntwo")
    visit.follow('form[action$="/triage"] button')
    assert page.input_value("#t-note") == "one\ntwo"
    assert "requires one" in page.inner_text('[role="alert"]')
    assert "422" in visit.troubles.pop()
    page.fill("#t-reason", "a page that embeds it")
    visit.follow('form[action$="/triage"] button')
    assert page.url == f"{place}#triage"
    assert "false alarm" in page.inner_text(".triage-false >> nth=0")
    visit.open("/incidents?device=ws-021")
    check(visit, "/incidents?device=ws-021")
    page.goto(place)
    visit.follow('a[href$="/exemption"]')
    check(visit, page.url)
    page.click("[data-copy]")
    written = page.evaluate("navigator.clipboard.readText()")
    assert written == page.inner_text("#draft") + "\n" * (
        not page.inner_text("#draft").endswith("\n")
    )
    assert written.startswith("exemptions:\n  - ban: ")
    visit.open("/false-alarms")
    assert page.inner_text("main tbody td >> nth=2") == "1"
    check(visit, "/false-alarms")
    visit.context.close()


def test_a_selection_is_decided_by_keyboard(browser: "Browser", console: Served) -> None:
    visit = Visit(browser, console, "analyst", java_script_enabled=False)
    page = visit.page
    visit.open("/incidents?verdict=advisory")
    for number in range(2):
        page.focus(f'input[name="incident"] >> nth={number}')
        page.keyboard.press("Space")
    page.focus("#bulk button")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "2 incidents" in page.inner_text("main .lead")
    page.select_option("#t-state", "seen")
    visit.follow("main form button")
    if page.query_selector("input[name=purpose]"):
        page.fill("[name=purpose]", "case 2023/17")
        visit.follow("main form button")
    assert page.url.endswith("/incidents?verdict=advisory")
    assert page.locator(".badge.triage-seen").count() == 2
    visit.context.close()


def test_the_form_of_a_selection_has_no_barrier(browser: "Browser", console: Served) -> None:
    visit = Visit(browser, console, "analyst")
    visit.open("/incidents")
    visit.page.check('input[name="incident"] >> nth=0')
    visit.follow("#bulk button")
    check(visit, "/triage")
    visit.follow("main form button")
    assert visit.page.locator('[role="alert"]').count() == 1
    assert "422" in visit.troubles.pop()
    check(visit, "/triage")


_REACHABLE = """() => {
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
    window.wanted = all.filter(each => each.checkVisibility({visibilityProperty: true})
        && !each.disabled && each.type !== "hidden" && each.tabIndex >= 0)
    return window.wanted.length
}"""
_FOCUSED = """() => {
    const style = getComputedStyle(document.activeElement)
    return [window.wanted.indexOf(document.activeElement), style.outlineStyle !== "none"
        && parseFloat(style.outlineWidth) > 0, document.activeElement.outerHTML.slice(0, 160)]
}"""


@pytest.mark.parametrize("place", ["/", "/incidents", "/blind-spots", "/bans", "an incident"])
def test_the_keyboard_alone_reaches_every_control(
    place: str, browser: "Browser", console: Served
) -> None:
    visit = Visit(browser, console, "analyst")
    visit.open("/incidents?device=ws-021" if place == "an incident" else place)
    if place == "an incident":
        visit.open(visit.page.get_attribute(".row-link >> nth=0", "href") or "")
    count = visit.page.evaluate(_REACHABLE)
    assert count > 10
    reached, faint = set(), []
    for _ in range(2 * count + 10):
        visit.page.keyboard.press("Tab")
        at, is_shown, element = visit.page.evaluate(_FOCUSED)
        if at in reached:
            break
        if at >= 0:
            reached.add(at)
            faint += [] if is_shown else [element]
    left = [number for number in range(count) if number not in reached]
    names = [visit.page.evaluate("n => window.wanted[n].outerHTML.slice(0, 160)", n) for n in left]
    assert (names, faint) == ([], [])
    visit.context.close()
