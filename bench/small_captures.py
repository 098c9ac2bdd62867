"""Many small captures: what each costs beside its packets.

``python bench/small_captures.py`` writes a capture and the same packets again in many files of a
folder, and reads both. The difference is what a file costs: its tables, its buffers, and the page
faults of memory that is touched for the first time. Seconds in the kernel (``ru_stime``) are
reported apart, because page faults are most of them.
"""

import argparse
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from captures import Traffic, capture
from compare import Options, progress
from measure import ENVIRONMENT, netwatch
from peers import CONFIG
from shared import ROOT

FILES = 2_000
PACKETS = 50
"""Packets of a small capture."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of a process in user mode and in the kernel, and its page faults without I/O."""

    user: float
    system: float
    faults: int


def split(path: Path, folder: Path, files: int) -> Path:
    """Write the packets of a pcap file into `files` captures in a folder, in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    content = path.read_bytes()
    header, at, packets = content[:24], 24, []
    while at < len(content):
        end = at + 16 + int.from_bytes(content[at + 8 : at + 12], sys.byteorder)
        packets.append(content[at:end])
        at = end
    size = -(-len(packets) // files)
    for number in range(files):
        part = packets[number * size : (number + 1) * size]
        (folder / f"{number:05}.pcap").write_bytes(header + b"".join(part))
    return folder


def cost(command: list[str]) -> Cost:
    """What a command costs; its output is discarded. Raises `CalledProcessError`."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, env=ENVIRONMENT
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(usage.ru_utime, usage.ru_stime, usage.ru_minflt)


def median(costs: list[Cost]) -> Cost:
    """The median of each part."""
    return Cost(
        statistics.median(each.user for each in costs),
        statistics.median(each.system for each in costs),
        round(statistics.median(each.faults for each in costs)),
    )


def measure(files: int, rounds: int, work: Path) -> dict[str, Any]:
    """Scan and read the names of the same packets in one file and in many."""
    whole = capture(Traffic("office", files * PACKETS), work)[0]
    folder = split(whole, work / f"small-{files}", files)
    rows = []
    for name, options in (("scan", ("-c", str(CONFIG))), ("names", ())):
        found: dict[str, list[Cost]] = {"one file": [], "many": []}
        for number in range(1, rounds + 1):
            progress(f"small captures: {name}, round {number} of {rounds}")
            for what, path in (("one file", whole), ("many", folder)):
                command = netwatch(name, "-q", *options, "--format", "jsonl", str(path))
                found[what].append(cost(command))
        rows.append(
            {"command": name, **{what: asdict(median(each)) for what, each in found.items()}}
        )
    return {"files": files, "packets": files * PACKETS, "rows": rows}


def small_captures(options: Options) -> dict[str, Any]:
    """Measure as a section of ``bench/run.py``."""
    return measure(FILES, options.rounds, options.work)


def text(found: dict[str, Any]) -> str:
    """What was measured as text: per file, and in all."""
    lines = [
        f"{found['packets']:,} packets in one file and in {found['files']:,}",
        f"{'command':<8} {'':<9} {'user s':>8} {'system s':>9} {'faults':>10}",
    ]
    for row in found["rows"]:
        lines += [
            f"{row['command']:<8} {what:<9} {row[what]['user']:8.2f} {row[what]['system']:9.2f}"
            f" {row[what]['faults']:10,}"
            for what in ("one file", "many")
        ]
        user, system, faults = (
            (row["many"][part] - row["one file"][part]) / found["files"]
            for part in ("user", "system", "faults")
        )
        lines.append(f"{row['command']:<8} {'a file':<9} {user:8.5f} {system:9.5f} {faults:10,.0f}")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=FILES, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    print(text(measure(args.files, args.rounds, args.work.resolve())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
