"""``netwatch store query``: the records of a store by filter, in the formats of ``scan`` and
``names``."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netwatch.cli.group import Group, add_store_option
from netwatch.cli.store import store_options
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.private_files import below

if TYPE_CHECKING:
    from netwatch.config import Config
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.options import StoreOptions
    from netwatch.store.statements import Filter

RECORDS = ("incidents", "cases", "observations", "flows", "coverage", "bypasses")
"""The kinds of records that can be queried."""

_FILTERS = {
    "incidents": {"since", "until", "app", "device", "network", "ban", "name", "verdict", "limit"},
    "cases": {"since", "until", "app", "device", "network", "ban", "name", "verdict", "limit"},
    "observations": {"since", "until", "app", "device", "network", "name", "limit"},
    "flows": {"since", "until", "app", "device", "network", "name", "limit"},
    "coverage": {"since", "until", "device", "network", "limit"},
    "bypasses": {"since", "until", "device", "network", "limit"},
}
"""The filters that each kind of records has."""

_EPILOG = """examples:
  netwatch store query incidents --since 7d
  netwatch store query incidents --app tiktok --device lab-07 --format jsonl
  netwatch store query cases --since 7d --format csv
  netwatch store query observations --name tiktok.com --since 2023-03-01 --until 2023-03-31
  netwatch store query observations --name 'p16-*.tiktokcdn.com' --format csv -o names.csv
  netwatch store query flows --device 10.20.1.7 --since 24h
  netwatch store query coverage --network hq --format jsonl
  netwatch store query coverage --hours --since 7d --format csv
  netwatch store query bypasses --since 7d --format jsonl

A time is one of RFC 3339 (2023-03-20T09:00Z), a day in UTC (with --until: its end), or an age (90s,
30m, 12h, 7d, 2w, 1y). A repeated filter matches if any of its values matches; a record
has to match all filters. A value that neither the configuration nor the store knows is an error.
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
        ("ban", "ID", "a ban"),
        ("name", "NAME", "a domain and all names below it, or a glob such as '*tiktok*'"),
        ("verdict", "VERDICT", "violation, advisory or exempt"),
    )  # fmt: skip
    for name, metavar, text in repeated:
        parser.add_argument(
            f"--{name}", metavar=metavar, action="append", default=[], help=f"{text} (repeatable)"
        )
    parser.add_argument(
        "--device", metavar="ID", help="a device: its id, address, MAC, host name or owner"
    )
    parser.add_argument("--limit", metavar="N", type=_count, help="print at most N records")
    parser.add_argument(
        "--format",
        choices=(*FORMATS, *BINARY_FORMATS),
        default="table",
        help="format of the records (default table); observations: also arrow and parquet; flows,"
        " coverage and bypasses: table, jsonl and csv",
    )
    parser.add_argument(
        "--hours",
        action="store_true",
        help="with coverage: for each hour and network, what was captured, and which of the"
        " configured bans judged it",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the records to FILE")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 1 << 62:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, found {text!r}")
    return int(text)


def query(args: argparse.Namespace) -> int:
    """Run ``netwatch store query``; returns the exit status."""
    _check(args)
    options = store_options(args)
    from netwatch import config as configuration
    from netwatch.store.opening import open_catalogue

    config = configuration.load(args.config)
    wanted = _filter(args, config)
    with below(options.path), open_catalogue(options) as catalogue:
        _refuse_unknown(catalogue, config, wanted)
        _WRITERS[args.records](args, catalogue, options, config, wanted)
    return 0


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
    formats = _formats(args.records)
    if args.format not in formats:
        problems.append(f"--format {args.format} has no {args.records}; use {', '.join(formats)}")
    if problems:
        raise ConfigError([Problem("netwatch store query", 0, 0, text) for text in problems])


def _formats(records: str) -> tuple[str, ...]:
    from netwatch.formats import flow_rows
    from netwatch.formats.registry import FORMATS, OBSERVATION_FORMATS

    return {
        "incidents": tuple(FORMATS),
        "cases": tuple(FORMATS),
        "observations": OBSERVATION_FORMATS,
        "flows": flow_rows.FORMATS,
        "coverage": ("table", "jsonl", "csv"),
        "bypasses": ("table", "jsonl", "csv"),
    }[records]


