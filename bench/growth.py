"""How the cost grows: CPU and memory of one process by the number of packets, flows, names,
devices, incidents, bans, networks, domains of signatures, lines of a log, and rows of a store.

Each curve has a size for each power of ten, until a step would take too long. The cost of a step is
what a process takes beyond the first step, which loads the same code for next to no work. The
exponent is that of the straight line through the logarithms: 1 is linear. Steps whose cost is
hidden by the start are left out, and a curve that nowhere rises above that has the exponent 0.
"""

import math
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import logs
import store_rows
from captures import BENCH, Traffic, capture
from compare import Options, progress
from many_bans import configuration
from measure import Run, as_text, measure, netwatch
from netwatch_only import require_complete, require_success
from peers import CONFIG
from population import BANNED_DOMAINS

BUDGET = 660.0
"""Seconds that all curves may take. A step begins if it is likely to take no more than the share of
its curve of what is left: all but the start of the step before, times what it is larger."""
NOISE = 0.1
"""CPU seconds beyond the first step below which a step says nothing of growth."""
PACKETS_OF_PART = 100_000
"""Packets that are repeated for more of them, if they are more."""
CLIENTS_OF_PART = 1_000
FULL = 2_000_000
"""Packets of office traffic in a whole run, to which `BUDGET` is relative."""
DOMAINS_PER_SIGNATURE = 1_000
"""Domains in a generated signature."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command with what it reads from standard input, and the least that it has to report."""

    command: Sequence[str]
    feed: Sequence[str] | None = None
    expected: int = 0


@dataclass(frozen=True, slots=True)
class Curve:
    """What grows, its sizes, of which the first measures the start, and the step of a size."""

    what: str
    sizes: Sequence[int]
    step: Callable[[int, Options], Step]


def _scan(*more: str, config: Path = CONFIG) -> list[str]:
    return netwatch("scan", "-q", "-c", str(config), "--format", "jsonl", *more)


def _feed(*words: object) -> list[str]:
    return [sys.executable, str(BENCH / "feed.py"), *map(str, words)]


