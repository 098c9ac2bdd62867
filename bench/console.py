#!/usr/bin/env python3
"""What the pages of the console cost on a large store, with users who click at the same time.

    .venv/bin/python bench/console.py                              # a year of a large organisation
    .venv/bin/python bench/console.py --incidents 20000 --observations 0 --clicks 100   # a minute

The store has incidents of `made_incidents` and, for the pages of devices, observations and flows
of `rejudging`. A console is started on it as a user would start it. First one user of each role
opens each address that the role may see, alone: that says what CPU time of the server a page takes.
Then all users click at the same time, each in an order of its own, through every page and every
filter. Exports of a month are read to their end by one user, to see whether memory stays flat.

A page that was cut or refused counts as such (`cut`); any other failure ends the measurement.
With ``--write`` the table goes into ``docs/performance.md``.
"""

import argparse
import http.client
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import made_incidents
import page
import rejudging
from shared import ROOT, free_port, is_listening, wait_until

from netwatch.config.console_section import ROLES
from netwatch.console.accounts import Accounts
from netwatch.console.database import open_console
from netwatch.console.pages import incidents as incidents_page
from netwatch.console.routes import ROUTES, Route, may
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_pages import IncidentFilter, IncidentRow, incident_page
from netwatch.store.options import StoreOptions

NAME = "console"
HEAD = ("page", "addresses", "CPU ms alone", "median ms", "p99 ms", "KB", "cut")
PASSWORD = "a password of the bench"
USERS = 8
TIMEOUT = 120.0
CONFIG = ROOT / "pcaps" / "netwatch.yaml"
NO_PAGES = {"/sign-in/provider", "/sign-in/callback", "/now/events"}
"""Routes that need a provider that signs people in, and one that never ends."""

MONTH = ("2023-08-01", "2023-08-30")
_CSRF = re.compile(rb'name="csrf" value="([0-9a-f]+)"')


@dataclass
class Timing:
    """The answers to the addresses of a route: seconds, bytes, and how many were refused."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)
    cut: int = 0


class User:
    """Somebody who has signed in, with one connection that is kept."""

    def __init__(self, port: int, role: str) -> None:
        self.role = role
        self._cookies: dict[str, str] = {}
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self._post("/sign-in", {"name": role, "password": PASSWORD})
        if role in ("analyst", "dpo"):
            self._post("/purpose", {"purpose": "a measurement", "next": "/account"}, "/account")

    def get(self, address: str) -> tuple[int, bytes]:
        """The status and the content of an answer, read to its end."""
        return self._ask("GET", address)

    def size_of(self, address: str) -> int:
        """The bytes of an export, which are not kept."""
        self._send("GET", address, None)
        answer = self._connection.getresponse()
        size = 0
        while piece := answer.read(1 << 16):
            size += len(piece)
        if answer.status != 200:
            raise SystemExit(f"{address}: status {answer.status}")
        return size

    def _post(self, place: str, fields: dict[str, str], form: str = "") -> None:
        _, content = self.get(form or place)
        found = _CSRF.search(content)
        if found is None:
            raise SystemExit(f"{place}: the page has no form")
        status, _ = self._ask("POST", place, urlencode({"csrf": found[1].decode(), **fields}))
        if status != 303:
            raise SystemExit(f"{place}: {self.role} could not sign in, status {status}")

    def _ask(self, method: str, address: str, body: str | None = None) -> tuple[int, bytes]:
        self._send(method, address, body)
        answer = self._connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer.status, answer.read()

    def _send(self, method: str, address: str, body: str | None) -> None:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"http://127.0.0.1:{self._port}"
        try:
            self._connection.request(method, address, body, headers)
        except (ConnectionError, http.client.CannotSendRequest):
            # The server closes connections that were idle.
            self._connection.close()
            self._connection.request(method, address, body, headers)


class Server:
    """A console in a process of its own, with the worker that it starts for pictures."""

    def __init__(self, store: Path, work: Path) -> None:
        self.port = free_port()
        command = [
            sys.executable, "-m", "netwatch", "serve", "-c", str(CONFIG),
            "--store-path", str(store), "--listen", f"127.0.0.1:{self.port}",
        ]  # fmt: skip
        self.log = work / "console.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        wait_until(lambda: is_listening(self.port), timeout=TIMEOUT, what="the console listens")

    def cpu(self) -> float:
        """The CPU time of the console and its worker of pictures until now, in s. Reports that are
        collected in the background do not belong to a page."""
        return sum(
            int(text.split()[0]) / 1e9
            for pid in _family(self._process.pid)
            for text in _texts(f"/proc/{pid}/task", "schedstat")
        )

    def resident(self) -> float:
        """The memory of the console itself, in MB."""
        return _status(self._process.pid, "VmRSS")

    def peak(self) -> float:
        """The greatest memory of the console itself until now, in MB."""
        return _status(self._process.pid, "VmHWM")

    def forget_peak(self) -> None:
        """Let the greatest memory begin anew at what it is now."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(TIMEOUT)


