"""Consoles over the store of the sample captures, and visitors that sign in to them."""

import atexit
import json
import re
import shutil
import time
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from support.asked_stores import run
from support.paths import PCAPS

from netwatch.console.accounts import Accounts
from netwatch.console.application import Application
from netwatch.console.console import Console
from netwatch.console.database import open_console
from netwatch.store.incident_pages import IncidentFilter, incident_page
from netwatch.store.options import StoreOptions

PASSWORD = "a long enough pass-phrase"
"""The password of every account."""

NAMES = {"admin": "ann", "analyst": "ben", "auditor": "cleo", "dpo": "dora"}
"""The account of each role."""

ORIGIN = "http://testserver"
HOST = "127.0.0.1:8477"


def make_sample_store(folder: Path, catalogue: str = "") -> StoreOptions:
    """The store of the sample captures with evidence captures and one account a role; `catalogue`
    is the URL of a database."""
    options = StoreOptions(str(folder / "store"), catalogue)
    config, place = PCAPS / "netwatch.yaml", ["--store-path", options.path]
    if catalogue:
        text = config.read_text(encoding="utf-8")
        config, place = folder / "netwatch.yaml", ["--store"]
        shutil.copy(PCAPS / "devices.csv", folder)
        more = f"store: {{path: '{options.path}', catalogue: '{catalogue}'}}"
        config.write_text(f"{text}\n{more}\n", encoding="utf-8")
    done = run("scan", "-c", str(config), *place, "--quiet",
               "--evidence", str(folder / "evidence"), str(PCAPS))  # fmt: skip
    assert done.status == 0, done.errors
    database = open_console(options)
    accounts = Accounts(database)
    for role, name in NAMES.items():
        accounts.add(name, role, PASSWORD)
    database.close()
    return options


def copied(store: Path, folder: Path) -> StoreOptions:
    """A copy of a store, which a test may change."""
    shutil.copytree(store, folder / "store")
    return StoreOptions(str(folder / "store"))


def csrf_of(text: str) -> str:
    """The token of the forms of a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', text)
    assert found is not None, text[:500]
    return found[1]


@cache
def _portal() -> BlockingPortal:
    """The event loop in which all applications of this process run."""
    starting = start_blocking_portal()
    portal = starting.__enter__()
    atexit.register(starting.__exit__, None, None, None)
    return portal


class Client:
    """A client of HTTP that keeps cookies and follows no redirects, at an application."""

    def __init__(self, application: Any, origin: str, peer: str) -> None:
        transport = httpx.ASGITransport(application, client=(peer, 50000))
        self._client = httpx.AsyncClient(transport=transport, base_url=origin)
        self.cookies = self._client.cookies
        self.headers = self._client.headers

    def request(self, method: str, place: str, **options: Any) -> httpx.Response:
        """Send a request; the answer with its content."""
        return _portal().call(partial(self._client.request, method, place, **options))

    def get(self, place: str, **options: Any) -> httpx.Response:
        """Open a page."""
        return self.request("GET", place, **options)

    def post(self, place: str, **options: Any) -> httpx.Response:
        """Send a form."""
        return self.request("POST", place, **options)


class Visitor:
    """A browser without script, at a console."""

    def __init__(
        self, console: Console, *, is_secure: bool = False, peer: str = "127.0.0.1"
    ) -> None:
        scheme = "https" if is_secure else "http"
        self.origin = f"{scheme}://{HOST}"
        application = Application(console, is_secure=is_secure).asgi()
        self.client = Client(application, self.origin, peer)

    def get(self, place: str, **options: Any) -> Any:
        """Open a page; one that is being made is loaded again, as browsers do."""
        answer = self.client.get(place, **options)
        while answer.status_code == 202 and "Refresh" in answer.headers:
            time.sleep(0.05)
            answer = self.client.get(place, **options)
        return answer

    def post(self, place: str, fields: Mapping[str, str], *, on: str = "/account") -> Any:
        """Send a form that the page `on` has."""
        token = csrf_of(self.get(on).text)
        return self.send(place, {"csrf": token, **fields})

    def send(self, place: str, fields: Mapping[str, str], origin: str | None = None) -> Any:
        """Send a form as it is."""
        headers = {"Origin": self.origin if origin is None else origin}
        return self.client.post(place, data=dict(fields), headers=headers)

    def sign_in(self, name: str, password: str = PASSWORD, target: str = "") -> Any:
        """Sign in."""
        fields = {"name": name, "password": password, "next": target}
        return self.post("/sign-in", fields, on="/sign-in")

    def state_purpose(self, target: str, purpose: str = "case 2023/17") -> Any:
        """Say why a page is looked at."""
        return self.post("/purpose", {"next": target, "purpose": purpose})

    def open(self, place: str) -> Any:
        """Open a page, and say why where it asks for that."""
        answer = self.get(place)
        if 'name="purpose"' not in answer.text:
            return answer
        assert self.state_purpose(place).status_code == 303
        return self.get(place)


def records(console: Console) -> list[dict[str, Any]]:
    """The incidents of a console's store."""
    page = incident_page(console.catalogue, IncidentFilter(), size=1000)
    return [json.loads(row.record) for row in page.rows]


def add(console: Console, changed: list[dict[str, Any]]) -> None:
    """Store more incidents, as a run would."""
    run = console.catalogue.begin_run("scan", "test")
    console.catalogue.add_incidents(
        run,
        [(record, json.dumps(record)) for record in changed],  # type: ignore[misc]
    )
    console.catalogue.end_run(run)
