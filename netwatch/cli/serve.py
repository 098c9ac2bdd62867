"""``netwatch serve``: the web console over a store."""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.cli import COMMANDS, HelpFormatter
from netwatch.cli.group import add_log_format_option, add_store_option
from netwatch.cli.printing import print_line, print_message
from netwatch.cli.run_store import chosen_store
from netwatch.config import Config, load
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.private_files import below
from netwatch.formats.log_line import LogFormat, log_line
from netwatch.watch.endpoint_options import parse_listen_address

if TYPE_CHECKING:
    from netwatch.config.console_section import ConsoleOptions

_EXAMPLES = """examples:
  netwatch users add maria --role analyst       the first account; the password is asked for
  netwatch serve                                on http://127.0.0.1:8477
  netwatch serve --store-path /var/lib/netwatch/store -c /etc/netwatch/netwatch.yaml
  netwatch serve --listen 192.0.2.10:8477 --tls-cert console.pem --tls-key console.key

Listening on a non-loopback address requires TLS and an account. The console ends on SIGTERM and
SIGINT.

exit status: 0 it was told to end; 1 it cannot listen, or the store cannot be read; 2 usage or
configuration error
"""


def add(
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
        formatter_class=HelpFormatter,
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
    from netwatch.config.console_section import wide_addresses
    from netwatch.console.console import Console
    from netwatch.console.database import HeadLog, log_writer
    from netwatch.console.server import check_exposure, serve

    report = _reporter(args.log_format)
    config = load(args.config, with_secrets=True)
    options = _options(args, config)
    if options.oidc is not None:
        from netwatch.console import require_oidc

        require_oidc("netwatch serve")
    store = chosen_store(args, config.store)
    with below(store.path), Console(config, store, options, report=report) as console:
        check_exposure(console)
        if not console.accounts.count() and not console.signs_in_elsewhere:
            print_message(
                "netwatch: no account exists, so no one can sign in: add one with"
                f" netwatch users add NAME --role analyst --store-path {store.shown}"
            )

        for each in wide_addresses(options.proxy) if options.proxy is not None else ():
            report(
                f"every machine in {each} can sign in as any user: give 'addresses' under 'proxy'"
                " only the address of the proxy"
            )

        def announce(address: str) -> None:
            print_line(f"The console is at {address} (store {store.shown}); Ctrl+C ends it.")
            sys.stdout.flush()

        write = log_writer(os.environ, report)
        with contextlib.suppress(KeyboardInterrupt), HeadLog(console.audit, write, report):
            serve(console, announce)
    return 0


def _reporter(form: LogFormat) -> Callable[[str], None]:
    def report(text: str) -> None:
        for line in text.splitlines():
            print_message(log_line(line, time.time_ns(), form, stamped=False))

    return report


def _options(args: argparse.Namespace, config: Config) -> "ConsoleOptions":
    """The options of the configuration with those of the command line in their place."""
    from netwatch.config.console_section import ConsoleOptions, ServerCertificate

    options = config.console or ConsoleOptions()
    if bool(args.tls_cert) != bool(args.tls_key):
        message = "expected --tls-cert and --tls-key together"
        raise ConfigError([Problem("netwatch serve", 0, 0, message)])
    if args.tls_cert:
        files = ServerCertificate(Path(args.tls_cert), Path(args.tls_key))
        options = replace(options, tls=files)
    if args.listen is not None:
        try:
            host, port = parse_listen_address(args.listen)
        except ValueError as error:
            raise ConfigError([Problem("netwatch serve", 0, 0, f"--listen: {error}")]) from None
        options = replace(options, listen=(host, port))
    return options