def _texts(folder: str, name: str) -> Iterator[str]:
    for task in Path(folder).iterdir():
        try:
            yield (task / name).read_text()
        except OSError:
            continue  # The thread has ended.


def _family(pid: int) -> list[int]:
    """A process and those that its threads started."""
    found = [pid]
    for text in _texts(f"/proc/{pid}/task", "children"):
        for child in map(int, text.split()):
            if b"report_worker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                found += _family(child)
    return found


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1000
    raise SystemExit("the console has ended")


def addresses(catalogue: Catalogue, bans: Sequence[str]) -> dict[str, list[str]]:
    """The addresses of each page by its path in `ROUTES`: with no filter, with each filter alone,
    and with several; at the begin of a list and far behind it."""
    newest = incident_page(catalogue, IncidentFilter()).rows
    middle = incident_page(catalogue, IncidentFilter(until=_middle(catalogue))).rows
    known = [newest[0], newest[-1], middle[0], middle[-1]]
    devices = [_value(row, "device") for row in known]
    month = dict(zip(("from", "to"), (f"{day}T00:00:00Z" for day in MONTH), strict=True))
    days = dict(zip(("from", "to"), MONTH, strict=True))
    year = {"from": made_incidents.BEGIN.date().isoformat()}
    after = f"{middle[-1].first_seen}.{middle[-1].id}"
    lists: list[dict[str, str]] = [{}, {"after": after}, month]
    lists += [{name: word} for name, words in incidents_page.WORDS.items() for word in words]
    lists += [{name: _value(middle[0], name)} for name in incidents_page.NAMES]
    lists += [{"verdict": "violation", "confidence": "confirmed", "state": "closed", **month},
              {"app": "none-such"}, {"device": "none-such"}]  # fmt: skip
    network = _value(middle[0], "network")
    return {
        "/incidents": [_address("/incidents", each) for each in lists],
        "/incidents/{id}": [f"/incidents/{row.id}" for row in known],
        "/incidents/{id}/plain": [f"/incidents/{row.id}/plain" for row in known],
        "/devices": [
            _address("/devices", each)
            for each in (
                {},
                month,
                {"device": devices[0]},
                {"network": network},
                {"verdict": "violation"},
                {"verdict": "exempt"},
                {"network": network, "verdict": "advisory", **month},
            )
        ],
        "/devices/{id}": [f"/devices/{quote(each)}" for each in dict.fromkeys(devices)],
        "/blind-spots": [_address("/blind-spots", each) for each in ({}, days, year)],
        "/bans/{id}": [_address(f"/bans/{ban}", each) for ban in bans for each in ({}, days)],
        "/exemptions": [_address("/exemptions", each) for each in ({}, days)],
        "/reports": ["/reports", _address("/reports", days)],
        "/lists/{ban}/{file}": [f"/lists/{ban}/fortigate.txt" for ban in bans],
        "/person": ["/person", _address("/person", {"device": devices[0]})],
        "/audit": [
            _address("/audit", each)
            for each in ({}, {"account": "analyst"}, {"action": "device"}, month)
        ],
    }


