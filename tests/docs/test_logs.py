"""The pages of log formats: each format has one, and its example is one that is recognised."""

from typing import get_args

import pytest
from docs_generator.data import rows
from docs_generator.logs import EFFECTS, format_block
from support.documents import DOCS

from netwatch.logs.recognise import line_sample
from netwatch.logs.records import Lack
from netwatch.logs.registry import LOG_FORMATS

DOCUMENTED = {name: (page, example) for name, page, example in rows("log_formats")["formats"]}


def test_every_format_has_a_page_with_its_facts() -> None:
    assert set(LOG_FORMATS) <= set(DOCUMENTED)
    for name in LOG_FORMATS:
        page = (DOCS / "logs" / f"{DOCUMENTED[name][0]}.md").read_text(encoding="utf-8")
        assert f"<!-- generated: log-format {name} -->" in page, name


def test_what_follows_is_said_of_everything_that_a_log_may_lack() -> None:
    assert set(EFFECTS) == set(get_args(Lack))


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, row in LOG_FORMATS.items()
        if DOCUMENTED[name][1] and row.container == "lines" and not row.only_if_named
    ],
)
def test_the_example_is_recognised_as_what_it_is(name: str) -> None:
    sample = line_sample(DOCUMENTED[name][1].encode())
    found = {
        each
        for each, row in LOG_FORMATS.items()
        if row.container == "lines" and row.recognise(sample) > 0
    }
    assert found == {name}


def test_an_example_that_says_nothing_is_no_example(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"formats": [["route53", "route53", "{}\n"]]}
    monkeypatch.setattr("docs_generator.logs.rows", lambda _: table)
    with pytest.raises(ValueError, match="the example of route53 says nothing"):
        format_block("route53")
