"""How fast netwatch is: beside its peers, by itself, and as its work grows.

``python bench/run.py`` measures all sections, ``python bench/run.py office dns`` some: it
generates traffic into a work folder, measures whole processes (CPU seconds, seconds on
the clock, peak memory) some rounds over and prints medians, ratios and the goals with
whether each holds. Nothing is installed; what is missing is named. All measurements go
to ``results.json`` in the work folder, with ``--write`` also into docs/performance.md.
The numbers judge nothing: this command fails only where a command that it measures
fails, or tells less than the traffic shows.
"""

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alone
import compare
import goals
import growth
import hostile
import live
import page
import veth
from compare import Settings, say
from peers import PEERS
from shared import ROOT

SECTIONS: dict[str, tuple[Callable[[Settings], dict[str, Any]], Callable[[dict[str, Any]], str]]]
SECTIONS = {
    "start": (alone.start, alone.start_text),
    "office": (compare.office, compare.text),
    "dns": (compare.dns, compare.text),
    "jobs": (alone.jobs, alone.jobs_text),
    "memory": (alone.memory, alone.memory_text),
    "growth": (growth.growth, growth.text),
    "loss": (live.loss, live.loss_text),
    "latency": (live.latency, live.latency_text),
    "floods": (hostile.floods, hostile.text),
}
"""What is measured, and how it is told."""

DISK = 3000
"""Bytes of disk that all sections need for each packet of the office: its capture, those of two
jobs, the largest of growth, and what is told."""


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    names = [platform.processor() or platform.machine()]
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        names += [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[-1],
        "cpus": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


def failures(results: dict[str, Any]) -> list[str]:
    """What went wrong in the sections that ran."""
    rows = [row for found in results.values() for row in found.get("rows", ())]
    failed = [f"{row['peer']}: {row['failed']}" for row in rows if "failed" in row]
    return failed + [text for row in rows for text in row.get("wrong", ())]


def options() -> argparse.ArgumentParser:
    """The command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument(
        "--packets",
        type=int,
        default=5_000_000,
        metavar="N",
        help="of office traffic (default 5,000,000); all else goes with it",
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument(
        "--gigabytes", type=float, default=4, metavar="N", help="of memory's largest capture"
    )
    parser.add_argument("--only", nargs="+", metavar="PEER", help="peers by name, or its start")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    parser.add_argument("--timeout", type=float, default=1800, metavar="S", help="for one process")
    parser.add_argument("--write", action="store_true", help="what ran into docs/performance.md")
    return parser


def main() -> int:
    """Arguments in, tables out; status 1 where something that was measured failed."""
    parser = options()
    args = parser.parse_args()
    if args.packets < 1 or args.rounds < 1 or args.gigabytes <= 0:
        parser.error("packets and rounds are 1 or more, gigabytes more than 0")
    only = tuple(args.only or ())
    if not any(peer.name.startswith(only or ("",)) for peer in PEERS):
        parser.error(f"--only takes: {', '.join(peer.name for peer in PEERS)}")
    if strange := [name for name in args.sections if name not in SECTIONS]:
        parser.error(f"no section {', '.join(strange)}; there are: {', '.join(SECTIONS)}")
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(work).free / 1e9, DISK * args.packets / 1e9
    if free < needed:
        say(f"{free:.1f} GB free in {work}; all sections take {needed:.1f}")
    settings = Settings(
        office=args.packets,
        dns=max(1, args.packets * 2 // 5),
        rounds=args.rounds,
        largest=round(args.gigabytes * 10**9),
        only=only,
        work=work,
        timeout=args.timeout,
    )
    results: dict[str, Any] = {}
    wrong: list[str] = []
    for name, (measure, text) in SECTIONS.items():
        if args.sections and name not in args.sections:
            continue
        try:
            results[name] = measure(settings)
        except alone.MeasurementError as error:
            wrong.append(f"{name}: {error}")
        except veth.MissingError as error:
            say(f"left out: {name}, {error}")
        else:
            print(text(results[name]), end="\n\n", flush=True)
    print(goals.text(goals.goals(results)))
    told = {"machine": machine(), "goals": [goal.told() for goal in goals.goals(results)]}
    path = work / "results.json"
    path.write_text(json.dumps(told | results, indent=1) + "\n", encoding="utf-8")
    if args.write:
        say(f"written: {', '.join(page.write(results, machine())) or 'nothing'}")
    for failure in wrong + failures(results):
        say(f"failed: {failure}")
    return 1 if wrong or failures(results) else 0


if __name__ == "__main__":
    sys.exit(main())
