#!/usr/bin/env python3
"""What the pages of the console cost on a large store, with users who click at the same time.

    .venv/bin/python bench/console.py                          # a year of a large organisation
    .venv/bin/python bench/console.py --store DIR  # the store there, made if missing
    .venv/bin/python bench/console.py --store DIR --attack         # and under attack
    .venv/bin/python bench/console.py --incidents 20000 --observations 0 --clicks 30   # a minute

The store is that of a centre. It has incidents of `made_incidents`, which twenty sensors saw, and
their cases; of one incident in ten something was decided. For the pages of devices it has
observations and flows of `rejudging`. A console is started on it as a user would start it. First a
user opens each address alone: that says what CPU time of the server a page takes. What shows a
report on a period, which another process makes, is opened for two periods. Each address is opened
by one of the roles that see it: what they read is the same.
Then all users click at the same time, each in an order of its own, through every page and every
filter: once with a pause of a second between an answer and the next click, and once without one,
which is as much as the console can answer. With ``--attack`` they do so once more while
`console_attack` goes on. Exports are read to their end by one user, to see whether memory stays
flat.

A page that was refused or cut counts as such (`cut`), one that said that it is being counted as
`counted`; any other failure ends the measurement.
With ``--write`` the table goes into ``bench/results.md``, which has one for each of two sizes.
"""

import argparse
import os
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import made_incidents
import rejudging
from compare import Options, progress
from console_attack import Attack, attacked
from console_pages import MONTH, addresses, clicks_of, is_file
from console_users import CONFIG, PASSWORD, Server, User
from measure import as_text
from sqlalchemy import insert, select

from netwatch.config import load
from netwatch.config.console_section import ROLES
from netwatch.console import tables as console_tables
from netwatch.console.accounts import Accounts
from netwatch.console.database import open_console
from netwatch.console.triage import NEW, STATES
from netwatch.store import catalogue_tables
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

USERS = 8
CLICKS = 100
"""Clicks of each user with a pause between them; without one there are three times as many."""

SENSORS = 20
DECIDED = "1a"
"""Something was decided of the incidents whose ids are less: one in ten."""

LARGE = 500_000
"""From how many incidents on a store is the larger one of the page of results."""

PHASES = {"pause": 1.0, "hurry": 0.0, "attack": 1.0}
"""In which ways the users click, each with the pause between an answer and the next click, in s."""


@dataclass
class Timing:
    """The answers to the addresses of a route: CPU seconds of one user alone, bytes, and the wall
    seconds of each phase; which took most; how many were refused, and how many were still being
    counted."""

    cpu: list[float] = field(default_factory=list)
    wall: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    sizes: list[int] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)
    slowest: str = ""
    cut: int = 0
    counted: int = 0


