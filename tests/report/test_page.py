"""The report as HTML: one valid file that loads nothing, with hostile names in every field."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from report.stores import HOSTILE, Office, make_office

from netwatch.charts import FOLDER as CHARTS
from netwatch.charts.picture import Table
from netwatch.charts.render import Renderer
from netwatch.language.language import LANGUAGES
from netwatch.report import tables
from netwatch.report.answer import NOTES, REASONS, WEIGHTS
from netwatch.report.collect import Wanted, collect
from netwatch.report.labels import summary
from netwatch.report.page import FOLDER, Page, html, page, report_language
from netwatch.report.values import Reason, Report
from netwatch.report.words import reason

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Checker(HTMLParser):
    """Notes elements that are not closed in order, and all elements with their attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.problems: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """A report with everything in it, and hostile names wherever somebody else chooses one."""
    made = make_office(tmp_path_factory.mktemp("office"))
    fill(made)
    wanted = Wanted(date(2023, 6, 1), date(2023, 6, 30), names_devices=True)
    yield collect(made.catalogue, made.config, wanted)
    made.catalogue.close()


def fill(office: Office, devices: int = 300) -> None:
    run = office.run()
    office.capture(run, "2023-05-01", "2023-06-20", path=HOSTILE)
    flows = {"named": 80, "encrypted-dns": 15, "one-direction": 2, HOSTILE: 3}
    office.coverage(run, "2023-05-01", "2023-06-20", {HOSTILE: flows, "hq": flows})
    granted = {"reason": HOSTILE, "approved_by": HOSTILE, "until": None}
    for number in range(12):
        day = f"2023-06-{number + 3:02d}T12:00"
        where: dict[str, Any] = {"device": HOSTILE, "network": HOSTILE, "app": HOSTILE}
        office.incident(run, day, **where)
        office.incident(run, day, **where, verdict="exempt", exemption=granted)
    office.incident(run, "2023-06-10T12:00", ban=HOSTILE)
    for number in range(devices):
        office.incident(
            run, f"2023-06-{number % 20 + 1:02d}T10:{number % 60:02d}", device=f"=ws-{number}"
        )


@pytest.fixture(scope="module")
def pages(report: Report, renderer: Renderer) -> dict[str, tuple[Page, str]]:
    found = {}
    for code in LANGUAGES:
        notes: list[str] = []
        made = page(report, report_language(code), renderer, notes.append)
        assert notes == []
        found[code] = made, html(made)
    return found


def test_the_page_is_well_formed_in_each_language(pages: dict[str, tuple[Page, str]]) -> None:
    for code, (_, text) in pages.items():
        checker = Checker()
        checker.feed(text)
        assert checker.problems == []
        assert checker.open == []
        assert ("html", {"lang": code}) in checker.found
        ids = [attributes["id"] for _, attributes in checker.found if "id" in attributes]
        assert len(ids) == len(set(ids))


def test_the_page_has_no_script_and_loads_nothing(pages: dict[str, tuple[Page, str]]) -> None:
    for _, text in pages.values():
        checker = Checker()
        checker.feed(text)
        for tag, attributes in checker.found:
            assert tag not in {"script", "iframe", "object", "embed", "link", "img", "form", "base"}
            for name, value in attributes.items():
                assert not name.startswith("on")
                assert name not in {"src", "href", "style", "action", "xlink:href"}
                if name != "xmlns" and not name.startswith("xmlns:"):
                    assert "http" not in (value or "") or name == "http-equiv"
        style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
        assert style is not None
        assert "url(" not in style[1]
        assert "@import" not in style[1]


def test_hostile_names_are_text(pages: dict[str, tuple[Page, str]]) -> None:
    for _, text in pages.values():
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert "\u202e" not in text
        assert "\x1b" not in text


def test_the_answer_comes_first_with_its_share(pages: dict[str, tuple[Page, str]]) -> None:
    _, text = pages["en"]
    body = text[text.index('id="answer"') :]
    assert text.index("The ban was violated. Proved:") < text.index('id="answer"')
    assert body.index("Violated") < body.index("not readable: 20") < body.index("Proved:")
    assert body.index("Proved:") < body.index("Incidents by week")
    assert (
        body.index("Incidents by week")
        < body.index("What could be read")
        < body.index("Blind spots")
    )


def test_a_long_table_is_cut_and_its_rest_is_a_file(pages: dict[str, tuple[Page, str]]) -> None:
    made, text = pages["en"]
    files = tables.files(made.all_grids)
    assert set(files) == {"city-incidents.csv", "city-devices.csv"}
    rows = list(csv.reader(io.StringIO(files["city-incidents.csv"])))
    assert len(rows) == 1 + 324
    assert f"{324 - tables.ROWS} more rows" in text
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert "'=ws-7" in {row[1] for row in rows}


def test_formulas_in_csv_are_text() -> None:
    table = Table(("a",), (("=1+1",), ("+1",), ("-1",), ("@x",), ("plain",), ("\tx",)))
    rows = list(csv.reader(io.StringIO(tables.csv_text(table))))
    assert [row[0] for row in rows] == ["a", "'=1+1", "'+1", "'-1", "'@x", "plain", r"'\u0009x"]


def test_every_reason_has_a_sentence_in_each_language() -> None:
    values: dict[str, Any] = {
        "incidents": 2, "devices": 1, "count": 3, "hours": 1.5, "network": "hq", "share": 0.1,
        "flows": 10, "threshold": 0.05, "captures": 1, "rows": 2, "days": 3, "all": 4, "records": 1,
        "command": "netwatch rejudge --record",
    }  # fmt: skip
    for code in LANGUAGES:
        used = report_language(code)
        said = [reason(Reason(each, values), used) for each in (*REASONS, *NOTES)]
        assert len(set(said)) == len(said)
        assert all("%(" not in each for each in said)
    assert {"proved", "embed"} <= {*WEIGHTS}


