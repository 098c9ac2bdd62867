"""The command line: it parses the arguments, runs a command, and returns its exit status.

Only the module of the command that was given is imported, because importing all of them
takes longer than scanning a small capture.
"""

import argparse
import atexit
import contextlib
import errno
import gc
import importlib
import os
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from netwatch import __version__
from netwatch.cli.printing import (
    escape_unencodable,
    print_error,
    print_line,
    print_message,
    replace_closed_streams,
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command: the function that adds its parser, as ``module:function``, and what it does,
    in one line."""

    add: str
    summary: str


COMMANDS: Mapping[str, Command] = {
    "demo": Command(
        "netwatch.cli.demo:add", "write sample captures into a new folder, and scan them"
    ),
    "init": Command("netwatch.cli.init:add", "write a first configuration from five questions"),
    "scan": Command(
        "netwatch.cli.captures:add_scan", "read captures and logs, and report violations of bans"
    ),
    "names": Command(
        "netwatch.cli.captures:add_names", "list every name in captures and logs, before any rule"
    ),
    "live": Command("netwatch.cli.live:add", "capture on interfaces and report violations of bans"),
    "verify": Command(
        "netwatch.cli.verify:add", "read evidence captures again with independent readers"
    ),
    "rejudge": Command(
        "netwatch.cli.rejudge:add", "judge the stored past again, and show what is different"
    ),
    "signatures": Command("netwatch.cli.signatures:add", "show and test the signatures of apps"),
    "bans": Command("netwatch.cli.bans:add", "show the shipped bans, and what is due for review"),
    "explain": Command(
        "netwatch.cli.explain:add", "show one incident, every step from packet to clause"
    ),
    "report": Command(
        "netwatch.cli.report:add", "was a ban complied with? A report as HTML, PDF and JSON"
    ),
    "policy": Command("netwatch.cli.policy:add", "check the configuration, explain verdicts"),
    "inventory": Command(
        "netwatch.cli.inventory:add", "update the inventory from other registers of devices"
    ),
    "outputs": Command("netwatch.cli.outputs:add", "show, test and replay the delivery of alerts"),
    "store": Command("netwatch.cli.store:add", "stored results of captures: status, queries, SQL"),
    "backup": Command(
        "netwatch.cli.backup:add_backup", "copy a store, its keys and its audit into a folder"
    ),
    "restore": Command("netwatch.cli.backup:add_restore", "restore a backup"),
    "ledger": Command(
        "netwatch.cli.ledger:add", "progress of the archives that `scan --ledger` reads"
    ),
    "serve": Command("netwatch.cli.console:add_serve", "serve the web console over a store"),
    "fleet": Command("netwatch.cli.fleet:add", "many sensors, one centre"),
    "users": Command(
        "netwatch.cli.console:add_users", "show and change the accounts of the console"
    ),
    "audit": Command(
        "netwatch.cli.console:add_audit", "show, verify and export who looked at what"
    ),
    "tokens": Command(
        "netwatch.cli.tokens:add", "show and change the tokens of programs that ask the console"
    ),
    "schema": Command("netwatch.cli.schema:add", "print the JSON Schema of a record"),
    "doctor": Command("netwatch.cli.doctor:add", "check this machine and the configuration"),
    "completion": Command(
        "netwatch.cli.completion:add", "print the completions for bash, zsh or fish"
    ),
    "help": Command("netwatch.cli:add_help", "show the options of a command"),
}
"""All commands, in the order in which ``netwatch --help`` lists them."""

POSIX_COMMANDS = (
    *(
        "audit",
        "backup",
        "doctor",
        "fleet",
        "ledger",
        "live",
        "outputs",
        "rejudge",
        "report",
        "serve",
    ),
    *("restore", "store", "tokens", "users"),
)
"""Commands that need something Windows lacks."""

GC_THRESHOLD = 50_000
"""Allocations between two runs of the garbage collector: a scan allocates many objects and
creates next to no reference cycles."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a write to a disk without room."""

EXIT_STATUS = """exit status:
  0  done
  1  some input could not be read, or something failed; the rest was done
  2  the command line or the configuration is wrong
  3  with --fail-on: an incident with such a verdict was found
"""

SHORT_HELP = f"""netwatch {__version__} shows whether devices complied with bans on apps,
and which did not.

  netwatch demo              write sample captures into a folder, and scan them
  netwatch scan office.pcap  is a ban violated? one row per incident
  netwatch init              write a configuration for your own network
  netwatch live -i eth1      watch a mirror port
  netwatch help              all commands
  netwatch help COMMAND      the options of a command
"""
"""The output of ``netwatch`` without a command."""

EXAMPLES = f"""examples:
  netwatch scan office.pcap                 is a ban violated? one row per incident
  netwatch scan captures/ -c netwatch.yaml  a folder of captures, with your own rules
  netwatch names office.pcap                the names in a capture, before any rule
  netwatch policy explain --device 10.20.1.7 --name www.tiktok.com --time 2023-03-20T09:00

'netwatch help COMMAND' describes the options of a command.

{EXIT_STATUS}"""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps descriptions to the width of the terminal, and leaves examples as they are."""

    def __init__(self, prog: str) -> None:
        # argparse makes a formatter for each option, and imports shutil for the width.
        super().__init__(prog, width=_terminal_width() - 2)

    def add_argument(self, action: argparse.Action) -> None:
        """Include an argument when computing the column of help texts."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            # argparse does not take into account that commands are indented once more.
            self._action_max_length += self._indent_increment

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def _terminal_width() -> int:
    """The columns of the terminal, found as by `shutil.get_terminal_size`."""
    with contextlib.suppress(ValueError):
        if columns := int(os.environ.get("COLUMNS", 0)):
            return columns
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    return 80


class CommandParser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line, like all errors, and names the command, option
    or value that was probably meant."""

    _arguments: Sequence[str] = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": HelpFormatter, **options})

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the arguments; the list of unknown ones is always empty."""
        self._arguments = list(args or ())
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self._refuse_unknown_option()
            self.error(f"unexpected argument '{unknown[0]}'")
        return parsed, unknown

    def _refuse_unknown_option(self) -> None:
        """Report the first long option that this command does not have. A name may be cut short."""
        known = self._option_string_actions
        for word in self._arguments:
            name, _, _ = word.partition("=")
            if name == "--":
                return
            if name.startswith("--") and not any(each.startswith(name) for each in known):
                self._fail(f"unknown option '{name}'", name, known)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Report a command or value that is not one of the choices."""
        if action.choices is None or value in action.choices:
            return
        if isinstance(action, argparse._SubParsersAction):
            # The parser of all commands knows only those that are needed now.
            known = COMMANDS if self.prog == "netwatch" else action.choices
            self._fail(f"unknown command '{value}'", str(value), known)
        choices = [str(each) for each in action.choices]
        name = "/".join(action.option_strings) or action.metavar or action.dest
        self._fail(
            f"{name}: expected one of {', '.join(choices)}, found '{value}'", str(value), choices
        )

    def _fail(self, message: str, word: str, known: Iterable[str]) -> NoReturn:
        """Report a wrong word, with the known one that is most similar."""
        from netwatch.core.user_yaml import did_you_mean

        hint = did_you_mean(word, known)
        self._exit(f"{message}{hint}" if hint else self._with_help(message))

    def error(self, message: str) -> NoReturn:
        """Print the message, and exit with status 2."""
        self._refuse_unknown_option()  # when argparse first says what is missing
        self._exit(self._with_help(message.removeprefix("argument ")))

    def _with_help(self, message: str) -> str:
        return f"{message}; see '{self.prog} --help'"

    def _exit(self, message: str) -> NoReturn:
        print_error(message)
        self.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run netwatch with the arguments `argv` (without the name of the program); returns the exit
    status."""
    gc.set_threshold(GC_THRESHOLD)
    # The system frees the memory faster than a last run of the garbage collector would.
    atexit.register(gc.freeze)
    replace_closed_streams()
    escape_unencodable()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        for line in SHORT_HELP.splitlines():
            print_line(line)
        return 0
    command, arguments = _command_first(arguments)
    listed = COMMANDS if command is None or command != arguments[0] else (command,)
    args = build_parser((command,), listed).parse_args(arguments)
    if sys.platform == "win32" and command in POSIX_COMMANDS:
        print_message(
            f"netwatch: {command} needs Linux, macOS or FreeBSD; on Windows netwatch reads captures"
            " and logs (scan, names) and judges them"
        )
        return 2
    from netwatch.core.errors import ConfigError, NetwatchError
    from netwatch.core.user_yaml import tell_of_found

    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    is_told = is_terminal and not getattr(args, "quiet", False)
    tell_of_found(_tell_of_found if is_told else None)
    try:
        status = int(args.func(args))
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where an error is reported, and not when Python exits
        return status
    except ConfigError as error:
        for problem in error.problems:
            print_error(str(problem))
        return 2
    except NetwatchError as error:
        print_error(str(error))
        return 1
    except BrokenPipeError:
        # The reader of the records has ended (`| head`), which is not an error.
        sys.stderr.close()
        return 141
    except OSError as error:
        # Everything else names its file in its own error.
        is_output = error.filename is None and error.errno in _FULL
        place = "standard output" if is_output else error.filename
        place = f"{place}: " if place else ""
        _discard_output()
        print_message(f"netwatch: {place}{error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        print_message("netwatch: interrupted")
        return 130


def _tell_of_found(path: Path) -> None:
    print_message(f"netwatch: using {path} of the current folder")


def _command_first(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The command, and the arguments with the options that precede it moved after it, so that it
    accepts them, or reports them with its own usage. ``--help`` and ``--version`` stay."""
    at = next((at for at, word in enumerate(arguments) if word in COMMANDS), None)
    if at is None:
        return None, arguments
    command, before, after = arguments[at], arguments[:at], arguments[at + 1 :]
    if {"-h", "--help", "--version"} & {*before}:
        return command, arguments
    end = after.index("--") if "--" in after else len(after)
    return command, [command, *after[:end], *before, *after[end:]]


def build_parser(
    commands: Container[str | None] = COMMANDS, listed: Container[str] = COMMANDS
) -> CommandParser:
    """The parser of the command line. `commands` are those whose options are needed; others that
    are `listed` are in the help, without importing their modules."""
    parser = CommandParser(
        prog="netwatch",
        description="Checks network traffic for violations of bans on apps: who contacted"
        " which app, when, and which traffic could not be read.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"netwatch {__version__}")
    groups = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        if name in commands:
            module, _, function = command.add.partition(":")
            getattr(importlib.import_module(module), function)(groups, [_common_options()])
        elif name in listed:
            groups.add_parser(name, help=command.summary, add_help=False)
    return parser


def add_help(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command ``help``; its `func` returns the exit status."""
    parser = groups.add_parser(
        "help",
        help="show the options of a command",
        description="Show the options of a command, as 'netwatch COMMAND --help' does.",
        epilog="examples:\n  netwatch help scan\n  netwatch help store query\n",
    )
    parser.add_argument("command", metavar="COMMAND", nargs="*", help="such as scan or store query")
    parser.set_defaults(func=_help)


def _help(args: argparse.Namespace) -> int:
    wanted = args.command[:1]
    build_parser(wanted).parse_args([*args.command, "--help"])
    return 0


def _common_options() -> argparse.ArgumentParser:
    common = CommandParser(add_help=False)
    common.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="configuration (default: ./netwatch.yaml, /etc/netwatch/netwatch.yaml,"
        " or built-in defaults)",
    )
    return common


def _discard_output() -> None:
    """Discard what is still in the buffer of standard output: a full disk would refuse it once more
    when Python exits."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
