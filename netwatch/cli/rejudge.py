"""``netwatch rejudge``: the stored past under other signatures, bans or dates.

Differences go to standard output, and nothing else does. Incidents that could not be judged are
reported on standard error.
"""

import argparse
import gc
import getpass
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, TextIO

from netwatch.cli import COMMANDS

if TYPE_CHECKING:
    from netwatch.core.alert import AlertRecord
    from netwatch.rejudge.again import Again, ReasonedDifference

_EXAMPLES = """examples:
  netwatch rejudge                              what today's configuration would have decided
  netwatch rejudge --signatures builtin new/    with further signatures
  netwatch rejudge --bans next-year.yaml        with the bans and exemptions of another file
  netwatch rejudge --at 2024-01-01              as if everything had happened on that day
  netwatch rejudge --since 2023-03-01 --until 2023-03-31 --format jsonl
  netwatch rejudge --record                     and note that the past was judged by it
  netwatch rejudge --all --format jsonl         the alerts in full, as scan prints them

exit status:
  0  done
  1  some facts could not be read; the rest was judged
  2  the command line or the configuration is wrong
  3  with --fail-on-change: there is a difference
"""

CHANGES = ("new", "withdrawn", "changed", "not-judged")
"""The kinds of differences, in the order of the summary."""

FORMATS_OF_DIFFERENCES = ("table", "jsonl")


