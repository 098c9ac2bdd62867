"""Completions for bash, zsh and fish, made by shtab from the argument parsers.

shtab asks each argument how it is completed; here its placeholder in ``--help`` decides. What a
command does in one line stands beside its name, where shtab takes the first paragraph of its help.
"""

import argparse
from collections.abc import Mapping

import shtab

from netwatch.cli import build_parser

FILES: Mapping[str, str] = {
    "bash": "bash/netwatch",
    "zsh": "zsh/_netwatch",
    "fish": "fish/netwatch.fish",
}
"""Where the completions of each shell are written, in the place and by the name it loads."""

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
"""What bash has no function for."""

_COMPLETED: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("CAPTURE", "FILE", "KEY", "LIST", "PATH", "PUB", "SOURCE"), shtab.FILE),
    **dict.fromkeys(("DIR", "FOLDER", "URL"), shtab.DIRECTORY),
    "IFACE": _INTERFACES,
    "USER": _USERS,
}
"""How an argument is completed, by its placeholder. Where that is a URL, a folder of the machine
is one too."""


def completions() -> Mapping[str, str]:
    """The script of each shell, by the path in `FILES`."""
    parser = build_parser()
    _prepare(parser)
    scripts = {shell: shtab.complete(parser, shell=shell, preamble=_FUNCTIONS) for shell in FILES}
    # A list of operands excludes itself in what shtab writes, so that only its first is completed.
    scripts["zsh"] = scripts["zsh"].replace('"(*):', '"*:')
    return {FILES[shell]: script for shell, script in scripts.items()}


def _prepare(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                action.choices[choice.dest].description = choice.help
            for below in action.choices.values():
                _prepare(below)
        elif action.metavar in _COMPLETED and not action.choices:
            action.complete = _COMPLETED[str(action.metavar)]  # type: ignore[attr-defined]
