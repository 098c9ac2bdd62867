"""``netwatch tokens``: the tokens with which programs ask the API of the console."""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netwatch.cli.group import Group, add_store_option, days
from netwatch.cli.printing import print_columns, print_line, print_message, print_record
from netwatch.config.console_section import ROLES
from netwatch.core.errors import ConfigError, Problem
from netwatch.formats.values import rfc3339

if TYPE_CHECKING:
    from netwatch.console.audit import Audit
    from netwatch.console.tokens import Token, Tokens

_EXAMPLES = """examples:
  netwatch tokens add grafana --role auditor --purpose 'dashboard of the council' >grafana.token
  netwatch tokens add siem --role analyst --network hq --expires 90d --purpose 'case 2026/17'
  netwatch tokens list
  netwatch tokens remove grafana

A token is printed once, on standard output. A program sends it as 'Authorization: Bearer TOKEN',
and `netwatch store query --url` takes it with --token-file. It can do what its role can, and its
purpose is in the audit with every request for data about people. Every change is in the audit too.
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "tokens",
        help="show and change the tokens of programs that ask the console",
        description="The tokens with which programs ask the API of the console.",
        epilog=_EXAMPLES,
    )
    parser = group.command("add", _add, "make a token, and print it", table=False)
    parser.add_argument("name", metavar="NAME", help="the name of the token in the audit")
    parser.add_argument("--role", choices=ROLES, required=True, help="what it may see")
    parser.add_argument(
        "--purpose", metavar="TEXT", required=True, help="why the program asks, for the audit"
    )
    parser.add_argument(
        "--network",
        metavar="NAME",
        action="append",
        default=[],
        help="limit it to a network (repeatable)",
    )
    parser.add_argument(
        "--expires", metavar="DAYS", type=days, help="make it void after so many days, like 90d"
    )
    add_store_option(parser)
    parser = group.command("list", _list, "list the tokens, and when each was used last")
    add_store_option(parser)
    parser = group.command("remove", _remove, "make a token void", table=False)
    parser.add_argument("name", metavar="NAME", help="the name of the token")
    add_store_option(parser)


@contextmanager
def _opened(args: argparse.Namespace, command: str) -> Iterator[tuple["Tokens", "Audit"]]:
    """The tokens and the audit of the console of a store. Raises `ConfigError` and
    `NetwatchError`."""
    from netwatch.cli.console import opened_database

    with opened_database(args, command) as database:
        from netwatch.console.audit import Audit
        from netwatch.console.tokens import Tokens

        yield Tokens(database), Audit(database)


def _add(args: argparse.Namespace) -> int:
    _check_networks(args)
    expires = None
    if args.expires is not None:
        expires = time.time_ns() + int(args.expires.total_seconds()) * 1_000_000_000
    with _opened(args, "tokens add") as (tokens, audit), audit.together():
        networks = frozenset(args.network)
        secret = tokens.add(args.name, args.role, args.purpose, networks, expires)
        limits = {"networks": sorted(networks)} if networks else {}
        ends = {"expires": rfc3339(expires, 0)} if expires is not None else {}
        _note(audit, "token added", args.name, {"role": args.role, **limits, **ends})
    print_line(secret)
    print_message(f"netwatch: made the token {args.name}; it is not shown again")
    return 0


def _check_networks(args: argparse.Namespace) -> None:
    """Refuse networks that the configuration does not have: the token would see nothing."""
    if not args.network:
        return
    from netwatch import config
    from netwatch.core.user_yaml import did_you_mean

    known = config.load(args.config).words["network"]
    problems = [
        Problem(
            "netwatch tokens add", 0, 0,
            "--network: expected a network of the configuration, found"
            f" '{name}'{did_you_mean(name, known, 0.5)}",
        )
        for name in args.network
        if name not in known
    ]  # fmt: skip
    if problems:
        raise ConfigError(problems)


def _remove(args: argparse.Namespace) -> int:
    with _opened(args, "tokens remove") as (tokens, audit), audit.together():
        tokens.remove(args.name)
        _note(audit, "token removed", args.name, {})
    print_line(f"removed the token {args.name}; it is void now")
    return 0


def _list(args: argparse.Namespace) -> int:
    with _opened(args, "tokens list") as (tokens, _):
        found = tokens.all()
    if args.format == "jsonl":
        for token in found:
            print_record({
                "name": token.name, "role": token.role, "networks": sorted(token.networks),
                "purpose": token.purpose, "created": rfc3339(token.created, 0),
                "expires": _time(token.expires), "used": _time(token.used),
            })  # fmt: skip
    elif found:
        print_columns([("NAME", "ROLE", "NETWORKS", "EXPIRES", "LAST USED", "PURPOSE"),
                       *map(_row, found)])  # fmt: skip
    else:
        print_message(
            "netwatch: no token exists; 'netwatch tokens add NAME --role ROLE --purpose TEXT'"
            " makes one"
        )
    return 0


def _row(token: "Token") -> tuple[str, ...]:
    return (
        token.name, token.role, ", ".join(sorted(token.networks)) or "all",
        _time(token.expires) or "never", _time(token.used) or "never", token.purpose,
    )  # fmt: skip


def _time(moment: int | None) -> str | None:
    return None if moment is None else rfc3339(moment, 0)


def _note(audit: "Audit", action: str, name: str, detail: dict[str, object]) -> None:
    from netwatch.cli.store_privacy import user_name

    account = f"os:{user_name()}"
    audit.add(action, account=account, subject=f"account token:{name}", detail=detail)
