"""The events of the Now page: when one is sent, and when they end."""

import re
from collections.abc import Callable

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from sqlalchemy import update
from support.consoles import NAMES, Visitor

from netwatch.console import application
from netwatch.console.application import EventStreams
from netwatch.console.console import Console
from netwatch.console.view import Events
from netwatch.core.errors import NetwatchError
from netwatch.store import catalogue_tables as tables

CHANGED = b"event: changed\ndata: now\n\n"
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
        streams = EventStreams(anyio.CapacityLimiter(1))
        pieces = []
        async for piece in streams.stream(Events(state, known)):
            pieces.append(piece)
            if len(pieces) == end_after:
                streams.end()
        assert not streams.is_full
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
    assert [each == CHANGED for each in pieces[1:]] == [False, True, False, True]


@pytest.mark.usefixtures("lasting")
def test_what_changed_before_the_stream_began_is_an_event() -> None:
    assert streamed("b")[1] == CHANGED


@pytest.mark.usefixtures("lasting")
def test_a_store_that_is_busy_changes_nothing() -> None:
    pieces = streamed("a", NetwatchError("busy"), "a", "b")
    assert [each == CHANGED for each in pieces[1:]] == [False, False, False, True]


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
    return found[1]


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
    place, now = stream(visitor), console.now
    console.now = lambda: now() + 120 * 1_000_000_000
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


@pytest.mark.parametrize("role", ["auditor", "dpo"])
def test_only_those_who_see_the_page_get_its_events(
    role: str, visit: Callable[[str], Visitor]
) -> None:
    assert visit(role).get("/now/events").status_code == 403


def test_more_streams_than_there_may_be_are_refused(
    visit: Callable[[str], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = visit("admin")
    monkeypatch.setattr(application, "MAX_STREAMS", 0)
    answer = visitor.get("/now/events")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"