def _packets(size: int, options: Options) -> Step:
    part = min(size, PACKETS_OF_PART)
    path, manifest = capture(Traffic("office", part), options.work)
    # A hello that comes again with the same ports and sequence numbers is a retransmission.
    return Step(_scan("-"), _feed("repeat", path, size // part), manifest["banned_clients"])


def _incidents(size: int, options: Options) -> Step:
    clients = min(size, CLIENTS_OF_PART)
    traffic = Traffic("dns", 3 * clients, clients=clients, banned=1.0)
    path, manifest = capture(traffic, options.work)
    times = size // clients
    expected = manifest["banned_clients"] * times
    return Step(_scan("-"), _feed("repeat", path, times), expected)


def _flood(kind: str, packets_of_each: int = 1) -> Callable[[int, Options], Step]:
    def step(size: int, options: Options) -> Step:
        return Step(_scan("-"), _feed(kind, size * packets_of_each))

    return step


def _bans(size: int, options: Options) -> Step:
    path, _ = capture(Traffic("office", PACKETS_OF_PART), options.work)
    return Step(_scan(str(path), config=configuration(size, options.work)))


def _networks(size: int, options: Options) -> Step:
    path, _ = capture(Traffic("office", PACKETS_OF_PART), options.work)
    return Step(_scan(str(path), config=networks(size, options.work)))


def _domains(size: int, options: Options) -> Step:
    path, _ = capture(Traffic("office", PACKETS_OF_PART), options.work)
    return Step(_scan(str(path), config=signatures(size, options.work)))


def _lines(size: int, options: Options) -> Step:
    path = options.work / "growth.log"
    with path.open("w", encoding="ascii") as file:
        file.writelines(logs.zeek(size))
    return Step(_scan(str(path)))


def _rows(size: int, options: Options) -> Step:
    work = options.work / "growth-store"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    subprocess.run(_store("make", size, work), check=True, stdout=subprocess.DEVNULL)
    subprocess.run(_store("landing", size, work), check=True, stdout=subprocess.DEVNULL)
    return Step(_store("compacted", size, work))


def _store(step: str, size: int, work: Path) -> list[str]:
    return [sys.executable, store_rows.__file__, step, str(size), str(work)]


def _decades(first: int, end: int) -> list[int]:
    return [10**decade for decade in range(first, end)]


CURVES = (
    Curve("packets", _decades(3, 9), _packets),
    Curve("flows", _decades(3, 9), _flood("syn")),
    Curve("names", _decades(3, 8), _flood("subdomains")),
    Curve("devices", _decades(3, 7), _flood("devices", 2)),
    Curve("incidents", _decades(1, 7), _incidents),
    Curve("bans", _decades(0, 6), _bans),
    Curve("networks", _decades(1, 6), _networks),
    Curve("domains of signatures", _decades(1, 6), _domains),
    Curve("lines of a log", _decades(3, 8), _lines),
    Curve("rows of a store", (1_000, 100_000, 1_000_000, 10_000_000), _rows),
)
"""The curves in the order of the page."""


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
    """Measure all curves."""
    end = time.monotonic() + BUDGET * min(1.0, options.office / FULL)
    curves = []
    for left, curve in zip(range(len(CURVES), 0, -1), CURVES, strict=True):
        share = (end - time.monotonic()) / left
        points = list(_points(curve, share, options))
        for point in points:
            point["beyond"] = max(0.0, point["cpu"] - points[0]["cpu"])
        costs = [(point["size"], point["beyond"]) for point in points]
        curves.append({
            "what": curve.what, "points": points, "exponent": exponent(costs, NOISE),
            "last": exponent(costs[-2:], NOISE),
        })  # fmt: skip
    for left_over in ("growth.log", "growth.out"):
        (options.work / left_over).unlink(missing_ok=True)
    shutil.rmtree(options.work / "growth-store", ignore_errors=True)
    return {"curves": curves}


def _points(curve: Curve, share: float, options: Options) -> Iterator[dict[str, Any]]:
    """The measured steps of a curve: at least two, and more while the next one is likely to take no
    more than `share` seconds."""
    took: list[float] = []
    for number, size in enumerate(curve.sizes):
        if number > 1:
            likely = (took[-1] - took[0]) * size / curve.sizes[number - 1] + took[0]
            if likely > share:
                return
        progress(f"growth: {size:,} {curve.what}")
        begin = time.monotonic()
        step = curve.step(size, options)
        run = _run(step, options)
        took.append(time.monotonic() - begin)
        # More runs of a short step, whose cost is small beside the noise. A store is full by then.
        again = [_run(step, options) for _ in range(2 * (run.wall < 2 and curve.step is not _rows))]
        cpu = min(each.cpu for each in (run, *again))
        yield {"size": size, "cpu": cpu, "wall": run.wall, "rss": run.rss}


def _run(step: Step, options: Options) -> Run:
    output = options.work / "growth.out"
    run = require_success(measure(step.command, output, options.timeout, feed=step.feed))
    if step.expected:
        require_complete(run, step.expected)
    return run


def exponent(points: Sequence[tuple[float, float]], least: float = 0.0) -> float:
    """The slope of the straight line through the logarithms of sizes and costs, of which those that
    are not above `least` do not count; 0 if fewer than two are left."""
    found = [(math.log(size), math.log(cost)) for size, cost in points if cost > least]
    if len(found) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*found, strict=True)).slope


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("what grows", lambda curve: curve["what"]),
    ("up to", lambda curve: f"{curve['points'][-1]['size']:,}"),
    ("CPU s", lambda curve: f"{curve['points'][-1]['cpu']:.2f}"),
    ("exponent", lambda curve: f"{curve['exponent']:.2f}"),
    ("of the last step", lambda curve: f"{curve['last']:.2f}"),
    ("peak MB", lambda curve: f"{curve['points'][-1]['rss'] / 1e6:.0f}"),
    ("a step before", lambda curve: f"{curve['points'][-2]['rss'] / 1e6:.0f}"),
)


def text(found: dict[str, Any]) -> str:
    """The curves as text."""
    return as_text(COLUMNS, found["curves"])