@pytest.mark.parametrize("folder", [FOLDER, CHARTS])
@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_every_text_is_translated(folder: Path, code: str) -> None:
    with (folder / "locale" / code / "LC_MESSAGES" / "netwatch.po").open("rb") as stream:
        catalogue = read_po(stream, locale=code, abort_invalid=True)
    extracted = _texts(folder)
    known = {
        each.id if isinstance(each.id, str) else each.id[0]: each for each in catalogue if each.id
    }
    assert extracted == set(known)
    for each in known.values():
        strings = [each.string] if isinstance(each.string, str) else [*each.string]
        assert all(strings)
        assert not each.fuzzy
        for string in strings:
            wanted = each.id if isinstance(each.id, str) else each.id[1]
            names = re.findall(r"%\((\w+)\)s", wanted)
            assert sorted(set(re.findall(r"%\((\w+)\)s", string))) == sorted(set(names))


def _texts(folder: Path) -> set[str]:
    """The texts that `say` and `say_count` are given in a package."""
    from babel.messages.extract import extract_from_dir

    keywords = {"say": None, "say_count": (1, 2)}
    return {
        message[0] if isinstance(message, tuple) else message
        for _, _, message, _, _ in extract_from_dir(str(folder), keywords=keywords)
    }


def test_a_picture_that_cannot_be_rendered_leaves_its_table(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netwatch.charts import render

    monkeypatch.setattr(render, "_WORKER", ["false"])
    notes: list[str] = []
    with Renderer() as broken:
        text = html(page(report, report_language("en"), broken, notes.append))
    assert notes
    assert "<svg" not in text
    assert "Incidents by week, and how they count: the data" in text


ENGLISH = re.compile(r"\b(the|and|with|were|which|from|this|that|has|by)\b")
"""Words that no sentence in French, Dutch or German has."""

FEDERAL = """
version: 1
networks: [{name: hq, cidrs: [10.20.0.0/16], class: service}]
bans: [{pack: be-fed-tiktok-2023}]
data_protection: {controller: SPF Exemple, contact: dpo@example.org, supervisor: APD}
"""


@pytest.fixture(scope="module")
def federal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """A report on a shipped ban, with reasons and measures."""
    made = make_office(tmp_path_factory.mktemp("federal"), FEDERAL)
    run = made.run()
    made.capture(run, "2023-08-01", "2023-09-20")
    made.coverage(run, "2023-08-01", "2023-09-20", {"hq": {"named": 80, "ech": 20}})
    for number, what in enumerate(({}, {"outcome": "blocked"}, {"kind": "embed"})):
        made.incident(run, f"2023-09-1{number}T10:00", ban="be-fed-tiktok-2023", **what)
    wanted = Wanted(date(2023, 9, 1), date(2023, 9, 30))
    yield collect(made.catalogue, made.config, wanted)
    made.catalogue.close()


@pytest.mark.parametrize("code", ["fr", "nl", "de"])
def test_a_report_has_no_english_sentence(federal: Report, renderer: Renderer, code: str) -> None:
    text = html(page(federal, report_language(code), renderer, lambda _: None))
    body = re.sub(r"<style>.*?</style>|<[^>]*>", "\n", text[text.index("<body>") :], flags=re.S)
    assert [line for line in body.splitlines() if ENGLISH.search(line)] == []


def test_the_first_page_says_all_that_a_minister_asks(federal: Report) -> None:
    (made,) = [summary(federal, ban, report_language("en")) for ban in federal.bans]
    assert (made.ban, made.word, made.title) == ("be-fed-tiktok-2023", "not-kept", "Violated")
    facts = dict(made.facts)
    assert facts.pop("Decided by").startswith("National Security Council")
    assert facts.pop("Answer").startswith("The ban was violated. Proved: 1 incident of 1 device.")
    assert facts == {
        "Organisation": "SPF Exemple",
        "Period": "1 September 2023 to 30 September 2023",
        "Trend": "More proved violations than in the previous period: 1 instead of 0. But the hours"
        " with a capture differ: 720 before, 458 now.",
        "Missing days": "10 days without a capture: 21 September 2023 to 30 September 2023.",
        "Measures taken": "11 September 2023: a contact was blocked for the first time;"
        " 14 September 2023: the ban was extended; 1 incident was blocked.",
    }


def test_the_first_page_of_an_empty_store_says_that_nothing_is_known(office: Office) -> None:
    wanted = Wanted(date(2023, 6, 1), date(2023, 6, 1))
    (ban,) = (report := collect(office.catalogue, office.config, wanted)).bans
    facts = dict(summary(report, ban, report_language("en")).facts)
    assert facts["Answer"].startswith("The result is inconclusive. It is not known")
    assert facts["Trend"] == "Nothing was captured in the previous period, so there is no trend."
    assert facts["Missing days"] == "1 day without a capture: 1 June 2023."
    assert facts["Measures taken"] == "netwatch knows of no measure in this period."
    assert "Organisation" not in facts


def test_lists_and_hashes_are_in_the_annexes(pages: dict[str, tuple[Page, str]]) -> None:
    made, text = pages["en"]
    annexes = text.index('id="annexes"')
    assert text.index('id="summary"') < text.index('id="answer"') < annexes
    assert [each.file for each in made.annexes] == [
        "city-incidents.csv", "versions.csv", "captures.csv",
    ]  # fmt: skip
    assert "SHA-256" not in text[:annexes]
