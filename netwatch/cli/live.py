"""``netwatch live``: captures on interfaces and reports incidents while they happen."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from netwatch.cli import COMMANDS

if TYPE_CHECKING:
    from netwatch.live.run import Losses

_EXAMPLES = """examples:
  netwatch live -i eth1                             a mirror port, until Ctrl-C
  netwatch live -i eth1 eth2 --format jsonl -o alerts.jsonl
  netwatch live -i eth1 --user netwatch --state /var/lib/netwatch/live.sqlite
  netwatch live -i eth1 --fanout 4                  four processes share the packets
  tcpdump -w - -i eth1 | netwatch live --source file -i -
  netwatch live --source logs /var/log/unbound.log --state /var/lib/netwatch/live.sqlite
  netwatch live --source logs syslog+udp://:5514 dnstap+unix:///run/netwatch/dnstap.sock

signals:
  SIGTERM, SIGINT  close all open incidents, deliver their alerts, and end
  SIGHUP           reload the configuration and reopen the output file

exit status:
  0    ended by a signal, or at the end of the file
  1    an interface or file could not be read, a worker failed, or records, evidence, alerts
       or rows of the store could not be written
  2    the command line or the configuration is wrong
  141  the reader of standard output closed it
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Add the parser of the command. It sets `func`, which takes the parsed arguments and
    returns the exit status."""
    parser = groups.add_parser(
        "live",
        help=COMMANDS["live"].summary,
        description="Captures on interfaces, or reads logs while they are written, and reports"
        " which devices contact banned apps. An"
        " alert is sent as 'open' as soon as an incident begins, as 'update' when its confidence"
        " rises, and as 'closed' after the quiet gap.",
        epilog=_EXAMPLES,
        parents=list(parents),
    )
    _add_capture_options(parser)
    _add_log_options(parser)
    _add_output_options(parser)
    parser.set_defaults(func=live, mistake=parser.error)


def _add_capture_options(parser: argparse.ArgumentParser) -> None:
    """The arguments for what to capture, and how."""
    from netwatch.live.source_openers import SOURCE_NAMES

    group = parser.add_argument_group("capture")
    group.add_argument(
        "-i",
        "--interface",
        metavar="IFACE",
        nargs="+",
        action="extend",
        default=[],
        help="interfaces to capture on; with --source file a capture, a pipe, or - for standard"
        " input",
    )
    group.add_argument(
        "--source",
        choices=SOURCE_NAMES,
        help="ring: AF_PACKET ring (default on Linux); scapy: portable but slow (default"
        " elsewhere); file: a capture or pipe; sflow: packets that agents of sFlow send to the"
        " addresses of -i (127.0.0.1:6343); logs: the logs at PATH; flows: flow records and logs at"
        " PATH",
    )
    group.add_argument(
        "--fanout",
        metavar="N",
        type=_number(1, 64),
        default=1,
        help="worker processes that share the packets by flow (default 1; ring only)",
    )
    group.add_argument(
        "--buffer",
        metavar="MIB",
        type=_number(1, 16384),
        help="size of the packet ring of each interface and worker (default 64; ring only)",
    )
    group.add_argument(
        "--snaplen",
        metavar="BYTES",
        type=_number(64, 262144),
        help="bytes captured of each packet (default: all)",
    )
    group.add_argument(
        "--no-promiscuous",
        action="store_true",
        help="capture only packets addressed to this machine",
    )
    group.add_argument(
        "--no-filter",
        action="store_true",
        help="do not let the kernel filter out packets that cannot carry a name (ring only)",
    )
    group.add_argument(
        "--user",
        metavar="USER",
        help="drop root privileges and become USER once the interfaces are open",
    )


def _add_log_options(parser: argparse.ArgumentParser) -> None:
    """The arguments for which logs to read, and how."""
    from netwatch.cli.capture_options import add_log_options

    group = parser.add_argument_group("logs")
    group.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="with --source logs: a file, folder or glob to follow, or where to receive logs:"
        " syslog+udp://ADDRESS:PORT, syslog+tcp://ADDRESS:PORT, syslog+tls://ADDRESS:PORT?cert=FILE,"
        " dnstap+unix:///PATH, and flow records: udp://ADDRESS:PORT (NetFlow, IPFIX), tcp:// and tls://"
        " (IPFIX). Without an address only from this machine",
    )
    add_log_options(group, beside_captures=False)


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    """The arguments for the places of records, state and status."""
    from netwatch.cli.group import add_log_format_option
    from netwatch.formats.registry import FORMATS

    group = parser.add_argument_group("output")
    group.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="table",
        help="format of the records (default table)",
    )
    group.add_argument("-o", "--output", metavar="FILE", help="append the records to FILE")
    group.add_argument(
        "--state",
        metavar="FILE",
        help="save open incidents in FILE, so that they continue after a crash (default:"
        " live.sqlite in the state folder of the systemd unit, or none)",
    )
    group.add_argument(
        "--evidence",
        metavar="DIR",
        help="write the packets that prove each incident to a small capture in DIR",
    )
    group.add_argument(
        "--metrics",
        metavar="ADDR:PORT",
        type=_listen_address,
        help="serve /metrics for Prometheus and /healthz on this address",
    )
    group.add_argument(
        "--no-view",
        action="store_true",
        help="on a terminal, print records and log lines instead of the full-screen view",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="log warnings only")
    add_log_format_option(group)
    group.add_argument(
        "-v", "--verbose", action="store_true", help="print a longer summary at the end"
    )


def _listen_address(text: str) -> tuple[str, int]:
    from netwatch.watch.endpoint_options import parse_listen_address

    try:
        return parse_listen_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _number(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"expected a number from {least} to {most}, found {text!r}"
            )
        return int(text)

    return number


def live(args: argparse.Namespace) -> int:
    """Run ``netwatch live``; returns the exit status."""
    from netwatch.capture.block import default_source
    from netwatch.cli import terminal
    from netwatch.cli.capture_options import log_options
    from netwatch.cli.printing import print_message
    from netwatch.cli.summary import Summary
    from netwatch.live.display import Display
    from netwatch.live.run import run
    from netwatch.live.source_openers import LiveOptions

    terminal.warn_interpreted(args)
    source = args.source or default_source()
    options = LiveOptions(
        interfaces=_sources(args, source),
        source=source,
        config=args.config,
        fanout=args.fanout,
        source_options=_source_options(args, source),
        user=args.user,
        format=args.format,
        output=args.output,
        state=args.state,
        evidence=args.evidence,
        metrics=args.metrics,
        logs=log_options(args),
    )
    with Display(quiet=args.quiet, view=not args.no_view, log_format=args.log_format) as display:
        if display.has_view and args.output is None and sys.stdout.isatty():
            # Records would be written over the view.
            options = replace(options, output=os.devnull)
        try:
            result = run(
                options, display.log, display.messages, display.show if display.has_view else None
            )
        except KeyboardInterrupt:
            # Standard error may be an unread pipe, to which only `display` can write.
            print_message("netwatch: interrupted")
            return 130
        summary = Summary(
            result.statistics,
            result.seconds,
            result.config,
            incidents=result.incidents,
            judged=result.incidents.judged,
            restored=result.incidents.restored,
            coverage=result.coverage,
            evidence=result.evidence,
            of_logs=options.reads_logs,
            notes_shown=True,
        )
        summary.show(args)
        if options.live and not args.quiet:
            print_message(f"{'lost':<13} {_describe(result.losses)}")
    if result.reader_gone:
        return 141
    losses = result.losses
    unwritten = losses.records + losses.unwritten + losses.alerts + losses.unstored
    if result.evidence is not None:
        unwritten += result.evidence.missing
    return 1 if result.error or unwritten else 0


def _sources(args: argparse.Namespace, source: str) -> tuple[str, ...]:
    """The interfaces, or the logs. Exits with status 2 if they do not fit the source."""
    from netwatch.live.source_openers import FLOWS, LOGS

    if source in (LOGS, FLOWS):
        if args.interface or not args.paths:
            args.mistake(f"--source {source} reads logs: PATH is required, and -i is not allowed")
        if args.fanout > 1:
            args.mistake(f"--source {source} does not support --fanout, only ring does")
        return tuple(args.paths)
    if args.paths or args.log_format or args.year or args.timezone:
        args.mistake("PATH, --as, --year and --timezone need --source logs or flows")
    if not args.interface:
        args.mistake("expected -i IFACE, the interfaces to capture on")
    return tuple(args.interface)


def _describe(losses: "Losses") -> str:
    from netwatch.core.text import quantity

    freezes = quantity(losses.ring_freezes, "time")
    full = f" (the ring was full {freezes})" if losses.ring_freezes else ""
    return (
        f"{quantity(losses.packets, 'packet')}{full}, {quantity(losses.findings, 'finding')},"
        f" {quantity(losses.records, 'record')}, {quantity(losses.alerts, 'alert')}"
        f"{_of_store(losses)}"
    )


def _of_store(losses: "Losses") -> str:
    """The losses of the store, if there is one."""
    from netwatch.core.text import quantity

    if losses.unrecorded is None:
        return ""
    return (
        f"; of the store {quantity(losses.unstored, 'row or record', 'rows or records')},"
        f" {quantity(losses.unrecorded, 'packet')} not recorded"
    )


def _source_options(args: argparse.Namespace, source: str) -> dict[str, object]:
    """The options that the user gave for the source. Raises `CaptureError` for one that the source
    lacks."""
    from netwatch.core.errors import CaptureError

    given = {
        "--no-promiscuous": (args.no_promiscuous, ("ring", "scapy")),
        "--snaplen": (args.snaplen, ("ring", "scapy")),
        "--buffer": (args.buffer, ("ring",)),
        "--no-filter": (args.no_filter, ("ring",)),
    }
    for option, (value, sources) in given.items():
        if value and source not in sources:
            supported = " and ".join(sources)
            raise CaptureError(
                f"--source {source} does not support {option}, only {supported}"
                f" {'does' if len(sources) == 1 else 'do'}"
            )
    options: dict[str, object] = {}
    if args.no_promiscuous:
        options["promiscuous"] = False
    if args.snaplen:
        options["snaplen"] = args.snaplen
    if source == "ring":
        from netwatch.capture.ring_source import blocks_of

        options["filtered"] = not args.no_filter
        if args.buffer:
            options["blocks"], options["block_size"] = blocks_of(args.buffer << 20)
    return options
