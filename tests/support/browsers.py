"""The system's Chromium, one for the tests of a module.

Playwright leaves an event loop running in this thread for as long as it is open, so that tests of
other modules could run none."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PLACES = "td, dd, dt, li, p, h1, h2, h3, .button, .numbers > div"
_AXE = 'axe.run({resultTypes: ["violations"]}).then(all => all.violations)'
_STICK_OUT = """places => [...document.querySelectorAll(places)]
    .filter(each => each.clientWidth > 1 && each.scrollWidth > each.clientWidth + 1)
    .map(each => ["sticks out", each.outerHTML.slice(0, 200)])"""

_SHORT_CAPTIONS = """() => [...document.querySelectorAll("caption:not(.hidden)")]
    .filter(each => each.clientWidth > 1)  // hidden from all but readers of screens
    .filter(each => each.clientWidth + 2 < each.parentNode.clientWidth)
    .map(each => ["shorter than its table", each.outerHTML.slice(0, 200)])"""

_BESIDE_HEADS = """() => [...document.querySelectorAll("thead")].flatMap(head => {
    const row = head.parentNode.querySelector("tbody tr")
    if (!row || head.offsetWidth <= 1) return []
    const starts = cells => cells.map(each => Math.round(each.getBoundingClientRect().left))
    const above = starts([...head.querySelectorAll("th, td")]), below = starts([...row.children])
    return String(above) === String(below) ? [] : [["beside its head", row.outerHTML.slice(0, 200)]]
})"""

LOOKS = (("light", 1280), ("dark", 320))
"""The colour schemes and widths in which a page is looked at: each of both once."""


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


def barriers(page: "Page") -> list[Any]:
    """What axe-core finds on a page, each with where it is, what sticks out of its place, tables
    whose columns are not below their heads or whose caption wraps early, and whether the page is
    wider than the window."""
    from axe_playwright_python.sync_playwright import Axe

    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate(_AXE)
    shown = [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found]
    size = page.viewport_size
    assert size is not None
    wide = page.evaluate("document.documentElement.scrollWidth")
    too_wide = [("wide", wide)] if wide > size["width"] else []
    misplaced = [
        each for found in (_SHORT_CAPTIONS, _BESIDE_HEADS) for each in page.evaluate(found)
    ]
    return [*shown, *page.evaluate(_STICK_OUT, _PLACES), *misplaced, *too_wide]
