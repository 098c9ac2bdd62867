"""Options that commands of different groups have: which store, and which language."""

import argparse

from netwatch.language.language import LANGUAGES


def add_store_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a store; `netwatch.cli.run_store.chosen_store` reads it."""
    parser.add_argument(
        "--store-path",
        metavar="URL",
        help="the folder or URL of the store (default: `store` of the configuration, else"
        " ~/.local/share/netwatch/store)",
    )


def add_language_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that names the language of `what` is printed."""
    parser.add_argument(
        "--lang", choices=LANGUAGES, default="en", help=f"the language of {what} (default en)"
    )


def add_log_format_option(parser: argparse._ActionsContainer) -> None:
    """Add the option that says how a service logs."""
    from netwatch.formats.log_line import LOG_FORMATS

    parser.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        default="text",
        help="how the log on standard error is written (default text); json: an object with time,"
        " level and message on each line",
    )
