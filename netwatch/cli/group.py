"""Commands that have subcommands, such as ``netwatch policy check``."""

import argparse
from collections.abc import Callable, Sequence

from netwatch.cli import HelpFormatter


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
            formatter_class=HelpFormatter,
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
            formatter_class=HelpFormatter,
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
