"""The web console over a store: ``netwatch serve``; ``netwatch users`` and ``netwatch audit``: its
accounts, who looked at what with them, and whether that record is intact."""

import argparse
import contextlib
import getpass
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.cli import COMMANDS
from netwatch.cli.group import Group, add_log_format_option, add_store_option
from netwatch.cli.printing import Lines, print_columns, print_line, print_message, print_record
from netwatch.cli.store import chosen_store
from netwatch.cli.store_privacy import user_name
from netwatch.cli.terminal import output
from netwatch.config import Config, load
from netwatch.config.console_section import ROLES, ConsoleOptions, wide_addresses
from netwatch.core.errors import ConfigError
from netwatch.core.private_files import below
from netwatch.core.text import quantity
from netwatch.formats.values import LogFormat, log_line, rfc3339
from netwatch.watch.endpoint_options import parse_listen_address

if TYPE_CHECKING:
    from netwatch.console.accounts import Accounts
    from netwatch.console.audit import Audit
    from netwatch.store.database import Database

_EXAMPLES = """examples:
  netwatch users add maria --role analyst       the first account; the password is asked for
  netwatch serve                                on http://127.0.0.1:8477
  netwatch serve --store-path /var/lib/netwatch/store -c /etc/netwatch/netwatch.yaml
  netwatch serve --listen 192.0.2.10:8477 --tls-cert console.pem --tls-key console.key

Listening on a non-loopback address requires TLS and an account. The console ends on SIGTERM and
SIGINT.

exit status: 0 ended by a signal; 1 it cannot listen, or the store cannot be read; 2 usage or
configuration error
"""

_USERS = """examples:
  netwatch users add maria --role analyst          the password is asked for, twice
  netwatch users add ci --role auditor --password-stdin <password.txt
  netwatch users role maria dpo
  netwatch users list

Roles: admin (configuration and health), analyst (incidents and devices), auditor (bans and totals,
pseudonyms only), dpo (the audit, retention, data held about one person). A new password or role,
and the removal of an account, end its sessions. Every change is written to the audit.
"""

_AUDIT = """examples:
  netwatch audit list                              the newest rows last
  netwatch audit list --limit 1000 --format jsonl
  netwatch audit verify                            is the chain of rows unbroken?
  netwatch audit verify --head 3f6c…               and is the row with this hash still there?
  netwatch audit export audit.jsonl

Each row has a hash over itself and the row before it. Without --head, `verify` cannot exclude that
rows were cut off at the end, or that all of them were replaced. Give it a hash that was noted
where the operators of the console cannot change it: each report has one, and `netwatch serve`
writes one to the journal or to syslog, at least every quarter of an hour if there is a new row:
  journalctl | grep 'audit: row'

exit status of verify: 0 sound; 3 the chain is broken, and the row is named
"""

_FAILED = 3


