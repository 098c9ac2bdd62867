"""Commands and options, from the argument parsers."""

import argparse
import importlib
from collections.abc import Iterator

from docs_generator.markdown import code, table
from netwatch.cli import COMMANDS, _common


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its words: ``scan``, ``policy check``."""
    top = argparse.ArgumentParser(prog="netwatch")
    groups = top.add_subparsers()
    for module in COMMANDS:
        importlib.import_module(module).add(groups, [_common()])
    return dict(_leaves("", groups))


def _leaves(
    path: str, groups: "argparse._SubParsersAction[argparse.ArgumentParser]"
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for name, parser in groups.choices.items():
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        for group in below:
            yield from _leaves(f"{path}{name} ", group)
        if not below:
            yield f"{path}{name}", parser


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
