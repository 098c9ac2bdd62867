"""The events of the Now page: when one is sent, and when they end."""

import json
import re
from collections.abc import Callable
from functools import partial
from html import unescape
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from sqlalchemy import update
from support.consoles import HOST, NAMES, Visitor

from netwatch.console import application, streams
from netwatch.console.application import Application, EventStreams
from netwatch.console.console import Console
from netwatch.console.pages import now
from netwatch.console.streams import MAX_OF_ACCOUNT
from netwatch.console.view import Events
from netwatch.core.errors import NetwatchError
from netwatch.store import catalogue_tables as tables
from netwatch.store.incident_pages import IncidentFilter, incident_page

CHANGED = b"event: changed\ndata: "
STATUS = {"troubles": [], "interfaces": [], "rates": None, "dropped": 0, "packets": 0,
          "outputs": [], "store": {"rows": 0, "lost": 0}}  # fmt: skip


def streamed(*states: str | Exception | None, known: str = "a", end_after: int = 0) -> list[bytes]:
    """The pieces of a stream whose state is each of `states` in turn, None after them."""
    left = list(states)

    def state() -> str | None:
        found = left.pop(0) if left else None
        if isinstance(found, Exception):
            raise found
        return found

    async def collect() -> list[bytes]:
        events = EventStreams(anyio.CapacityLimiter(1))
        pieces = []
        async for piece in events.stream(Events(state, known, "ben")):
            pieces.append(piece)
            if len(pieces) == end_after:
                events.end()
        return pieces

    with start_blocking_portal() as portal:
        return portal.call(collect)


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "STREAM_SECONDS", 60.0)


@pytest.mark.usefixtures("lasting")
def test_an_event_is_sent_when_the_state_is_another_than_before() -> None:
    pieces = streamed("a", "b", "b", "c", known="a")
    assert pieces[0].startswith(b"retry: ")
    assert [each.startswith(CHANGED) for each in pieces[1:]] == [False, True, False, True]


@pytest.mark.usefixtures("lasting")
def test_what_changed_before_the_stream_began_is_an_event() -> None:
    assert streamed("b")[1] == CHANGED + b"b\n\n"


@pytest.mark.usefixtures("lasting")
def test_a_store_that_is_busy_changes_nothing() -> None:
    pieces = streamed("a", NetwatchError("busy"), "a", "b")
    assert [each.startswith(CHANGED) for each in pieces[1:]] == [False, False, False, True]


@pytest.mark.usefixtures("lasting")
def test_streams_end_with_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "INTERVAL", 60.0)
    assert len(streamed(*["a"] * 100, end_after=2)) == 2


def test_streams_end_after_a_while() -> None:
    assert len(streamed(*["a"] * 100)) == 2


def stream(visitor: Visitor) -> str:
    """The address of the events that the Now page of a visitor names."""
    found = re.search(r'data-events="([^"]+)"', visitor.get("/now").text)
    assert found is not None
    return unescape(found[1])


def test_the_page_names_the_events_that_begin_where_it_is(
    visit: Callable[[str], Visitor], console: Console
) -> None:
    visitor = visit("admin")
    place = stream(visitor)
    answer = visitor.get(place)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert "changed" not in answer.text
    console.catalogue.set_sensor_status("gate", STATUS)
    assert "changed" in visitor.get(place).text
    assert "changed" not in visitor.get(stream(visitor)).text


def test_a_sensor_that_falls_silent_and_an_incident_that_is_newer_are_changes(
    visit: Callable[[str], Visitor], console: Console
) -> None:
    visitor = visit("analyst")
    console.catalogue.set_sensor_status("gate", STATUS)
    place, clock = stream(visitor), console.now
    console.now = lambda: clock() + 120 * 1_000_000_000
    assert "changed" in visitor.get(place).text
    place = stream(visitor)
    with console.catalogue.database.writing() as connection:
        connection.execute(
            update(tables.incident).values(first_seen=tables.incident.c.first_seen + 1)
        )
    assert "changed" in visitor.get(place).text


