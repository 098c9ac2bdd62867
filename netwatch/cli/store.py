"""``netwatch store`` (what is kept, queries, and whether it is intact), and ``--store`` of ``scan``
and ``names``, which keep what a run saw and decided, and report what could not be kept.

Each command opens the store of the configuration, or of ``--store-path``. The libraries of a store
are imported when a command runs.
"""

import argparse
import importlib
from collections.abc import Sequence
from typing import Self

from netwatch import config as configuration
from netwatch.cli import terminal
from netwatch.cli.group import Group
from netwatch.cli.printing import print_message
from netwatch.config import Config
from netwatch.core.alert import EVIDENCE_KEYS, Alert
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.coverage.counts import CoverageReport
from netwatch.formats import jsonl
from netwatch.formats.coverage import report_record
from netwatch.formats.values import json_line
from netwatch.store.options import StoreOptions, default_path, plain_path, require_extra

SUBCOMMANDS = (
    "netwatch.cli.store_status:add_status",
    "netwatch.cli.store_query:add_query",
    "netwatch.cli.store_sql:add_sql",
    "netwatch.cli.store_status:add_verify",
    "netwatch.cli.store_status:add_compact",
    "netwatch.cli.store_status:add_upgrade",
    "netwatch.cli.store_privacy:add_prune",
    "netwatch.cli.store_privacy:add_erase",
    "netwatch.cli.store_privacy:add_identify",
    "netwatch.cli.store_privacy:add_key",
)
"""The functions that add the subcommands to their `Group`, in the order of the help. Each parser
that they make gets the options of `add_store_options`."""

_EPILOG = """examples:
  netwatch store status                              what is kept: days, rows, bytes
  netwatch store query incidents --since 7d          the alerts of the last week
  netwatch store query observations --name tiktok.com --since 2023-03-01 --until 2023-03-31
  netwatch store query incidents --app tiktok --format csv -o march.csv
  netwatch store sql tables                          the tables for SQL
  netwatch store sql 'SELECT name, count(*) FROM observation GROUP BY name ORDER BY 2 DESC LIMIT 20'
  netwatch store verify                              is every file there and whole?
  netwatch store prune --dry-run                     what is older than its retention?
  netwatch store erase --device 10.30.0.9            leave nothing of a person
"""

INCIDENTS = 500
"""Incidents to send to the writer at a time."""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "store",
        help="stored results of captures: status, queries, SQL",
        description="The results that `scan --store`, `names --store` and `live` have stored.",
        epilog=_EPILOG,
    )
    for place in SUBCOMMANDS:
        module, _, function = place.partition(":")
        getattr(importlib.import_module(module), function)(group)


def store_options(args: argparse.Namespace) -> StoreOptions:
    """The store for a command. Raises `ConfigError`."""
    require_extra("netwatch store")
    return chosen_store(args, configuration.load_store(args.config))


class RunStore:
    """The store of one run. It is opened before the first capture is read, so that problems with it
    are reported immediately; as a context it is closed at the end. Raises `ConfigError` and
    `NetwatchError`. `failed` is true if something could not be stored."""

    def __init__(self, args: argparse.Namespace, command: str, config: Config | None) -> None:
        require_extra(f"netwatch {command}")
        from netwatch.engine.facts_process import FactsProcess

        config = configuration.load(args.config) if config is None else config
        self._args = args
        self._options = chosen_store(args, config.store)
        self._lines: list[str] = []
        self._process = FactsProcess(self._options, command, config, _report)
        self.recording = self._process.recording
        self.failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.__exit__(*exception)

    def alert(self, alert: Alert) -> None:
        """Keep an alert, and where its evidence capture is."""
        from netwatch.store.messages import EvidenceFile

        self._lines.append(json_line(jsonl.alert_record(alert)))
        if len(self._lines) >= INCIDENTS:
            self._send_lines()
        for key in EVIDENCE_KEYS:
            if key in alert.extra:
                self._process.send(EvidenceFile(alert.id, str(alert.extra[key])))

    def end(self, statistics: RunStatistics, coverage: CoverageReport | None) -> None:
        """Keep the coverage, and end the run."""
        from netwatch.store.messages import CoverageRecord

        self._send_lines()
        if coverage is not None:
            line = json_line(report_record(coverage))
            self._process.send(CoverageRecord(line))
        ended = self._process.end(statistics.recorded_rows)
        if ended is None:
            self.failed = True
            return
        lost = statistics.recorded_rows - ended.rows
        if lost or ended.partial:
            self.failed = bool(lost)
            _report_partial(self._options.shown, lost, ended.partial)
        terminal.note(
            self._args, f"{quantity(ended.rows, 'row')} kept in the store {self._options.shown}"
        )

    def _send_lines(self) -> None:
        from netwatch.store.messages import Incidents

        if self._lines:
            lines, self._lines = self._lines, []
            self._process.send(Incidents(lines))


def chosen_store(args: argparse.Namespace, configured: StoreOptions | None) -> StoreOptions:
    """The store for a command: `--store-path`, otherwise the configuration's, otherwise the
    user's."""
    if args.store_path is None:
        return configured or StoreOptions(default_path())
    catalogue = configured.catalogue if configured is not None else ""
    return StoreOptions(plain_path(args.store_path), catalogue)


def _report(text: str) -> None:
    print_message(f"netwatch: {text}")


def _report_partial(place: str, lost: int, partial: Sequence[str]) -> None:
    if lost:
        _report(f"the store {place}: {quantity(lost, 'row')} lost")
    for path in partial:
        _report(f"the store {place} has {path} only in part")
