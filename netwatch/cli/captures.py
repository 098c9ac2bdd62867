"""``netwatch scan`` and ``netwatch names``: captures and logs in, records out.

Records go to standard output or to a file, and nothing else does; progress, the summary and
errors go to standard error.
"""

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from netwatch.cli import COMMANDS, EXIT_STATUS
from netwatch.cli.capture_options import FAIL_ON, add_capture_options, add_scan_options
from netwatch.core.statistics import RunStatistics

if TYPE_CHECKING:
    from netwatch.cli.outputs import RunDelivery
    from netwatch.cli.store import RunStore
    from netwatch.cluster.archive import UnitCounts
    from netwatch.config import Config
    from netwatch.core.alert import Alert, Judgement
    from netwatch.coverage.counts import Coverage, CoverageReport
    from netwatch.engine.capture_files import Capture, LogUnit
    from netwatch.formats.registry import Writer
    from netwatch.incidents.evidence_folder import EvidenceFolder
    from netwatch.incidents.scan import ScanResult

POSIX_OPTIONS = ("store", "store_path", "deliver", "ledger", "cluster")
"""Options that need something Windows lacks."""

_SCAN_EXAMPLES = f"""examples:
  netwatch scan office.pcap                    with ./netwatch.yaml, or with built-in rules
  netwatch scan -c be.yaml captures/ --jobs 2  a folder, two captures at a time
  netwatch scan /var/log/suricata/             logs of resolvers, proxies, firewalls, sensors
  netwatch scan pihole.log --timezone +01:00   its times have no zone
  netwatch scan mirror.pcap --format jsonl -o alerts.jsonl
  netwatch scan day-*.pcap --continuous        one capture in pieces, from tcpdump -C or -G
  netwatch scan office.pcap --coverage         also the flows whose name could not be read
  netwatch scan office.pcap --evidence proof/  also the packets that prove each incident
  zstd -dc big.pcap.zst | netwatch scan -      a pipe (compressed files are read directly, too)
  netwatch scan office.pcap --store            keep what was seen: query it, judge it again
  netwatch scan captures/ --ledger done/       resume a run, then read what is new
  netwatch scan office.pcap --fail-on violation || mail -s "TikTok" ciso@example.org

{EXIT_STATUS}"""
_NAMES_EXAMPLES = """examples:
  netwatch names office.pcap                   one line per name, as it is in the packets
  netwatch names office.pcap --format jsonl | jq -r .name | sort | uniq -c
  netwatch names queries.log --as bind         a log, whose format is not recognised
  netwatch names captures/ --format parquet -o names.parquet
"""


