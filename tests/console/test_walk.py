"""Every page as every role, over both databases, and in another language than English."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.console_walk import Step, english_in, prepare, walk
from support.consoles import NAMES, Visitor, copied, make_sample_store
from support.programs_of_api import program

from netwatch.config import Config
from netwatch.config.console_section import ConsoleOptions
from netwatch.console import period_reports
from netwatch.console.console import Console
from netwatch.console.routes import may
from netwatch.store.incident_pages import IncidentFilter, incident_page

NETWORKS = frozenset({"guest", "new"})
"""Names in the sample captures and of sensors that are words of pages as well."""

PDF = frozenset({"/reports/report.pdf"})
"""What takes longest: `tests/report` makes it."""


@pytest.fixture(scope="module")
def on_file(
    sample_config: Config, sample_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    options = copied(sample_store, tmp_path_factory.mktemp("walked"))
    with Console(sample_config, options, ConsoleOptions()) as console:
        yield console


@pytest.fixture(scope="module")
def on_server(
    sample_config: Config, postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    from support.postgres_server import new_database

    folder = tmp_path_factory.mktemp("walked-server")
    options = make_sample_store(folder, new_database(postgres_server))
    with Console(sample_config, options, ConsoleOptions()) as console:
        yield console


def walked(console: Console) -> list[Step]:
    prepare(console)
    before = console.audit.verify().rows  # another test may have opened pages
    of_device = IncidentFilter(device=frozenset({"ws-021"}))
    incident = incident_page(console.catalogue, of_device, size=1).rows[0].id
    with pytest.MonkeyPatch.context() as patch:
        # However busy the machine is: pages on periods, not those that say to come back.
        patch.setattr(period_reports, "WAIT_SECONDS", 30.0)
        steps = list(walk(console, "nl", incident, PDF))
    check(steps, console, before)
    return steps


@pytest.fixture(scope="module")
def steps(on_file: Console) -> list[Step]:
    return walked(on_file)


def test_no_page_in_dutch_has_an_english_text_of_the_catalogues(steps: list[Step]) -> None:
    seen = 0
    for step in steps:
        if step.answer.headers["content-type"].startswith("text/html"):
            found = [text for text in english_in(step.answer.text, "nl") if text not in NETWORKS]
            assert not found, (step.role, step.place, found)
            seen += '<html lang="nl"' in step.answer.text
    assert seen > 60


def test_every_incident_is_in_dutch(on_file: Console) -> None:
    visitor = Visitor(on_file)
    visitor.get("/sign-in?lang=nl")
    visitor.sign_in(NAMES["analyst"])
    rows = incident_page(on_file.catalogue, IncidentFilter(), size=1000).rows
    assert len({json.loads(row.record)["kind"]["value"] for row in rows}) == 4
    for row in rows:
        assert not english_in(visitor.open(f"/incidents/{row.id}").text, "nl"), row.id


def test_a_page_in_english_is_found_out(on_file: Console, steps: list[Step]) -> None:
    incident = next(step.place for step in steps if step.route.path == "/incidents/{id}")
    pages = [step.answer.text for step in steps if step.place == incident]
    dutch = next(page for page in pages if "verwacht" not in page and "Pakket" in page)
    assert not english_in(dutch, "nl")
    sentence = "The lookups were answered by a block."
    assert english_in(f'<html lang="nl"><p>{sentence}</p></html>', "nl") == [sentence]
    assert english_in("<p>1 contact with a.b, which only the app calls.</p>", "nl")
    assert not english_in(f'<html lang="nl"><p lang="en">{sentence}</p></html>', "nl")


def test_every_page_answers_over_postgresql(
    steps: list[Step], on_file: Console, on_server: Console
) -> None:
    found, known = ({(each.role, each.route.path): each for each in walk}
                    for walk in (walked(on_server), steps))  # fmt: skip
    assert found.keys() == known.keys()
    for role, path in known:
        one, other = known[role, path].answer, found[role, path].answer
        assert one.status_code == other.status_code, (role, path)
        if path in _SAME:
            assert one.text.count("<tr") == other.text.count("<tr"), (role, path)
            assert one.text.count("<dd") == other.text.count("<dd"), (role, path)
    asked = [program(console, "analyst") for console in (on_file, on_server)]
    for place in ("incidents", "incidents?device=ws-021", "cases", "devices", "coverage",
                  "coverage/hours?since=2023-03-20&until=2023-03-20"):  # fmt: skip
        on_one, on_other = (len(each.records(place)) for each in asked)
        assert on_one == on_other > 0, place
    for place in ("incidents", "cases", "devices", "coverage"):
        assert asked[1].lines(place, 1) == asked[1].lines(place, 500), place


_SAME = ("/incidents", "/devices", "/bans", "/exemptions", "/devices/{id:path}", "/person")
"""Pages whose lists are as long over every catalogue."""


def check(steps: list[Step], console: Console, before: int) -> None:
    """The pages of a role are there, and no other; what is seen of persons is written down."""
    for step in steps:
        status = step.answer.status_code
        if step.route.path in ("/sign-in", "/"):
            assert status == 303, step
        elif step.route.path.startswith("/sign-in/"):
            assert status == 404, step
        elif may(step.route, step.role):
            assert status == 200, (step.role, step.place, step.answer.text[:2000])
        else:
            assert status == 403, (step.role, step.place)
            assert step.answer.headers["content-type"].startswith("text/html")
            assert "ws-021" not in step.answer.text.replace(step.place, ""), step.place
    audit = console.audit.verify()
    assert not audit.problem
    written = [each.action for each in console.audit.entries(before)]
    audited = [
        each
        for each in steps
        if each.route.audited
        and each.answer.status_code == 200
        and 'name="purpose"' not in each.answer.text
    ]
    assert sum(each not in ("sign-in", "purpose") for each in written) == len(audited)
