"""What pages say about who can do what: each line has a test that shows it."""

import pytest
from docs_generator.blocks import BLOCKS
from docs_generator.data import rows
from docs_generator.pages import parts
from support.documents import DOCS, functions_of

TRUST = rows("trust")
PAGES = ("trust.md", "fleet-trust.md")
NAMED = sorted({test for each in TRUST.values() for row in each for test in row["tests"]})
ACTORS = (
    *("user of the same", "analyst", "administrator", "sensor", "worker", "writer of the bucket"),
    *("mirror", "publisher", "network"),
)


def test_every_actor_has_a_part() -> None:
    page = (DOCS / "concepts" / "trust.md").read_text(encoding="utf-8")
    headings = " ".join(line for line in page.splitlines() if line.startswith("## "))
    assert [actor for actor in ACTORS if actor not in headings] == []


def test_the_pages_show_every_line() -> None:
    texts = [(DOCS / "concepts" / page).read_text(encoding="utf-8") for page in PAGES]
    shown = {given for text in texts for name, given in parts(text) if name == "trust"}
    assert shown == set(TRUST)
    for actor, lines in TRUST.items():
        table = BLOCKS["trust"](actor)
        assert all(line["can"] in table for line in lines), actor


def test_each_line_names_a_test() -> None:
    lines = [line for each in TRUST.values() for line in each]
    assert len(lines) > 55
    unnamed = [line["can"] for line in lines if not line["tests"]]
    assert unnamed == ["can change everything, and read every key"]


@pytest.mark.parametrize("named", NAMED)
def test_what_a_line_names_is_a_test(named: str) -> None:
    file, _, name = named.partition("::")
    assert name in functions_of(file)