def add_serve(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; `parents` have the common options."""
    parser = groups.add_parser(
        "serve",
        help=COMMANDS["serve"].summary,
        description="Serves the web console over a store: incidents, devices, bans, and who looked"
        " at what.",
        epilog=_EXAMPLES,
        parents=list(parents),
    )
    add_store_option(parser)
    parser.add_argument(
        "--listen",
        metavar="ADDRESS:PORT",
        help="where to listen; port 0 is any free one (default: `listen` under `console` of the"
        " configuration, or 127.0.0.1:8477)",
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="the certificate with its chain, PEM")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key, PEM")
    add_log_format_option(parser)
    parser.set_defaults(func=serve_console)


def serve_console(args: argparse.Namespace) -> int:
    """Run ``netwatch serve`` and return the exit status."""
    from netwatch.console import require_extra

    require_extra("netwatch serve")
    from netwatch.console.console import Console
    from netwatch.console.database import HeadLog, log_writer
    from netwatch.console.server import check_exposure, serve
    from netwatch.console.triage_updates import TriageService

    report = _reporter(args.log_format)
    config = load(args.config, with_secrets=True)
    options = _options(args, config)
    if options.oidc is not None:
        from netwatch.console import require_oidc

        require_oidc("netwatch serve")
    store = chosen_store(args, config.store)
    with below(store.path), Console(config, store, options, report=report) as console:
        check_exposure(console)
        if not console.accounts.count() and not options.signs_in_elsewhere:
            print_message(
                "netwatch: no account exists, so no one can sign in: add one with"
                f" netwatch users add NAME --role analyst --store-path {store.shown}"
            )

        _warn_of_proxy(options, report)

        def announce(address: str) -> None:
            print_line(f"The console is at {address} (store {store.shown}); Ctrl+C ends it.")
            sys.stdout.flush()

        write = log_writer(os.environ, report)
        with (
            contextlib.suppress(KeyboardInterrupt),
            HeadLog(console.audit, write, report),
            TriageService(console, report),
        ):
            serve(console, announce)
    return 0


def _warn_of_proxy(options: ConsoleOptions, report: Callable[[str], None]) -> None:
    if options.hides_addresses:
        report(
            f"all users of {options.url} count as one address, in the audit and for wrong"
            " passwords: give the proxy's address as 'addresses' of 'proxy' under 'console'"
        )
    if (proxy := options.proxy) is None:
        return
    for address in wide_addresses(proxy):
        report(
            f"every machine in {address} can {proxy.power}: give 'addresses' under 'proxy' only"
            " the address of the proxy"
        )


def _reporter(form: LogFormat) -> Callable[[str], None]:
    def report(text: str) -> None:
        for line in text.splitlines():
            print_message(log_line(line, time.time_ns(), form, stamped=False))

    return report


def _options(args: argparse.Namespace, config: Config) -> ConsoleOptions:
    """The options of the configuration, overridden by the command line's."""
    from netwatch.config.console_section import ServerCertificate

    options = config.console or ConsoleOptions()
    if bool(args.tls_cert) != bool(args.tls_key):
        message = "expected --tls-cert and --tls-key together"
        raise ConfigError.of("netwatch serve", message)
    if args.tls_cert:
        files = ServerCertificate(Path(args.tls_cert), Path(args.tls_key))
        options = replace(options, tls=files)
    if args.listen is not None:
        try:
            host, port = parse_listen_address(args.listen)
        except ValueError as error:
            raise ConfigError.of("netwatch serve", f"--listen: {error}") from None
        options = replace(options, listen=(host, port))
    return options


def add_users(
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
        epilog=_USERS,
    )
    parser = group.command("add", _add, "add an account", table=False)
    parser.add_argument("name", metavar="NAME", help="the name of the account")
    parser.add_argument("--role", choices=ROLES, required=True, help="what it may see")
    _add_password_options(parser)
    parser = group.command("passwd", _passwd, "change the password of an account", table=False)
    parser.add_argument("name", metavar="NAME", help="the name of the account")
    _add_password_options(parser)
    parser = group.command("role", _role, "change the role of an account", table=False)
    parser.add_argument("name", metavar="NAME", help="the name of the account")
    parser.add_argument("role", metavar="ROLE", choices=ROLES, help=", ".join(ROLES))
    add_store_option(parser)
    parser = group.command("list", _list_accounts, "list the accounts")
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
def opened_database(args: argparse.Namespace, command: str) -> Iterator["Database"]:
    """The database of the console of a store. Raises `ConfigError` and `NetwatchError`."""
    from netwatch.console import require_extra

    require_extra(f"netwatch {command}")
    from netwatch import config
    from netwatch.console.database import open_console

    database = open_console(chosen_store(args, config.load_store(args.config)))
    try:
        yield database
    finally:
        database.close()


@contextmanager
def opened(args: argparse.Namespace, command: str) -> Iterator[tuple["Accounts", "Audit"]]:
    """The accounts and the audit of the console of a store. Raises `ConfigError` and
    `NetwatchError`."""
    with opened_database(args, command) as database:
        from netwatch.console.accounts import Accounts
        from netwatch.console.audit import Audit

        yield Accounts(database), Audit(database)


def _add(args: argparse.Namespace) -> int:
    with opened(args, "users add") as (accounts, audit):
        from netwatch.console.accounts import AccountError, check_name

        check_name(args.name)
        if accounts.role_of(args.name) is not None:
            raise AccountError(f"the account '{args.name}' exists already")
        password = _password(args)
        with audit.together():
            accounts.add(args.name, args.role, password)
            _note(audit, "account added", args.name, role=args.role)
    print_line(f"added {args.name} as {args.role}")
    return 0


def _passwd(args: argparse.Namespace) -> int:
    with opened(args, "users passwd") as (accounts, audit):
        accounts.require(args.name)
        password = _password(args)
        with audit.together():
            accounts.set_password(args.name, password)
            _note(audit, "password changed", args.name)
    print_line(f"changed the password of {args.name}; its sessions have ended")
    return 0


def _role(args: argparse.Namespace) -> int:
    with opened(args, "users role") as (accounts, audit), audit.together():
        accounts.set_role(args.name, args.role)
        _note(audit, "role changed", args.name, role=args.role)
    print_line(f"{args.name} is {args.role} now; its sessions have ended")
    return 0


def _remove(args: argparse.Namespace) -> int:
    with opened(args, "users remove") as (accounts, audit), audit.together():
        accounts.remove(args.name)
        _note(audit, "account removed", args.name)
    print_line(f"removed {args.name}; its sessions have ended")
    return 0


def _list_accounts(args: argparse.Namespace) -> int:
    with opened(args, "users list") as (accounts, _):
        found = accounts.all()
    if args.format == "jsonl":
        for account in found:
            record = {"name": account.name, "role": account.role}
            record |= {"created": rfc3339(account.created, 0)}
            print_record({**record, "password_changed": rfc3339(account.changed, 0)})
    elif found:
        rows = [(account.name, account.role, rfc3339(account.created, 0)) for account in found]
        print_columns([("NAME", "ROLE", "CREATED"), *rows])
    else:
        print_message("netwatch: no account exists; 'netwatch users add NAME --role ROLE' adds one")
    return 0


def _note(audit: "Audit", action: str, name: str, **detail: str) -> None:
    audit.add(action, account=f"os:{user_name()}", subject=f"account {name}", detail=detail)


def _password(args: argparse.Namespace) -> str:
    """The password: one line of standard input, or typed twice on a terminal."""
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        message = "expected --password-stdin, because standard input is not a terminal"
        raise ConfigError.of("netwatch users", message)
    first = getpass.getpass(f"Password for {args.name}: ")
    if first != getpass.getpass("The same again: "):
        raise ConfigError.of("netwatch users", "the two passwords differ")
    return first


def add_audit(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "audit",
        help="show, verify and export who looked at what",
        description="The audit of the console: every page on a person, every export, every"
        " sign-in, every change of an account.",
        epilog=_AUDIT,
    )
    parser = group.command("list", _list_rows, "list the latest rows")
    parser.add_argument(
        "--limit", type=_row_count, default=50, metavar="N", help="rows (default 50)"
    )
    parser.add_argument(
        "--account",
        default="",
        metavar="NAME",
        help="only of this account, or of all that had this name at a provider",
    )
    parser.add_argument("--subject", default="", metavar="TEXT", help="only about this subject")
    add_store_option(parser)
    parser = group.command("verify", _verify_rows, "compare each row with its hash", table=False)
    parser.add_argument("--head", default="", metavar="HASH", help="a hash that you noted earlier")
    add_store_option(parser)
    parser = group.command(
        "export", _export_rows, "write all rows with their hashes as JSON lines", table=False
    )
    parser.add_argument("file", metavar="FILE", help="the file; - is standard output")
    add_store_option(parser)


def _row_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 1,000,000, found '{text}'")
    return int(text)


def _list_rows(args: argparse.Namespace) -> int:
    with opened(args, "audit list") as (_, audit):
        from netwatch.console.audit import entry_record

        accounts = audit.names.called(args.account) if args.account else ()
        rows = audit.newest(args.limit, accounts=accounts, subject=args.subject)[::-1]
        names = audit.names.of({row.account for row in rows})
        called = audit.names.shown({row.account for row in rows})
    if args.format == "jsonl":
        with Lines() as lines:
            for row in rows:
                lines.record(entry_record(row, names))
    elif rows:
        shown = [
            (str(row.number), rfc3339(row.time, 0), called[row.account], row.role, row.action,
             row.subject, row.purpose)
            for row in rows
        ]  # fmt: skip
        head = ("ROW", "TIME", "ACCOUNT", "ROLE", "ACTION", "SUBJECT", "PURPOSE")
        print_columns([head, *shown])
    else:
        print_message("netwatch: the audit has no such row")
    return 0


def _verify_rows(args: argparse.Namespace) -> int:
    with opened(args, "audit verify") as (_, audit):
        found = audit.verify(args.head.lower())
    if found.problem:
        print_line(f"the audit is BROKEN: {found.problem}")
        print_line(f"{quantity(found.rows, 'row')} before that {_are(found.rows)} sound")
        return _FAILED
    print_line(f"the audit is sound: {quantity(found.rows, 'row')}, hash of the last one:")
    print_line(found.head)
    if not args.head and found.rows:
        print_message(
            "netwatch: no --head was given, so rows may have been cut off at the end, or the whole"
            " audit replaced: compare it with a hash from a report, the journal or syslog"
        )
    return 0


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _export_rows(args: argparse.Namespace) -> int:
    from netwatch.formats.values import json_line

    with opened(args, "audit export") as (_, audit):
        from netwatch.console.audit import entry_record

        with output(None if args.file == "-" else args.file) as stream:
            count, names = 0, dict[str, tuple[str, ...]]()
            for row in audit.entries():
                if row.account not in names:
                    names |= audit.names.of([row.account])
                stream.write(f"{json_line(entry_record(row, names))}\n")
                count += 1
    if args.file != "-":
        print_message(f"netwatch: wrote {quantity(count, 'row')} to {args.file}")
    return 0