def _filter(args: argparse.Namespace, config: "Config") -> "Filter":
    """The filter of the options. Raises `ConfigError`."""
    from netwatch.core.period import parse_moment
    from netwatch.core.user_yaml import Problems
    from netwatch.store.statements import Filter, name_pattern

    problems = Problems()
    now = time.time_ns()
    times: dict[str, int | None] = {}
    for name in ("since", "until"):
        text = getattr(args, name)
        try:
            times[name] = text and parse_moment(text, now, is_end=name == "until")
        except ValueError as error:
            problems.add("netwatch store query", 0, f"--{name}: {error}")
    apps = frozenset(args.app)
    if args.records not in ("incidents", "cases") or any(":" in app for app in apps):
        words = [(0, word) for word in args.app]
        apps = config.catalog.resolve_apps(words, "netwatch store query", problems)
    for verdict in args.verdict:
        if verdict not in ("violation", "advisory", "exempt"):
            message = f"--verdict: expected violation, advisory or exempt; found '{verdict}'"
            problems.add("netwatch store query", 0, message)
    problems.raise_if_any()
    device = args.device or ""
    entries = _entries(config, device) if device else []
    addresses: list[tuple[bytes | None, bytes | None]] = [
        (ip, None) for entry in entries for ip in entry.ips
    ]
    addresses += [(None, entry.mac) for entry in entries if entry.mac]
    return Filter(
        since=times["since"],
        until=times["until"],
        apps=apps,
        bans=frozenset(args.ban),
        networks=frozenset(args.network),
        verdicts=frozenset(args.verdict),
        names=tuple(map(name_pattern, args.name)),
        device=device,
        addresses=tuple(addresses),
        limit=args.limit,
    )


def _entries(config: "Config", word: str) -> list[Any]:
    """The devices of the inventory with an id, MAC, host name or owner."""
    from netwatch.core.addresses import parse_mac

    lower, mac = word.lower(), parse_mac(word)
    return [
        entry
        for entry in config.devices.entries
        if lower in (entry.id.lower(), (entry.hostname or "").lower(), (entry.owner or "").lower())
        or (mac is not None and entry.mac == mac)
    ]


def _refuse_unknown(catalogue: "Catalogue", config: "Config", wanted: "Filter") -> None:
    """Raise `ConfigError` if a filter names what neither configuration nor store knows."""
    from netwatch.core.user_yaml import Problems, did_you_mean
    from netwatch.store import queries

    problems, configured = Problems(), config.words
    asked = {"app": wanted.apps, "ban": wanted.bans, "network": wanted.networks}
    for kind, words in asked.items():
        for word, hint in queries.unknown_words(catalogue, kind, words, configured[kind]):
            article = "an" if kind == "app" else "a"
            expected = f"--{kind}: expected {article} {kind} of the configuration or the store"
            problems.add("netwatch store query", 0, f"{expected}, found '{word}'{hint}")
    word = wanted.device
    if word and not _entries(config, word) and not queries.is_known_device(catalogue, word):
        expected = "--device: expected a device of the inventory or the store, or an address"
        hint = did_you_mean(word, (entry.id for entry in config.devices.entries), 0.5)
        problems.add("netwatch store query", 0, f"{expected}, found '{word}'{hint}")
    problems.raise_if_any()


def _write_incidents(
    args: argparse.Namespace,
    catalogue: "Catalogue",
    _: "StoreOptions",
    config: "Config",
    wanted: "Filter",
) -> None:
    from netwatch.store.queries import incidents

    _write_alerts(args, incidents(catalogue, wanted))


def _write_cases(
    args: argparse.Namespace,
    catalogue: "Catalogue",
    _: "StoreOptions",
    config: "Config",
    wanted: "Filter",
) -> None:
    from netwatch.store.cases import cases

    if args.format != "csv":
        _write_alerts(args, cases(catalogue, wanted))
        return
    from netwatch.cli import terminal
    from netwatch.core.tabular import CsvWriter
    from netwatch.formats.csv import CASE_COLUMNS, case_row

    with terminal.output(args.output) as stream:
        writer = CsvWriter(stream)
        writer.row(CASE_COLUMNS)
        writer.rows(case_row(json.loads(text)) for text in cases(catalogue, wanted))


def _write_alerts(args: argparse.Namespace, lines: Iterator[str]) -> None:
    """Write records that have the fields of an alert, which all formats can."""
    from netwatch.cli import terminal
    from netwatch.formats.registry import FORMATS

    with terminal.output(args.output) as stream:
        if args.format == "jsonl":
            for text in lines:
                stream.write(f"{text}\n")
            return
        writer = FORMATS[args.format].writer(stream)
        writer.begin("alerts")
        for text in lines:
            writer.alert_record(json.loads(text))
        writer.end()


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


