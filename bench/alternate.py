"""Several commands measured in alternation, for sections that compare their medians.

Each round runs every command once, so that other load on the machine affects all of them.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compare import Options, progress
from measure import Run, lines, measure
from netwatch_only import require_success


def alternate(
    what: str,
    commands: Mapping[str, Sequence[str]],
    options: Options,
    reported: Callable[[Path], int | None] = lines,
) -> dict[str, dict[str, Any]]:
    """The median CPU and wall-clock seconds of each command, its largest peak memory, and how much
    it reported in the last round. Raises `netwatch_only.MeasurementError` where a command fails."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(1, options.rounds + 1):
        for name, command in commands.items():
            progress(f"{what}, round {number} of {options.rounds}: {name}")
            output = options.work / f"{what}-{name.replace(' ', '-')}.out"
            runs[name].append(require_success(measure(command, output, options.timeout, reported)))
    return {
        name: {
            "cpu": statistics.median(run.cpu for run in found),
            "wall": statistics.median(run.wall for run in found),
            "rss": max(run.rss for run in found),
            "reported": found[-1].reported,
        }
        for name, found in runs.items()
    }


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The commands as text."""
    shape = "{:<24} {:>8} {:>8} {:>8}"
    rows = [shape.format("", "CPU s", "wall s", "peak MB")]
    rows += [
        shape.format(name, f"{row['cpu']:.2f}", f"{row['wall']:.2f}", f"{row['rss'] / 1e6:.0f}")
        for name, row in found.items()
    ]
    return "\n".join(rows)
