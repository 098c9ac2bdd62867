"""How fast is fast enough: one row a goal, held against what was measured.

CPU seconds are those of whole processes with their start. What a missing peer or a
section that did not run leaves open is told as not measured.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from compare import BASE

Results = Mapping[str, Any]
"""What each section found, by its name."""

FLAT = 1.1
"""How much more memory four times as many bytes may take, at most, once the tables are full."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio or amount, its bound (`most`: it is an upper one), and what was measured:
    None where nothing was."""

    work: str
    unit: str
    bound: float
    most: bool
    measured: float | None

    @property
    def holds(self) -> bool | None:
        """Whether it does; None where it was not measured."""
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.most else self.measured >= self.bound

    @property
    def goal(self) -> str:
        """The bound, for people."""
        return f"{'≤' if self.most else '≥'} {self.bound:g}{self.unit}"

    @property
    def found(self) -> str:
        """What was measured, for people."""
        if self.measured is None:
            return "not measured"
        digits = 0 if abs(self.measured) >= 100 else 1 if abs(self.measured) >= 10 else 2
        return f"{self.measured:.{digits}f}{self.unit}"

    @property
    def verdict(self) -> str:
        """Whether it holds, for people."""
        return {True: "holds", False: "does not hold", None: ""}[self.holds]

    def told(self) -> dict[str, Any]:
        """The row as JSON holds it."""
        return asdict(self) | {"holds": self.holds}


def goals(results: Results) -> list[Goal]:
    """Every goal, in the order of the table."""
    return [*_peers(results), *_memory(results), *_rest(results), *_live(results)]


def _live(results: Results) -> Iterator[Goal]:
    """Where they were measured: they take root."""
    if "loss" in results:
        told = "packets dropped at rates at which tcpdump drops none"
        yield Goal(told, "", 0, True, _dropped(results["loss"]["rows"]))
    if "latency" in results:
        told = "from a packet to its alert, 99 % at 100,000 packets/s"
        yield Goal(told, " s", 0.25, True, results["latency"]["p99"])


def _dropped(rows: Iterable[Mapping[str, Any]]) -> float:
    """The most that netwatch lost at such a rate."""
    free = {row["rate"] for row in rows if row["reader"].startswith("tcpdump") and not row["lost"]}
    ours = [row for row in rows if row["reader"].startswith("netwatch")]
    return float(max((row["lost"] for row in ours if row["rate"] in free), default=0))


def _peers(results: Results) -> Iterator[Goal]:
    both = (("ndpiReader", 5), ("nfstream", 8), ("tshark", 15))
    for kind, least in (("office", 3), ("dns", 8)):
        for peer, bound in (("suricata", least), *both):
            measured = _ratio(results, kind, peer, BASE)
            yield Goal(f"{kind}, {peer} / {BASE}", "", bound, False, measured)
    measured = _ratio(results, "office", BASE, "tcpdump")
    yield Goal(f"office, {BASE} / tcpdump", "", 3, True, measured)
    measured = _ratio(results, "office", "suricata eve", "netwatch names")
    yield Goal("office, suricata eve / netwatch names", "", 2, False, measured)


def _memory(results: Results) -> Iterator[Goal]:
    found = results.get("memory")
    for command in ("scan", "names"):
        rows = [row for row in found["rows"] if row["command"] == command] if found else []
        size = f"{rows[-1]['octets'] / 1e9:.2g} GB" if rows else "any size"
        peak = max(row["rss"] - found["interpreter"] for row in rows) / 1e6 if found else None
        yield Goal(f"{command} of up to {size}, memory beyond Python's", " MB", 200, True, peak)
        less = [row["rss"] for row in rows if row["octets"] * 3.9 <= rows[-1]["octets"]]
        more = rows[-1]["rss"] / less[-1] if less else None
        yield Goal(f"{command}, peak at {size} / at a quarter or less", "", FLAT, True, more)


def _rest(results: Results) -> Iterator[Goal]:
    cpu: Mapping[str, float] = results["start"]["cpu"] if "start" in results else {}
    for name, bound in (("--version", 0.15), ("scan of an empty capture", 0.4)):
        yield Goal(name, " s", bound, True, cpu.get(name))
    jobs = results.get("jobs")
    # What is not the same answer was not answered faster.
    times = (jobs["times"] if jobs["same"] else 0.0) if jobs else None
    work = "two captures, same alerts, wall s with --jobs 1 / 2"
    yield Goal(work, "", 1.7, False, times)


def _ratio(results: Results, kind: str, above: str, below: str) -> float | None:
    rows = results[kind]["rows"] if kind in results else []
    cpu = {row["peer"]: row["cpu"] for row in rows if "cpu" in row}
    return cpu[above] / cpu[below] if above in cpu and below in cpu else None


CELLS: tuple[Callable[[Goal], str], ...] = (
    lambda goal: goal.work,
    lambda goal: goal.goal,
    lambda goal: goal.found,
    lambda goal: goal.verdict,
)


def text(found: Iterable[Goal]) -> str:
    """The goals for people."""
    shape = "{:<54} {:>9} {:>13}  {}"
    rows = (shape.format(*(cell(goal) for cell in CELLS)) for goal in found)
    return "\n".join([shape.format("work", "goal", "measured", ""), *rows])
