"""Every option that a help text or a page names is one of the command that it names it for."""

import argparse
import re
from collections.abc import Iterator

import pytest
from support.paths import ROOT

from netwatch.cli import COMMANDS, build_parser

_OPTION = re.compile(r"(?<![\w/-])--[a-z][a-z-]*[a-z]")
_COMMAND = re.compile(rf"(?:(?<![\w./-])netwatch|`(?={'|'.join(COMMANDS)}))((?: ?[a-z][a-z-]*)+)")
_CUT = re.compile(r" \||\|\||&&|;|`|\)")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*(ROOT / "docs").rglob("*.md"), ROOT / "README.md")
)


def _parsers(
    parser: argparse.ArgumentParser, name: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from _parsers(inner, f"{name} {word}".strip())


PARSERS = dict(_parsers(build_parser()))


def _options(name: str) -> set[str]:
    """The options of a command, and of its subcommands where it has some."""
    return {
        option
        for each, parser in PARSERS.items()
        if each == name or each.startswith(f"{name} ".lstrip())
        for action in parser._actions
        for option in action.option_strings
    }


def _wrong(text: str, own: str | None) -> Iterator[str]:
    """Options in a text that the command that it names before them does not have. Those before any
    command are of the command `own`, and are not looked at where that is None."""
    for line in text.replace("\\\n", " ").splitlines():
        at, known, where = 0, None if own is None else _options(own), own
        places = [*_COMMAND.finditer(line)]
        for begin, end in zip(
            [0, *(place.end() for place in places)],
            [*(place.start() for place in places), len(line)],
            strict=True,
        ):
            part = line[begin:end]
            if begin:
                words = places[at][1].split()
                at += 1
                where = next(
                    (name for size in (2, 1) if (name := " ".join(words[:size])) in PARSERS), None
                )
                known = None if where is None else _options(where)
                cut = _CUT.search(part)
                part = part[: cut.start()] if cut else part
            if known is not None:
                for option in _OPTION.findall(part):
                    if option not in known and not _is_prefix(option, known):
                        yield f"netwatch {where}: {option} in: {line.strip()}"


def _is_prefix(option: str, known: set[str]) -> bool:
    """Options that a text stands for with a wildcard: ``--tls-``."""
    return option.endswith("-") and any(each.startswith(option) for each in known)


@pytest.mark.parametrize("name", PARSERS)
def test_a_help_names_options_of_its_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    assert [*_wrong(PARSERS[name].format_help(), name)] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_options_of_the_commands(page: str) -> None:
    assert [*_wrong((ROOT / page).read_text(encoding="utf-8"), None)] == []


def test_what_is_no_option_is_found() -> None:
    assert [*_wrong("3  with --fail-on: a difference", "rejudge")]
    assert [*_wrong("use `netwatch rejudge --fail-on violation`", None)]
    assert not [*_wrong("use `netwatch scan --fail-on violation` and `tcpdump --count 3`", None)]
