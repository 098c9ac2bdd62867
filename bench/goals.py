"""Performance goals, compared with what was measured.

CPU seconds are those of whole processes including their start. A goal is reported as not measured
if a peer is missing or a section did not run.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from compare import BASE

Results = Mapping[str, Any]
"""The results of each section by its name."""

NAMES = "netwatch names"

FLAT = 1.1
"""The most by which memory may grow with four times as many bytes, once the tables are full."""

LINEAR = 1.05
"""The most that the exponent of a fit may be: 1 is linear, the rest is noise of measurements."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for a ratio or an amount (an upper bound if `most`), and the measured value, which is
    None if it was not measured."""

    work: str
    unit: str
    bound: float
    most: bool
    measured: float | None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None if it was not measured."""
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.most else self.measured >= self.bound

    @property
    def goal(self) -> str:
        """The bound as text."""
        return f"{'≤' if self.most else '≥'} {self.bound:g}{self.unit}"

    @property
    def found(self) -> str:
        """The measured value as text."""
        if self.measured is None:
            return "not measured"
        digits = 0 if abs(self.measured) >= 100 else 1 if abs(self.measured) >= 10 else 2
        return f"{self.measured:.{digits}f}{self.unit}"

    @property
    def verdict(self) -> str:
        """Whether the goal is met, as text."""
        return {True: "met", False: "missed", None: ""}[self.is_met]

    def as_json(self) -> dict[str, Any]:
        """The goal as JSON."""
        return asdict(self) | {"met": self.is_met}


def goals(results: Results) -> list[Goal]:
    """All goals in the order of the table."""
    parts = (_packets, _stores, _logs, _files, _flows, _live, _memory, _rest)
    return [goal for part in parts for goal in part(results)]


def _packets(results: Results) -> Iterator[Goal]:
    """Goals of captures beside other programs, and of their names."""
    for kind, above, below, bound in (
        ("office", "suricata", BASE, 3.5),
        ("dns", "suricata", BASE, 10),
        ("office", "suricata eve", NAMES, 4.5),
        ("dns", "suricata eve", NAMES, 9),
    ):
        measured = _ratio(results, kind, above, below)
        yield Goal(f"{kind}: {above} / {below}", "", bound, False, measured)
    measured = _ratio(results, "office", BASE, "tcpdump")
    yield Goal(f"office: {BASE} / tcpdump with a filter", "", 1.6, True, measured)
    flows = _commands(results, "new-flows")
    work = f"{results['new-flows']['packets']:,} new flows" if flows else "new flows"
    yield Goal(f"{work}: suricata / {BASE}", "", 7, False, _quotient(flows, "suricata", BASE))
    found = results.get("columns")
    beyond = {row["format"]: row["beyond"] for row in found["rows"]} if found else {}
    each = 1e6 * beyond["parquet"] / found["messages"] if found else None
    yield Goal("dns: names as Parquet, a message beyond start", " µs", 1.5, True, each)


def _stores(results: Results) -> Iterator[Goal]:
    """Goals of what keeps a store."""
    rows = {row["kind"]: row for row in _rows(results, "stored")}
    for kind, bound in (("office", 2), ("dns", 4)):
        times = rows[kind]["stored"] / rows[kind]["plain"] if rows else None
        yield Goal(f"{kind}: scan --store / scan, CPU of all processes", "", bound, True, times)
    live = [row for row in _rows(results, "live-store") if "pss" in row]
    for work, found in (("scan", [*rows.values()]), ("live", live)):
        peak = max((row["pss"] / 1e6 for row in found), default=None)
        yield Goal(f"{work} with a store, PSS of all processes", " MB", 300, True, peak)
    compacted = [row["rss"] / 1e6 for row in _rows(results, "store", "steps")
                 if row["step"] == "compacted"]  # fmt: skip
    peak = compacted[0] if compacted else None
    yield Goal("compaction of a store, resident", " MB", 300, True, peak)
    last = max(live, key=lambda row: row["rate"], default=None)
    work = "live with a store, compaction and five readers, 245,000 packets/s, dropped"
    share = 100 * last["lost"] / last["sent"] if last else None
    yield Goal(work, " %", 0, True, share)


def _logs(results: Results) -> Iterator[Goal]:
    """Goals of logs in MB a CPU second."""
    rows = {row["format"]: row for row in _rows(results, "logs")}
    for command, bound in (("names", 40), ("scan", 400)):
        for name in ("Zeek", "EVE", "BIND", "Squid"):
            rate = rows[name][command] if rows else None
            yield Goal(f"{command} of a log of {name}, a CPU second", " MB", bound, False, rate)


def _files(results: Results) -> Iterator[Goal]:
    """Goals of captures by wall-clock time."""
    for section, what, bound in (
        ("jobs", "two captures", 1.7),
        ("one-file", "one capture", 1.5),
        ("large-file", "a large capture", 1.8),
    ):
        found = results.get(section)
        size = f" of {found['bytes'] / 1e9:.1f} GB" if found else ""
        work = f"{what}{size}, same alerts: wall of --jobs 1 / --jobs 2"
        yield Goal(work, "", bound, False, _times(found))
    walls = _commands(results, "compressed", "wall")
    for suffix, program, bound in (("gz", "gzip", 0.6), ("zst", "zstd", 1.7)):
        measured = _quotient(walls, suffix, f"{program} -dc")
        yield Goal(f"scan of {suffix} / {program} -dc, wall", "", bound, True, measured)


