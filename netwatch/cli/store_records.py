"""Where ``netwatch store query`` has its records from, a store or a console, and how it writes
them."""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from netwatch.cli.printing import print_message
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from netwatch.config import Config
    from netwatch.formats.bypass import BypassRecord
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.options import StoreOptions
    from netwatch.store.statements import Filter


class Records(Protocol):
    """Where the records come from: a store, or a console that is asked over HTTP."""

    def incidents(self) -> Iterator[str]:
        """The records of incidents, each as its line of JSON."""

    def cases(self) -> Iterator[str]:
        """The same of cases."""

    def coverage(self) -> Iterator[tuple[str | None, str | None, str]]:
        """The same of coverage, behind the times of its first and last packet."""

    def hours(self) -> Iterator[dict[str, Any]]:
        """The records of coverage by hour."""

    def bypasses(self) -> "Iterator[BypassRecord]":
        """The records of days on which devices hid their lookups."""

    @property
    def left_out(self) -> str:
        """What the bypasses that were read do not include, as a sentence; empty: nothing."""


class StoredRecords:
    """The records of a store that fit a filter."""

    left_out = ""

    def __init__(
        self, catalogue: "Catalogue", options: "StoreOptions", config: "Config", wanted: "Filter"
    ) -> None:
        self._catalogue = catalogue
        self._options = options
        self._config = config
        self._wanted = wanted

    def incidents(self) -> Iterator[str]:
        """See `Records`."""
        from netwatch.store.queries import incidents

        return incidents(self._catalogue, self._wanted)

    def cases(self) -> Iterator[str]:
        """See `Records`."""
        from netwatch.store.cases import cases

        return cases(self._catalogue, self._wanted)

    def coverage(self) -> Iterator[tuple[str | None, str | None, str]]:
        """See `Records`."""
        from netwatch.config.store_questions import coverage_records

        found = coverage_records(self._catalogue, self._wanted)
        return ((first, last, text) for first, last, text, _ in found)

    def hours(self) -> Iterator[dict[str, Any]]:
        """See `Records`."""
        from netwatch.config.store_questions import judged_hours

        found = judged_hours(self._catalogue, self._config, self._wanted)
        return islice(found, self._wanted.limit)

    def bypasses(self) -> "Iterator[BypassRecord]":
        """See `Records`."""
        from netwatch.engine.facts_process import known_addresses
        from netwatch.store.bypass_days import bypass_records

        wanted, known = self._wanted, known_addresses(self._config)
        findings = bypass_records(
            self._catalogue, self._options, wanted.since, wanted.until, known, now=time.time_ns()
        )
        if findings.unread:
            self.left_out = (
                f"the first {quantity(findings.unread, 'day')} were not looked at (too many flows);"
                " ask for them with --until, or run 'netwatch store compact'"
            )
        return islice((each for each in findings.found if _is_wanted(each, wanted)), wanted.limit)


def _is_wanted(found: "BypassRecord", wanted: "Filter") -> bool:
    device = found["device"]
    if wanted.networks and device["network"] not in wanted.networks:
        return False
    return not wanted.device_ids or device["id"].lower() in wanted.device_ids


def write_records(args: argparse.Namespace, records: Records) -> None:
    """Write the records that are asked for."""
    if args.records == "incidents":
        _write_alerts(args, records.incidents())
    elif args.records == "cases":
        _write_cases(args, records.cases())
    elif args.records == "bypasses":
        _write_bypasses(args, records)
    elif args.hours:
        _write_hours(args, records.hours())
    else:
        _write_coverage(args, records.coverage())


def _write_bypasses(args: argparse.Namespace, records: Records) -> None:
    from netwatch.cli import terminal
    from netwatch.formats.bypass import write_bypasses
    from netwatch.formats.registry import RENDERERS

    with terminal.output(args.output) as stream:
        if args.format in ("table", "jsonl", "csv"):
            write_bypasses(args.format, stream, records.bypasses())
        else:
            stream.writelines(f"{RENDERERS[args.format](each)}\n" for each in records.bypasses())
    if records.left_out:
        print_message(f"netwatch: {records.left_out}")


def _write_cases(args: argparse.Namespace, lines: Iterator[str]) -> None:
    if args.format != "csv":
        _write_alerts(args, lines)
        return
    from netwatch.cli import terminal
    from netwatch.core.tabular import CsvWriter
    from netwatch.formats.csv import CASE_COLUMNS, case_row

    with terminal.output(args.output) as stream:
        writer = CsvWriter(stream)
        writer.row(CASE_COLUMNS)
        writer.rows(case_row(json.loads(text)) for text in lines)


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


def _write_coverage(
    args: argparse.Namespace, found: Iterator[tuple[str | None, str | None, str]]
) -> None:
    from netwatch.cli import terminal
    from netwatch.coverage.counts import FlowCounts
    from netwatch.formats.coverage import CSV_COLUMNS, csv_rows, read_report
    from netwatch.formats.registry import FORMATS

    is_whole = not (args.network or args.device)
    with terminal.output(args.output) as stream:
        if args.format == "jsonl":
            for *_times, text in found:
                stream.write(f"{text}\n")
        elif args.format == "csv":
            # The first columns are network, class and device: the requested ones have them.
            is_asked = 2 if args.device else 0
            rows = (((first or "?", last or "?"), csv_rows(json.loads(text)))
                    for first, last, text in found)  # fmt: skip
            _write_csv(stream, CSV_COLUMNS, (
                (period, (row for row in cells if is_whole or row[is_asked]))
                for period, cells in rows
            ))  # fmt: skip
        else:
            for first, last, text in found:
                stream.write(f"{first or '?'} to {last or '?'}\n")
                report = read_report(json.loads(text))
                if not is_whole:
                    # These belong to no network.
                    report = replace(report, outside=FlowCounts({}), missed={}, unreadable={},
                                     without_verdict={}, one_of={})  # fmt: skip
                FORMATS["table"].writer(stream).coverage(report, True)
                stream.write("\n")


def _write_hours(args: argparse.Namespace, found: Iterator[dict[str, Any]]) -> None:
    """Write judged coverage by hour and network."""
    from netwatch.cli import terminal
    from netwatch.core.tabular import CsvWriter, aligned
    from netwatch.formats.values import json_line
    from netwatch.store.judged_coverage import COLUMNS

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
    if isinstance(value, dict):
        return " ".join(f"{name}={each}" for name, each in value.items())
    return "" if value is None else str(value)


def _write_csv(stream: Any, columns: tuple[str, ...], records: Iterator[Any]) -> None:
    from netwatch.core.tabular import CsvWriter

    writer = CsvWriter(stream)
    writer.row(("first", "last", *columns))
    for period, rows in records:
        writer.rows((*period, *row) for row in rows)
