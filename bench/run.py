"""netwatch and its peers side by side on the same generated capture.

``python bench/run.py`` writes traffic into a work folder, lets every peer that is
installed read it in turn, some rounds over, and prints medians and ratios: CPU seconds
(user and system, of the whole process), the same beyond what a capture of one packet costs,
seconds on the clock, peak memory. Nothing is installed; what is missing is named. All
measurements go to ``results-KIND.json`` in the work folder. The numbers judge nothing:
this command fails only where a peer does.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from peers import PEERS, ROOT, Job, Peer

BASE = "netwatch scan"


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds, peak resident set in bytes, exit status, what it told."""

    cpu: float
    wall: float
    rss: int
    status: int
    told: int | None
    error: str = ""


def measure(peer: Peer, job: Job, timeout: float) -> Run:
    """Run the peer once on the job's capture; it is killed after `timeout` seconds."""
    stem = peer.name.replace(" ", "-")
    output, errors = job.work / f"{stem}.out", job.work / f"{stem}.err"
    command = peer.command(job)
    with output.open("wb") as out, errors.open("wb") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT)
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        _, wait_status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        timer.cancel()
    process.returncode = status = os.waitstatus_to_exitcode(wait_status)
    # Linux counts kilobytes, macOS bytes (getrusage(2)).
    rss = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if status == 0:
        return Run(usage.ru_utime + usage.ru_stime, wall, rss, 0, peer.told(output, job))
    last = errors.read_text(errors="replace").strip().splitlines() or [f"status {status}"]
    return Run(usage.ru_utime + usage.ru_stime, wall, rss, status, None, last[-1])


def capture(kind: str, packets: int, seed: int, work: Path) -> tuple[Job, dict[str, Any]]:
    """Generate the traffic, or take what the same scripts left when last called for it."""
    stem = work / f"{kind}-{packets}-{seed}"
    path, notes = stem.with_suffix(".pcap"), stem.with_suffix(".json")
    scripts = [*Path(__file__).parent.glob("*.py"), *(ROOT / "pcaps").glob("*.py")]
    changed = max(script.stat().st_mtime for script in scripts)
    if not notes.exists() or notes.stat().st_mtime < changed:
        # In a process of its own: a child's peak memory counts from that of its parent, so
        # this one is to stay small.
        script = str(Path(__file__).with_name("traffic.py"))
        command = [sys.executable, script, kind, "--packets", str(packets), "--seed", str(seed)]
        done = subprocess.run([*command, "-o", str(path)], check=True, stderr=subprocess.PIPE)
        notes.write_bytes(done.stderr)
    # Once through, so that the first peer does not pay for a cold page cache.
    with path.open("rb") as file:
        while file.read(1 << 22):
            pass
    return Job(path, packets, work), json.loads(notes.read_text(encoding="ascii"))


def row(peer: Peer, runs: list[Run], empty: list[Run]) -> dict[str, Any]:
    """Medians of the rounds, scaled where the peer got a part of the packets."""
    failed = next((run.error for run in runs + empty if run.status), None)
    if failed is not None:
        return {"peer": peer.name, "failed": failed}
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
        "told": runs[-1].told,
        "what": peer.what + (f"; {peer.share:.0%} read, scaled" if peer.share < 1 else ""),
    }


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


def main() -> int:
    """Arguments in, a table out; status 1 where a peer failed."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", choices=("office", "dns"), default="office")
    parser.add_argument("--packets", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--only", nargs="+", metavar="PEER", help="peers by name, or its start")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    parser.add_argument("--timeout", type=float, default=900, metavar="S", help="for one process")
    args = parser.parse_args()
    if args.packets < 1 or args.rounds < 1:
        parser.error("packets and rounds are 1 or more")
    wanted = tuple(args.only or [""])
    chosen = [peer for peer in PEERS if peer.name.startswith(wanted)]
    if not chosen:
        parser.error(f"--only takes: {', '.join(peer.name for peer in PEERS)}")
    for peer in (peer for peer in chosen if peer.missing()):
        print(f"left out, not installed: {peer.name} ({peer.install})", file=sys.stderr)
    present = [peer for peer in chosen if not peer.missing()]
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    job, manifest = capture(args.kind, args.packets, args.seed, work)
    # Suricata waits a minute for its own threads where a capture has no packet at all.
    nothing, _ = capture(args.kind, 1, args.seed, work)
    runs: dict[str, list[Run]] = {peer.name: [] for peer in present}
    empty: dict[str, list[Run]] = {peer.name: [] for peer in present}
    for number in range(1, args.rounds + 1):
        for peer in present:
            print(f"round {number} of {args.rounds}: {peer.name}", file=sys.stderr)
            empty[peer.name].append(measure(peer, nothing, args.timeout))
            part = replace(job, packets=max(1, round(job.packets * peer.share)))
            runs[peer.name].append(measure(peer, part, args.timeout))
    rows = [row(peer, runs[peer.name], empty[peer.name]) for peer in present]
    size = job.capture.stat().st_size / 1e6
    print(f"{args.kind}: {job.packets} packets, {size:.0f} MB, median of {args.rounds} rounds")
    found = sum(manifest["observations"].values())
    print(f"in it: {found} names shown, {manifest['banned_clients']} clients with banned ones")
    print(table(rows))
    results = {
        "machine": {"system": platform.platform(), "cpus": os.cpu_count()},
        "python": platform.python_version(),
        "manifest": manifest,
        "rows": rows,
        "runs": {name: [asdict(run) for run in found] for name, found in runs.items()},
        "empty": {name: [asdict(run) for run in found] for name, found in empty.items()},
    }
    path = work / f"results-{args.kind}.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 1 if any("failed" in entry for entry in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