def _write_coverage(
    args: argparse.Namespace,
    catalogue: "Catalogue",
    _: "StoreOptions",
    config: "Config",
    wanted: "Filter",
) -> None:
    if args.hours:
        _write_hours(args, catalogue, config, wanted)
        return
    from netwatch.cli import terminal
    from netwatch.coverage.counts import FlowCounts
    from netwatch.formats.coverage import CSV_COLUMNS, csv_rows, narrowed, read_report
    from netwatch.formats.registry import FORMATS
    from netwatch.formats.values import json_line
    from netwatch.store.queries import coverage

    is_whole = not (wanted.networks or wanted.device)
    found = (
        (first, last, text if is_whole else
         json_line(narrowed(json.loads(text), wanted.networks, wanted.device)))
        for first, last, text in coverage(catalogue, wanted)
    )  # fmt: skip
    with terminal.output(args.output) as stream:
        if args.format == "jsonl":
            for *_times, text in found:
                stream.write(f"{text}\n")
        elif args.format == "csv":
            # The first columns are network, class and device: the requested ones have them.
            is_asked = 2 if wanted.device else 0
            rows = ((_period(first, last), csv_rows(json.loads(text)))
                    for first, last, text in found)  # fmt: skip
            _write_csv(stream, CSV_COLUMNS, (
                (period, (row for row in cells if is_whole or row[is_asked]))
                for period, cells in rows
            ))  # fmt: skip
        else:
            for first, last, text in found:
                stream.write("{} to {}\n".format(*_period(first, last)))
                report = read_report(json.loads(text))
                if not is_whole:
                    # These belong to no network.
                    report = replace(report, outside=FlowCounts({}), missed={}, unreadable={},
                                     without_verdict={})  # fmt: skip
                FORMATS["table"].writer(stream).coverage(report, True)
                stream.write("\n")


def _write_hours(
    args: argparse.Namespace, catalogue: "Catalogue", config: "Config", wanted: "Filter"
) -> None:
    """Write judged coverage by hour and network."""
    from itertools import islice

    from netwatch.cli import terminal
    from netwatch.cli.store import ban_judges
    from netwatch.core.tabular import CsvWriter, aligned
    from netwatch.formats.values import json_line
    from netwatch.store.judged_coverage import COLUMNS, captured_span, hour_records, judged_coverage

    known = captured_span(judged_coverage(catalogue))
    since, until = known or (0, 0)
    since = since if wanted.since is None else wanted.since
    until = until if wanted.until is None else wanted.until
    classes = {scope.network.name: scope.network.device_class for scope in config.networks.scopes}
    coverage = judged_coverage(catalogue, since, until)
    records = hour_records(coverage, classes, ban_judges(config), wanted.networks)
    found = islice(records, wanted.limit)
    with terminal.output(args.output) as stream:
        if args.format == "jsonl":
            stream.writelines(f"{json_line(record)}\n" for record in found)
            return
        rows = ([_cell(record[name]) for name in COLUMNS] for record in found)
        if args.format == "csv":
            CsvWriter(stream).rows([COLUMNS, *rows])
        else:
            stream.writelines(f"{line.rstrip()}\n" for line in aligned([COLUMNS, *rows]))


def _cell(value: Any) -> str:
    """A value of a record in a table."""
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)


def _write_csv(stream: Any, columns: tuple[str, ...], records: Iterator[Any]) -> None:
    from netwatch.core.tabular import CsvWriter

    writer = CsvWriter(stream)
    writer.row(("first", "last", *columns))
    for period, rows in records:
        writer.rows((*period, *row) for row in rows)


def _period(first: int | None, last: int | None) -> tuple[str, str]:
    from netwatch.formats.values import rfc3339

    return tuple("?" if time is None else rfc3339(time, 0) for time in (first, last))  # type: ignore[return-value]


def _write_bypasses(
    args: argparse.Namespace,
    catalogue: "Catalogue",
    options: "StoreOptions",
    config: "Config",
    wanted: "Filter",
) -> None:
    from netwatch.cli.store_bypasses import write

    write(args, catalogue, options, config, wanted)


_WRITERS = {
    "incidents": _write_incidents,
    "cases": _write_cases,
    "observations": _write_observations,
    "flows": _write_flows,
    "coverage": _write_coverage,
    "bypasses": _write_bypasses,
}
