"""netwatch and its peers side by side on the same capture.

In every round each installed peer reads the capture once, so that other load on the machine
affects all of them. The cost of a capture with one packet is reported as the start of a peer.
"""

import statistics
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from captures import Traffic, capture, remove
from measure import Run, measure
from peers import NOT_PACKAGED, PEERS, Job, Peer

BASE = "netwatch scan"


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured: packets of office traffic, DNS messages, rounds of a measurement, the
    size in bytes of the largest capture for memory, the peers by name or prefix, the work folder,
    the seconds after which a process is killed, and whether programs write their tables."""

    office: int
    dns: int
    rounds: int
    largest: int
    only: tuple[str, ...]
    work: Path
    timeout: float
    write: bool = False


def progress(text: str) -> None:
    """Print progress on standard error."""
    print(text, file=sys.stderr, flush=True)


OFFICE, DNS = 2.0, 2.5
"""Packets for each one that other sections read: so many that the start is some tenth of a scan."""
MIN_SHARE = 0.9
"""The share of the names in the traffic that a peer has to report; netwatch has to report all."""


def run(peer: Peer, job: Job, timeout: float) -> Run:
    """Run a peer once on the capture of the job."""
    output = job.work / f"{peer.name.replace(' ', '-')}.out"
    return measure(peer.command(job), output, timeout, lambda out: peer.reported(out, job))


def row(peer: Peer, runs: list[Run], empty: list[Run], expected: int | None) -> dict[str, Any]:
    """Medians of the rounds, scaled up if the peer read only a part of the packets."""
    failed = next((run.error for run in runs + empty if run.status), None)
    if failed is not None:
        return {"peer": peer.name, "failed": failed}
    reported = runs[-1].reported
    short = reported is not None and expected is not None and reported < expected
    if short and (peer.name.startswith("netwatch") or reported < MIN_SHARE * expected):
        return {"peer": peer.name, "failed": f"reported {reported} of {expected}"}
    start = statistics.median(run.cpu for run in empty)
    beyond = (statistics.median(run.cpu for run in runs) - start) / peer.share
    waiting = statistics.median(run.wall for run in empty)
    wall = (statistics.median(run.wall for run in runs) - waiting) / peer.share + waiting
    return {
        "peer": peer.name,
        "cpu": beyond + start,
        "beyond": beyond,
        "start": start,
        "wall": wall,
        "rss": max(run.rss for run in runs),
        "reported": reported,
        "what": peer.what
        + (f"; {peer.share:.0%} read, scaled" if peer.share < 1 else "")
        + (f"; reported {reported} of {expected}" if short else ""),
    }


def compare(traffic: Traffic, options: Options) -> dict[str, Any]:
    """Let all peers read one kind of traffic. What no package registry has is named too."""
    wanted = tuple(options.only or [""])
    chosen = [each for each in PEERS if each.name.startswith(wanted) and traffic.kind in each.kinds]
    for peer in (peer for peer in chosen if peer.missing()):
        progress(f"left out, not installed: {peer.name} ({peer.install})")
    present = [peer for peer in chosen if not peer.missing()]
    work, timeout = options.work, options.timeout
    path, manifest = capture(traffic, work)
    # With an empty capture Suricata waits a minute for its own threads.
    first, _ = capture(Traffic(traffic.kind, 1), work)
    runs: dict[str, list[Run]] = {peer.name: [] for peer in present}
    starts: dict[str, list[Run]] = {peer.name: [] for peer in present}
    for number in range(1, options.rounds + 1):
        for peer in present:
            if peer.rounds is not None and number > peer.rounds:
                continue
            progress(f"{traffic.kind}, round {number} of {options.rounds}: {peer.name}")
            starts[peer.name].append(run(peer, Job(first, 1, work), timeout))
            job = Job(path, traffic.packets, work)
            part = replace(job, packets=max(1, round(job.packets * peer.share)))
            runs[peer.name].append(run(peer, part, timeout))
    rows = []
    for peer in present:
        expected = peer.expected(manifest) if peer.expected else None
        entry = row(peer, runs[peer.name], starts[peer.name], expected)
        rows.append(entry | {"version": peer.release()})
    return {
        "manifest": manifest,
        "size": path.stat().st_size,
        "rounds": options.rounds,
        "rows": rows,
        "missing": {peer.name: peer.install for peer in chosen if peer.missing()} | NOT_PACKAGED,
        "runs": {name: [asdict(run) for run in found] for name, found in runs.items()},
        "starts": {name: [asdict(run) for run in found] for name, found in starts.items()},
    }


def office(options: Options) -> dict[str, Any]:
    """Office traffic as on a mirror port. No other section needs so large a capture."""
    traffic = Traffic("office", round(OFFICE * options.office))
    try:
        return compare(traffic, options)
    finally:
        remove(traffic, options.work)


def dns(options: Options) -> dict[str, Any]:
    """DNS lookups only."""
    return compare(Traffic("dns", round(DNS * options.dns)), options)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text, each relative to netwatch if that ran."""
    base = next((row["cpu"] for row in rows if row["peer"] == BASE and "cpu" in row), None)
    head = (
        "peer",
        "CPU s",
        "beyond start",
        "wall s",
        "peak MB",
        "times",
        "reported",
        "what it does",
    )
    shape = "{:<15} {:>8} {:>13} {:>8} {:>8} {:>7} {:>8}  {}"
    text = [shape.format(*head)]
    for entry in rows:
        if "failed" in entry:
            text.append(f"{entry['peer']:<15} failed: {entry['failed']}")
            continue
        numbers = [f"{entry[key]:.2f}" for key in ("cpu", "beyond", "wall")]
        times = f"{entry['cpu'] / base:.2f}" if base else "-"
        reported = "-" if entry["reported"] is None else entry["reported"]
        memory = f"{entry['rss'] / 1e6:.0f}"
        text.append(shape.format(entry["peer"], *numbers, memory, times, reported, entry["what"]))
    return "\n".join(text)


def text(found: dict[str, Any]) -> str:
    """The comparison as text."""
    manifest = found["manifest"]
    return "\n".join(
        [
            f"{manifest['kind']}: {manifest['packets']} packets, {found['size'] / 1e6:.0f} MB,"
            f" {manifest['distinct_names']} different names, median of {found['rounds']} rounds",
            f"contains {sum(manifest['observations'].values())} names,"
            f" {manifest['banned_clients']} clients with banned names",
            table(found["rows"]),
            *(f"not measured: {name} ({why})" for name, why in found["missing"].items()),
        ]
    )
