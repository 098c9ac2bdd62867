"""Visits of a console in the system's Chromium, by somebody who has signed in."""

from typing import TYPE_CHECKING, Any

from support.browsers import LOOKS, barriers
from support.console_server import Served
from support.consoles import NAMES, PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


class Visit:
    """A tab of an account, and what went wrong in it."""

    def __init__(
        self, browser: "Browser", console: Served, role: str, name: str = "", **options: Any
    ) -> None:
        self.address = console.address
        self.troubles: list[str] = []
        self.context: BrowserContext = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", self._request)
        self.open("/sign-in")
        self.page.wait_for_selector("[name=name]:focus")
        self.page.keyboard.type(name or NAMES[role])
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(PASSWORD)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.troubles.append(f"asks for {request.url}")

    def open(self, place: str) -> None:
        """Open a page, and say the purpose where it asks for one."""
        self.page.goto(self.address + place)
        if self.page.query_selector("input[name=purpose]"):
            self.page.fill("[name=purpose]", "case 2023/17")
            self.follow("main button")
        # An answer that is being counted is a page that loads itself again.
        self.page.wait_for_selector("main:not(:has(> .ask[role=status])) h1")

    def follow(self, selector: str) -> None:
        """Click on a link or send a form, and wait until the next page is there: a click returns
        as soon as the browser has its address."""
        with self.page.expect_navigation():
            self.page.click(selector)


def check(visit: Visit, place: str) -> None:
    """No violation in light and dark, wide and narrow."""
    for scheme, width in LOOKS:
        visit.page.set_viewport_size({"width": width, "height": 900})
        visit.page.emulate_media(color_scheme=scheme)
        found = barriers(visit.page)
        assert not found, (found, place, scheme, width)
    assert not visit.troubles, (place, visit.troubles)