@pytest.mark.usefixtures("lasting")
def test_events_end_with_the_session_which_they_do_not_prolong(console: Console) -> None:
    token = console.sessions.begin(NAMES["admin"], "local", "admin", "127.0.0.1")
    session = console.sessions.find(token)
    assert session is not None
    start = session.used
    console.sessions._now = lambda: start + 100 * 1_000_000_000
    assert console.sessions.is_open(session.key)
    assert console.sessions.of(NAMES["admin"], "local")[0].used == start
    console.sessions._now = lambda: start + 400 * 86_400 * 1_000_000_000
    assert not console.sessions.is_open(session.key)
    console.sessions._now = lambda: start
    console.sessions.end(session.key)
    assert not console.sessions.is_open(session.key)


def test_incidents_newer_than_those_of_the_page_are_counted_up_to_a_limit(
    visit: Callable[[str], Visitor], console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = visit("analyst")
    place = stream(visitor)
    shown = incident_page(console.catalogue, IncidentFilter(), size=3).rows[2]
    # The state is the same, but the page of this address has two incidents less.
    older = place.partition("&after=")[0] + f"&after={shown.first_seen}.{shown.id}"
    assert visitor.get(older).text.endswith(" 2\n\n")
    monkeypatch.setattr(now, "MAX_NEWER", 1)
    assert visitor.get(older).text.endswith(" 1\n\n")
    assert visitor.get("/now/events?after=x").status_code == 400


@pytest.mark.parametrize("role", ["auditor", "dpo"])
def test_only_those_who_see_the_page_get_its_events(
    role: str, visit: Callable[[str], Visitor]
) -> None:
    assert visit(role).get("/now/events").status_code == 403


def test_more_streams_than_there_may_be_are_refused(
    visit: Callable[[str], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = visit("admin")
    monkeypatch.setattr(streams, "MAX_STREAMS", 0)
    answer = visitor.get("/now/events")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"


@pytest.mark.usefixtures("lasting")
def test_one_person_who_opens_many_streams_keeps_nobody_from_theirs(
    visit: Callable[[str], Visitor], console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst, admin = visit("analyst"), visit("admin")

    async def statuses() -> list[int]:
        """Those of 23 streams of the analyst and one of the admin, all begun before any ends."""
        app = Application(console, is_secure=False)
        found: list[int] = []
        async with anyio.create_task_group() as group:
            for visitor in (*[analyst] * 23, admin):
                before = len(found)
                group.start_soon(partial(opened, app.asgi(), visitor, found))
                while len(found) == before:
                    await anyio.sleep(0.01)
            assert console.streams.open == MAX_OF_ACCOUNT + 1
            app.end_events()
        return found

    with start_blocking_portal() as portal:
        found = portal.call(statuses)
    assert found == [200] * MAX_OF_ACCOUNT + [429] * (23 - MAX_OF_ACCOUNT) + [200]
    # Who was refused is counted, and all places are free again.
    health = json.loads(analyst.get("/api/v1/health").text)
    assert health["streams"] == {"open": 0, "refused": 23 - MAX_OF_ACCOUNT}
    monkeypatch.setattr(application, "STREAM_SECONDS", 0.0)
    assert analyst.get("/now/events").status_code == 200


@pytest.mark.usefixtures("lasting")
def test_a_client_that_leaves_gives_its_place_back(
    visit: Callable[[str], Visitor], console: Console
) -> None:
    visitor = visit("analyst")

    async def leave() -> None:
        app = Application(console, is_secure=False).asgi()
        with anyio.move_on_after(10) as scope:
            await opened(app, visitor, [], lambda: scope.cancel())

    with start_blocking_portal() as portal:
        portal.call(leave)
    assert console.streams.open == 0


def test_who_is_refused_is_told_when_to_try_again(
    visit: Callable[[str], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_OF_ACCOUNT", 0)
    answer = visit("admin").get("/now/events")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "30"


async def opened(
    app: Any, visitor: Visitor, statuses: list[int], began: Callable[[], None] = lambda: None
) -> None:
    """Open a stream until it ends, and note its status when it begins."""
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.client.cookies.items())
    place = "/now/events"
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": place, "raw_path": place.encode(),
        "query_string": b"state=", "root_path": "", "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8477),
        "headers": [(b"host", HOST.encode()), (b"cookie", cookies.encode())],
    }  # fmt: skip
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await anyio.sleep_forever()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
            began()

    await app(scope, receive, send)
