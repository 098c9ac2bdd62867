"""A console killed at every step of a change: the change is there with its row of the audit, or
neither is."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import event, select
from support.consoles import HOST, NAMES, PASSWORD, copied, make_sample_store
from support.paths import PCAPS

from netwatch.config import load
from netwatch.console import accounts, tables
from netwatch.console.console import Console, Cookies
from netwatch.console.database import open_console
from netwatch.console.dispatch import Dispatcher
from netwatch.console.sessions import form_token
from netwatch.console.view import Asked, Pairs
from netwatch.store.incident_pages import IncidentFilter, incident_page
from netwatch.store.options import StoreOptions

CHANGED = (
    tables.triage_change, tables.triage, tables.session, tables.shared_filter, tables.account,
    tables.purpose,
)  # fmt: skip
"""What the requests change, besides the audit."""

WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True)
class Change:
    """A request of an analyst that changes something: the path of its route, what it sends, and
    the action that the audit has of it."""

    path: str
    fields: Mapping[str, str]
    action: str
    body: bytes = b""


CHANGES = (
    Change("/incidents/{id}/triage", {"state": "in-work", "note": "asks"}, "triage"),
    Change("/triage", {"incident": "{id}", "state": "seen", "note": "x"}, "triage"),
    Change("/api/v1/incidents/{id}", {}, "triage", json.dumps({"state": "in-work"}).encode()),
    Change("/filters", {"page": "/incidents", "name": "a", "query": "app=tiktok", "shared": "y"},
           "filter shared"),
    Change("/filters/remove", {"page": "/incidents", "name": "a", "shared": "y"},
           "filter unshared"),
    Change("/purpose", {"next": "/devices", "purpose": "case 2023/18"}, "purpose"),
    Change("/account/password", {"current": PASSWORD, "new": f"{PASSWORD}!",
                                 "again": f"{PASSWORD}!"}, "password changed"),
    Change("/account/sign-out-everywhere", {}, "sign-out everywhere"),
    Change("/sign-in", {"name": NAMES["analyst"], "password": f"{PASSWORD}!"}, "sign-in"),
)  # fmt: skip
"""In an order in which each can be made after the ones before it."""


@dataclass(frozen=True)
class Prepared:
    """What the requests need: an incident, and a session and a token of an analyst."""

    incident: str
    session: str
    secret: str


def prepared(console: Console) -> Prepared:
    found = incident_page(console.catalogue, IncidentFilter(), size=1).rows[0]
    device = json.loads(found.record)["device"]
    session = console.sessions.begin(NAMES["analyst"], "local", "analyst", "")
    opened = console.sessions.find(session)
    assert opened is not None
    console.sessions.set_purpose(opened.key, "case 2023/17", f"device {device['id']}")
    secret = console.tokens.add(f"siem-{len(console.tokens.all())}", "analyst", "case 2023/17")
    assert console.tokens.find(secret) is not None  # so it does not count as used again
    return Prepared(found.id, session, secret)


def asked_for(change: Change, known: Prepared) -> Asked:
    place = change.path.replace("{id}", known.incident)
    path = {"id": known.incident} if "{id}" in change.path else {}
    headers = {"host": HOST, "origin": f"http://{HOST}"}
    cookies, form = dict[str, str](), Pairs()
    if change.body:
        headers["authorization"] = f"Bearer {known.secret}"
    else:
        names = Cookies(is_secure=False)
        cookies = {names.form if change.path == "/sign-in" else names.session: known.session}
        fields = {**change.fields, "csrf": form_token(known.session)}
        form = tuple((name, text.replace("{id}", known.incident)) for name, text in fields.items())
    method = "PATCH" if change.body else "POST"
    return Asked(method, place, path, "", form, headers, cookies, "127.0.0.1", change.body)


def rows_of(options: StoreOptions, action: str) -> tuple[object, int]:
    """What is stored, and how many rows of the audit have an action."""
    database, row = open_console(options), tables.audit.c
    with database.reading() as connection:
        stored = [sorted(map(repr, connection.execute(select(each)))) for each in CHANGED]
        rows = connection.execute(select(row.number).where(row.action == action)).all()
    database.close()
    return stored, len(rows)


def kill_at(console: Console, number: int) -> None:
    """Kill this process at a step: before a statement that writes, before the end of a transaction
    that did, and behind it."""
    steps, ended = iter(range(number, -1, -1)), list[bool]()

    def step(*_: object) -> None:
        if next(steps) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(_: Any, __: Any, text: str, *___: object) -> None:
        if text.startswith(WRITES):
            step()

    def commit(connection: Any) -> None:
        if connection.get_execution_options().get("netwatch_writes"):
            step()
            ended.append(True)

    def given_back(*_: object) -> None:
        if ended:
            ended.clear()
            step()

    event.listen(console.database.engine, "before_cursor_execute", statement)
    event.listen(console.database.engine, "commit", commit)
    event.listen(console.database.engine, "checkin", given_back)


def in_child(work: Callable[[], bool]) -> int:
    """Run something in a process; how that ended: 0 if it says so, 1 if not."""
    if not (child := os.fork()):
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at_every_step(options: StoreOptions, changes: tuple[Change, ...]) -> None:
    """Make each change, killed at one step after the other, until it is not killed any more."""
    accounts.hasher = lambda: PasswordHasher(1, 1024, 1)
    config = load(str(PCAPS / "netwatch.yaml"))

    def attempt(asked: Asked, path: str, number: int) -> bool:
        with Console(config, options) as console:
            kill_at(console, number)
            sent = Dispatcher(console, is_secure=False).answer(path, asked)
            return sent.status in (200, 303)

    for change in changes:
        with Console(config, options) as console:
            asked = asked_for(change, prepared(console))
        is_changed, number, before = False, 0, rows_of(options, change.action)
        while not is_changed:
            ended = in_child(partial(attempt, asked, change.path, number))
            assert ended in (0, -signal.SIGKILL), (change.path, number, ended)
            after = rows_of(options, change.action)
            is_changed, is_noted = (one != other for one, other in zip(before, after, strict=True))
            assert is_changed == is_noted, (change.path, number, is_changed, is_noted)
            assert is_changed or ended, change.path
            number += 1
        assert number > 3, change.path


def run_apart(options: StoreOptions, changes: tuple[Change, ...]) -> None:
    """A process of its own forks: this one has threads."""
    process = multiprocessing.get_context("spawn").Process(
        target=kill_at_every_step, args=(options, changes)
    )
    process.start()
    process.join()
    assert process.exitcode == 0


def test_a_change_is_never_there_without_its_row(sample_store: Path, tmp_path: Path) -> None:
    run_apart(copied(sample_store, tmp_path), CHANGES)


def test_nor_is_one_in_postgresql(postgres_url: str, tmp_path: Path) -> None:
    run_apart(make_sample_store(tmp_path, postgres_url), CHANGES[:4])
