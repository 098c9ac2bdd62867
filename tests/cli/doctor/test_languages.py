"""The check of the languages: catalogues that are damaged, missing, or lack a text."""

import shutil
from pathlib import Path

import pytest
from support.diagnosed import brief, findings
from support.paths import ROOT

from netwatch.cli.doctor import console

CODES = ("fr", "nl", "de")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the catalogues."""
    for path in (ROOT / "netwatch").glob("*/locale"):
        shutil.copytree(path, tmp_path / path.parent.name / "locale")
    return tmp_path


def catalogue(package: Path, code: str = "nl") -> Path:
    return package / "charts" / "locale" / code / "LC_MESSAGES" / "netwatch.po"


def test_every_package_with_catalogues_is_looked_at() -> None:
    found = {path.parent.name for path in (ROOT / "netwatch").glob("*/locale")}
    assert found == set(console.PACKAGES)


def test_all_texts_are_translated(tmp_path: Path) -> None:
    found = findings(console.check_languages, tmp_path, "console: {language: nl}\n")
    assert brief(found) == ["ok languages", "ok languages"]
    assert "en, fr, nl, de: each has all" in found[0].text
    assert "the console is in 'nl'" in found[1].text


def test_texts_that_are_not_translated(package: Path) -> None:
    path = catalogue(package)
    text = path.read_text(encoding="utf-8")
    head, *messages = text.split("\n\n")
    assert len(messages) > 5
    lines = messages[0].splitlines()
    emptied = "\n".join([*lines[: lines.index(next(x for x in lines if x.startswith("msgstr")))],
                         'msgstr ""'])  # fmt: skip
    fuzzy = f"#, fuzzy\n{messages[1]}"
    path.write_text("\n\n".join([head, emptied, fuzzy, *messages[3:]]), encoding="utf-8")
    (found,) = console.check_catalogues(package, CODES)
    assert (found.level, found.text) == ("warn", "3 texts not translated")
    assert all(line.startswith("nl: ") and line.endswith("in charts") for line in found.todo)


def test_catalogues_that_are_damaged_or_missing(package: Path) -> None:
    catalogue(package).unlink()
    catalogue(package, "de").write_text("a shopping list\n")
    found, *_ = console.check_catalogues(package, CODES)
    assert found.level == "bad"
    assert len(found.todo) == 2
    assert "No such file" in found.text
