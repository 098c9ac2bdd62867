"""What people come to the console for, in the system's Chromium."""

import json
import os
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dpkt
import pytest
from support.asked_stores import run
from support.browsers import barriers
from support.console_server import Served, served
from support.consoles import PASSWORD, Visitor, copied
from support.paths import PCAPS
from support.visits import Visit

from netwatch.config import load
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.console import Console
from netwatch.console.rendering import FOLDER as CONSOLE
from netwatch.formats.values import rfc3339
from netwatch.language.language import LANGUAGES, language
from netwatch.report.page import FOLDER as REPORT
from netwatch.store.incident_pages import IncidentFilter, incident_page
from netwatch.store.incident_rows import DAY
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator


LOOKS: tuple[tuple[str, int, str, str], ...] = (
    ("en", 1280, "light", "keyboard"),
    ("en", 400, "dark", "mouse"),
    ("fr", 1280, "dark", "mouse"),
    ("fr", 400, "light", "keyboard"),
    ("nl", 400, "light", "mouse"),
    ("nl", 1280, "dark", "keyboard"),
    ("de", 400, "dark", "keyboard"),
    ("de", 1280, "light", "mouse"),
)
"""Languages, widths, colour schemes and ways to go on: each two of them together at least once.
All of them together with NETWATCH_LOOKS=all."""
if os.environ.get("NETWATCH_LOOKS") == "all":
    LOOKS = tuple(product(LANGUAGES, (1280, 400), ("light", "dark"), ("keyboard", "mouse")))


def analyst_of(look: tuple[object, ...]) -> str:
    """The account of the analyst who works in a look."""
    return "-".join(map(str, ("analyst", *look)))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The office of the sample captures, in which phone-021 is phone-100."""
    folder = tmp_path_factory.mktemp("office")
    for name in ("netwatch.yaml", "devices.csv"):
        text = (PCAPS / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("phone-021", "phone-100"), encoding="utf-8")
    return folder / "netwatch.yaml"


@pytest.fixture(scope="module")
def store(sample_store: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a console that analysts, one for each look, visited yesterday; the last one
    looked at phone-100; something was captured since."""
    folder = tmp_path_factory.mktemp("asked")
    options = copied(sample_store, folder)
    yesterday = time.time_ns() - DAY
    with Console(load(str(config)), options, ConsoleOptions(), now=lambda: yesterday) as before:
        for look in LOOKS:
            before.accounts.add(analyst_of(look), "analyst", PASSWORD)
            visitor = Visitor(before)
            assert visitor.sign_in(analyst_of(look)).status_code == 303
        assert "phone-100" in visitor.open("/devices/phone-100").text
    with (PCAPS / "five-kinds.pcap").open("rb") as old, (folder / "new.pcap").open("wb") as new:
        frames = [(float(moment), frame) for moment, frame in dpkt.pcap.Reader(old)]
        later, writer = time.time() - 60 - frames[-1][0], dpkt.pcap.Writer(new)
        for moment, frame in frames:
            writer.writepkt(frame, moment + later)
    done = run("scan", "-c", str(config), "--store-path", options.path, "--quiet",
               "--evidence", str(folder / "evidence"), str(folder / "new.pcap"))  # fmt: skip
    assert done.status == 0, done.errors
    return Path(options.path)


@pytest.fixture(scope="module")
def console(store: Path, config: Path) -> Iterator[Served]:
    with served("-c", str(config), "--store-path", str(store)) as running:
        yield running


def add_incidents(store: Path, count: int) -> None:
    """Store new incidents, as a capture does that runs beside the console."""
    now = time.time()
    with open_catalogue(StoreOptions(str(store))) as catalogue:
        record = json.loads(incident_page(catalogue, IncidentFilter(), size=1).rows[0].record)
        alerts = []
        for number in range(count):
            at = rfc3339(round((now + number / 1000) * 1e9), 6)
            new = {**record, "id": uuid4().hex, "first_seen": at, "last_seen": at}
            alerts.append((new, json.dumps(new)))
        run = catalogue.begin_run("live", "test")
        catalogue.add_incidents(run, alerts)  # type: ignore[arg-type]
        catalogue.end_run(run)


_COUNT = """addEventListener("click", event => {
    if (event.isTrusted) sessionStorage.clicks = Number(sessionStorage.clicks ?? 0) + 1;
}, true)"""
_FOCUSED = "link => link === document.activeElement && getComputedStyle(link).outlineStyle"
MOST_TABS = 80
"""Presses of the tabulator from the beginning of a page to what a person looks for."""