def _middle(catalogue: Catalogue) -> int:
    first = incident_page(catalogue, IncidentFilter(), size=1, oldest_first=True).rows[0]
    last = incident_page(catalogue, IncidentFilter(), size=1).rows[0]
    return (first.first_seen + last.first_seen) // 2


def _value(row: IncidentRow, name: str) -> str:
    record = json.loads(row.record)
    found = record[name]
    return str(found["name"] if name == "network" else found["id"])


def _address(path: str, pairs: dict[str, str]) -> str:
    return f"{path}?{urlencode(pairs)}" if pairs else path


def clicks_of(role: str, known: dict[str, list[str]]) -> list[tuple[Route, str]]:
    """What a role may click: all addresses of its pages."""
    found = []
    for route in ROUTES:
        if route.method != "GET" or route.path in NO_PAGES or not may(route, role):
            continue
        if route.audited == "export":
            continue
        if "{" in route.path and route.path not in known:
            raise SystemExit(f"{route.path} has no address: add one to `addresses`")
        found += [(route, each) for each in known.get(route.path, [route.path])]
    return found


def alone(server: Server, known: dict[str, list[str]], timings: dict[str, Timing]) -> None:
    """Note the CPU time of each address, opened twice by one user of each role."""
    for role in ROLES:
        user = User(server.port, role)
        for route, address in clicks_of(role, known):
            for _ in range(2):
                before = server.cpu()
                status, content = user.get(address)
                timing = timings[route.path]
                timing.cpu.append(server.cpu() - before)
                timing.sizes.append(len(content))
                timing.addresses.add(address)
                _check(server, address, status)


