"""Every page is in the navigation, and two clicks away from the first one."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from support.documents import DOCS, links
from support.paths import ROOT

NAVIGATION: list[Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
PAGES = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def entries(part: Any) -> Iterator[str]:
    """The pages that a part of the navigation names."""
    if isinstance(part, str):
        yield part
    else:
        for each in part.values() if isinstance(part, dict) else part:
            yield from entries(each)


def linked(page: str) -> set[str]:
    """The pages of the documentation that a page links to."""
    found = set()
    for target in links((DOCS / page).read_text(encoding="utf-8")):
        path = os.path.normpath(Path(page).parent / target.partition("#")[0])
        found.add(Path(path).as_posix())
    return found & PAGES


def test_every_page_is_in_the_navigation_once() -> None:
    found = list(entries(NAVIGATION))
    assert sorted(found) == sorted(PAGES)


def test_every_page_is_two_clicks_away() -> None:
    first = linked("index.md")
    second = set().union(*map(linked, first))
    assert PAGES - first - second - {"index.md"} == set()


def test_every_group_has_an_index_page_that_leads_to_its_pages() -> None:
    sections = {name: part for each in NAVIGATION for name, part in each.items()}
    groups = [part for group in sections["Guides"] for part in group.values()]
    assert len(groups) == 9
    for part in [*groups, sections["Concepts"], sections["Reference"], sections["Internals"]]:
        index, *others = (next(entries(each)) for each in part)
        missing = set(others) - linked(index)
        assert missing == set(), index