class Person:
    """Somebody who does a task in one of `LOOKS`; the browser counts what they click, also by the
    keyboard."""

    def __init__(self, browser: "Browser", console: Served, role: str, look: Any) -> None:
        code, width, scheme, self.by = look
        self.visit = Visit(
            browser, console, role, analyst_of(look) if role == "analyst" else "",
            locale=code, color_scheme=scheme, viewport={"width": width, "height": 900},
        )  # fmt: skip
        self.page = self.visit.page
        self.page.wait_for_selector(f"html[lang={code}] h1")
        self.page.add_init_script(_COUNT)
        self.page.reload()
        self.texts = language(code, REPORT, CONSOLE)

    def find(self, selector: str) -> "Locator":
        """Something that is on the screen, or can be scrolled to."""
        found = self.page.locator(selector).first
        found.wait_for(state="visible")
        return found

    def choose(self, selector: str) -> None:
        """Follow a link. By keyboard: the tabulator leads there, and the focus can be seen."""
        found = self.find(selector)
        if self.by == "mouse":
            return found.click()
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            if style := found.evaluate(_FOCUSED):
                assert style != "none"
                return self.page.keyboard.press("Enter")
        pytest.fail(f"the tabulator does not lead to {selector}")

    def write(self, text: str) -> None:
        """Write into the field that has the focus, and send it."""
        self.page.wait_for_selector("main input:focus")
        self.page.keyboard.type(text)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def download(self, selector: str) -> bytes:
        """The file behind a link."""
        with self.page.expect_download() as download:
            self.choose(selector)
        return Path(download.value.path()).read_bytes()

    def look(self) -> str:
        """The text of the page, which has no barrier."""
        assert not barriers(self.page), self.page.url
        return self.page.inner_text("main")

    def done(self) -> int:
        """How often something was clicked or sent since signing in; nothing went wrong."""
        clicks = int(self.page.evaluate("sessionStorage.clicks ?? 0"))
        assert not self.visit.troubles
        self.visit.context.close()
        return clicks


@pytest.mark.parametrize("look", LOOKS)
def test_an_officer_knows_in_two_clicks_whether_the_ban_was_kept_and_what_is_missing(
    look: Any, browser: "Browser", console: Served
) -> None:
    officer = Person(browser, console, "auditor", look)
    officer.choose('main a[href$="range=6m"]')
    officer.page.wait_for_selector('a[href$="range=6m"][aria-current]')
    shown = officer.find(".answer").inner_text()
    for label in ("Answer", "Trend", "Missing days", "Last gap", "Next review"):
        assert officer.texts.say(label) in shown, label
    officer.look()
    with officer.page.expect_navigation():
        officer.choose(".answer a.row-link")
    officer.find("#answer")
    assert officer.texts.say("Reasons") in officer.look()
    assert officer.done() == 2


@pytest.mark.parametrize("look", LOOKS)
def test_an_officer_for_data_protection_knows_who_looked_and_exports_in_four_clicks(
    look: Any, browser: "Browser", console: Served
) -> None:
    officer = Person(browser, console, "dpo", look)
    officer.look()
    with officer.page.expect_navigation():
        officer.choose('main a.button[href="/person"]')
    officer.write("phone-100")
    officer.look()
    officer.write("request 2023/17")
    shown = officer.find("#looks ~ div table").inner_text()
    assert analyst_of(LOOKS[-1]) in shown
    assert "case 2023/17" in shown
    officer.look()
    copy = json.loads(officer.download("main a[download]"))
    assert copy["device"] == "phone-100"
    assert analyst_of(LOOKS[-1]) in {each["account"] for each in copy["looks"]}
    assert copy["incidents"]
    assert officer.done() == 4


@pytest.mark.parametrize("look", LOOKS)
def test_an_analyst_has_the_packets_of_the_worst_and_an_exemption_in_four_clicks(
    look: Any, browser: "Browser", console: Served
) -> None:
    analyst = Person(browser, console, "analyst", look)
    assert analyst.texts.say("New and most serious") in analyst.look()
    with analyst.page.expect_navigation():
        analyst.choose("#worst ~ ol .row-link")
    analyst.write("case 2023/18")
    assert "phone-100" in analyst.find("h1").inner_text()
    analyst.look()
    assert analyst.download("main a[download]")[:4] == bytes.fromhex("0a0d0d0a")
    with analyst.page.expect_navigation():
        analyst.choose('main a[href$="/exemption"]')
    assert "phone-100" in analyst.find("#draft").inner_text()
    analyst.look()
    assert analyst.done() == 4


def test_a_page_that_follows_can_be_paused_and_counts_what_came_meanwhile(
    browser: "Browser", console: Served, store: Path
) -> None:
    visit = Visit(browser, console, "analyst")
    page, rows = visit.page, visit.page.locator("#latest ~ ul li")
    page.wait_for_selector("text=Live: the page follows")
    before = rows.all_inner_texts()
    page.keyboard.press("p")
    page.wait_for_selector("text=Paused.")
    add_incidents(store, 3)
    page.wait_for_selector(".live [role=status]:has-text('new incidents: 3')")
    assert rows.all_inner_texts() == before
    assert not barriers(page)
    add_incidents(store, 120)
    page.wait_for_selector("text=new incidents: 100 or more")
    page.get_by_role("button", name="Resume").press("Enter")
    page.wait_for_selector("text=Live: the page follows")
    page.wait_for_function("text => document.querySelector('#latest ~ ul li').innerText !== text",
                           arg=before[0])  # fmt: skip
    assert page.get_by_role("button", name="Pause").is_visible()
    assert not visit.troubles
    visit.context.close()
