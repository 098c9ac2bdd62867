"""The measured tables of ``bench/results.md``, each between two markers.

A table is written if all of it was measured in this run. The text around it is not changed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import console
import fleet_load
import flow_records
import goals
import growth
import hostile
import live
import live_cost
import live_store
import logs
import store_rows
import stored
from compare import BASE
from goals import Results
from shared import PERFORMANCE_PAGE

PAGE = PERFORMANCE_PAGE

Part = Callable[[Results, dict[str, str]], str]
Columns = Sequence[tuple[str, Callable[[dict[str, Any]], str]]]


NOISY = 0.05
"""The share of the machine that other programs may take while something is measured."""
APART = ("delivery", "rejudging", "store-queries", "report-year")
"""Tables that programs of their own write."""


def write(results: Results, machine: dict[str, str], failed: Sequence[str] = ()) -> list[str]:
    """Write what was measured into the page, and beside it what failed, what is older, and where
    other programs disturbed it; returns the names of the tables."""
    ran = {name: part for name, (needs, part) in PARTS.items() if needs(results)}
    parts = {
        name: part(results, machine) + noise(results.get(name, {})) for name, part in ran.items()
    }
    if "goals" in parts:
        older = [name for name in (*PARTS, *APART) if name not in {*ran, *results}]
        for said, names in (("Failed", failed), ("Of an earlier run", older)):
            parts["goals"] += f"\n{said}: {', '.join(names)}.\n" if names else ""
        disturbed = [name for name, found in results.items() if noise(found)]
        if disturbed:
            parts["goals"] += f"\nDisturbed by other programs: {', '.join(disturbed)}.\n"
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), parts), encoding="utf-8")
    return list(parts)


def noise(found: Results) -> str:
    """What other programs took of the machine while a section was measured, if that is much."""
    share = found.get("others", 0.0)
    said = f"\nOther programs took {share:.0%} of the machine meanwhile.\n"
    return said if share > NOISY else ""


def fill(page: str, parts: dict[str, str]) -> str:
    """The page with the text of each part between ``<!-- NAME -->`` and ``<!-- /NAME -->``.

    Raises `ValueError` if the page has no markers for a table.
    """
    for name, text in parts.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, there, behind = page.partition(start)
        _, over, after = behind.partition(end)
        if not there or not over:
            raise ValueError(f"{PAGE.name} has no {start.strip()} with {end} behind it")
        page = f"{before}{start}{text}\n{end}{after}"
    return page


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns hold words, the others numbers."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _flows(results: Results, machine: dict[str, str]) -> str:
    found = results["flows"]
    shown = table([name for name, _ in flow_records.COLUMNS], flow_records.cells(found), 2)
    return f"\n{found['records']:,} records in IPFIX.\n\n{shown}\n"


def _goals(results: Results, machine: dict[str, str]) -> str:
    rows = [[cell(goal) for cell in goals.CELLS] for goal in goals.goals(results)]
    office, dns = (results[kind]["manifest"] for kind in ("office", "dns"))
    said = (
        f"{machine['processor']}, {machine['cpus']} cores, {machine['system']},"
        f" Python {machine['python']}; {office['packets']:,} packets of office traffic,"
        f" {dns['packets']:,} DNS messages, medians of {results['office']['rounds']} rounds."
    )
    return f"\n{said}\n\n{table(('work', 'goal', 'measured', ''), rows)}\n"


def _peers(kind: str) -> Part:
    def part(results: Results, machine: dict[str, str]) -> str:
        rows = results[kind]["rows"]
        base = next((row.get("cpu") for row in rows if row["peer"] == BASE), None)
        head = ("program", "what it does", "CPU s", f"by {BASE}", "wall s", "peak MB")
        missing = "; ".join(
            f"{name} ({why})" for name, why in results[kind].get("missing", {}).items()
        )
        left_out = f"\nNot measured: {missing}.\n" if missing else ""
        return f"\n{table(head, [_peer(row, base) for row in rows], 2)}\n{left_out}"

    return part


def _peer(row: dict[str, Any], base: float | None) -> list[str]:
    name = f"{row['peer']} {row['version']}"
    if "failed" in row:
        return [name, f"failed: {row['failed']}", "", "", "", ""]
    times = f"{row['cpu'] / base:.2f}" if base else ""
    seconds = [f"{row['cpu']:.2f}", times, f"{row['wall']:.2f}"]
    return [name, row["what"], *seconds, f"{row['rss'] / 1e6:.0f}"]


def _memory(results: Results, machine: dict[str, str]) -> str:
    found = results["memory"]
    rows = [
        (
            f"`{row['command']}`",
            f"{row['bytes'] / 1e9:.1f}",
            f"{row['resident'] / 1e6:.0f}" if row["resident"] else "",
            f"{row['rss'] / 1e6:.0f}",
            f"{(row['rss'] - found['interpreter']) / 1e6:.0f}",
            f"{row['cpu']:.2f}",
        )
        for row in found["rows"]
    ]
    head = ("command", "GB read", "resident MB", "peak MB so far", "beyond Python's", "CPU s")
    return f"\n{table(head, rows)}\n"


def _cluster(results: Results, machine: dict[str, str]) -> str:
    found = results["cluster"]
    first = found["rows"][0]
    rows = [
        (f"`{row['peer']}`", *(f"{row[cost]:.1f} ({row[cost] / first[cost]:.2f})"
                               for cost in ("cpu", "wall")))
        for row in found["rows"]
    ]  # fmt: skip
    size = found["bytes"] / found["units"] / 1e6
    head = (f"{found['units']} captures of {size:.0f} MB", "CPU s", "wall s")
    return f"\n{table(head, rows)}\n"


def _commands(section: str) -> Part:
    """A table of the commands that a section has measured in alternation."""

    def part(results: Results, machine: dict[str, str]) -> str:
        rows = [
            (name, f"{row['cpu']:.2f}", f"{row['wall']:.2f}", f"{row['rss'] / 1e6:.0f}")
            for name, row in results[section]["commands"].items()
        ]
        return f"\n{table(('', 'CPU s', 'wall s', 'peak MB'), rows)}\n"

    return part


def _columns(results: Results, machine: dict[str, str]) -> str:
    found = results["columns"]
    rows = [
        (
            f"`{row['format']}`",
            f"{row['start']:.2f}",
            f"{row['beyond']:.2f}",
            f"{1e6 * row['beyond'] / found['messages']:.2f}",
            f"{row['rss'] / 1e6:.0f}",
            f"{row['bytes'] / 1e6:.0f}",
        )
        for row in found["rows"]
    ]
    head = ("format", "start, CPU s", "rest, CPU s", "µs a message", "peak MB", "written MB")
    return f"\n{found['messages']:,} DNS messages.\n\n{table(head, rows)}\n"


def _store(results: Results, machine: dict[str, str]) -> str:
    found = results["store"]
    rows = [
        (
            store_rows.STEPS[row["step"]],
            f"{found['stored'] / row['cpu'] / 1e6:.2f}",
            f"{row['bytes'] / found['stored']:.1f}",
            f"{row['rss'] / 1e6:.0f}",
        )
        for row in found["steps"][1:]
    ]
    head = ("store", "M rows a CPU s", "bytes a row", "peak MB")
    return f"\n{found['stored']:,} made rows of a day.\n\n{table(head, rows)}\n"


def _shown(section: str, columns: Columns, left: int = 1) -> Part:
    """A table of the rows of a section."""

    def part(results: Results, machine: dict[str, str]) -> str:
        rows = [[shows(row) for _, shows in columns] for row in results[section]["rows"]]
        return f"\n{table([name for name, _ in columns], rows, left)}\n"

    return part


def _growth(results: Results, machine: dict[str, str]) -> str:
    curves = results["growth"]["curves"]
    rows = [[shows(curve) for _, shows in growth.COLUMNS] for curve in curves]
    return f"\n{table([name for name, _ in growth.COLUMNS], rows)}\n"


def _fleet(results: Results, machine: dict[str, str]) -> str:
    found = results["fleet"]
    rows = [
        (name, f"{alert:.0f}", f"{row:.2f}", f"{whole:.1f}")
        for name, alert, row, whole in fleet_load.cores(found)
    ]
    rows.append(("all", *(f"{sum(float(row[at]) for row in rows):.{digits}f}"
                          for at, digits in ((1, 0), (2, 2), (3, 1)))))  # fmt: skip
    goal = f"cores for {fleet_load.GOAL_ALERTS:,} alerts/s and {fleet_load.GOAL_ROWS:,} rows/s"
    head = ("process", "CPU µs an alert", "CPU µs a row", goal)
    return f"\n{table(head, rows)}\n"


def _latency(results: Results, machine: dict[str, str]) -> str:
    return f"\n{live.latency_text(results['latency'])}.\n"


def _floods(results: Results, machine: dict[str, str]) -> str:
    rows = []
    for row in results["floods"]["rows"]:
        counted = ", ".join(f"`{name}` {count:,}" for name, count in row["counters"].items())
        rows.append([*(shows(row) for _, shows in hostile.COLUMNS), counted])
    return f"\n{table([*(name for name, _ in hostile.COLUMNS), 'counted'], rows)}\n"


def console_text(found: dict[str, Any]) -> str:
    """The tables of the console."""
    columns = [
        each for each in console.COLUMNS
        if "attacked" not in each[0] or "attack" in found["phases"]
    ]  # fmt: skip
    rows = [[shows(row) for _, shows in columns] for row in found["rows"]]
    exports = "".join(f"- {line}\n" for line in console.export_lines(found))
    said = "".join(f"- {line}\n" for line in console.summary(found))
    return f"\n{said}\n{table([name for name, _ in columns], rows)}\n\n{exports}"


def _ran(*sections: str) -> Callable[[Results], bool]:
    return lambda results: all(section in results for section in sections)


PARTS: dict[str, tuple[Callable[[Results], bool], Part]] = {
    "goals": (_ran("office", "dns"), _goals),
    "office": (_ran("office"), _peers("office")),
    "dns": (_ran("dns"), _peers("dns")),
    "new-flows": (_ran("new-flows"), _commands("new-flows")),
    "compressed": (_ran("compressed"), _commands("compressed")),
    "urls": (_ran("urls"), _commands("urls")),
    "logs": (_ran("logs"), _shown("logs", logs.COLUMNS)),
    "flows": (_ran("flows"), _flows),
    "columns": (_ran("columns"), _columns),
    "stored": (_ran("stored"), _shown("stored", stored.COLUMNS)),
    "store": (_ran("store"), _store),
    "memory": (_ran("memory"), _memory),
    "growth": (_ran("growth"), _growth),
    "live": (_ran("live"), _shown("live", live_cost.COLUMNS)),
    "loss": (_ran("loss"), _shown("loss", live.COLUMNS)),
    "live-store": (_ran("live-store"), _shown("live-store", live_store.COLUMNS)),
    "latency": (_ran("latency"), _latency),
    "fleet": (_ran("fleet"), _fleet),
    "floods": (_ran("floods"), _floods),
    "cluster": (_ran("cluster"), _cluster),
    "console": (_ran("console"), lambda results, _: console_text(results["console"])),
}
"""By name: whether a table was measured, and its text."""
