"""How cost grows: with packets, with flows, with different names, with signature domains.

One thing grows at a time, in steps, while the rest stays as it is. Each step is a
`netwatch scan`, with what it costs beyond an empty capture and that start by itself;
where names grow, Suricata reads the same, since its cost does not depend on them.
"""

import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from alone import good, whole
from captures import Traffic, capture, empty, forget
from compare import Settings, run, say
from measure import Run, measure, netwatch
from peers import CONFIG, PEERS, Job, clients
from population import BANNED_DOMAINS

FLOWS = (1_000, 10_000, 100_000, 300_000)
NAMES = (100, 1_000, 10_000, 100_000, 300_000)
DOMAINS = (10, 100, 1_000, 10_000, 100_000)
A_FILE = 1_000
"""Domains of a generated signature."""
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """A point: what grows, how far, the traffic that shows it, and the configuration."""

    what: str
    size: int
    traffic: Traffic
    config: Path = CONFIG


def steps(settings: Settings) -> Iterator[Step]:
    """All points, in the order of the table."""
    base = max(16, settings.office // 5)
    for part in (64, 16, 4, 1):
        packets = max(1, settings.office // part)
        yield Step("packets", packets, Traffic("office", packets))
    for flows in FLOWS:
        if flows <= max(base // 2, FLOWS[0]):
            yield Step("flows", flows, Traffic("data", base, active=flows))
    for names in NAMES:
        yield Step("names", names, Traffic("dns", base, names=names))
    for domains in DOMAINS:
        config = signatures(domains, settings.work)
        yield Step("domains", domains, Traffic("office", base // 4), config)


def signatures(domains: int, work: Path) -> Path:
    """A configuration with so many domains in signatures, made anew: the banned ones, and
    others of which no traffic shows any."""
    folder = work / f"domains-{domains}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "signatures").mkdir(parents=True)
    others = [f"zone-{number}.filler-{number % 97}.example" for number in range(domains)]
    names = {"tiktok": [*BANNED_DOMAINS]}
    left = others[: domains - len(BANNED_DOMAINS)]
    for number, at in enumerate(range(0, len(left), A_FILE)):
        names[f"filler-{number}"] = left[at : at + A_FILE]
    for app, zones in names.items():
        text = [f"app: {app}", f"name: {app}", "vendor: example", "category: video", "domains:"]
        text += [f"  - {{suffix: {zone}, role: exclusive, sources: [bench]}}" for zone in zones]
        file = folder / "signatures" / f"{app}.yaml"
        file.write_text("\n".join(text) + "\n", encoding="ascii")
    config = folder / "netwatch.yaml"
    sample = CONFIG.read_text(encoding="utf-8")
    sample = sample.replace("signatures: [builtin]", "signatures: [./signatures/]")
    sample = sample.replace("devices.csv", str(CONFIG.parent / "devices.csv"))
    config.write_text(sample, encoding="utf-8")
    return config


def growth(settings: Settings) -> dict[str, Any]:
    """Every step, some rounds over."""
    rounds, rows = min(ROUNDS, settings.rounds), []
    kept = Traffic("office", settings.office)
    for traffic, some in groupby(steps(settings), attrgetter("traffic")):
        rows += [point(step, rounds, settings) for step in some]
        # What others read too stays; all of them together would fill a disk.
        if traffic != kept:
            forget(traffic, settings.work)
    return {"rounds": rounds, "rows": rows}


def point(step: Step, rounds: int, settings: Settings) -> dict[str, Any]:
    """What a step costs."""
    say(f"growth: {step.size} {step.what}")
    work = settings.work
    path, manifest = capture(step.traffic, work)
    call = netwatch("scan", "-q", "-c", str(step.config), "--format", "jsonl")
    nothing, output = str(empty(work)), work / "growth.out"
    starts, runs, others = [], [], []
    for _ in range(rounds):
        starts.append(good(measure([*call, nothing], output, settings.timeout)))
        runs.append(good(measure([*call, str(path)], output, settings.timeout)))
        whole(runs[-1], clients(manifest))
        if step.what == "names":
            others += suricata(Job(path, step.traffic.packets, work), settings)
    start = _cpu(starts)
    beyond = _cpu(runs) - start
    return {
        "what": step.what,
        "size": manifest["distinct_names"] if step.what == "names" else step.size,
        "packets": manifest["packets"],
        "start": start,
        "beyond": beyond,
        "each": beyond / manifest["packets"],
        "rss": max(run.rss for run in runs),
        "suricata": _cpu(others) if others else None,
    }


def suricata(job: Job, settings: Settings) -> list[Run]:
    """One run of it, where it is installed."""
    peer = next(peer for peer in PEERS if peer.name == "suricata")
    return [] if peer.missing() else [good(run(peer, job, settings.timeout))]


def _cpu(runs: list[Run]) -> float:
    return statistics.median(run.cpu for run in runs)


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("what grows", lambda row: row["what"]),
    ("to", lambda row: f"{row['size']:,}"),
    ("packets read", lambda row: f"{row['packets']:,}"),
    ("start, CPU s", lambda row: f"{row['start']:.2f}"),
    ("beyond, CPU s", lambda row: f"{row['beyond']:.2f}"),
    ("µs a packet", lambda row: f"{row['each'] * 1e6:.2f}"),
    ("peak MB", lambda row: f"{row['rss'] / 1e6:.0f}"),
    ("Suricata, CPU s", lambda row: "" if row["suricata"] is None else f"{row['suricata']:.2f}"),
)


def text(found: dict[str, Any]) -> str:
    """The steps for people."""
    shape = "{:<10} {:>9} {:>12} {:>12} {:>13} {:>11} {:>7} {:>15}"
    rows = [[shows(row) for _, shows in COLUMNS] for row in found["rows"]]
    told = [shape.format(*(name for name, _ in COLUMNS)), *(shape.format(*row) for row in rows)]
    return "\n".join([f"growth, median of {found['rounds']} rounds", *told])
