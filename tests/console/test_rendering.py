"""The texts of the console: each is translated, with the values of the original."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from support.paths import ROOT

FOLDER = ROOT / "netwatch" / "console"
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
KEYWORDS = {"say": None, "say_count": (1, 2), "mark": None}
VALUES = re.compile(r"%\((\w+)\)s")


def texts() -> Iterator[str | tuple[str, ...]]:
    found = extract_from_dir(
        str(FOLDER), METHODS, {"**/templates/**.html": {"trimmed": "true"}}, keywords=KEYWORDS
    )
    for _, _, message, _, _ in found:
        yield message


@pytest.mark.parametrize("code", ["fr", "nl", "de"])
def test_every_text_is_translated(code: str) -> None:
    path = Path(FOLDER, "locale", code, "LC_MESSAGES", "netwatch.po")
    with path.open("rb") as stream:
        catalogue = read_po(stream, locale=code)
    wanted = set(texts())
    assert len(wanted) > 150
    for message in wanted:
        key = message if isinstance(message, str) else message[0]
        found = catalogue.get(key)
        assert found is not None, f"{key!r}: run make messages"
        assert not found.fuzzy, key
        forms = [found.string] if isinstance(found.string, str) else list(found.string)
        originals = [message] if isinstance(message, str) else list(message)
        assert all(forms), f"{key!r} is not translated"
        for form in forms:
            missing = {*VALUES.findall(form)} - {"count"} ^ {*VALUES.findall(originals[-1])} - {
                "count"
            }
            assert not missing, (key, form)


def test_no_text_is_within_a_formatted_string_where_it_is_not_found() -> None:
    for path in sorted((ROOT / "netwatch").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                called = {
                    getattr(call.func, "attr", getattr(call.func, "id", ""))
                    for call in ast.walk(node)
                    if isinstance(call, ast.Call)
                    and any(isinstance(each, ast.Constant) for each in call.args[:1])
                }
                assert not called & KEYWORDS.keys(), f"{path}:{node.lineno}"