def add_scan(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Add the parser of ``netwatch scan``. It sets `func`, which takes the parsed arguments and
    returns the exit status."""
    from netwatch.formats.registry import FORMATS

    parser = groups.add_parser(
        "scan",
        help=COMMANDS["scan"].summary,
        description="Reads captures (pcap, pcapng) and logs (of Suricata, Zeek, Pi-hole, BIND and"
        " others), also compressed, and reports which devices contacted banned apps: one record per"
        " incident.",
        epilog=_SCAN_EXAMPLES,
        parents=list(parents),
    )
    add_capture_options(parser, FORMATS)
    add_scan_options(parser)
    parser.set_defaults(func=scan, command="scan")


def add_names(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Add the parser of ``netwatch names``. It sets `func`, like the parser of ``scan``."""
    from netwatch.formats.registry import OBSERVATION_FORMATS

    parser = groups.add_parser(
        "names",
        help=COMMANDS["names"].summary,
        description="Lists every name in captures or logs that devices sent or received in DNS,"
        " TLS, QUIC or HTTP: one record per observation, before any rule is applied.",
        epilog=_NAMES_EXAMPLES,
        parents=list(parents),
    )
    add_capture_options(parser, OBSERVATION_FORMATS)
    parser.set_defaults(func=names, command="names")


def scan(args: argparse.Namespace) -> int:
    """Run ``netwatch scan``; returns the exit status."""
    from netwatch import config as configuration
    from netwatch.cli import terminal
    from netwatch.cli.capture_options import is_archive
    from netwatch.cli.summary import Summary
    from netwatch.core.private_files import below
    from netwatch.coverage.counts import Coverage
    from netwatch.formats.registry import FORMATS

    _check(args)
    of_archive = is_archive(args)
    started, statistics = time.perf_counter(), RunStatistics()
    config = configuration.load(args.config)
    is_stored = args.store or args.store_path is not None
    captures, logs = _units(args, counts_flows=args.coverage or is_stored)
    # A summary names no devices; what an archive keeps may be asked for them later.
    by_device = args.coverage or is_stored or of_archive
    wanted = args.coverage or is_stored or not args.quiet
    coverage = Coverage(by_device=by_device) if wanted else None
    evidence = _evidence(args)
    terminal.warn_interpreted(args)
    delivery = _delivery(args, config)
    store = _store(args, "scan", config)
    verdicts: set[str] = set()
    judged: Counter[Judgement] = Counter()
    to_deliver: list[Alert] = []
    find = _found_in_archive if of_archive else _found_here
    with (
        below(_store_path(args, config)),
        store or contextlib.nullcontext(),
        terminal.output(args.output) as stream,
        find(args, captures, logs, config, statistics, coverage, store) as (result, units),
    ):
        writer = FORMATS[args.format].writer(stream)
        writer.begin("alerts")
        for alert in _written(result.alerts, writer, evidence, store):
            verdicts.add(alert.verdict)
            judged[alert.kind.value, alert.outcome] += 1
            if delivery is not None:
                to_deliver.append(replace(alert, evidence_frames=()))
        config.geo.note_damaged(statistics.anomalies)
        report = _coverage_report(coverage, statistics)
        if args.coverage and report and not writer.coverage(report, args.verbose):
            terminal.note(args, f"--format {args.format} has no coverage; use table or jsonl")
        writer.end()
        if store is not None:
            store.end(statistics, report)
    Summary(
        statistics,
        time.perf_counter() - started,
        config,
        incidents=result,
        judged=judged,
        coverage=report,
        evidence=evidence,
        strict=args.strict,
        units=units,
        counts_logs=args.coverage or is_stored,
    ).show(args)
    undelivered = delivery is not None and delivery.deliver(
        to_deliver, args.deliver_timeout, quiet=args.quiet
    )
    if args.fail_on and FAIL_ON[args.fail_on] & verdicts:
        return 3
    failed = undelivered or bool(evidence and evidence.missing) or bool(store and store.failed)
    return 1 if failed or _is_incomplete(statistics, args) else 0


def _check(args: argparse.Namespace) -> None:
    """Raise `ConfigError` for options that need another one."""
    from netwatch.core.errors import ConfigError

    for is_given, needs, is_there in (
        (args.by_day, "--by-day needs --continuous", args.continuous),
        (getattr(args, "once", False), "--once needs --deliver", getattr(args, "deliver", False)),
    ):
        if is_given and not is_there:
            raise ConfigError.of(f"netwatch {args.command}", needs)
    if sys.platform == "win32":
        for option in POSIX_OPTIONS:
            if getattr(args, option, None):
                needs = f"--{option.replace('_', '-')} needs Linux, macOS or FreeBSD"
                raise ConfigError.of(f"netwatch {args.command}", needs)


def _units(
    args: argparse.Namespace, *, counts_flows: bool
) -> "tuple[list[Capture], list[LogUnit]]":
    """The files of each capture, and the logs; for their flows the coverage is wanted."""
    from netwatch.cli.capture_options import log_options
    from netwatch.engine.capture_files import find_units

    return find_units(
        args.paths,
        log_options(args),
        continuous=args.continuous,
        by_day=args.by_day,
        counts_flows=counts_flows,
    )


@contextlib.contextmanager
def _found_here(
    args: argparse.Namespace,
    captures: "Sequence[Capture]",
    logs: "Sequence[LogUnit]",
    config: "Config",
    statistics: RunStatistics,
    coverage: "Coverage | None",
    store: "RunStore | None",
) -> "Iterator[tuple[ScanResult, None]]":
    """The results of this process and its workers. The alerts can be read until the context
    ends."""
    from netwatch.cli import terminal
    from netwatch.engine.jobs import scanned

    with contextlib.ExitStack() as stack:
        with terminal.progress(args, [*captures, *(unit.files for unit in logs)]) as progress:
            result = stack.enter_context(
                scanned(
                    captures,
                    config,
                    statistics,
                    logs=logs,
                    workers=args.jobs,
                    progress=progress,
                    coverage=coverage,
                    keep_frames=bool(args.evidence),
                    recording=store.recording if store else None,
                )
            )
        yield result, None


@contextlib.contextmanager
def _found_in_archive(
    args: argparse.Namespace,
    captures: "Sequence[Capture]",
    logs: "Sequence[LogUnit]",
    config: "Config",
    statistics: RunStatistics,
    coverage: "Coverage | None",
    store: "RunStore | None",
) -> "Iterator[tuple[ScanResult, UnitCounts]]":
    """The same with a ledger or a cluster, if there is no store."""
    from netwatch.cli import ledger

    with ledger.scan(args, captures, logs, config, statistics, coverage) as found:
        yield found


def _coverage_report(
    coverage: "Coverage | None", statistics: RunStatistics
) -> "CoverageReport | None":
    if coverage is None:
        return None
    return coverage.report(statistics.packets, statistics.anomalies, statistics.without_verdict)


def _written(
    alerts: Iterable["Alert"],
    writer: "Writer",
    evidence: "EvidenceFolder | None",
    store: "RunStore | None",
) -> Iterator["Alert"]:
    """Write each alert to all places that keep alerts; it then has the name of its evidence
    capture."""
    for alert in alerts:
        if evidence is not None:
            alert = evidence.write(alert)
        writer.alert(alert)
        if store is not None:
            store.alert(alert)
        yield alert
    if evidence is not None:
        evidence.close()


def _evidence(args: argparse.Namespace) -> "EvidenceFolder | None":
    """The folder of evidence captures. Raises `NetwatchError` if it cannot be used, which is better
    known before the first capture is read."""
    if not args.evidence:
        return None
    from netwatch.cli.printing import print_message
    from netwatch.incidents.evidence_folder import EvidenceFolder

    return EvidenceFolder(args.evidence, lambda text: print_message(f"netwatch: {text}"))


def _delivery(args: argparse.Namespace, config: "Config") -> "RunDelivery | None":
    """The delivery to the outputs; raises `ConfigError` and `NetwatchError`."""
    if not args.deliver:
        return None
    from netwatch.cli.outputs import RunDelivery

    return RunDelivery(config, once=args.once)


def _store(args: argparse.Namespace, command: str, config: "Config | None") -> "RunStore | None":
    """The store that the run is kept in; raises `ConfigError` and `NetwatchError`."""
    if not args.store and args.store_path is None:
        return None
    from netwatch.cli.store import RunStore

    return RunStore(args, command, config)


def _store_path(args: argparse.Namespace, config: "Config | None") -> str | None:
    """The path of the store that the run is kept in; otherwise the configuration's, whose folder is
    also private."""
    if args.store_path is not None:
        return str(args.store_path)
    if config is not None and config.store is not None:
        return config.store.path
    if not args.store:
        return None
    from netwatch.config import load_store
    from netwatch.store.options import default_path

    configured = load_store(args.config)
    return configured.path if configured is not None else default_path()


def names(args: argparse.Namespace) -> int:
    """Run ``netwatch names``; returns the exit status."""
    from netwatch.cli import terminal
    from netwatch.cli.summary import Summary
    from netwatch.cli.terminal import observation_writer
    from netwatch.core.private_files import below
    from netwatch.core.system.kernel import keep_freed_memory
    from netwatch.engine import jobs

    _check(args)
    keep_freed_memory()
    started, statistics = time.perf_counter(), RunStatistics()
    captures, logs = _units(args, counts_flows=False)
    terminal.warn_interpreted(args)
    store = _store(args, "names", None)
    with (
        below(_store_path(args, None)),
        store or contextlib.nullcontext(),
        observation_writer(args, "netwatch names") as writer,
        terminal.progress(args, [*captures, *(unit.files for unit in logs)]) as progress,
    ):
        for batch in jobs.names(
            captures,
            statistics,
            logs=logs,
            workers=args.jobs,
            progress=progress,
            recording=store.recording if store else None,
        ):
            writer.observations(batch)
        writer.end()
        if store is not None:
            store.end(statistics, None)
    seconds = time.perf_counter() - started
    Summary(statistics, seconds, strict=args.strict).show(args)
    unstored = store is not None and store.failed
    return 1 if unstored or _is_incomplete(statistics, args) else 0


def _is_incomplete(statistics: RunStatistics, args: argparse.Namespace) -> bool:
    """Whether a capture was not read; with ``--strict`` also whether one was only read in part."""
    return bool(statistics.unread or (args.strict and statistics.damaged))
