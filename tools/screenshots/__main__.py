"""``python -m screenshots [FOLDER]``: pictures of pages of the console, in the system's Chromium.

The store, the accounts and the packets are those of `make console`. The status of a sensor is made
by the function with which a live capture makes it, of counters that are written here: no packet
of this machine is read.
"""

import argparse
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from sample_console.__main__ import CONFIGURATION, ROOT, fill, netwatch
from sqlalchemy import select

from netwatch import __version__
from netwatch.fleet.sensor_records import read_record
from netwatch.formats.values import epoch_ns, rfc3339
from netwatch.incidents.alert_parts import incident_id
from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import keep_alerts
from netwatch.store.catalogue import Catalogue
from netwatch.store.fleet_sensors import applied, enrolled, heard
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.watch.health import Thresholds, status_record
from netwatch.watch.snapshot import OutputQueue, Snapshot

FOLDER = ROOT / "docs/assets/console"
WIDTH, HEIGHT = 1240, 840
"""Of a picture, in px."""

COLORS = 256
"""Of a picture; pages have few, so files become half as large."""

PURPOSE = "Case 2023/17, request of the head of service"


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(prog="screenshots", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, metavar="FOLDER")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("screenshots: Chromium is not installed")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        sample = Path(temporary) / "console"
        passwords = fill(sample)
        with served(sample) as address:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            analyst = signed_in(browser, address, "analyst", passwords)
            auditor = signed_in(browser, address, "auditor", passwords)
            catalogue = open_catalogue(StoreOptions(str(sample / "store")))
            catalogue.set_sensor_status("gate", status(1))
            analyst.goto(f"{address}/now")
            keep(analyst, folder / "now.png")
            write_fleet(catalogue)
            catalogue.close()
            analyst.goto(f"{address}/sensors")
            keep(analyst, folder / "sensors.png")
            open_case(analyst, address)
            keep(analyst, folder / "case.png")
            analyst.goto(f"{address}/incidents")
            keep(analyst, folder / "incidents.png")
            open_incident(analyst, address)
            keep(analyst, folder / "incident.png")
            analyst.goto(f"{analyst.url}/plain?text=nl")
            keep(analyst, folder / "plain-words.png")
            auditor.goto(f"{address}/bans/be-fed-tiktok-2023?from=2023-03-01&to=2023-03-31")
            auditor.wait_for_selector(".answer")  # the page reloads until its answer is ready
            keep(auditor, folder / "ban.png")
            browser.close()


@contextmanager
def served(sample: Path) -> Iterator[str]:
    """The console over a sample, at the address that is given."""
    command = netwatch("serve", "-c", CONFIGURATION, "--store-path", sample / "store",
                       "--listen", "127.0.0.1:0")  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                sys.exit("screenshots: the console did not start")
            yield found[0]
        finally:
            process.send_signal(signal.SIGTERM)


def status(share: float) -> dict[str, Any]:
    """The status of a sensor that is well, as a live capture writes it, with this share of the
    traffic of a large one."""
    now = time.time()
    before = Snapshot(
        now=now - 10, started=now - 864_000, version=__version__, interfaces=("mirror0",),
        packets=round(8_412_300_000 * share), wire_bytes=round(6_100_000_000_000 * share),
        last_packet=now - 10, dropped=round(1204 * share), outputs={"siem": OutputQueue(0)},
        observations={"tls-sni": 31_200_000, "dns-query": 88_400_000},
    )  # fmt: skip
    after = replace(
        before, now=now, packets=before.packets + round(214_000 * share), last_packet=now,
        wire_bytes=before.wire_bytes + round(161_000_000 * share),
        observations={"tls-sni": 31_200_410, "dns-query": 88_401_190},
    )  # fmt: skip
    return status_record(after, before, Thresholds())


def write_fleet(catalogue: Catalogue) -> None:
    """Two sensors of a fleet that saw the same incidents, one of which rejects a set."""
    now, second = time.time_ns(), 1_000_000_000
    with catalogue.database.reading() as connection:
        lines = list(connection.execute(select(tables.incident.c.record).limit(5)).scalars())
    for sensor, share, offset in (("ghent-1", 0.34, 2_000_000), ("brussels-1", 0.81, 3 * second)):
        enrolled(catalogue, sensor, now - 90 * 86_400 * second)
        heard(catalogue, sensor, now - 2 * second, status(share), offset)
        applied(catalogue, sensor, "set", "41", "applied", "", now - 86_400 * second)
        applied(catalogue, sensor, "configuration", "7", "applied", "", now - 86_400 * second)
        records = [by_clock(json.loads(line), offset) for line in lines]
        keep_alerts(
            catalogue, [read_record(sensor, each, offset) for each in records], 1800 * second
        )
    reason = "the hash of bans is another one"
    applied(catalogue, "brussels-1", "set", "42", "rejected", reason, now - 3600 * second)


def by_clock(record: dict[str, Any], offset: int) -> dict[str, Any]:
    """The record of an incident by a clock that is ahead (ns)."""
    first, last = (epoch_ns(record[name]) + offset for name in ("first_seen", "last_seen"))
    key = (record["device"]["id"], record["app"]["id"], record["ban"]["id"], record["verdict"])
    times = {"first_seen": rfc3339(first, 6), "last_seen": rfc3339(last, 6)}
    return {**record, **times, "id": incident_id(key, first)}


def signed_in(browser: Browser, address: str, role: str, passwords: dict[str, str]) -> Page:
    """A tab of the account of a role."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", locale="en-GB",
        reduced_motion="reduce",
    )  # fmt: skip
    page = context.new_page()
    page.goto(f"{address}/sign-in")
    page.fill("[name=name]", role)
    page.fill("[name=password]", passwords[role])
    follow(page, "main button")
    return page


def follow(page: Page, selector: str) -> None:
    """Click on a link or send a form, and wait until the next page is there."""
    with page.expect_navigation():
        page.click(selector)


def open_incident(page: Page, address: str) -> None:
    """The incident of ws-021, with a purpose."""
    page.goto(f"{address}/incidents?device=ws-021")
    give_purpose(page)  # of a list that is about one device
    follow(page, ".row-link >> nth=0")
    give_purpose(page)
    page.wait_for_selector("h1")


def open_case(page: Page, address: str) -> None:
    """The first case that two sensors saw."""
    page.goto(f"{address}/cases?joined=community_id")
    follow(page, ".row-link >> nth=0")
    give_purpose(page)
    page.wait_for_selector("h1")


def give_purpose(page: Page) -> None:
    """Say why a page about a person is opened, if it asks."""
    if page.query_selector("input[name=purpose]"):
        page.fill("[name=purpose]", PURPOSE)
        follow(page, "main button")


def keep(page: Page, path: Path) -> None:
    """Write what a tab shows as a small PNG."""
    page.wait_for_load_state("load")
    shot = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    shot = shot.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    shot.save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
