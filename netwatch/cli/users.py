"""``netwatch users``: the accounts of the console."""

import argparse
import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from netwatch.cli.group import Group, add_store_option
from netwatch.cli.printing import print_columns, print_line, print_message, print_record
from netwatch.cli.store_privacy import user_name
from netwatch.config.console_section import ROLES
from netwatch.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from netwatch.console.accounts import Accounts
    from netwatch.console.audit import Audit

_EPILOG = """examples:
  netwatch users add maria --role analyst          the password is asked for, twice
  netwatch users add ci --role auditor --password-stdin <password.txt
  netwatch users role maria dpo
  netwatch users list

Roles: admin (configuration and health), analyst (incidents and devices), auditor (bans and totals,
pseudonyms only), dpo (the audit, retention, data held about one person). A new password or role,
and the removal of an account, end its sessions. Every change is written to the audit.
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "users",
        help="show and change the accounts of the console",
        description="The accounts with which people sign in to the console.",
        epilog=_EPILOG,
    )
    parser = group.command("add", _add, "add an account", table=False)
    parser.add_argument("name", metavar="NAME", help="the name of the account")
    parser.add_argument("--role", choices=ROLES, required=True, help="what it may see")
    _add_password_options(parser)
    parser = group.command("passwd", _passwd, "give an account another password", table=False)
    parser.add_argument("name", metavar="NAME", help="the name of the account")
    _add_password_options(parser)
    parser = group.command("role", _role, "give an account another role", table=False)
    parser.add_argument("name", metavar="NAME", help="the name of the account")
    parser.add_argument("role", metavar="ROLE", choices=ROLES, help=", ".join(ROLES))
    add_store_option(parser)
    parser = group.command("list", _list, "list the accounts")
    add_store_option(parser)
    parser = group.command("remove", _remove, "remove an account", table=False)
    parser.add_argument("name", metavar="NAME", help="the name of the account")
    add_store_option(parser)


def _add_password_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
    add_store_option(parser)


@contextmanager
def opened(args: argparse.Namespace, command: str) -> Iterator[tuple["Accounts", "Audit"]]:
    """The accounts and the audit of the console of a store. Raises `ConfigError` and
    `NetwatchError`."""
    from netwatch.console.extra import require_extra

    require_extra(f"netwatch {command}")
    from netwatch import config
    from netwatch.cli.run_store import chosen_store
    from netwatch.console.accounts import Accounts
    from netwatch.console.audit import Audit
    from netwatch.console.database import open_console

    database = open_console(chosen_store(args, config.load_store(args.config)))
    try:
        yield Accounts(database), Audit(database)
    finally:
        database.close()


def _add(args: argparse.Namespace) -> int:
    with opened(args, "users add") as (accounts, audit):
        from netwatch.console.accounts import AccountError, check_name

        check_name(args.name)
        if accounts.role_of(args.name) is not None:
            raise AccountError(f"the account '{args.name}' exists already")
        accounts.add(args.name, args.role, _password(args))
        _note(audit, "account added", args.name, role=args.role)
    print_line(f"added {args.name} as {args.role}")
    return 0


def _passwd(args: argparse.Namespace) -> int:
    with opened(args, "users passwd") as (accounts, audit):
        accounts.require(args.name)
        accounts.set_password(args.name, _password(args))
        _note(audit, "password changed", args.name)
    print_line(f"changed the password of {args.name}; its sessions have ended")
    return 0


def _role(args: argparse.Namespace) -> int:
    with opened(args, "users role") as (accounts, audit):
        accounts.set_role(args.name, args.role)
        _note(audit, "role changed", args.name, role=args.role)
    print_line(f"{args.name} is {args.role} now; its sessions have ended")
    return 0


def _remove(args: argparse.Namespace) -> int:
    with opened(args, "users remove") as (accounts, audit):
        accounts.remove(args.name)
        _note(audit, "account removed", args.name)
    print_line(f"removed {args.name}; its sessions have ended")
    return 0


def _list(args: argparse.Namespace) -> int:
    with opened(args, "users list") as (accounts, _):
        found = accounts.all()
    if args.format == "jsonl":
        for each in found:
            print_record({"name": each.name, "role": each.role, "created": _time(each.created),
                          "password_changed": _time(each.changed)})  # fmt: skip
    elif found:
        rows = [(each.name, each.role, _time(each.created)) for each in found]
        print_columns([("NAME", "ROLE", "CREATED"), *rows])
    else:
        print_message("netwatch: no account exists: netwatch users add NAME --role ROLE")
    return 0


def _time(moment: int) -> str:
    return datetime.fromtimestamp(moment // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _note(audit: "Audit", action: str, name: str, **detail: str) -> None:
    audit.add(action, account=f"os:{user_name()}", subject=f"account {name}", detail=detail)


def _password(args: argparse.Namespace) -> str:
    """The password: one line of standard input, or typed twice on a terminal."""
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        message = "expected --password-stdin where standard input is no terminal"
        raise ConfigError([Problem("netwatch users", 0, 0, message)])
    first = getpass.getpass(f"Password for {args.name}: ")
    if first != getpass.getpass("The same again: "):
        raise ConfigError([Problem("netwatch users", 0, 0, "the two passwords differ")])
    return first
