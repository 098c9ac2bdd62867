"""The man pages of the commands: netwatch(1), and one for each command such as netwatch-scan(1).

A command with subcommands describes all of them in its page, as git-remote(1) does.
"""

import argparse
import re
from collections.abc import Iterator, Mapping

from docs_generator import commands
from docs_generator.pages import ROOT

from manual_generator import roff
from manual_generator.epilogs import Epilog, Example, Listing, read_epilog
from netwatch.cli import COMMANDS, build_parser

_STATUS_PAGE = ROOT / "docs" / "reference" / "exit-status.md"
_FILES = (
    ("./netwatch.yaml", "the configuration, if `-c FILE` names no other"),
    ("/etc/netwatch/netwatch.yaml", "the configuration, if there is none in the folder"),
)


def pages(day: str) -> Mapping[str, str]:
    """The source of each page by the name of its file; `day` (YYYY-MM-DD) stands at its end."""
    parser = build_parser()
    sources = {"netwatch": _program(parser)}
    for name, below in _commands(parser).items():
        sources[f"netwatch-{name}"] = _command(f"netwatch-{name}", COMMANDS[name].summary, below)
    return {f"{title}.1": roff.page(title, 1, day, lines) for title, lines in sources.items()}


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands below a parser, by their names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _program(parser: argparse.ArgumentParser) -> Iterator[str]:
    epilog = read_epilog(parser.epilog or "")
    yield from _name("netwatch", "detects in network traffic whether bans on apps are violated")
    yield roff.section("Synopsis")
    yield "\\fBnetwatch\\fR \\fICOMMAND\\fR [options] \\[u2026]"
    yield roff.section("Description")
    yield from roff.prose(parser.description or "")
    yield roff.section("Commands")
    for name, command in COMMANDS.items():
        yield from roff.item(f"\\fBnetwatch\\-{roff.escape(name)}\\fR(1)", command.summary)
    yield roff.section("Options")
    yield from _options(parser, commands.options(parser))
    yield from roff.item(
        roff.option_tag(["-h", "--help"]), "show the options, or those of a command"
    )
    yield roff.section("Exit status")
    for status, meaning in _statuses():
        yield from roff.item(roff.code_tag(status), meaning)
    yield roff.section("Files")
    for path, meaning in _FILES:
        yield from roff.item(roff.code_tag(path), meaning)
    yield from _examples(epilog)
    yield from _see_also([*(f"netwatch-{name}" for name in COMMANDS)])


def _command(title: str, summary: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    epilog = read_epilog(parser.epilog or "")
    below = _commands(parser)
    yield from _name(title, summary)
    yield roff.section("Synopsis")
    for number, leaf in enumerate(below.values() if below else [parser]):
        if number:
            yield ".br"
        yield _synopsis(leaf)
    yield roff.section("Description")
    yield from roff.prose(parser.description or "")
    for text in epilog.paragraphs:
        yield from roff.paragraph(text)
    if below:
        yield roff.section("Commands")
        for leaf in below.values():
            yield from _subcommand(leaf)
    else:
        yield from _arguments(parser)
    for listing in epilog.listings:
        yield roff.section(listing.title)
        yield from _listing(listing)
    if not any(listing.title.startswith("exit status") for listing in epilog.listings):
        yield roff.section("Exit status")
        yield from ["See", ".BR netwatch (1)."]
    yield from _examples(epilog)
    yield from _see_also(["netwatch"])


def _name(title: str, summary: str) -> Iterator[str]:
    yield roff.section("Name")
    yield f"{roff.escape(title)} \\- {roff.escape(summary.replace('`', ''))}"


def _synopsis(parser: argparse.ArgumentParser) -> str:
    words = commands.synopsis(parser).removeprefix(parser.prog)
    return f"\\fB{roff.escape(parser.prog)}\\fR{roff.escape(words)}"


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The operands and the options, in the groups of ``--help``."""
    if operands := commands.operands(parser):
        yield roff.section("Arguments")
        for each in operands:
            yield from _operand(parser, each)
    shown = commands.options(parser)
    yield roff.section("Options")
    for group in parser._action_groups:
        members = [each for each in shown if each in group._group_actions]
        if members and group.title != "options":
            yield roff.subsection(str(group.title).capitalize())
        yield from _options(parser, members)


def _subcommand(parser: argparse.ArgumentParser) -> Iterator[str]:
    epilog = read_epilog(parser.epilog or "")
    yield roff.subsection(parser.prog.removeprefix("netwatch "))
    yield from roff.prose(parser.description or "")
    for text in epilog.paragraphs:
        yield from roff.paragraph(text)
    for each in commands.operands(parser):
        yield from _operand(parser, each)
    yield from _options(parser, commands.options(parser))
    for listing in epilog.listings:
        yield from roff.paragraph(f"{listing.title.capitalize()}:")
        yield from _listing(listing)
    for each in epilog.examples:
        yield from _example(each)


def _operand(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    name = roff.escape(commands.operand_name(action))
    return roff.item(f"\\fI{name}\\fR", commands.meaning(parser, action))


def _options(parser: argparse.ArgumentParser, actions: list[argparse.Action]) -> Iterator[str]:
    for each in actions:
        tag = roff.option_tag(commands.spellings(each))
        yield from roff.item(tag, commands.meaning(parser, each))


def _listing(listing: Listing) -> Iterator[str]:
    for key, meaning in listing.rows:
        yield from roff.item(roff.code_tag(key), meaning)


def _examples(epilog: Epilog) -> Iterator[str]:
    if epilog.examples:
        yield roff.section("Examples")
        for each in epilog.examples:
            yield from _example(each)


def _example(example: Example) -> Iterator[str]:
    comment = example.comment[:1].upper() + example.comment[1:]
    if comment and not comment.endswith("?"):
        comment += ":"
    yield from roff.paragraph(comment)
    yield from roff.example(example.lines)


def _see_also(others: list[str]) -> Iterator[str]:
    yield roff.section("See also")
    yield from roff.references([*((name, 1) for name in others), ("netwatch.yaml", 5)])


def _statuses() -> Iterator[tuple[str, str]]:
    """The exit statuses and their meanings, as the reference lists them."""
    page = _STATUS_PAGE.read_text(encoding="utf-8")
    yield from re.findall(r"^- (\d+): (.+)$", page, re.MULTILINE)
