"""The commands that pages show exist, with these options, and print what the page shows."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from support.asked_stores import run
from support.documents import DOCS, pages
from support.page_commands import commands as commands_of
from support.paths import PCAPS, ROOT

from netwatch.cli import build_parser


def commands(page: Path) -> list[list[str]]:
    """The commands of a page, as words."""
    return commands_of(page.read_text(encoding="utf-8"))


WITH_COMMANDS = [page for page in pages() if commands(page)]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_pages_are_understood(page: Path) -> None:
    parser = build_parser()
    for words in commands(page):
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
            parser.parse_args(words)
        assert said.getvalue() == "", words


def test_many_commands_are_checked() -> None:
    assert sum(len(commands(page)) for page in WITH_COMMANDS) > 120
    assert len(WITH_COMMANDS) > 25


def test_a_wrong_option_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\nsudo netwatch scan --no-such-option x.pcap | head -1 # why\n```\n")
    assert commands(page) == [["scan", "--no-such-option", "x.pcap"]]
    page.write_text("<!-- not run: it needs a network -->\n\n```sh\nnetwatch live\n```\n")
    assert commands(page) == []


def test_the_report_of_the_guide_is_that_of_the_samples(tmp_path: Path) -> None:
    page = (DOCS / "guides" / "report.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(be-fed-.*?)^```$", page, re.MULTILINE | re.DOTALL)
    source = ["-c", str(PCAPS / "netwatch.yaml"), "--store-path", str(tmp_path / "store")]
    assert run("scan", "-q", str(PCAPS), *source).status == 0
    told = run("report", "--from", "2023-03-01", "--to", "2023-08-31", *source)
    assert told.status == 0, told.errors
    printed = " ".join(told.output.split())
    sentences = [part for part in re.split(r"…|\n  (?=\S)", shown) if part.strip()]
    assert len(sentences) >= 5
    for sentence in sentences:
        assert " ".join(sentence.split()) in printed
