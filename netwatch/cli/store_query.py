"""``netwatch store query``: the records of a store by filter, in the formats of ``scan`` and
``names``."""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from netwatch.cli.group import Group, add_store_option
from netwatch.cli.store import store_options
from netwatch.cli.store_records import StoredRecords, write_records
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.filter_words import EXCLUDED, EXCLUDES, TRIAGE, WORDS
from netwatch.core.private_files import below

if TYPE_CHECKING:
    from netwatch.config import Config
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.options import StoreOptions
    from netwatch.store.statements import Filter

RECORDS = ("incidents", "cases", "observations", "flows", "coverage", "bypasses")
"""The kinds of records that can be queried."""

_OF_INCIDENTS = {
    "since", "until", "app", "device", "network", "sensor", "ban", "name", *WORDS, *TRIAGE,
    "assignee", "limit", "sort", *(f"{EXCLUDES}{name}" for name in EXCLUDED),
}  # fmt: skip
_FILTERS = {
    "incidents": _OF_INCIDENTS,
    "cases": _OF_INCIDENTS,
    "observations": {"since", "until", "app", "device", "network", "name", "limit"},
    "flows": {"since", "until", "app", "device", "network", "name", "limit"},
    "coverage": {"since", "until", "device", "network", "limit"},
    "bypasses": {"since", "until", "device", "network", "limit"},
}
"""The filters that each kind of records has."""

_EPILOG = """examples:
  netwatch store query incidents --since 7d
  netwatch store query incidents --app tiktok --device lab-07 --format jsonl
  netwatch store query incidents --since 7d --verdict violation --not-kind lookup
  netwatch store query incidents --since 7d --sort severity --limit 20
  netwatch store query cases --since 7d --format csv
  netwatch store query observations --name tiktok.com --since 2023-03-01 --until 2023-03-31
  netwatch store query observations --name 'p16-*.tiktokcdn.com' --format csv -o names.csv
  netwatch store query flows --device 10.20.1.7 --since 24h
  netwatch store query coverage --network hq --format jsonl
  netwatch store query coverage --hours --since 7d --format csv
  netwatch store query bypasses --since 7d --format jsonl
  netwatch store query incidents --url https://netwatch.example --token-file siem.token

A time is one of RFC 3339 (2023-03-20T09:00Z), a day in UTC (with --until: its end), or an age (90s,
30m, 12h, 7d, 2w, 1y). A repeated filter matches if any of its values matches; a record
has to match all filters, and none that excludes (--not-app, …). A value that neither the
configuration nor the store knows is an error.

With --url, the console at this address answers, with the same output. It does not give
observations and flows: these show the whole browsing of everybody.
"""


