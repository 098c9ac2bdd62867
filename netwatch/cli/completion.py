"""``netwatch completion``: makes a shell complete commands, options and files.

shtab writes the scripts from the argument parsers. It asks each argument how it is completed; here
the argument's placeholder in ``--help`` decides. Next to a command is its one-line summary; shtab
would show the first paragraph of its help.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import shtab

from netwatch.cli import build_parser

SHELLS = ("bash", "zsh", "fish")

_EXAMPLES = """examples:
  netwatch completion bash >~/.local/share/bash-completion/completions/netwatch
  netwatch completion zsh >"${fpath[1]}/_netwatch"
  netwatch completion fish >~/.config/fish/completions/netwatch.fish

The shell reads them when it starts the next time. A deb or an rpm has installed them already.
"""

_INTERFACES = {
    "bash": "_netwatch_interfaces",
    "zsh": "_net_interfaces",
    "fish": "(__fish_print_interfaces)",
}
_USERS = {"bash": "_netwatch_users", "zsh": "_users", "fish": "(__fish_complete_users)"}
_FUNCTIONS = {
    "bash": """_netwatch_interfaces() { compgen -W "$(ls /sys/class/net)" -- "$1"; }
_netwatch_users() { compgen -u -- "$1"; }
"""
}
"""Completions for which bash has no function."""

_COMPLETED: Mapping[str, Any] = {
    **dict.fromkeys(("CAPTURE", "FILE", "KEY", "LIST", "PATH", "PUB", "SOURCE"), shtab.FILE),
    **dict.fromkeys(("DIR", "FOLDER", "URL"), shtab.DIRECTORY),
    "IFACE": _INTERFACES,
    "USER": _USERS,
}
"""How an argument is completed, by its placeholder. If that is a URL, it may also be a local
folder."""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; its `func` returns the exit status."""
    parser = groups.add_parser(
        "completion",
        help="print the completions for bash, zsh or fish",
        description="Print a script with which a shell completes commands, options and files.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    parser.set_defaults(func=_completion)


def _completion(args: argparse.Namespace) -> int:
    sys.stdout.write(script(args.shell))
    return 0


def script(shell: str) -> str:
    """The completions for a shell of `SHELLS`."""
    parser = build_parser()
    _prepare(parser)
    text = shtab.complete(parser, shell=shell, preamble=_FUNCTIONS.get(shell, ""))
    # A list of operands excludes itself in what shtab writes, so that only its first is completed.
    return text.replace('"(*):', '"*:') if shell == "zsh" else text


def _prepare(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                action.choices[choice.dest].description = choice.help
            for below in action.choices.values():
                _prepare(below)
        elif action.metavar in _COMPLETED and not action.choices:
            action.complete = _COMPLETED[str(action.metavar)]  # type: ignore[attr-defined]
