"""How the cost grows with packets, flows, clients, contacts, different names, bans, networks and
domains of signatures.

One of them grows in steps while the others are constant. Each step is a `netwatch scan`; its cost
is given without the start, which an empty capture measures. For different names, Suricata reads the
same capture, since its cost does not depend on them.
"""

import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from captures import Traffic, capture, empty, remove
from compare import Options, progress, run
from many_bans import configuration
from measure import Run, measure, netwatch
from netwatch_only import require_complete, require_success
from peers import CONFIG, PEERS, Job, banned_clients
from population import BANNED_DOMAINS

FLOWS = (1_000, 10_000, 100_000, 300_000)
NAMES = (100, 1_000, 10_000, 100_000, 300_000)
DOMAINS = (10, 100, 1_000, 10_000, 100_000)
CLIENTS = (10, 100, 1_000, 10_000, 50_000)
BANNED_SHARES = (0.001, 0.01, 0.1, 1.0)
"""Shares of contacts to banned names."""
BANS = (1, 10, 100, 1_000)
NETWORKS = (10, 100, 1_000, 10_000, 100_000)
DOMAINS_PER_SIGNATURE = 1_000
"""Domains in a generated signature."""
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """A measurement: what grows, its size, the traffic, and the configuration."""

    what: str
    size: int
    traffic: Traffic
    config: Path = CONFIG


