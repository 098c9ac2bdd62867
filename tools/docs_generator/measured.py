"""Measurements, from the tables that the programs in ``bench/`` write."""

import re

from docs_generator.markdown import table
from docs_generator.pages import ROOT

WIDTH = 20
"""Characters of the longest bar."""


def block(name: str) -> str:
    """A table of ``bench/results.md``, by the name in its markers."""
    text = (ROOT / "bench" / "results.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    if found is None or not found[1].strip():
        raise ValueError(f"bench/results.md has no table {name!r}")
    return found[1].strip()


def bars_block(name: str) -> str:
    """How the CPU time of other programs compares with that of netwatch, as bars."""
    rows = [line.strip("| ").split(" | ") for line in block(name).splitlines() if "|" in line]
    times = {row[0]: float(row[2]) for row in rows[2:] if re.fullmatch(r"[\d.]+", row[2])}
    longest = max(times.values())
    return table(
        ("program", "CPU s", ""),
        (
            [program, f"{seconds:.2f}", "█" * max(1, round(WIDTH * seconds / longest))]
            for program, seconds in times.items()
        ),
    )


def conformance_block(heading: str) -> str:
    """The first table below a heading of ``bench/conformance.md``."""
    text = (ROOT / "bench" / "conformance.md").read_text(encoding="utf-8")
    lines = text.partition(f"## {heading}\n")[2].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    last = next(i for i, line in enumerate(lines) if i > first and not line.startswith("|"))
    return "\n".join(lines[first:last])
