"""What a command says beside its records: progress, the summary, warnings.

All of it goes to standard error; the progress bar only where that is a terminal.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from netwatch import __version__
from netwatch.capture.block import Source
from netwatch.capture.files import Found
from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import DEVICE_LIMIT, Report
from netwatch.dissect.loop.headers import INNOCENT
from netwatch.dissect.loop.loop import COMPILED
from netwatch.engine.observe import Progress
from netwatch.formats.coverage import reasons

if TYPE_CHECKING:
    from netwatch.incidents.evidence_folder import EvidenceFolder

NAMED = 8
"""Skipped files that are named without --verbose; the rest is counted."""


class Gathered(Protocol):
    """Incidents as the summary counts them; see `netwatch.incidents.aggregate.Incidents`."""

    @property
    def by_verdict(self) -> Mapping[str, int]: ...  # noqa: D102

    @property
    def recorded(self) -> int: ...  # noqa: D102

    @property
    def limits(self) -> Mapping[str, int]: ...  # noqa: D102


def say(text: str) -> None:
    """A line on standard error; no work ends because nobody is there to read it."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr)


def note(args: argparse.Namespace, text: str) -> None:
    """A line on what a user may not expect; not where --quiet is wanted."""
    if not args.quiet:
        say(f"netwatch: {text}")


def warn_interpreted(args: argparse.Namespace) -> None:
    """Say once that the packet loop was not compiled, which costs a hundredfold."""
    if not COMPILED and not args.quiet:
        say(
            "netwatch: the packet loop runs interpreted and slow; install a C compiler and"
            " netwatch again to make it fast"
        )


@contextlib.contextmanager
def output(path: str | None) -> Iterator[TextIO]:
    """Standard output, or the file `path`, which is written whole or not at all: what
    stood there stays until all is done. Pipes and devices are written as they are."""
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            with target.open("w", encoding="utf-8", newline="") as stream:
                yield stream
            return
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with open(handle, "w", encoding="utf-8", newline="") as stream:  # noqa: PTH123 - a handle
            yield stream
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def progress(
    args: argparse.Namespace, captures: Sequence[Sequence[Found]]
) -> Iterator[Progress | None]:
    """A progress bar: bytes, packets, rate and time left; None where nobody looks."""
    if args.quiet or not sys.stderr.isatty() or args.jobs > 1:
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    sizes = {found.path: _size(found) for files in captures for found in files}
    known = None if None in sizes.values() else sum(size or 0 for size in sizes.values())
    read: dict[str, int] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[packets]:,} packets"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=known, packets=0)

        def told(statistics: RunStatistics, source: Source, position: int) -> None:
            read[source.name] = position
            bar.update(task, completed=sum(read.values()), packets=statistics.packets)

        yield told


def _size(found: Found) -> int | None:
    try:
        return Path(found.path).stat().st_size if found.error is None else 0
    except OSError:
        return None


def summary(
    args: argparse.Namespace,
    statistics: RunStatistics,
    seconds: float,
    config: Config | None = None,
    incidents: Gathered | None = None,
    report: Report | None = None,
    evidence: "EvidenceFolder | None" = None,
) -> None:
    """The end of a run: each unread capture, always; then what was read and found."""
    for error in statistics.unread:
        say(f"netwatch: {error}")
    for problem in evidence.notes if evidence else ():
        say(f"netwatch: {problem}")
    if args.quiet:
        return
    for note in statistics.notes:
        say(f"netwatch: {note}")
    for note in config.notes if config else ():
        say(f"netwatch: {note}")
    for label, text in _lines(args, statistics, seconds, incidents, report, evidence):
        say(f"{label:<13} {text}")


def _lines(
    args: argparse.Namespace,
    statistics: RunStatistics,
    seconds: float,
    incidents: Gathered | None,
    report: Report | None,
    evidence: "EvidenceFolder | None",
) -> Iterator[tuple[str, str]]:
    files = f"{statistics.files:,} capture{'' if statistics.files == 1 else 's'}"
    size = f"{statistics.packets:,} packets, {statistics.wire_bytes:,} bytes"
    read = f"{files}, {size} in {seconds:.2f} s"
    yield "read", f"{read} (netwatch {__version__})"
    yield "observations", _counts(statistics.observations) or "none"
    if incidents is not None:
        yield "incidents", _counts(incidents.by_verdict) or "none"
        if incidents.recorded:
            yield "recorded", f"{incidents.recorded:,} below the confidence that the ban asks for"
        for reason, count in statistics.without_verdict.most_common():
            yield "no verdict", f"{count:,}: {reason}"
        if incidents.limits:
            yield "left out", _counts(incidents.limits)
    if evidence is not None:
        yield "evidence", f"{evidence.files:,} files, {evidence.octets:,} bytes"
        if evidence.left_out:
            yield "left out", _counts(evidence.left_out)
    if report is not None:
        yield from (("blind spots", text) for text in _blind(report))
    odd = Counter({name: n for name, n in statistics.anomalies.items() if name not in INNOCENT})
    yield "anomalies", _counts(odd) or "none"
    innocent = statistics.anomalies - odd
    if args.verbose:
        yield "no names in", _counts(innocent) or "no packet"
        yield "candidates", f"{statistics.candidates:,} packets could carry a name"
    if statistics.skipped:
        some = statistics.skipped if args.verbose else statistics.skipped[:NAMED]
        more = (
            f" and {len(statistics.skipped) - len(some)} more"
            if len(statistics.skipped) > NAMED
            else ""
        )
        yield "skipped", f"no captures: {', '.join(some)}{more if not args.verbose else ''}"
    if statistics.unread:
        yield "not read", f"{len(statistics.unread):,} (named above)"


def _blind(report: Report) -> Iterator[str]:
    """How much could be read: flows by reason, then packets that became no flow."""
    total = report.total
    named = f": named {total.named:,} ({total.percent} %)" if total.flows else ""
    yield ", ".join(filter(None, [f"flows {total.flows:,}{named}", reasons(total)]))
    lost = Counter({"dropped": report.dropped, "cut": report.cut}) + Counter(report.unreadable)
    if lost:
        yield f"packets {report.packets:,}: {_counts(lost)}"
    further = sum(network.rest.flows for network in report.networks)
    if further:
        yield f"devices: more than {DEVICE_LIMIT:,}, {further:,} flows of others by network alone"


def _counts(counts: Mapping[str, int]) -> str:
    """Names with their counts, the most frequent first."""
    return ", ".join(f"{name} {count:,}" for name, count in Counter(counts).most_common())