def add_query(group: Group) -> None:
    """Add the subcommand."""
    from netwatch.formats.registry import BINARY_FORMATS, FORMATS

    help_ = "print the incidents, cases, observations, flows, coverage or bypasses of the store"
    parser = group.command("query", query, help_, _EPILOG, table=False)
    parser.add_argument("records", choices=RECORDS, metavar="RECORDS", help=", ".join(RECORDS))
    add_store_option(parser)
    parser.add_argument("--since", metavar="TIME", help="only what was seen since then")
    parser.add_argument(
        "--until", metavar="TIME", help="only what was seen before; a day is included"
    )
    repeated = (
        ("app", "ID", "an app, vendor:… or category:…; for observations and flows, names that"
                      " the configured signatures attribute to it"),
        ("network", "NAME", "a network"),
        ("sensor", "NAME", "a sensor that saw it"),
        ("ban", "ID", "a ban"),
        ("name", "NAME", "a domain and all names below it, or a glob such as '*tiktok*'"),
        *((name, "WORD", f"{', '.join(words[:-1])} or {words[-1]}")
          for name, words in {**WORDS, **TRIAGE}.items()),
        *((f"{EXCLUDES}{name}", "VALUE", f"leave out what --{name} would ask for")
          for name in EXCLUDED),
    )  # fmt: skip
    for name, metavar, text in repeated:
        parser.add_argument(
            f"--{name}", metavar=metavar, action="append", default=[], dest=name,
            help=f"{text} (repeatable)",
        )  # fmt: skip
    parser.add_argument(
        "--device", metavar="ID", help="a device: its id, address, MAC, host name or owner"
    )
    parser.add_argument(
        "--assignee", metavar="ACCOUNT", help="the account that works on it in the console"
    )
    parser.add_argument(
        "--sort", metavar="ORDER",
        help="sort by severity (the gravest first) or contacts (the fewest first) instead of by"
        " time; a leading - reverses it: --sort=-contacts",
    )  # fmt: skip
    parser.add_argument("--limit", metavar="N", type=_count, help="print at most N records")
    parser.add_argument(
        "--format",
        choices=(*FORMATS, *BINARY_FORMATS),
        default="table",
        help="format of the records (default table); observations: also arrow and parquet; flows"
        " and coverage: table, jsonl and csv",
    )
    parser.add_argument(
        "--hours",
        action="store_true",
        help="with coverage: for each hour and network, what was captured, and which of the"
        " configured bans judged it",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the records to FILE")
    parser.add_argument(
        "--url", metavar="URL", help="ask the console at this address instead of a store"
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help="with --url: the file of a token (netwatch tokens add)"
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="with --url: the authority of its certificate, PEM"
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 1 << 62:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, found {text!r}")
    return int(text)


def query(args: argparse.Namespace) -> int:
    """Run ``netwatch store query``; returns the exit status."""
    _check(args)
    if args.url is not None:
        from netwatch.cli.store_remote import RemoteRecords

        write_records(args, RemoteRecords(args, words_of(args)))
        return 0
    options = store_options(args)
    from netwatch import config as configuration
    from netwatch.config.store_questions import read_filter, refuse_unknown
    from netwatch.store.opening import open_catalogue

    config = configuration.load(args.config)
    with _wrong_words():
        wanted = read_filter(args.records, words_of(args), config, time.time_ns())
    wanted = replace(wanted, limit=args.limit)
    with below(options.path), open_catalogue(options) as catalogue:
        with _wrong_words():
            refuse_unknown(catalogue, config, wanted)
        wanted = _triaged(args, options, catalogue, wanted)
        if args.records == "observations":
            _write_observations(args, catalogue, options, config, wanted)
        elif args.records == "flows":
            _write_flows(args, catalogue, options, config, wanted)
        else:
            write_records(args, StoredRecords(catalogue, options, config, wanted))
    return 0


def _triaged(
    args: argparse.Namespace, options: "StoreOptions", catalogue: "Catalogue", wanted: "Filter"
) -> "Filter":
    """The filter with what the console of the store has decided of incidents. Without a console
    nothing was decided."""
    states, excluded = ({*getattr(args, name)} for name in ("triage", f"{EXCLUDES}triage"))
    if not (states or excluded or args.assignee):
        return wanted
    from netwatch.console import require_extra

    require_extra("netwatch store query --triage")
    from netwatch.console.database import has_console, open_console
    from netwatch.console.triage import NEW, Triage
    from netwatch.store.chosen_incidents import NONE

    if not has_console(options):
        is_new = not args.assignee and NEW not in excluded and (not states or NEW in states)
        return wanted if is_new else replace(wanted, chosen=NONE)
    database = open_console(options)
    try:
        chosen = Triage(database).chosen(
            catalogue, states, excluded, args.assignee or "", of_cases=args.records == "cases"
        )
    finally:
        database.close()
    return replace(wanted, chosen=chosen)


def _check(args: argparse.Namespace) -> None:
    """Refuse filters and formats that the records do not have."""
    problems = []
    for name in sorted(set().union(*_FILTERS.values()) - _FILTERS[args.records]):
        if getattr(args, name) not in (None, []):
            known = ", ".join(record for record in RECORDS if name in _FILTERS[record])
            problems.append(f"--{name} is not a filter of {args.records}; it is one of {known}")
    if args.hours and args.records != "coverage":
        problems.append(f"--hours applies to coverage, found {args.records}")
    if args.hours and args.device is not None:
        problems.append("--device is not a filter of coverage by --hours, which has no devices")
    problems += _check_url(args)
    formats = _formats(args.records)
    if args.format not in formats:
        problems.append(f"--format {args.format} has no {args.records}; use {', '.join(formats)}")
    if problems:
        raise ConfigError([Problem("netwatch store query", 0, 0, text) for text in problems])


def _check_url(args: argparse.Namespace) -> list[str]:
    """What is wrong with the options of a console."""
    if args.url is None:
        needless = [name for name in ("token_file", "ca") if getattr(args, name) is not None]
        return [
            f"--{name.replace('_', '-')} needs --url; add the console to ask" for name in needless
        ]
    problems = []
    if args.records in ("observations", "flows"):
        problems.append(
            f"--url has no {args.records}, which show the whole browsing of everybody; ask the"
            " store itself"
        )
    if args.store_path is not None:
        problems.append("--url asks a console, which has its own store; leave --store-path out")
    return problems


def _formats(records: str) -> tuple[str, ...]:
    from netwatch.formats import flow_rows
    from netwatch.formats.registry import FORMATS, OBSERVATION_FORMATS

    return {
        "incidents": tuple(FORMATS),
        "cases": tuple(FORMATS),
        "observations": OBSERVATION_FORMATS,
        "flows": flow_rows.FORMATS,
        "coverage": ("table", "jsonl", "csv"),
        "bypasses": tuple(FORMATS),
    }[records]


@contextmanager
def _wrong_words() -> Iterator[None]:
    """Raise `ConfigError` for words of options that cannot be, or that nobody knows."""
    from netwatch.config.store_questions import WrongWordsError

    try:
        yield
    except WrongWordsError as error:
        raise ConfigError([
            Problem("netwatch store query", 0, 0, f"--{name}: {text}")
            for name, text in error.problems
        ]) from None  # fmt: skip


def words_of(args: argparse.Namespace) -> dict[str, list[str]]:
    """The words of each filter that the options give."""
    given = {name: getattr(args, name) for name in sorted(_FILTERS[args.records] - {"limit"})}
    return {
        name: words if isinstance(words, list) else [words]
        for name, words in given.items()
        if words
    }


def _write_observations(
    args: argparse.Namespace,
    catalogue: "Catalogue",
    options: "StoreOptions",
    config: "Config",
    wanted: "Filter",
) -> None:
    from netwatch.cli.terminal import observation_writer
    from netwatch.store.queries import observations

    with observation_writer(args, "netwatch store query") as writer:
        for batch in observations(catalogue, options, wanted, _is_of_app(wanted, config)):
            writer.observations(batch)
        writer.end()


def _write_flows(
    args: argparse.Namespace,
    catalogue: "Catalogue",
    options: "StoreOptions",
    config: "Config",
    wanted: "Filter",
) -> None:
    from netwatch.cli import terminal
    from netwatch.formats.flow_rows import flow_writer
    from netwatch.store.queries import flows

    with terminal.output(args.output) as stream:
        writer = flow_writer(args.format, stream)
        for row in flows(catalogue, options, wanted, _is_of_app(wanted, config)):
            writer.flow(row)


def _is_of_app(wanted: "Filter", config: "Config") -> Callable[[str], bool] | None:
    """Whether the signatures attribute a name to one of the requested apps."""
    if not wanted.apps:
        return None

    def is_of_app(name: str) -> bool:
        match = config.catalog.match(config.strip_search_suffix(name))
        return match is not None and match.app.id in wanted.apps

    return is_of_app
