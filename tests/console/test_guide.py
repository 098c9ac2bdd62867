"""The guide of the console says who sees which page, as the table of routes has it."""

import re

import pytest
from support.documents import DOCS

from netwatch.config.console_section import ROLES
from netwatch.console.routes import ROUTES
from netwatch.exports.export_format import feeds

GUIDE = (DOCS / "guides" / "console.md").read_text(encoding="utf-8")
SEEN = dict(re.findall(r"^\| `(/[\w/-]+)` \|.*\| ([^|]+) \|$", GUIDE, re.MULTILINE))


def test_each_page_of_the_menu_is_there_with_its_roles() -> None:
    menu = {route.path: set(route.roles or ()) for route in ROUTES if route.menu}
    said = {
        path: set(ROLES) if seen == "all" else set(re.findall(r"`(\w+)`", seen))
        for path, seen in SEEN.items()
    }
    assert said == menu


@pytest.mark.parametrize("name", feeds())
def test_each_list_for_firewalls_has_steps(name: str) -> None:
    assert f"/lists/BAN/{name}.txt" in GUIDE
    assert f"**{feeds()[name].product}**" in GUIDE


def test_pictures_are_small_and_made_by_the_script() -> None:
    script = (DOCS.parent / "tools/screenshots/__main__.py").read_text(encoding="utf-8")
    pictures = {path.name: path for path in (DOCS / "assets" / "console").iterdir()}
    assert len(pictures) == 7
    for name, path in pictures.items():
        assert f'"{name}"' in script, name
        assert f"../assets/console/{name}" in GUIDE, name
        assert path.stat().st_size < 120_000, name
        assert path.read_bytes().startswith(b"\x89PNG")
