"""What pages say that have nothing to show: why, and what to do."""

import re
from collections.abc import Iterator

import pytest
from support.consoles import NAMES, PASSWORD, Visitor

from netwatch.config import load
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.console import Console
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

FILL = "netwatch scan --store FOLDER"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console of a new installation: no ban, an empty store."""
    folder = tmp_path_factory.mktemp("new")
    (folder / "netwatch.yaml").write_text("version: 1\nbans: []\n", encoding="utf-8")
    options = StoreOptions(str(folder / "store"))
    open_catalogue(options, create=True).close()
    with Console(load(str(folder / "netwatch.yaml")), options, ConsoleOptions()) as made:
        for role, name in NAMES.items():
            made.accounts.add(name, role, PASSWORD)
        yield made


@pytest.mark.parametrize(
    ("role", "place", "next_step"),
    [
        ("analyst", "/now", FILL),
        ("admin", "/now", FILL),
        ("analyst", "/incidents", FILL),
        ("analyst", "/cases", 'href="/incidents"'),
        ("analyst", "/devices", "One person"),
        ("analyst", "/sensors", "netwatch live --store"),
        ("analyst", "/blind-spots", FILL),
        ("analyst", "/bans", "netwatch bans list"),
        ("auditor", "/overview", "netwatch bans list"),
        ("auditor", "/exemptions", "Propose an exemption"),
        ("auditor", "/reports", FILL),
        ("analyst", "/lists", "netwatch bans list"),
        ("dpo", "/oversight", "One person"),
        ("dpo", "/audit?action=export", "Remove a filter"),
    ],
)
def test_an_empty_page_says_what_to_do(
    role: str, place: str, next_step: str, console: Console
) -> None:
    visitor = Visitor(console)
    visitor.sign_in(NAMES[role])
    answer = visitor.open(place)
    assert answer.status_code == 200
    main = answer.text.partition("<main")[2].partition("</main>")[0]
    assert next_step in main
    assert not re.search(r"<p>None\.</p>", main)
