"""Exports that are cut say so in their last line, and those that go on fast enough are not cut."""

import csv
import io
import json
from collections.abc import Callable, Iterator

import pytest
from support.consoles import Visitor
from support.fleets import fill_fleet

from netwatch.console import application, lists
from netwatch.console.console import Console
from netwatch.console.pages import incidents
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import IncidentFilter, IncidentPage, incident_page

Visit = Callable[[str], Visitor]
CUT = "The export was cut here"


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send a line at a time, as an export with very many lines has many pieces."""
    monkeypatch.setattr(lists, "_PIECE", 1)


def ids(console: Console) -> list[str]:
    page = incident_page(console.catalogue, IncidentFilter(), size=1000)
    return [row.id for row in page.rows]


@pytest.mark.usefixtures("small_pieces")
def test_an_export_that_takes_too_long_says_so_in_its_last_line(
    console: Console, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_fleet(console.catalogue, console.now())
    analyst = visit("analyst")
    monkeypatch.setattr(application, "EXPORT_SECONDS", 0.0)
    # The first line is a second's worth, so that it is over behind two of them.
    now = iter(range(100))
    monkeypatch.setattr(application.anyio, "current_time", lambda: next(now) * 1.0)
    monkeypatch.setattr(application, "EXPORT_RATE", 1 << 30)
    for name in ("incidents", "cases"):
        text = analyst.get(f"/{name}.csv").text
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) == 1
        assert rows[0][0].startswith(CUT)
        record = json.loads(analyst.get(f"/{name}.jsonl").text.splitlines()[-1])
        assert record["cut"].startswith(CUT)
    assert list(csv.reader(io.StringIO(visit("dpo").get("/audit.csv").text)))[-1][0].startswith(CUT)


@pytest.mark.usefixtures("small_pieces")
def test_an_export_has_more_time_the_more_it_sends(
    console: Console, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst = visit("analyst")
    now = iter(range(1000))
    monkeypatch.setattr(application.anyio, "current_time", lambda: next(now) * 1.0)
    monkeypatch.setattr(application, "EXPORT_SECONDS", 2.0)
    monkeypatch.setattr(application, "EXPORT_RATE", 20)  # each line has more bytes than this
    rows = list(csv.DictReader(io.StringIO(analyst.get("/incidents.csv").text)))
    assert [row["id"] for row in rows] == ids(console)


def test_a_query_that_is_cut_in_the_middle_of_an_export_is_said(
    console: Console, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor = visit("auditor")
    whole = incidents.Listing.rows
    calls = iter(range(100))

    def cut(
        listing: object, view: object, wanted: object, size: int, after: object
    ) -> IncidentPage:
        if next(calls) == 2:  # the first one only asks whether the filter can be read
            raise QueryTimeoutError("the query took too long")
        return whole(listing, view, wanted, 5, after)  # type: ignore[arg-type]

    monkeypatch.setattr(incidents.Listing, "rows", cut)
    rows = list(csv.reader(io.StringIO(auditor.get("/incidents.csv").text)))
    assert [row[2] for row in rows[1:-1]] == ids(console)[:5]
    assert rows[-1][0].startswith(CUT)


def test_a_file_that_cannot_say_so_is_not_ended(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor = visit("auditor")
    monkeypatch.setattr(application, "EXPORT_SECONDS", -1.0)
    with pytest.raises(TimeoutError):
        auditor.get("/reports/report.json?from=2023-03-01&to=2023-03-31")


def test_lines_are_sent_in_pieces_and_none_is_lost() -> None:
    lines = [b"%d\n" % number * 50 for number in range(3000)]

    def made() -> Iterator[bytes]:
        yield from lines

    pieces = list(lists.joined(made()))
    assert b"".join(pieces) == b"".join(lines)
    assert 1 < len(pieces) < 20
    assert list(lists.joined(iter(()))) == []