def steps(options: Options) -> Iterator[Step]:
    """All steps in the order of the table."""
    base = max(16, options.office // 5)
    for part in (64, 16, 4, 1):
        packets = max(1, options.office // part)
        yield Step("packets", packets, Traffic("office", packets))
    for flows in FLOWS:
        if flows <= max(base // 2, FLOWS[0]):
            yield Step("flows", flows, Traffic("data", base, active=flows))
    for names in NAMES:
        yield Step("names", names, Traffic("dns", base, names=names))
    for clients in CLIENTS:
        yield Step("clients", clients, Traffic("office", base, clients=clients))
    for share in BANNED_SHARES:
        yield Step("contacts", 0, Traffic("dns", base // 4, banned=share))
    for bans in BANS:
        config = configuration(bans, options.work)
        yield Step("bans", bans, Traffic("dns", base // 4, banned=BANNED_SHARES[-2]), config)
    for count in NETWORKS:
        yield Step("networks", count, Traffic("office", base // 4), networks(count, options.work))
    for domains in DOMAINS:
        config = signatures(domains, options.work)
        yield Step("domains", domains, Traffic("office", base // 4), config)


def networks(count: int, work: Path) -> Path:
    """Write the sample configuration with this number of further networks; its path."""
    rows = [
        f'  - {{name: net-{number}, cidrs: ["2001:db9:{number >> 16:x}:{number & 0xFFFF:x}::/64"],'
        " class: personal}"
        for number in range(count)
    ]
    text = CONFIG.read_text(encoding="utf-8")
    text = text.replace("devices.csv", str(CONFIG.parent / "devices.csv"))
    path = work / f"networks-{count}.yaml"
    path.write_text(text.replace("networks:\n", "networks:\n" + "\n".join(rows) + "\n", 1))
    return path


def size_of(step: Step, manifest: dict[str, Any]) -> int:
    """The size of a step, which for names and contacts is what the traffic contains."""
    if step.what == "names":
        return int(manifest["distinct_names"])
    return sum(manifest["banned"].values()) if step.what == "contacts" else step.size


def signatures(domains: int, work: Path) -> Path:
    """Write a configuration with this number of domains in its signatures: the banned ones,
    and others that no traffic contains."""
    folder = work / f"domains-{domains}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "signatures").mkdir(parents=True)
    others = [f"zone-{number}.filler-{number % 97}.example" for number in range(domains)]
    names = {"tiktok": [*BANNED_DOMAINS]}
    left = others[: domains - len(BANNED_DOMAINS)]
    for number, at in enumerate(range(0, len(left), DOMAINS_PER_SIGNATURE)):
        names[f"filler-{number}"] = left[at : at + DOMAINS_PER_SIGNATURE]
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


def growth(options: Options) -> dict[str, Any]:
    """Measure all steps in some rounds."""
    rounds = min(ROUNDS, options.rounds)
    rows: list[dict[str, Any]] = []
    shared = Traffic("office", options.office)
    for traffic, some in groupby(steps(options), attrgetter("traffic")):
        rows += [measure_step(step, rounds, options) for step in some]
        # Captures that other sections read stay; all of them would fill the disk.
        if traffic != shared:
            remove(traffic, options.work)
    for before, row in zip([None, *rows], rows, strict=False):
        row["grows"] = grows(before, row)
    return {"rounds": rounds, "rows": rows}


def grows(before: dict[str, Any] | None, row: dict[str, Any]) -> str:
    """By how much the whole cost of a step is above that of the one before, beside the size: at
    most as much is linear growth or better."""
    if before is None or before["what"] != row["what"]:
        return ""
    cost = (row["start"] + row["beyond"]) / (before["start"] + before["beyond"])
    return f"{cost:.1f} / {row['size'] / max(1, before['size']):.1f}"


def measure_step(step: Step, rounds: int, options: Options) -> dict[str, Any]:
    """Measure the cost of a step."""
    progress(f"growth: {step.size} {step.what}")
    work = options.work
    path, manifest = capture(step.traffic, work)
    call = netwatch("scan", "-q", "-c", str(step.config), "--format", "jsonl")
    empty_capture, output = str(empty(work)), work / "growth.out"
    starts, runs, others = [], [], []
    for _ in range(rounds):
        starts.append(require_success(measure([*call, empty_capture], output, options.timeout)))
        runs.append(require_success(measure([*call, str(path)], output, options.timeout)))
        require_complete(runs[-1], banned_clients(manifest))
        if step.what == "names":
            others += suricata(Job(path, step.traffic.packets, work), options)
    start = _cpu(starts)
    beyond = _cpu(runs) - start
    return {
        "what": step.what,
        "size": size_of(step, manifest),
        "packets": manifest["packets"],
        "start": start,
        "beyond": beyond,
        "each": beyond / manifest["packets"],
        "rss": max(run.rss for run in runs),
        "suricata": _cpu(others) if others else None,
    }


def suricata(job: Job, options: Options) -> list[Run]:
    """One run of Suricata if it is installed."""
    peer = next(peer for peer in PEERS if peer.name == "suricata")
    return [] if peer.missing() else [require_success(run(peer, job, options.timeout))]


def _cpu(runs: list[Run]) -> float:
    return statistics.median(run.cpu for run in runs)


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("what grows", lambda row: row["what"]),
    ("size", lambda row: f"{row['size']:,}"),
    ("packets read", lambda row: f"{row['packets']:,}"),
    ("start, CPU s", lambda row: f"{row['start']:.2f}"),
    ("rest, CPU s", lambda row: f"{row['beyond']:.2f}"),
    ("µs a packet", lambda row: f"{row['each'] * 1e6:.2f}"),
    ("times cost / size", lambda row: row["grows"]),
    ("peak MB", lambda row: f"{row['rss'] / 1e6:.0f}"),
    ("Suricata, CPU s", lambda row: "" if row["suricata"] is None else f"{row['suricata']:.2f}"),
)


def text(found: dict[str, Any]) -> str:
    """The steps as text."""
    shape = "{:<10} {:>9} {:>12} {:>12} {:>13} {:>11} {:>17} {:>7} {:>15}"
    rows = [[shows(row) for _, shows in COLUMNS] for row in found["rows"]]
    reported = [shape.format(*(name for name, _ in COLUMNS)), *(shape.format(*row) for row in rows)]
    return "\n".join([f"growth, median of {found['rounds']} rounds", *reported])
