#!/usr/bin/env python3
"""When a browser first paints the pages of the console on a large store.

    .venv/bin/python bench/first_paint.py DIR           # a store that bench/console.py made

The system's Chromium opens each page of the menu of each role as one who has signed in does, with
an empty cache first and then with what it kept. Printed are the milliseconds from the click to the
first content and to the end of loading, the least of some rounds: others on the machine can only
add to it.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console import add_accounts
from console_users import PASSWORD, Server
from playwright.sync_api import sync_playwright

from netwatch.config.console_section import ROLES
from netwatch.console.routes import ROUTES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_TIMES = """() => {
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    const loading = performance.getEntriesByType("navigation")[0];
    return [paint ? paint.startTime : null, loading.loadEventEnd];
}"""


def pages_of(role: str) -> list[str]:
    """The pages of the menu of a role."""
    return [each.path for each in ROUTES if each.menu and role in (each.roles or ())]


def signed_in(browser: "Browser", port: int, role: str) -> Any:
    """The cookies of somebody who has signed in."""
    page = browser.new_context().new_page()
    page.goto(f"http://127.0.0.1:{port}/sign-in")
    page.fill("[name=name]", role)
    page.fill("[name=password]", PASSWORD)
    with page.expect_navigation():
        page.click("main button")
    return page.context.storage_state()


def opened(page: "Page", address: str) -> tuple[float, float]:
    """The times of the first content and of the end of loading, in ms."""
    page.goto(address, wait_until="load", timeout=60_000)
    if page.query_selector("input[name=purpose]"):
        page.fill("[name=purpose]", "a measurement")
        with page.expect_navigation():
            page.click("main button")
        page.goto(address, wait_until="load", timeout=60_000)
    # The policy of the console forbids the browser to wait for an expression.
    found: list[Any] = page.evaluate(_TIMES)
    while found[0] is None:
        page.wait_for_timeout(20)
        found = page.evaluate(_TIMES)
    return found[0], found[1]


def measured(browser: "Browser", port: int, rounds: int) -> dict[str, list[list[float]]]:
    """The least times of each page: of its first opening, and later."""
    found: dict[str, list[list[float]]] = {}
    for role in ROLES:
        cookies = signed_in(browser, port, role)
        for _ in range(rounds):
            for place in pages_of(role):
                page = browser.new_context(storage_state=cookies).new_page()
                address = f"http://127.0.0.1:{port}{place}"
                times = [time for _ in range(2) for time in opened(page, address)]
                found.setdefault(place, []).append(times)
                page.context.close()
    return found


def main() -> None:
    """Start the console, open its pages, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    add_accounts(args.store)
    work = Path(tempfile.mkdtemp(prefix="netwatch-first-paint-"))
    server = Server(args.store, work)
    try:
        with sync_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("chromium-browser")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            found = measured(browser, server.port, args.rounds)
            browser.close()
    finally:
        server.stop()
        shutil.rmtree(work)
    print("| page | first paint, ms | loaded | first paint again | loaded again |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for place, rounds in found.items():
        least = [min(times) for times in zip(*rounds, strict=True)]
        print(f"| `{place}` | {' | '.join(f'{time:.0f}' for time in least)} |")


if __name__ == "__main__":
    main()
