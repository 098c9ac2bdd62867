"""Measure the performance of netwatch: beside its peers, alone, and with growing input.

``python bench/run.py`` measures all sections, ``python bench/run.py office dns`` only some. It
generates traffic into a work folder, measures whole processes (CPU seconds, wall-clock seconds,
peak memory) in several rounds, and prints medians, ratios, and which goals are met. It installs
nothing and names the programs that are missing. All measurements go to ``results.json`` in the work
folder and, with ``--write``, into bench/results.md. A missed goal is not an error: the exit
status is 1 only if a measured command fails or reports less than the traffic contains.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cluster
import columns
import compare
import compressed
import console
import fleet_load
import flow_records
import goals
import growth
import growth_chart
import hostile
import live
import live_cost
import live_store
import logs
import many_bans
import memory
import netwatch_only
import new_flows
import page
import programs
import small_captures
import soak
import store_rows
import stored
import urls
import veth
from compare import Options, progress
from peers import PEERS
from programs import program
from shared import ROOT

SECTIONS: dict[str, tuple[Callable[[Options], dict[str, Any]], Callable[[dict[str, Any]], str]]]
SECTIONS = {
    "start": (netwatch_only.start, netwatch_only.start_text),
    "office": (compare.office, compare.text),
    "dns": (compare.dns, compare.text),
    "new-flows": (new_flows.new_flows, new_flows.text),
    "bans": (many_bans.many_bans, many_bans.text),
    "columns": (columns.columns, columns.text),
    "logs": (logs.logs, logs.text),
    "flows": (flow_records.flow_records, flow_records.text),
    "stored": (stored.stored, stored.text),
    "store": (store_rows.store_rows, store_rows.text),
    "compressed": (compressed.compressed, compressed.text),
    "urls": (urls.urls, urls.text),
    "jobs": (netwatch_only.jobs, netwatch_only.jobs_text),
    "one-file": (netwatch_only.one_file, netwatch_only.jobs_text),
    "large-file": (netwatch_only.large_file, netwatch_only.jobs_text),
    "cluster": (cluster.cluster, cluster.text),
    "small": (small_captures.small_captures, small_captures.text),
    "memory": (memory.memory, memory.text),
    "growth": (growth.growth, growth.text),
    "live": (live_cost.live_cost, live_cost.text),
    "loss": (live.loss, live.loss_text),
    "live-store": (live_store.loss_with_store, live_store.text),
    "latency": (live.latency, live.latency_text),
    "floods": (hostile.floods, hostile.text),
    "fleet": (fleet_load.fleet, fleet_load.text),
    "soak": (soak.soak, soak.text),
    "console": (console.console, console.text),
    "delivery": (program("delivery", "--alerts", "10000"), programs.text),
    "rejudging": (program("rejudging", "--rows", "3000000"), programs.text),
    "store-queries": (program("store_queries", "--rows", "1000000"), programs.text),
    "report-year": (program("report_year", "--incidents", "20000"), programs.text),
}
"""The sections: how each is measured, and its text."""

ALONE = ("soak", "console")
"""Sections that run only where they are named: the console alone has thousands of addresses."""

PACKETS, ROUNDS, GIGABYTES = 2_000_000, 3, 4.0
"""The size of a whole run, which takes some 40 minutes on two quiet cores."""
SHORT = (200_000, 2, 0.2)
"""The size of a short run of some minutes, whose ratios are rough: starts weigh more."""
DISK = 6500
"""Bytes on disk that all sections together need for each packet of office traffic: captures, output
and the store of the console."""


def machine() -> dict[str, str]:
    """The machine on which was measured."""
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


def others() -> float:
    """CPU seconds that the machine has given to other programs than this one and those that it has
    waited for, or has not got from its host. What the kernel does to receive packets is nobody's.
    0 where that is not known."""
    counts = Path("/proc/stat")
    if not counts.exists():
        return 0.0
    user, nice, system, *_, steal = map(int, counts.read_text().split()[1:9])
    own = [
        part
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        for part in resource.getrusage(who)[:2]
    ]
    return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK") - sum(own)


def failures(results: dict[str, Any]) -> list[str]:
    """All failures of the sections that ran."""
    rows = [row for found in results.values() for row in found.get("rows", ())]
    failed = [f"{row['peer']}: {row['failed']}" for row in rows if "failed" in row]
    return failed + [text for row in rows for text in row.get("wrong", ())]


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument(
        "--packets",
        type=int,
        metavar="N",
        help=f"packets of office traffic (default {PACKETS:,}), to which other sizes are relative",
    )
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument(
        "--gigabytes",
        type=float,
        metavar="N",
        help=f"size of the largest capture for memory (default {GIGABYTES:g})",
    )
    parser.add_argument("--short", action="store_true", help="less of everything: rough ratios")
    parser.add_argument("--only", nargs="+", metavar="PEER", help="peers by name or prefix")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    parser.add_argument("--timeout", type=float, default=1800, metavar="S", help="of a process")
    parser.add_argument("--write", action="store_true", help="update bench/results.md")
    return parser


def keep(results: dict[str, Any], work: Path, wrong: list[str], *, write: bool) -> None:
    """Keep what was measured so far, which a run that is ended has measured all the same, and what
    failed."""
    reported = {"machine": machine(), "goals": [goal.as_json() for goal in goals.goals(results)]}
    path = work / "results.json"
    path.write_text(json.dumps(reported | results, indent=1) + "\n", encoding="utf-8")
    if write:
        page.write(results, machine(), wrong + failures(results))
        if "growth" in results:
            growth_chart.write(results["growth"]["curves"])


def main() -> int:
    """Measure and print; exit status 1 if something that was measured failed."""
    parser = build_parser()
    args = parser.parse_args()
    packets, rounds, gigabytes = SHORT if args.short else (PACKETS, ROUNDS, GIGABYTES)
    args.packets = packets if args.packets is None else args.packets
    args.rounds = rounds if args.rounds is None else args.rounds
    args.gigabytes = gigabytes if args.gigabytes is None else args.gigabytes
    if args.packets < 1 or args.rounds < 1 or args.gigabytes <= 0:
        parser.error("--packets and --rounds must be 1 or more, --gigabytes more than 0")
    if args.short and args.write:
        parser.error("--short is too rough for --write")
    only = tuple(args.only or ())
    if not any(peer.name.startswith(only or ("",)) for peer in PEERS):
        parser.error(f"--only must be one of: {', '.join(peer.name for peer in PEERS)}")
    if unknown := [name for name in args.sections if name not in SECTIONS]:
        parser.error(
            f"unknown section {', '.join(unknown)}; the sections are: {', '.join(SECTIONS)}"
        )
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(work).free / 1e9, DISK * args.packets / 1e9
    if free < needed:
        progress(f"{free:.1f} GB are free in {work}, all sections need {needed:.1f} GB")
    options = Options(
        office=args.packets,
        dns=max(1, args.packets * 2 // 5),
        rounds=args.rounds,
        largest=round(args.gigabytes * 10**9),
        only=only,
        work=work,
        timeout=args.timeout,
        write=args.write,
    )
    results: dict[str, Any] = {}
    wrong: list[str] = []
    for name, (measure, text) in SECTIONS.items():
        if name not in (args.sections or set(SECTIONS) - set(ALONE)):
            continue
        begin, before = time.monotonic(), others()
        try:
            found = measure(options)
            said = text(found)
        except veth.MissingError as error:
            progress(f"skipped {name}: {error}")
        except (
            Exception,
            SystemExit,
        ) as error:  # the other sections have to be measured all the same
            traceback.print_exc()
            wrong.append(f"{name}: {error!r}")
            keep(results, work, wrong, write=args.write)
        else:
            took = time.monotonic() - begin
            share = max(0.0, others() - before) / took / (os.cpu_count() or 1)
            results[name] = found | {"seconds": round(took), "others": share}
            print(f"{said}\n({name}: {took:.0f} s){page.noise(results[name])}\n", flush=True)
            keep(results, work, wrong, write=args.write)
    print(goals.text(goals.goals(results)))
    for failure in wrong + failures(results):
        progress(f"failed: {failure}")
    return 1 if wrong or failures(results) else 0


if __name__ == "__main__":
    sys.exit(main())
