"""Commands and options, from the argument parsers."""

import argparse
from collections.abc import Iterator

from docs_generator.markdown import code, table
from netwatch.cli import build_parser


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its words: ``scan``, ``policy check``."""
    return dict(_leaves("", build_parser()))


def _leaves(
    path: str, parser: argparse.ArgumentParser
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    groups = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for group in groups:
        for name, below in group.choices.items():
            yield from _leaves(f"{path} {name}".strip(), below)
    if not groups:
        yield path, parser


def block(command: str) -> str:
    """What a command does, how it is called and its options."""
    parser = parsers()[command]
    actions = [each for each in parser._actions if "--help" not in each.option_strings]
    operands = [each for each in actions if not each.option_strings]
    options = [each for each in actions if each.option_strings]
    needed = [f"{each.option_strings[0]} {each.metavar}" for each in options if each.required]
    words = ["netwatch", command, "[options]", *needed, *map(_operand, operands)]
    lines = [parser.description or "", "", "```text", " ".join(words), "```", ""]
    rows = [[f"`{each.metavar}`", _help(parser, each)] for each in operands]
    rows += [[_option(each), _help(parser, each)] for each in options]
    return "\n".join([*lines, table(("option", "meaning"), rows)])


def _operand(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"+": f"{name}…", "*": f"[{name}…]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _option(action: argparse.Action) -> str:
    name = action.metavar or ("WORD" if "_" in action.dest else action.dest.upper())
    value = "" if action.nargs == 0 else f" {name}"
    if action.nargs == "+":
        value += "…"
    return ", ".join(f"`{spelled}{value}`" for spelled in action.option_strings)


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    if not text and "--format" in action.option_strings:
        text = "the format of the output"
    if action.choices:
        text += f": {code(*action.choices)}"
    default = action.default
    if default in (None, False, argparse.SUPPRESS) or "default" in text or action.nargs == 0:
        return text
    return f"{text} (default `{default}`)"
