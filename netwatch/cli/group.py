"""Commands that have commands of their own: ``netwatch policy check`` and the like."""

import argparse
from collections.abc import Callable, Sequence


class Group:
    """``netwatch NAME`` among `groups`. `parents` hold the options that each of its commands
    takes, ``-c FILE`` as `config` at least."""

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
            formatter_class=argparse.RawDescriptionHelpFormatter,
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
        """Add a command: `func` takes the parsed arguments and gives the exit status. With
        `table` it has ``--format table|jsonl``."""
        parser = self._commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            epilog=epilog,
            parents=self._parents,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(func=func)
        if table:
            parser.add_argument("--format", choices=("table", "jsonl"), default="table")
        return parser
