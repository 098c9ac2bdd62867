"""Commands that have subcommands, such as ``netwatch policy check``, and options that commands of
different groups have.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta

MAX_DAYS = 3650
"""The most days for which something can be signed."""


class Group:
    """The command ``netwatch NAME``, added to `groups`. Each of its subcommands gets the
    options of `parents`, among them ``-c FILE`` as `config`."""

    def __init__(
        self,
        groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
        parents: Sequence[argparse.ArgumentParser],
        name: str,
        *,
        help: str,
        description: str,
        epilog: str,
    ) -> None:
        group = groups.add_parser(
            name,
            help=help,
            description=description,
            epilog=epilog,
        )
        self._parents = list(parents)
        self._commands = group.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        self,
        name: str,
        func: Callable[[argparse.Namespace], int],
        help: str,
        epilog: str = "",
        *,
        table: bool = True,
    ) -> argparse.ArgumentParser:
        """Add a subcommand. `func` takes the parsed arguments and returns the exit status;
        `help` says in one line what it does. With `table` it has the option
        ``--format table|jsonl``."""
        parser = self._commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            epilog=epilog,
            parents=self._parents,
        )
        parser.set_defaults(func=func)
        if table:
            parser.add_argument(
                "--format",
                choices=("table", "jsonl"),
                default="table",
                help="format of the output (default table)",
            )
        return parser


def add_store_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a store; `netwatch.cli.store.chosen_store` reads it."""
    parser.add_argument(
        "--store-path",
        metavar="URL",
        help="the folder or URL of the store (default: `store` of the configuration, or"
        " ~/.local/share/netwatch/store)",
    )


def add_language_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option for the language in which `what` is printed."""
    from netwatch.language.language import LANGUAGES

    parser.add_argument(
        "--lang", choices=LANGUAGES, default="en", help=f"the language of {what} (default en)"
    )


def add_log_format_option(parser: argparse._ActionsContainer) -> None:
    """Add the option for the log format of a service."""
    from netwatch.formats.values import LOG_FORMATS

    parser.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        default="text",
        help="how the log on standard error is written (default text); json: an object with time,"
        " level and message on each line",
    )


def day(text: str) -> date:
    """A day, as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f"expected a day as YYYY-MM-DD, found {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def days(text: str) -> timedelta:
    """A number of days, like ``90d``."""
    match = re.fullmatch(r"([1-9]\d{0,3})d", text)
    if not match or int(match[1]) > MAX_DAYS:
        raise argparse.ArgumentTypeError(
            f"expected a number of days from 1d to {MAX_DAYS}d, found {text!r}"
        )
    return timedelta(days=int(match[1]))


def release(text: str) -> str:
    """A release of netwatch, like ``1.2.0``."""
    if not re.fullmatch(r"\d{1,6}\.\d{1,6}(\.\d{1,6})?", text):
        raise argparse.ArgumentTypeError(f"expected a release like 1.2.0, found {text!r}")
    return text