GC_THRESHOLD = 1_000_000
"""Allocations between two runs of the garbage collector."""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Add the parser of ``netwatch rejudge``. It sets `func`, which takes the parsed arguments and
    returns the exit status."""
    from netwatch.formats.registry import FORMATS

    parser = groups.add_parser(
        "rejudge",
        help=COMMANDS["rejudge"].summary,
        description="Judges the content of a store again by the current configuration, and reports"
        " which incidents would be new, withdrawn or changed, and why.",
        epilog=_EXAMPLES,
        parents=list(parents),
    )
    _add_choices(parser)
    _add_output_options(parser, FORMATS)
    parser.set_defaults(func=rejudge)


def _add_choices(parser: argparse.ArgumentParser) -> None:
    """The arguments for what to judge again, and by what."""
    moment = "(a time, a day, or an age such as 7d)"
    parser.add_argument(
        "--since", metavar="TIME", help=f"only incidents that began since then {moment}"
    )
    parser.add_argument(
        "--until", metavar="TIME", help=f"only incidents that began before then {moment}"
    )
    parser.add_argument(
        "--signatures",
        metavar="PATH",
        nargs="+",
        default=[],
        help="judge by these signatures (files, folders, builtin) instead of the configured ones",
    )
    parser.add_argument(
        "--bans",
        metavar="FILE",
        default="",
        help="judge by the bans and exemptions in FILE instead of the configuration's",
    )
    parser.add_argument(
        "--at",
        metavar="DATE",
        type=_day,
        help="judge by the bans and exemptions in force on DATE, whenever a contact happened",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="note in the store that its past was judged by these bans and signatures, and keep the"
        " incidents that are new or changed; those that would be withdrawn stay",
    )
    parser.add_argument(
        "--include-names",
        action="store_true",
        help="also judge what `names --store` has kept, which has no incidents yet (--record"
        " implies it)",
    )


def _add_output_options(parser: argparse.ArgumentParser, formats: Iterable[str]) -> None:
    """The arguments for what to print, and how to read the store."""
    parser.add_argument(
        "--all",
        action="store_true",
        help="print all re-judged alerts instead of the differences",
    )
    parser.add_argument(
        "--format",
        choices=tuple(formats),
        default="table",
        help="format (default table); differences have the formats table and jsonl",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write to FILE, which is replaced only when all is written",
    )
    parser.add_argument(
        "--store-path", metavar="URL", help="the store in this folder, or at this URL"
    )
    parser.add_argument(
        "--jobs", metavar="N", type=_jobs, default=1, help="threads that read rows (default 1)"
    )
    parser.add_argument(
        "--fail-on-change",
        action="store_true",
        help="exit with status 3 if there is a difference",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print no summary")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="name the incidents that were not judged"
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a day like 2023-03-20, found {text!r}"
        ) from None


def _jobs(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 256, found {text!r}")
    return int(text)


def rejudge(args: argparse.Namespace) -> int:
    """Run ``netwatch rejudge``; returns the exit status."""
    # Judging makes next to no reference cycles, and looking for some is 4 % of the work.
    gc.set_threshold(GC_THRESHOLD)
    from netwatch import config as configuration
    from netwatch.cli import terminal
    from netwatch.cli.store import chosen_store
    from netwatch.config.layers import Replacements
    from netwatch.core.errors import ConfigError
    from netwatch.store.options import require_extra

    if not args.all and args.format not in FORMATS_OF_DIFFERENCES:
        expected = " or ".join(FORMATS_OF_DIFFERENCES)
        message = f"--format {args.format}: differences have the format {expected}; --all has all"
        raise ConfigError.of("netwatch rejudge", message)
    _check_record(args)
    since, until = _moment(args, "since"), _moment(args, "until")
    config = configuration.load(args.config, replacements=Replacements(args.signatures, args.bans))
    require_extra("netwatch rejudge")
    from netwatch.core.private_files import below
    from netwatch.rejudge.again import Again

    store = chosen_store(args, config.store)
    with (
        below(store.path),
        Again(
            store,
            config,
            since=since,
            until=until,
            day=args.at,
            include_names=args.include_names or args.record,
            threads=args.jobs,
            record=args.record,
        ) as again,
        terminal.output(args.output) as stream,
    ):
        changes: Counter[str] = Counter()
        if args.all:
            _write_alerts(args.format, again, stream)
        else:
            changes = _write_differences(args.format, again, stream)
        if again.recording is not None:
            again.recording.end(getpass.getuser())
        _report(args, again, changes)
    has_changed = any(changes[kind] for kind in CHANGES if kind != "not-judged")
    return 3 if has_changed and args.fail_on_change else 0


def _check_record(args: argparse.Namespace) -> None:
    """Raise `ConfigError` for an option that excludes recording."""
    from netwatch.core.errors import ConfigError

    for name in ("at", "all"):
        if args.record and getattr(args, name):
            message = (
                f"--record: expected no --{name}, which does not change how the past is judged"
            )
            raise ConfigError.of("netwatch rejudge", message)


def _moment(args: argparse.Namespace, name: str) -> int | None:
    """The time of an option in ns; raises `ConfigError`."""
    from netwatch.core.errors import ConfigError
    from netwatch.core.period import parse_moment

    text = getattr(args, name)
    if text is None:
        return None
    try:
        return parse_moment(text, time.time_ns(), is_end=name == "until")
    except ValueError as error:
        raise ConfigError.of("netwatch rejudge", f"--{name}: {error}") from None


def _write_alerts(format_: str, again: "Again", stream: TextIO) -> None:
    """Write all alerts, as ``scan`` does."""
    from netwatch.formats.registry import FORMATS

    writer = FORMATS[format_].writer(stream)
    writer.begin("alerts")
    for alert in again.alerts():
        writer.alert(alert)
    writer.end()


def _write_differences(format_: str, again: "Again", stream: TextIO) -> Counter[str]:
    """Write the differences; returns their number by kind."""
    from netwatch.core.text import escaped
    from netwatch.formats.values import json_line

    found: Counter[str] = Counter()
    for difference in again.differences():
        found[difference.difference.change] += 1
        if format_ == "jsonl":
            stream.write(f"{json_line(difference.record())}\n")
        else:
            lines = _lines(difference, has_sensors=again.has_sensors)
            stream.writelines(f"{escaped(line)}\n" for line in lines)
    return found


def _lines(reasoned: "ReasonedDifference", *, has_sensors: bool) -> Iterator[str]:
    """A difference for people: what the incident is, how it was and is judged, and why; with
    `has_sensors` also where it was, since sites have equal addresses."""
    before, after = reasoned.difference.before, reasoned.difference.after
    record = after or before
    assert record is not None
    device, app, ban = record["device"]["id"], record["app"]["name"], record["ban"]["id"]
    if has_sensors:
        device += f" in {record['network']['name']} ({record['sensor']['name']})"
    yield f"{reasoned.difference.change:<10} {record['first_seen']}  {device}  {app}  {ban}"
    if before is not None:
        yield f"  before   {_words(before)}"
    if after is not None:
        yield f"  after    {_words(after)}"
    yield f"  because  {reasoned.reason}"


def _words(record: "AlertRecord") -> str:
    judged = f"{record['verdict']}, {record['confidence']}, {record['kind']['value']}"
    return f"{judged}, {record['outcome']} ({record['id']})"


def _report(args: argparse.Namespace, again: "Again", changes: Counter[str]) -> None:
    """Report what was judged, and what was not."""
    from netwatch.cli import terminal
    from netwatch.cli.printing import print_message
    from netwatch.core.text import quantity

    counts = ", ".join(f"{changes[kind]} {kind}" for kind in CHANGES if changes[kind])
    summary = f": {counts}" if counts else "" if args.all else ": no difference"
    terminal.note(args, f"{quantity(again.runs, 'run')} judged again{summary}")
    if again.recording is not None:
        _report_recording(again)
    if again.unknown_clients:
        print_message(
            f"netwatch: {quantity(again.unknown_clients, 'client')} not judged: no key of the"
            " configuration (privacy: key, previous) unseals their addresses"
        )
    if again.elsewhere_clients or again.elsewhere:
        print_message(
            f"netwatch: {quantity(again.elsewhere_clients, 'client')} and"
            f" {quantity(len(again.elsewhere), 'incident')} not judged: the store has facts of"
            " several sensors, and the configuration has another network, or none, for these"
            " addresses"
            " (networks: name)"
        )
    if again.not_judged:
        print_message(
            f"netwatch: {quantity(len(again.not_judged), 'incident')} not judged: the store has not"
            " all that was seen (a capture stored in part, an erased device, or retention)"
        )
        for id_ in again.not_judged if args.verbose else ():
            print_message(f"  {id_}")


def _report_recording(again: "Again") -> None:
    """Report what was recorded in the store, and what was not."""
    from netwatch.cli.printing import print_message
    from netwatch.core.text import quantity

    recording = again.recording
    assert recording is not None
    if recording.changes["withdrawn"]:
        print_message(
            f"netwatch: {quantity(recording.changes['withdrawn'], 'incident')} would be withdrawn,"
            " and stay in the store"
        )
    if recording.partial:
        print_message(
            f"netwatch: {quantity(recording.partial, 'run')} recorded as judged only in part: not"
            " all that was seen is in the store (a capture in progress or stored in part, an"
            " erased device, or retention)"
        )
    if again.unrecorded:
        print_message(
            f"netwatch: {quantity(again.unrecorded, 'run')} not recorded as judged: some clients"
            " could not be judged"
        )
