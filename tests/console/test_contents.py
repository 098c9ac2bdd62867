"""The places that long pages list at their top."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.consoles import NAMES, Visitor, copied
from support.fleets import fill_fleet

from netwatch.config import load
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.console import Console

DAYS = "from=2023-03-01&to=2023-05-31"


def test_the_page_of_several_bans_lists_them(sample_store: Path, tmp_path: Path) -> None:
    file, packs = tmp_path / "netwatch.yaml", ("be-fed-tiktok-2023", "au-gov-tiktok-2023")
    listed = ", ".join(f"{{pack: {pack}}}" for pack in packs)
    file.write_text(f"version: 1\nbans: [{listed}]\n", encoding="utf-8")
    console = Console(load(str(file)), copied(sample_store, tmp_path), ConsoleOptions())
    visitor = Visitor(console)
    visitor.sign_in(NAMES["analyst"])
    text = visitor.get("/bans").text
    console.close()
    for number, pack in enumerate(packs, 1):
        assert f'<a href="#ban-{number}">{pack}</a>' in text
        assert f'<h2 id="ban-{number}">' in text


@pytest.fixture
def case(console: Console, visit: Callable[[str], Visitor]) -> str:
    """The id of a case that several sensors saw."""
    fill_fleet(console.catalogue, time.time_ns())
    found = re.search(r'href="/cases/([0-9a-f]{32})"', visit("analyst").get("/cases").text)
    assert found is not None
    return found[1]


def test_long_pages_list_their_parts_in_the_order_of_the_page(
    visit: Callable[[str], Visitor], incident: str, case: str
) -> None:
    for role, place in (
        ("auditor", f"/bans/be-fed-tiktok-2023?{DAYS}"),
        ("analyst", f"/incidents/{incident}"),
        ("analyst", "/devices/ws-021"),
        ("analyst", f"/cases/{case}"),
        ("analyst", f"/blind-spots?{DAYS}"),
        ("dpo", "/person?device=ws-021"),
        ("dpo", "/oversight"),
    ):
        text = visit(role).open(place).text
        nav = re.search(r'<nav class="contents".*?</nav>', text, re.DOTALL)
        assert nav is not None, place
        listed = re.findall(r'href="#([^"]+)"', nav[0])
        ids = re.findall(r'<(?:h2|h3|figure|table|div)\b[^>]* id="([^"]+)"', text[nav.end() :])
        assert [each for each in ids if each in listed] == listed, place
        left = {*re.findall(r'<(?:h2|figure)\b[^>]* id="([^"]+)"', text[nav.end() :])} - {*listed}
        assert not left, place
