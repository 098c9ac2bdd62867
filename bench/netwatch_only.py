"""Measurements of netwatch without peers: start, and the gain of a second core."""

import statistics
from pathlib import Path
from typing import Any

from captures import Traffic, capture, empty, remove
from compare import Options, progress
from measure import Run, measure, netwatch
from peers import CONFIG


class MeasurementError(Exception):
    """A measurement failed; the text says why."""


def require_success(run: Run) -> Run:
    """The run; raises `MeasurementError` if it failed."""
    if run.status:
        raise MeasurementError(run.error)
    return run


def require_complete(run: Run, expected: int) -> None:
    """Raise `MeasurementError` if a run reported less than the traffic contains."""
    require_complete_count(run.reported, expected)


def require_complete_count(reported: int | None, expected: int) -> None:
    """The same of a number of results."""
    if reported is None or reported < expected:
        raise MeasurementError(f"reported {reported} of {expected}")


def start(options: Options) -> dict[str, Any]:
    """CPU seconds of commands without work."""
    empty_capture = str(empty(options.work))
    commands = {
        "--version": netwatch("--version"),
        "scan of an empty capture": netwatch("scan", "-q", "-c", str(CONFIG), empty_capture),
        "names of an empty capture": netwatch("names", "-q", empty_capture),
    }
    output = options.work / "start.out"
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(options.rounds + 1):
        for name, command in commands.items():
            run = require_success(measure(command, output, options.timeout))
            # The first run may have to write bytecode.
            if number:
                runs[name].append(run)
    progress("start: done")
    return {
        "rounds": options.rounds,
        "cpu": {name: statistics.median(run.cpu for run in found) for name, found in runs.items()},
        "rss": {name: max(run.rss for run in found) for name, found in runs.items()},
    }


def jobs(options: Options) -> dict[str, Any]:
    """Two captures, read one after the other and in parallel."""
    return _two_jobs(max(1, options.office // 2), (1, 2), options)


LARGE = 5 / 1.7
"""The packets of the large capture for each of the small one, which has 1.7 GB at full size."""


def one_file(options: Options) -> dict[str, Any]:
    """One capture, read by one process and by two."""
    return _two_jobs(options.office, (1,), options)


def large_file(options: Options) -> dict[str, Any]:
    """A capture of 5 GB, which no section but this one needs."""
    packets = round(options.office * LARGE)
    try:
        return _two_jobs(packets, (1,), options)
    finally:
        remove(Traffic("office", packets), options.work)


def _two_jobs(packets: int, seeds: tuple[int, ...], options: Options) -> dict[str, Any]:
    paths = [str(capture(Traffic("office", packets, seed), options.work)[0]) for seed in seeds]
    runs: dict[int, list[Run]] = {1: [], 2: []}
    reported: dict[int, set[bytes]] = {1: set(), 2: set()}
    for number in range(1, options.rounds + 1):
        for count, found in runs.items():
            progress(f"{len(paths)} captures, round {number} of {options.rounds}: --jobs {count}")
            output = options.work / f"jobs-{count}.out"
            arguments = ["-q", "-c", str(CONFIG), "--format", "jsonl", "--jobs", str(count)]
            command = netwatch("scan", *arguments, *paths)
            found.append(require_success(measure(command, output, options.timeout)))
            reported[count].add(output.read_bytes())
    walls = {count: statistics.median(run.wall for run in found) for count, found in runs.items()}
    return {
        "packets": [packets] * len(paths),
        "bytes": sum(Path(path).stat().st_size for path in paths),
        "rounds": options.rounds,
        "wall": {str(count): wall for count, wall in walls.items()},
        "times": walls[1] / walls[2],
        "alerts": runs[1][-1].reported,
        "same": len(reported[1] | reported[2]) == 1 and reported[1] != {b""},
    }


def start_text(found: dict[str, Any]) -> str:
    """The start as text."""
    cpu, rss = found["cpu"], found["rss"]
    reported = [f"{name:<27} {cpu[name]:.2f} s CPU, {rss[name] / 1e6:.0f} MB" for name in cpu]
    return "\n".join([f"start, median of {found['rounds']} rounds", *reported])


def jobs_text(found: dict[str, Any]) -> str:
    """The gain of a second core as text."""
    one, two = found["wall"]["1"], found["wall"]["2"]
    same = "the same" if found["same"] else "NOT the same"
    return (
        f"captures of {' and '.join(map(str, found['packets']))} packets: {one:.2f} s,"
        f" with --jobs 2 {two:.2f} s, {found['times']:.2f} times faster;"
        f" {found['alerts']} alerts, {same} bytes"
    )
