"""What only netwatch is asked: how it starts, what a second core brings, flat memory.

Memory is looked at through a pipe: `traffic.py` writes ever new flows into it, so that any
size can be read without a disk that holds it.
"""

import json
import statistics
from dataclasses import asdict
from typing import Any

from captures import Traffic, capture, empty
from compare import Settings, say
from measure import Run, interpreter, measure, netwatch
from peers import CONFIG, clients, shown

SIZES = (10**7, 10**8, 10**9, 4 * 10**9, 20 * 10**9)
"""Bytes of a capture at which memory is looked at, up to the largest that is asked for."""
OCTETS = 860
"""About what a packet of the office takes in a capture."""


class MeasurementError(Exception):
    """A measurement that came to nothing, with the reason."""


def good(run: Run) -> Run:
    """The run, which has to have ended well."""
    if run.status:
        raise MeasurementError(run.error)
    return run


def whole(run: Run, expected: int) -> None:
    """Refuse a run that told less than the traffic shows."""
    if run.told is None or run.told < expected:
        raise MeasurementError(f"told {run.told} of {expected}")


def start(settings: Settings) -> dict[str, Any]:
    """CPU seconds of a command that has nothing to do."""
    nothing = str(empty(settings.work))
    commands = {
        "--version": netwatch("--version"),
        "scan of an empty capture": netwatch("scan", "-q", "-c", str(CONFIG), nothing),
        "names of an empty capture": netwatch("names", "-q", nothing),
    }
    output = settings.work / "start.out"
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(settings.rounds + 1):
        for name, command in commands.items():
            run = good(measure(command, output, settings.timeout))
            # The first one may have to write bytecode.
            if number:
                runs[name].append(run)
    say("start: done")
    return {
        "rounds": settings.rounds,
        "cpu": {name: statistics.median(run.cpu for run in found) for name, found in runs.items()},
        "rss": {name: max(run.rss for run in found) for name, found in runs.items()},
    }


def jobs(settings: Settings) -> dict[str, Any]:
    """Two captures, read one after the other and both at once."""
    packets = max(1, settings.office // 2)
    paths = [str(capture(Traffic("office", packets, seed), settings.work)[0]) for seed in (1, 2)]
    runs: dict[int, list[Run]] = {1: [], 2: []}
    told: dict[int, set[bytes]] = {1: set(), 2: set()}
    for number in range(1, settings.rounds + 1):
        for count, found in runs.items():
            say(f"jobs, round {number} of {settings.rounds}: {count}")
            output = settings.work / f"jobs-{count}.out"
            options = ["-q", "-c", str(CONFIG), "--format", "jsonl", "--jobs", str(count)]
            command = netwatch("scan", *options, *paths)
            found.append(good(measure(command, output, settings.timeout)))
            told[count].add(output.read_bytes())
    walls = {count: statistics.median(run.wall for run in found) for count, found in runs.items()}
    return {
        "packets": [packets, packets],
        "rounds": settings.rounds,
        "wall": {str(count): wall for count, wall in walls.items()},
        "times": walls[1] / walls[2],
        "alerts": runs[1][-1].told,
        "same": len(told[1] | told[2]) == 1 and told[1] != {b""},
    }


def memory(settings: Settings) -> dict[str, Any]:
    """Peak memory by the size of what comes through a pipe."""
    sizes = [size for size in SIZES if size < settings.largest] + [settings.largest]
    scan = netwatch("scan", "-q", "-c", str(CONFIG), "--format", "jsonl", "-")
    names = netwatch("names", "-q", "--format", "jsonl", "-")
    rows = []
    for size in sizes:
        packets = max(1, size // OCTETS)
        for name, command, expected in (("scan", scan, clients), ("names", names, shown)):
            say(f"memory: {name} of {size / 1e6:.0f} MB through a pipe")
            output = settings.work / f"memory-{name}.out"
            feed = Traffic("office", packets, seed=3).command()
            run = good(measure(command, output, settings.timeout, feed=feed))
            output.unlink()
            manifest = json.loads(output.with_suffix(".fed").read_text(encoding="ascii"))
            whole(run, expected(manifest))
            # A pcap has 24 bytes of its own, and 16 with each packet.
            octets = 24 + 16 * packets + manifest["bytes"]
            rows.append({"command": name, "octets": octets, "packets": packets, **asdict(run)})
    return {"interpreter": interpreter(), "rows": rows}


def start_text(found: dict[str, Any]) -> str:
    """How it starts, for people."""
    cpu, rss = found["cpu"], found["rss"]
    told = [f"{name:<27} {cpu[name]:.2f} s CPU, {rss[name] / 1e6:.0f} MB" for name in cpu]
    return "\n".join([f"start, median of {found['rounds']} rounds", *told])


def jobs_text(found: dict[str, Any]) -> str:
    """What a second core brings, for people."""
    one, two = found["wall"]["1"], found["wall"]["2"]
    same = "the same" if found["same"] else "NOT the same"
    return (
        f"two captures of {found['packets'][0]} packets: {one:.2f} s, with --jobs 2 {two:.2f} s,"
        f" {found['times']:.2f} times better; {found['alerts']} alerts, {same} to the byte"
    )


def memory_text(found: dict[str, Any]) -> str:
    """Memory by size, for people."""
    text = [f"memory beyond the {found['interpreter'] / 1e6:.0f} MB of an interpreter"]
    for row in found["rows"]:
        beyond = (row["rss"] - found["interpreter"]) / 1e6
        text.append(
            f"{row['command']:<6} {row['octets'] / 1e9:8.2f} GB {beyond:6.0f} MB"
            f" {row['cpu']:8.2f} s CPU {row['told']:8} lines"
        )
    return "\n".join(text)
