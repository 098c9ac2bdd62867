"""Commands and options, from the argument parsers."""

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

from docs_generator.data import rows
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


OFTEN = 3
"""Options that as many commands have, in the same words, are explained once."""


USUAL = (
    "0 done",
    "2 usage error",
    "2 usage or configuration error",
    "2 the command line or the configuration is wrong",
)
"""What a status means in most commands, as the page of exit statuses has it."""


def block(_: str) -> str:
    """A section for each command: what it does, its options, its exit status and its guide."""
    return "\n\n".join(f"## netwatch {command}\n\n{_section(command)}" for command in parsers())


def _section(command: str) -> str:
    parser = parsers()[command]
    lines = [parser.description or ""]
    called = synopsis(parser)
    if called != f"{parser.prog} [options]":
        lines.append(f"```text\n{called}\n```")
    own, elsewhere = _options(command)
    if own:
        lines.append("\n".join(f"- {option}: {text}" for option, text in own))
    shown = examples(parser)
    if shown:
        lines.append("\n".join(["```sh", *shown, "```"]))
    also = [f"{', '.join(map(_short, each))} ({where})" for where, each in elsewhere.items()]
    guide = rows("command_guides").get(command)
    last = [f"Also {'; '.join(also)}."] if also else []
    last += [f"Exit status: {exit_status(parser)}."] if exit_status(parser) else []
    last += [f"See {guide}."] if guide else []
    return "\n\n".join(each for each in [*lines, " ".join(last)] if each)


def _options(command: str) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """The operands and options of a command with their meaning, and those that are explained
    elsewhere, by the place."""
    parser = parsers()[command]
    own = [(code(operand_name(each)), meaning(parser, each)) for each in operands(parser)]
    known = shared()
    of_scan = {} if command == "scan" else described(parsers()["scan"])
    elsewhere: dict[str, list[str]] = {}
    for spelled, text in described(parser).items():
        if _short(spelled) == "`-c`":
            continue
        if (spelled, text) in known:
            elsewhere.setdefault("[shared](#shared-options)", []).append(spelled)
        elif of_scan.get(spelled) == text:
            elsewhere.setdefault("as for [`scan`](#netwatch-scan)", []).append(spelled)
        else:
            own.append((spelled, text))
    return own, elsewhere


def examples(parser: argparse.ArgumentParser) -> list[str]:
    """The examples of a command's help as a shell reads them: what they are for is a comment."""
    _, _, text = (parser.epilog or "").partition("examples:\n")
    lines = []
    for line in text.partition("\n\n")[0].splitlines():
        command, _, purpose = line.removeprefix("  ").rstrip().partition("  ")
        if command and purpose.strip():
            lines.append(f"{command}  # {purpose.strip()}")
        else:
            lines.append(line.removeprefix("  ").rstrip())
    return lines


def exit_status(parser: argparse.ArgumentParser) -> str:
    """What is special about the statuses of a command, from its help, separated by semicolons."""
    _, found, text = (parser.epilog or "").partition("exit status:")
    part = text.lstrip("\n").partition("\n\n")[0]
    lines = [" ".join(each.split()) for each in re.split(r"\n  (?=\d)|; (?=\d)", f"\n{part}")]
    return "; ".join(each for each in lines if each and each not in USUAL) if found else ""


def _short(spelled: str) -> str:
    """The first spelling of an option, without its value."""
    return code(spelled.strip("`").split("`")[0].split()[0])


def shared_block(_: str) -> str:
    """The options that many commands have, and which lack the first."""
    rest = [each for each, parser in parsers().items() if not any(map(_is_config, options(parser)))]
    known = table(("option", "meaning"), (list(each) for each in shared()))
    return f"{known}\n\nAll commands except {code(*rest)} accept `-c`."


def _is_config(action: argparse.Action) -> bool:
    return "-c" in action.option_strings


def described(parser: argparse.ArgumentParser) -> dict[str, str]:
    """The options of a command, as spelled, with their meaning."""
    return {code(*spellings(each)): meaning(parser, each) for each in options(parser)}


@cache
def shared() -> tuple[tuple[str, str], ...]:
    """The options that are explained once, with their meaning."""
    counts = Counter(each for parser in parsers().values() for each in described(parser).items())
    return tuple(each for each, number in counts.items() if number >= OFTEN)


def operands(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments of a command that are no options."""
    return [each for each in parser._actions if not each.option_strings]


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options of a command without ``--help``, which all have."""
    return [
        each
        for each in parser._actions
        if each.option_strings and "--help" not in each.option_strings
    ]


def synopsis(parser: argparse.ArgumentParser) -> str:
    """How a command is called: its required options and its operands."""
    needed = [spellings(each)[0] for each in options(parser) if each.required]
    return " ".join([parser.prog, "[options]", *needed, *map(_operand, operands(parser))])


def _operand(action: argparse.Action) -> str:
    name = operand_name(action)
    return {"+": f"{name}…", "*": f"[{name}…]", "?": f"[{name}]"}.get(str(action.nargs), name)


def operand_name(action: argparse.Action) -> str:
    """The placeholder of an operand, or the words that can stand there."""
    return str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest)


def spellings(action: argparse.Action) -> list[str]:
    """The ways to write an option, each with its value: ``-o FILE``, ``--output FILE``."""
    name = action.metavar or ("WORD" if "_" in action.dest else action.dest.upper())
    value = "" if action.nargs == 0 else f" {name}"
    if action.nargs == "+":
        value += "…"
    return [f"{spelled}{value}" for spelled in action.option_strings]


def meaning(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """What an option or operand is for, with its choices and its default, in Markdown."""
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    if not text and "--format" in action.option_strings:
        text = "the format of the output"
    if action.choices and not all(str(each) in text for each in action.choices):
        text += f": {code(*action.choices)}"
    default = action.default
    if (
        default in (None, False, "", [], argparse.SUPPRESS)
        or "default" in text
        or action.nargs == 0
    ):
        return text
    return f"{text} (default `{default}`)"
