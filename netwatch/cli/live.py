"""``netwatch live``: packets of an interface in, alerts out as incidents open and end."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

_EXAMPLES = """examples:
  netwatch live -i eth1                             on a mirror port, until Ctrl-C
  netwatch live -i eth1 eth2 --format jsonl -o alerts.jsonl
  netwatch live -i eth1 --user netwatch --state /var/lib/netwatch/live.sqlite
  netwatch live -i eth1 --fanout 4                  four processes share the packets
  tcpdump -w - -i eth1 | netwatch live --source file -i -

signals: SIGTERM and SIGINT end it, SIGHUP reads the configuration anew
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the command; it sets `func`, which gives the exit status."""
    from netwatch.formats.registry import FORMATS
    from netwatch.live.sources import NAMES

    parser = groups.add_parser(
        "live",
        help="the same engine on an interface, for as long as it runs",
        description="The same engine on an interface, for as long as it runs.",
        epilog=_EXAMPLES,
        parents=list(parents),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-i",
        "--interface",
        metavar="IFACE",
        nargs="+",
        action="extend",
        required=True,
        help="interfaces to listen on; with --source file a capture, a pipe or -",
    )
    parser.add_argument("--source", choices=NAMES, help="how packets are taken (default ring)")
    parser.add_argument(
        "--fanout", metavar="N", type=_number(1, 64), default=1, help="processes that share packets"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="table")
    parser.add_argument("-o", "--output", metavar="FILE", help="write there, at its end")
    parser.add_argument("--state", metavar="FILE", help="where open incidents outlive a crash")
    parser.add_argument(
        "--evidence",
        metavar="DIR",
        help="write there, for each incident, a small capture of the packets that prove it",
    )
    parser.add_argument(
        "--metrics", metavar="ADDR:PORT", type=_listen, help="serve /metrics and /healthz there"
    )
    parser.add_argument("--user", metavar="USER", help="become this user when all is open")
    parser.add_argument(
        "--snaplen", metavar="BYTES", type=_number(64, 262144), help="bytes kept of a packet"
    )
    parser.add_argument(
        "--buffer", metavar="MIB", type=_number(1, 16384), help="ring of each interface and worker"
    )
    parser.add_argument(
        "--no-promiscuous", action="store_true", help="only packets for this machine"
    )
    parser.add_argument(
        "--no-filter", action="store_true", help="take packets too that can carry no name"
    )
    parser.add_argument(
        "--no-view", action="store_true", help="records and lines on a terminal too"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="tell only what is wrong")
    parser.add_argument("-v", "--verbose", action="store_true", help="a longer summary")
    parser.set_defaults(func=live)


def _listen(text: str) -> tuple[str, int]:
    from netwatch.watch.listen import parse_listen

    try:
        return parse_listen(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _number(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return number


def live(args: argparse.Namespace) -> int:
    """Run ``netwatch live``; the exit status."""
    from netwatch.capture.live_sources import usual
    from netwatch.cli import terminal
    from netwatch.live.display import ShownName
    from netwatch.live.run import Settings, run
    from netwatch.live.sources import FILE

    terminal.warn_interpreted(args)
    source = args.source or usual()
    settings = Settings(
        interfaces=tuple(args.interface),
        source=source,
        path=args.config,
        fanout=args.fanout,
        options=_options(args, source),
        user=args.user,
        format=args.format,
        output=args.output,
        state=args.state,
        evidence=args.evidence,
        metrics=args.metrics,
    )
    shown = ShownName(terminal.say, quiet=args.quiet, view=not args.no_view)
    if shown.view and args.output is None and sys.stdout.isatty():
        settings = replace(settings, output=os.devnull)
    outcome = run(settings, shown.log, shown.show if shown.view else None)
    shown.end()
    terminal.summary(
        args,
        outcome.statistics,
        outcome.seconds,
        None,
        outcome.ledger,
        outcome.report,
        outcome.evidence,
    )
    if source != FILE and not args.quiet:
        lost = outcome.lost
        full = f" (a ring was full {lost.freezes:,} times)" if lost.freezes else ""
        told = f"packets {lost.packets:,}{full}, findings {lost.findings:,}, records"
        terminal.say(f"{'lost':<13} {told} {lost.records:,}")
    if outcome.gone:
        return 141
    return 1 if outcome.error else 0


def _options(args: argparse.Namespace, source: str) -> dict[str, object]:
    """The options of the source that the user named, in its own words. Raises `CaptureError`
    for one that it has not."""
    from netwatch.core.errors import CaptureError

    given = {
        "--no-promiscuous": (args.no_promiscuous, ("ring", "scapy")),
        "--snaplen": (args.snaplen, ("ring", "scapy")),
        "--buffer": (args.buffer, ("ring",)),
        "--no-filter": (args.no_filter, ("ring",)),
    }
    for option, (value, sources) in given.items():
        if value and source not in sources:
            raise CaptureError(
                f"--source {source} has no {option}; it is for {' and '.join(sources)}"
            )
    options: dict[str, object] = {}
    if args.no_promiscuous:
        options["promiscuous"] = False
    if args.snaplen:
        options["snaplen"] = args.snaplen
    if source == "ring":
        from netwatch.capture.ring_source import BLOCK_SIZE

        options["filtered"] = not args.no_filter
        if args.buffer:
            options["blocks"] = max(2, (args.buffer << 20) // BLOCK_SIZE)
    return options
