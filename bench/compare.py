"""Netwatch and its peers side by side on the same capture.

Every peer that is installed reads it in turn, some rounds over, so that whatever else the
machine does meets all of them. What a capture of one packet costs is told as its start.
"""

import statistics
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from captures import Traffic, capture
from measure import Run, measure
from peers import PEERS, Job, Peer

BASE = "netwatch scan"


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured: packets of the office and messages of DNS, rounds of each
    measurement, the size in bytes up to which memory is looked at, the peers' names or
    their starts, a folder to work in, seconds until a process is killed."""

    office: int
    dns: int
    rounds: int
    largest: int
    only: tuple[str, ...]
    work: Path
    timeout: float


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


ENOUGH = 0.9
"""How much of what the traffic shows a peer has to tell, to be one; netwatch has to tell all."""


def run(peer: Peer, job: Job, timeout: float) -> Run:
    """Run a peer once on the job's capture."""
    output = job.work / f"{peer.name.replace(' ', '-')}.out"
    return measure(peer.command(job), output, timeout, lambda out: peer.told(out, job))


def row(peer: Peer, runs: list[Run], empty: list[Run], expected: int | None) -> dict[str, Any]:
    """Medians of the rounds, scaled where the peer got a part of the packets."""
    failed = next((run.error for run in runs + empty if run.status), None)
    if failed is not None:
        return {"peer": peer.name, "failed": failed}
    told = runs[-1].told
    short = told is not None and expected is not None and told < expected
    if short and (peer.name.startswith("netwatch") or told < ENOUGH * expected):
        return {"peer": peer.name, "failed": f"told {told} of {expected}"}
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
        "told": told,
        "what": peer.what
        + (f"; {peer.share:.0%} read, scaled" if peer.share < 1 else "")
        + (f"; told {told} of {expected}" if short else ""),
    }


def compare(traffic: Traffic, settings: Settings) -> dict[str, Any]:
    """One kind of traffic, read by all."""
    wanted = tuple(settings.only or [""])
    chosen = [each for each in PEERS if each.name.startswith(wanted) and traffic.kind in each.kinds]
    for peer in (peer for peer in chosen if peer.missing()):
        say(f"left out, not installed: {peer.name} ({peer.install})")
    present = [peer for peer in chosen if not peer.missing()]
    work, timeout = settings.work, settings.timeout
    path, manifest = capture(traffic, work)
    # Suricata waits a minute for its own threads where a capture has no packet at all.
    first, _ = capture(Traffic(traffic.kind, 1), work)
    runs: dict[str, list[Run]] = {peer.name: [] for peer in present}
    starts: dict[str, list[Run]] = {peer.name: [] for peer in present}
    for number in range(1, settings.rounds + 1):
        for peer in present:
            say(f"{traffic.kind}, round {number} of {settings.rounds}: {peer.name}")
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
        "rounds": settings.rounds,
        "rows": rows,
        "missing": {peer.name: peer.install for peer in chosen if peer.missing()},
        "runs": {name: [asdict(run) for run in found] for name, found in runs.items()},
        "starts": {name: [asdict(run) for run in found] for name, found in starts.items()},
    }


def office(settings: Settings) -> dict[str, Any]:
    """What a mirror port of an office sees."""
    return compare(Traffic("office", settings.office), settings)


def dns(settings: Settings) -> dict[str, Any]:
    """Lookups alone."""
    return compare(Traffic("dns", settings.dns), settings)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for people, each beside netwatch where that ran."""
    base = next((row["cpu"] for row in rows if row["peer"] == BASE and "cpu" in row), None)
    head = ("peer", "CPU s", "beyond start", "wall s", "peak MB", "times", "told", "what it does")
    shape = "{:<15} {:>8} {:>13} {:>8} {:>8} {:>7} {:>8}  {}"
    text = [shape.format(*head)]
    for entry in rows:
        if "failed" in entry:
            text.append(f"{entry['peer']:<15} failed: {entry['failed']}")
            continue
        numbers = [f"{entry[key]:.2f}" for key in ("cpu", "beyond", "wall")]
        times = f"{entry['cpu'] / base:.2f}" if base else "-"
        told = "-" if entry["told"] is None else entry["told"]
        memory = f"{entry['rss'] / 1e6:.0f}"
        text.append(shape.format(entry["peer"], *numbers, memory, times, told, entry["what"]))
    return "\n".join(text)


def text(found: dict[str, Any]) -> str:
    """What was compared, for people."""
    manifest = found["manifest"]
    return "\n".join(
        [
            f"{manifest['kind']}: {manifest['packets']} packets, {found['size'] / 1e6:.0f} MB,"
            f" {manifest['distinct_names']} different names, median of {found['rounds']} rounds",
            f"in it: {sum(manifest['observations'].values())} names shown,"
            f" {manifest['banned_clients']} clients with banned ones",
            table(found["rows"]),
        ]
    )