def together(
    server: Server, known: dict[str, list[str]], timings: dict[str, Timing], clicks: int
) -> float:
    """Let all users click; the seconds that it took."""
    lock, failed = threading.Lock(), list[BaseException]()

    def click(number: int) -> None:
        role = ROLES[number % len(ROLES)]
        rng = random.Random(number)
        try:
            user = User(server.port, role)
            offered = clicks_of(role, known)
            order = [each for _ in range(clicks // len(offered) + 1)
                     for each in rng.sample(offered, len(offered))]  # fmt: skip
            for route, address in order[:clicks]:
                begin = time.monotonic()
                status, _ = user.get(address)
                wall = time.monotonic() - begin
                _check(server, address, status)
                with lock:
                    timings[route.path].wall.append(wall)
                    timings[route.path].cut += status == 503
        except BaseException as error:
            failed.append(error)

    begin = time.monotonic()
    users = [threading.Thread(target=click, args=(number,)) for number in range(USERS)]
    for each in users:
        each.start()
    for each in users:
        each.join()
    if failed:
        raise failed[0]
    return time.monotonic() - begin


def _month_of_times() -> str:
    return urlencode({"from": f"{MONTH[0]}T00:00:00Z", "to": f"{MONTH[1]}T00:00:00Z"})


def _check(server: Server, address: str, status: int) -> None:
    if status not in (200, 303, 503):
        raise SystemExit(f"{address}: status {status}\n{server.log.read_text()[-2000:]}")


def exports(server: Server) -> list[tuple[str, int, float, float]]:
    """The exports, read to their end: address, bytes, seconds, and how much the peak of the memory
    rose, in MB."""
    found = []
    month = urlencode({"from": MONTH[0], "to": MONTH[1]})
    for role, address in (
        ("analyst", f"/incidents.jsonl?{_month_of_times()}"),
        ("auditor", f"/incidents.csv?{_month_of_times()}"),
        ("dpo", "/audit.csv"),
        ("auditor", f"/reports/report.json?{month}"),
    ):
        user = User(server.port, role)
        server.forget_peak()
        before, begin = server.peak(), time.monotonic()
        size = user.size_of(address)
        found.append((address, size, time.monotonic() - begin, server.peak() - before))
    return found


def row(path: str, timing: Timing) -> list[str]:
    """The row of a page."""
    walls = sorted(timing.wall)
    return [
        f"`{path}`",
        str(len(timing.addresses)),
        f"{statistics.median(timing.cpu) * 1000:.0f}",
        f"{statistics.median(walls) * 1000:.0f}" if walls else "",
        f"{walls[max(0, round(len(walls) * 0.99) - 1)] * 1000:.0f}" if walls else "",
        f"{statistics.median(timing.sizes) / 1000:.0f}",
        str(timing.cut),
    ]


def make(store: Path, incidents: int, devices: int, observations: int) -> None:
    """A store with facts, incidents, and an account of each role."""
    options = StoreOptions(str(store))
    if observations:
        # The facts are of the last days of the year, which is what pages on devices begin with.
        days = made_incidents.DAYS - rejudging.DAYS
        first = made_incidents.BEGIN + timedelta(days=days)
        rejudging.make(options, observations, int(first.timestamp()) * 10**9)
    made_incidents.fill(options, incidents, devices)


def add_accounts(store: Path) -> None:
    """Add one account of each role, called as the role is."""
    database = open_console(StoreOptions(str(store)))
    accounts = Accounts(database)
    for role in ROLES:
        if accounts.role_of(role) is None:
            accounts.add(role, role, PASSWORD)
    database.close()


@contextmanager
def _store(args: argparse.Namespace, work: Path) -> Iterator[Path]:
    store = args.store or work / "store"
    if not store.exists():
        make(store, args.incidents, args.devices, args.observations)
    add_accounts(store)
    yield store


def main() -> None:
    """Make the store, start the console, let users click, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--incidents", type=int, default=1_000_000)
    parser.add_argument("--devices", type=int, default=5000)
    parser.add_argument("--observations", type=int, default=20_000_000)
    parser.add_argument("--clicks", type=int, default=500, help="of each user")
    parser.add_argument("--store", type=Path, help="keep the store here, or use the one there")
    parser.add_argument("--write", action="store_true", help=f"update {page.PAGE.name}")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="netwatch-console-"))
    try:
        with _store(args, work) as store:
            text = measured(store, work, args.clicks)
    finally:
        shutil.rmtree(work)
    print(text)
    if args.write:
        filled = page.fill(page.PAGE.read_text(encoding="utf-8"), {NAME: text})
        page.PAGE.write_text(filled, encoding="utf-8")


def measured(store: Path, work: Path, clicks: int) -> str:
    """The tables of a console on a store."""
    from netwatch.config import load

    with Catalogue.open(StoreOptions(str(store))) as catalogue:
        known = addresses(catalogue, [ban.id for ban in load(str(CONFIG)).policy.bans])
        facts = sum(each.rows for each in catalogue.files("observation"))
        with catalogue.database.reading() as connection:
            count = connection.exec_driver_sql("SELECT sum(incidents) FROM incident_day").scalar()
    timings: dict[str, Timing] = defaultdict(Timing)
    server = Server(store, work)
    try:
        begun = server.resident()
        alone(server, known, timings)
        print(f"{count:,} incidents: the users begin to click", file=sys.stderr)
        seconds = together(server, known, timings, clicks)
        clicked = server.peak()
        exported = exports(server)
    finally:
        server.stop()
    answers = sum(len(each.wall) for each in timings.values())
    rows = [row(path, timing) for path, timing in timings.items()]
    lines = [
        f"{address.partition('?')[0]}: {size / 1e6:.1f} MB in {took:.1f} s, memory +{more:.0f} MB"
        for address, size, took, more in exported
    ]
    return (
        f"\n{count:,} incidents, {facts:,} observations; {USERS} users, {answers:,} clicks in"
        f" {seconds:.0f} s; memory of the server {begun:.0f} MB at its start, at most"
        f" {clicked:.0f} MB while they clicked; load of the machine {os.getloadavg()[0]:.0f}.\n\n"
        f"{page.table(HEAD, rows)}\n\n" + "".join(f"- {line}\n" for line in lines)
    )


if __name__ == "__main__":
    main()