class Bench:
    """Measures one console."""

    def __init__(self, server: Server, known: Mapping[str, list[str]]) -> None:
        self.timings: dict[str, Timing] = defaultdict(Timing)
        self._server = server
        self._known = known
        self._lock = threading.Lock()

    def alone(self) -> None:
        """Note the CPU time of each address, opened by a user of the first role that sees it, once
        it is counted. The first answer is not measured: a picture is drawn once, and then
        remembered. The others add to one only what happens to run meanwhile, so the least of two
        counts."""
        for role in ROLES:
            user = User(self._server.port, role)
            for route, address in clicks_of(role, self._known):
                timing = self.timings[route.path]
                if address in timing.addresses:
                    continue
                timing.addresses.add(address)
                self._counted(user, address)
                found = []
                for _ in range(2):
                    before = self._server.cpu()
                    status, content, _ = user.get(address)
                    self._check(address, status)
                    found.append(self._server.cpu_since(before))
                timing.cpu.append(min(found))
                timing.sizes.append(len(content))
                if timing.cpu[-1] == max(timing.cpu):
                    timing.slowest = f"{role}: {address}"

    def _counted(self, user: User, address: str) -> None:
        """Ask until what is being counted by another process is there."""
        for _ in range(300):
            status, content, _ = user.get(address)
            if status != 202 and not (status == 503 and b"being made" in content):
                return
            time.sleep(1)

    def together(self, phase: str, clicks: int, known: list[str]) -> tuple[float, Attack | None]:
        """Let all users click; the seconds that it took, and what an attack did."""
        roles = [ROLES[number % len(ROLES)] for number in range(USERS)]
        users = [User(self._server.port, role) for role in roles]
        failed: list[BaseException] = []
        threads = [
            threading.Thread(target=self._click, args=(number, user, phase, clicks, failed))
            for number, user in enumerate(users)
        ]
        under = attacked(self._server.port, known) if phase == "attack" else nullcontext()
        begin = time.monotonic()
        with under as attack:
            for each in threads:
                each.start()
            for each in threads:
                each.join()
        if failed:
            raise failed[0]
        return time.monotonic() - begin, attack

    def _click(
        self, number: int, user: User, phase: str, clicks: int, failed: list[BaseException]
    ) -> None:
        rng = random.Random(f"{phase} {number}")
        try:
            offered = [each for each in clicks_of(user.role, self._known) if not is_file(each[0])]
            order = [each for _ in range(clicks // len(offered) + 1)
                     for each in rng.sample(offered, len(offered))]  # fmt: skip
            for route, address in order[:clicks]:
                # People do not click in step.
                time.sleep(PHASES[phase] * rng.uniform(0.5, 1.5))
                status, _, wall = user.get(address)
                self._check(address, status)
                with self._lock:
                    timing = self.timings[route.path]
                    timing.wall[phase].append(wall)
                    timing.cut += status == 503
                    timing.counted += status == 202
        except BaseException as error:
            failed.append(error)

    def _check(self, address: str, status: int) -> None:
        known = (200, 202, 303, 400, 503)  # 400: a word that the store does not know
        if status not in known and not (status == 404 and "none-such" in address):
            log = self._server.log.read_text()[-2000:]
            raise SystemExit(f"{address}: status {status}\n{log}")

    def exports(self, users: Mapping[str, User]) -> list[dict[str, Any]]:
        """The exports, read to their end by one of the `users`, by role: address, bytes, seconds,
        and how much the peak of the memory rose, in MB."""
        server, found = self._server, []
        days = dict(zip(("from", "to"), MONTH, strict=True))
        times = urlencode({name: f"{day}T00:00:00Z" for name, day in days.items()})
        for role, address, what in (
            ("analyst", f"/incidents.jsonl?{times}", "of a month"),
            ("auditor", "/incidents.csv", "of the year"),
            ("dpo", "/audit.csv", "whole"),
            ("auditor", f"/reports/report.json?{urlencode(days)}", "of a month"),
        ):
            user = users[role]
            server.forget_peak()
            before, begin, used = server.peak(), time.monotonic(), server.cpu()
            size = user.size_of(address)
            found.append({
                "address": address.partition("?")[0], "what": what, "bytes": size,
                "seconds": time.monotonic() - begin, "cpu": server.cpu_since(used),
                "memory": server.peak() - before,
            })  # fmt: skip
        return found


def measured(store: Path, work: Path, clicks: int, *, attack: bool = False) -> dict[str, Any]:
    """What a console on a store does."""
    with open_catalogue(StoreOptions(str(store))) as catalogue:
        known = addresses(catalogue, [ban.id for ban in load(str(CONFIG)).policy.bans])
        facts = sum(each.rows for each in catalogue.files("observation"))
        with catalogue.database.reading() as connection:
            count = connection.exec_driver_sql("SELECT sum(incidents) FROM incident_day").scalar()
    ids = [each.rpartition("/")[2] for each in known["/incidents/{id}"]]
    server = Server(store, work)
    found: dict[str, Any] = {"incidents": count, "observations": facts, "phases": {}}
    try:
        bench = Bench(server, known)
        found["start"] = server.resident()
        bench.alone()
        # After an attack nobody at this address can sign in for a while.
        exporters = {role: User(server.port, role) for role in ROLES}
        for phase in PHASES:
            if phase == "attack" and not attack:
                continue
            progress(f"{count:,} incidents: {USERS} users click ({phase})")
            server.forget_peak()
            of_each = clicks if PHASES[phase] else 3 * clicks
            seconds, stood = bench.together(phase, of_each, ids)
            found["phases"][phase] = {
                "seconds": seconds, "clicks": USERS * of_each, "peak": server.peak(),
                "load": os.getloadavg()[0],
            }  # fmt: skip
            if stood is not None:
                found["attack"] = {
                    "connections": stood.connections,
                    "statuses": {
                        str(each): stood.statuses[each] for each in sorted(stood.statuses)
                    },
                }
        found["exports"] = bench.exports(exporters)
    except BaseException:
        progress(server.log.read_text()[-2000:])
        raise
    finally:
        server.stop()
    found["rows"] = [_row(path, timing) for path, timing in bench.timings.items()]
    return found


def _row(path: str, timing: Timing) -> dict[str, Any]:
    return {
        "page": path,
        "addresses": len(timing.addresses),
        "cpu": statistics.median(timing.cpu) if timing.cpu else None,
        "cpu_worst": max(timing.cpu, default=None),
        "slowest": timing.slowest,
        "size": statistics.median(timing.sizes) if timing.sizes else None,
        "wall": {
            phase: [statistics.median(walls), percentile(walls, 0.99)]
            for phase, walls in timing.wall.items()
        },
        "cut": timing.cut,
        "counted": timing.counted,
    }


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share of the values does not exceed."""
    found = sorted(values)
    return found[max(0, round(len(found) * share) - 1)]


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value * 1000:.0f}"


def _wall(phase: str, place: int) -> Callable[[dict[str, Any]], str]:
    return lambda row: _ms(row["wall"][phase][place]) if phase in row["wall"] else ""


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("page", lambda row: f"`{row['page']}`"),
    ("addresses", lambda row: str(row["addresses"])),
    ("CPU ms alone", lambda row: _ms(row["cpu"])),
    ("worst", lambda row: _ms(row["cpu_worst"])),
    ("which", lambda row: f"`{row['slowest']}`"),
    ("median ms", _wall("pause", 0)),
    ("p99 ms", _wall("pause", 1)),
    ("median ms, no pause", _wall("hurry", 0)),
    ("p99 ms, no pause", _wall("hurry", 1)),
    ("median ms, attacked", _wall("attack", 0)),
    ("p99 ms, attacked", _wall("attack", 1)),
    ("KB", lambda row: "" if row["size"] is None else f"{row['size'] / 1000:.0f}"),
    ("counted", lambda row: str(row["counted"])),
    ("cut", lambda row: str(row["cut"])),
)


def summary(found: dict[str, Any]) -> list[str]:
    """What is beside the table, a paragraph each."""
    lines = [
        f"{found['incidents']:,} incidents, {found['observations']:,} observations; memory of the"
        f" server {found['start']:.0f} MB at its start."
    ]
    names = {"pause": "a second between two clicks", "hurry": "no pause", "attack": "under attack"}
    lines += [
        f"{USERS} users, {names[phase]}: {each['clicks']:,} clicks in {each['seconds']:.0f} s,"
        f" memory at most {each['peak']:.0f} MB, load of the machine {each['load']:.1f}."
        for phase, each in found["phases"].items()
    ]
    if "attack" in found:
        statuses = ", ".join(
            f"{status} {count:,}" for status, count in found["attack"]["statuses"].items()
        )
        lines.append(
            f"The attack: {found['attack']['connections']:,} connections of slow clients; answers"
            f" to hostile requests by status: {statuses}."
        )
    return lines


def export_lines(found: dict[str, Any]) -> list[str]:
    """What exports took, a line each."""
    return [
        f"{each['address']}, {each['what']}: {each['bytes'] / 1e6:.1f} MB in"
        f" {each['seconds']:.1f} s ({each['cpu']:.1f} CPU s), memory {each['memory']:+.0f} MB"
        for each in found["exports"]
    ]


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    return "\n".join([*summary(found), as_text(COLUMNS, found["rows"]), *export_lines(found)])


def console(options: Options) -> dict[str, Any]:
    """Measure a console on a store that fits the size of the run; it is made in the work folder
    where it is missing."""
    incidents, observations = options.office // 20, options.office
    store = options.work / f"console-{incidents}"
    prepare(store, incidents, 5000, observations)
    return measured(store, options.work, CLICKS, attack=True)


def prepare(store: Path, incidents: int, devices: int, observations: int) -> None:
    """Make a store with facts and incidents where it is missing, with an account of each role."""
    if not store.exists():
        progress(f"the console: a store of {incidents:,} incidents is made")
        partial = store.with_name(f"{store.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        make(partial, incidents, devices, observations)
        partial.rename(store)
    add_accounts(store)


def make(store: Path, incidents: int, devices: int, observations: int) -> None:
    """A store with facts and incidents."""
    options = StoreOptions(str(store))
    if observations:
        # The facts are of the last days of the year, which is what pages on devices begin with.
        days = made_incidents.DAYS - rejudging.DAYS
        first = made_incidents.BEGIN + timedelta(days=days)
        rejudging.make(options, observations, int(first.timestamp()) * 10**9)
    made_incidents.fill(options, incidents, devices, SENSORS)
    decide(options)


def decide(options: StoreOptions) -> None:
    """Give each state that people decide to about as many incidents."""
    incident = catalogue_tables.incident.c
    statement = select(incident.id, incident.app).where(incident.id < DECIDED).distinct()
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
        found = connection.execute(statement.order_by(incident.id)).all()
    decided = [each for each in STATES if each != NEW]
    rows = [
        {"incident": row.id, "state": decided[at % len(decided)], "app": row.app, "rule": "bench",
         "assignee": "" if at % 5 else "analyst", "changed": at, "signatures": "", "netwatch": ""}
        for at, row in enumerate(found)
    ]  # fmt: skip
    texts = {"account": "analyst", "reason": "bench", "note": ""}
    changes = [
        {"incident": row["incident"], "time": row["changed"], "state": row["state"],
         "assignee": row["assignee"], **texts}
        for row in rows
    ]  # fmt: skip
    database = open_console(options)
    with database.writing(numbers=True) as connection:
        connection.execute(insert(console_tables.triage), rows)
        connection.execute(insert(console_tables.triage_change), changes)
    database.close()


def add_accounts(store: Path) -> None:
    """Add one account of each role, called as the role is."""
    database = open_console(StoreOptions(str(store)))
    accounts = Accounts(database)
    for role in ROLES:
        if accounts.role_of(role) is None:
            accounts.add(role, role, PASSWORD)
    database.close()


def main() -> None:
    """Make the store, start the console, let users click, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--incidents", type=int, default=1_000_000)
    parser.add_argument("--devices", type=int, default=5000)
    parser.add_argument("--observations", type=int, default=20_000_000)
    parser.add_argument("--clicks", type=int, default=CLICKS, help="of each user, with pauses")
    parser.add_argument("--store", type=Path, help="keep the store here, or use the one there")
    parser.add_argument("--attack", action="store_true", help="click under attack as well")
    parser.add_argument("--write", action="store_true", help="update bench/results.md")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="netwatch-console-"))
    try:
        store = args.store or work / "store"
        prepare(store, args.incidents, args.devices, args.observations)
        found = measured(store, work, args.clicks, attack=args.attack)
    finally:
        shutil.rmtree(work)
    import page  # it imports this module

    if args.write:
        name = "console" if found["incidents"] < LARGE else "console-large"
        results = page.PAGE.read_text(encoding="utf-8")
        parts = {name: page.console_text(found)}
        page.PAGE.write_text(page.fill(results, parts), encoding="utf-8")
    print(page.console_text(found))


if __name__ == "__main__":
    main()