def _flows(results: Results) -> Iterator[Goal]:
    """Goals of flow records."""
    found = results.get("flows")
    costs = {row["name"]: row["cpu"] for row in found["rows"]} if found else {}
    for name, what in ((BASE, "a file"), ("netwatch live", "live")):
        each = found["records"] / costs[name] / 1000 if found and name in costs else None
        work = f"IPFIX of 20 fields, {what}, records a CPU second"
        yield Goal(work, " thousand", 500, False, each)
    measured = _quotient(costs, "nfacctd", "netwatch live")
    yield Goal("the same, CPU of nfacctd / netwatch live", "", 1, False, measured)


def _live(results: Results) -> Iterator[Goal]:
    """Goals of a live capture, which needs root."""
    for rate in (1_500, 100_000):
        rows = [row for row in _rows(results, "live") if row["rate"] == rate]
        each = {row["reader"]: row["each"] for row in rows}
        measured = _quotient(each, "suricata --af-packet", "netwatch live")
        work = f"live, {rate:,} packets/s, CPU after the start: suricata / netwatch"
        yield Goal(work, "", 2, False, measured)
    lost = _dropped(results["loss"]["rows"]) if "loss" in results else None
    yield Goal("packets dropped at rates at which tcpdump drops none", "", 0, True, lost)
    p99 = results["latency"]["p99"] if "latency" in results else None
    yield Goal("from a packet to its alert, 99 % at 100,000 packets/s", " s", 0.25, True, p99)


def _dropped(rows: Iterable[Mapping[str, Any]]) -> float:
    """The most packets that netwatch lost at a rate at which tcpdump lost none."""
    free = {row["rate"] for row in rows if row["reader"].startswith("tcpdump") and not row["lost"]}
    ours = [row for row in rows if row["reader"].startswith("netwatch")]
    return float(max((row["lost"] for row in ours if row["rate"] in free), default=0))


def _memory(results: Results) -> Iterator[Goal]:
    found = results.get("memory")
    for command in ("scan", "names"):
        rows = [row for row in found["rows"] if row["command"] == command] if found else []
        size = f"{rows[-1]['bytes'] / 1e9:.2g} GB" if rows else "any size"
        peak = max(row["rss"] - found["interpreter"] for row in rows) / 1e6 if found else None
        yield Goal(f"{command} of up to {size}, memory beyond Python's", " MB", 100, True, peak)
        less = [row["rss"] for row in rows if row["bytes"] * 3.9 <= rows[-1]["bytes"]]
        more = rows[-1]["rss"] / less[-1] if less else None
        yield Goal(f"{command}, peak at {size} / at a quarter or less", "", FLAT, True, more)


def _rest(results: Results) -> Iterator[Goal]:
    """Goals of starts, small captures and bans, and of growth."""
    cpu: Mapping[str, float] = results["start"]["cpu"] if "start" in results else {}
    for name, bound in (("--version", 0.15), ("scan of an empty capture", 0.09)):
        yield Goal(name, " s", bound, True, cpu.get(name))
    small = {row["command"]: row["many"] for row in _rows(results, "small")}
    for command in ("scan", "names"):
        many = small.get(command)
        share = many["system"] / many["user"] if many else None
        yield Goal(f"2,000 small captures, {command}, system / user", "", 0.5, True, share)
    for part, work in (
        ("rows", "1,000 bans on one app / one ban"),
        ("applying", "the same, where all bans apply to one client"),
    ):
        bans = {str(row["bans"]): row["cpu"] for row in _rows(results, "bans", part)}
        yield Goal(work, "", 1.5, True, _quotient(bans, "1000", "1"))
    exponents = [each["exponent"] for each in _rows(results, "growth", "curves")]
    worst = max(exponents, default=None)
    yield Goal("growth, the largest exponent of a fit", "", LINEAR, True, worst)


def _times(found: Mapping[str, Any] | None) -> float | None:
    # A different answer is not a faster one.
    return (found["times"] if found["same"] else 0.0) if found else None


def _rows(results: Results, section: str, part: str = "rows") -> Sequence[Mapping[str, Any]]:
    """The rows of a part of a section, none if it was not measured."""
    return results[section].get(part, ()) if section in results else ()


def _commands(results: Results, section: str, cost: str = "cpu") -> dict[str, float]:
    """A cost of each command of a section."""
    commands = results[section]["commands"] if section in results else {}
    return {name: row[cost] for name, row in commands.items()}


def _quotient(costs: Mapping[str, float], above: str, below: str) -> float | None:
    return costs[above] / costs[below] if above in costs and below in costs else None


def _ratio(results: Results, kind: str, above: str, below: str) -> float | None:
    costs = {row["peer"]: row["cpu"] for row in _rows(results, kind) if "cpu" in row}
    return _quotient(costs, above, below)


CELLS: tuple[Callable[[Goal], str], ...] = (
    lambda goal: goal.work,
    lambda goal: goal.goal,
    lambda goal: goal.found,
    lambda goal: goal.verdict,
)


def text(found: Iterable[Goal]) -> str:
    """The goals as text."""
    shape = "{:<78} {:>14} {:>14}  {}"
    rows = (shape.format(*(cell(goal) for cell in CELLS)) for goal in found)
    return "\n".join([shape.format("work", "goal", "measured", ""), *rows])
