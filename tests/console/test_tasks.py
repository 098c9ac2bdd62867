"""What people come to the console for, in the system's Chromium."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browsers import barriers
from support.console_server import Served, served
from support.consoles import copied
from support.visits import Visit

from netwatch.formats.values import rfc3339
from netwatch.store.incident_pages import IncidentFilter, incident_page
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def store(sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> StoreOptions:
    return copied(sample_store, tmp_path_factory.mktemp("asked"))


@pytest.fixture(scope="module")
def console(store: StoreOptions) -> Iterator[Served]:
    with served("--store-path", store.path) as running:
        yield running


def add_incidents(store: StoreOptions, count: int) -> None:
    """Store new incidents, as a capture does that runs beside the console."""
    now = time.time()
    with open_catalogue(store) as catalogue:
        record = json.loads(incident_page(catalogue, IncidentFilter(), size=1).rows[0].record)
        alerts = []
        for number in range(count):
            at = rfc3339(round((now + number / 1000) * 1e9), 6)
            new = {**record, "id": f"{at}-{number}", "first_seen": at, "last_seen": at}
            alerts.append((new, json.dumps(new)))
        run = catalogue.begin_run("live", "test")
        catalogue.add_incidents(run, alerts)  # type: ignore[arg-type]
        catalogue.end_run(run)


def test_a_page_that_follows_can_be_paused_and_counts_what_came_meanwhile(
    browser: "Browser", console: Served, store: StoreOptions
) -> None:
    visit = Visit(browser, console, "analyst")
    page, rows = visit.page, visit.page.locator(".latest li")
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
    page.wait_for_function("text => document.querySelector('.latest li').innerText !== text",
                           arg=before[0])  # fmt: skip
    assert page.get_by_role("button", name="Pause").is_visible()
    assert not visit.troubles
    visit.context.close()
