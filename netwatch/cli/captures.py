"""``netwatch scan`` and ``netwatch names``: captures in, records out.

Records go to standard output or a file and nothing else does; progress, the summary and
errors go to standard error.
"""

import argparse
import time
from collections.abc import Iterable, Sequence

from netwatch.core.statistics import RunStatistics

_SCAN = """examples:
  netwatch scan office.pcap                    by ./netwatch.yaml, else by built-in rules
  netwatch scan -c be.yaml captures/ --jobs 2  a folder, two files at a time
  zcat big.pcap.gz | netwatch scan -           from a pipe (gzip is also read by itself)
  netwatch scan mirror.pcap --format jsonl -o alerts.jsonl
  netwatch scan day-*.pcap --continuous        one capture cut in pieces by tcpdump -C or -G
  netwatch scan office.pcap --coverage         and how much nobody could read, by device
  netwatch scan office.pcap --evidence proof/  and the packets that prove each incident
  netwatch scan office.pcap --fail-on violation || mail -s "TikTok" ciso@example.org
"""
_NAMES = """examples:
  netwatch names office.pcap                   one line a name, as it is on the wire
  netwatch names office.pcap --format jsonl | jq -r .name | sort | uniq -c
"""

DELIVER_TIMEOUT = 300
"""Seconds that ``--deliver`` waits for the receivers."""

_VERDICTS = {"violation": {"violation"}, "advisory": {"violation", "advisory"}}


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register both commands; each sets `func`, which gives the exit status."""
    from netwatch.formats.registry import FORMATS, OBSERVATION_FORMATS

    scanning = _command(groups, parents, "scan", "captures in, alerts out", _SCAN, FORMATS)
    scanning.add_argument(
        "--fail-on",
        choices=tuple(_VERDICTS),
        help="exit with 3 when there was such an incident (advisory: or a violation)",
    )
    scanning.add_argument(
        "--coverage",
        action="store_true",
        help="tell behind the alerts of how many flows no name could be read, and why",
    )
    scanning.add_argument(
        "--deliver",
        action="store_true",
        help="deliver the alerts to the outputs of the configuration too, and wait for that",
    )
    scanning.add_argument(
        "--deliver-timeout",
        metavar="SECONDS",
        type=_seconds,
        default=DELIVER_TIMEOUT,
        help=f"how long to wait (default {DELIVER_TIMEOUT}); what is left stays in the outbox",
    )
    scanning.add_argument(
        "--evidence",
        metavar="DIR",
        help="write there, for each incident, a small capture of the packets that prove it",
    )
    scanning.set_defaults(func=scan)
    does = "every name that devices show, before any rule"
    naming = _command(groups, parents, "names", does, _NAMES, OBSERVATION_FORMATS)
    naming.set_defaults(func=names)


def _command(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser],
    name: str,
    does: str,
    epilog: str,
    formats: Iterable[str],
) -> argparse.ArgumentParser:
    parser = groups.add_parser(
        name,
        help=does,
        description=f"{does[0].upper()}{does[1:]}.",
        epilog=epilog,
        parents=list(parents),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="a capture, a folder of them, a glob, or -"
    )
    parser.add_argument("--format", choices=tuple(formats), default="table")
    parser.add_argument("-o", "--output", metavar="FILE", help="write there, whole or not at all")
    parser.add_argument(
        "--jobs", metavar="N", type=_jobs, default=1, help="captures read at a time (default 1)"
    )
    parser.add_argument(
        "--continuous",
        action="store_true",
        help="the files are one capture cut in pieces, taken in time order",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no summary, errors only")
    parser.add_argument("-v", "--verbose", action="store_true", help="a longer summary")
    return parser


def _jobs(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 256")
    return int(text)


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")
    return int(text)


def scan(args: argparse.Namespace) -> int:
    """Run ``netwatch scan``; the exit status."""
    from netwatch import config as configuration
    from netwatch.capture.files import find
    from netwatch.cli import terminal
    from netwatch.coverage.counts import Coverage
    from netwatch.engine import jobs
    from netwatch.engine import observe as wire
    from netwatch.formats.registry import FORMATS

    started, statistics = time.perf_counter(), RunStatistics()
    config = configuration.load(args.config)
    captures = list(wire.captures(find(args.paths), args.continuous))
    coverage = Coverage() if args.coverage or not args.quiet else None
    evidence = None
    if args.evidence:
        from netwatch.incidents.evidence_folder import EvidenceFolder

        evidence = EvidenceFolder(args.evidence)
    terminal.warn_interpreted(args)
    delivery = None
    if args.deliver:
        from netwatch.cli.deliver import Delivering

        delivery = Delivering(config)
    with terminal.output(args.output) as stream:
        with terminal.progress(args, captures) as progress:
            keep_frames = evidence is not None
            incidents = jobs.scan(
                captures, config, statistics, args.jobs, progress, coverage, keep_frames
            )
        alerts = incidents.alerts(config.geo, config.sensor)
        if evidence is not None:
            alerts = list(map(evidence.write, alerts))
        writer = FORMATS[args.format].writer(stream)
        writer.begin("alerts")
        for alert in alerts:
            writer.alert(alert)
        report = coverage.report(statistics.packets, statistics.anomalies) if coverage else None
        if args.coverage and report and not writer.coverage(report, args.verbose):
            terminal.note(args, f"{args.format} has no place for coverage: take table or jsonl")
        writer.end()
    terminal.summary(
        args, statistics, time.perf_counter() - started, config, incidents, report, evidence
    )
    left = delivery.deliver(alerts, args.deliver_timeout) if delivery else False
    if args.fail_on and _VERDICTS[args.fail_on] & {alert.verdict for alert in alerts}:
        return 3
    return 1 if statistics.unread or left else 0


def names(args: argparse.Namespace) -> int:
    """Run ``netwatch names``; the exit status."""
    from netwatch.capture.files import find
    from netwatch.cli import terminal
    from netwatch.engine import jobs
    from netwatch.engine import observe as wire
    from netwatch.formats.registry import FORMATS

    started, statistics = time.perf_counter(), RunStatistics()
    captures = list(wire.captures(find(args.paths), args.continuous))
    terminal.warn_interpreted(args)
    with terminal.output(args.output) as stream, terminal.progress(args, captures) as progress:
        writer = FORMATS[args.format].writer(stream)
        writer.begin("observations")
        for observation in jobs.names(captures, statistics, args.jobs, progress):
            writer.observation(observation)
        writer.end()
    terminal.summary(args, statistics, time.perf_counter() - started)
    return 1 if statistics.unread else 0
