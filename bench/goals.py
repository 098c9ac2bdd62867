"""Performance goals, compared with what was measured.

CPU seconds are those of whole processes including their start. A goal is reported as not measured
if a peer is missing or a section did not run.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from compare import BASE

Results = Mapping[str, Any]
"""The results of each section by its name."""

FLAT = 1.1
"""The most by which memory may grow with four times as many bytes, once the tables are full."""


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
    return [*_peers(results), *_memory(results), *_rest(results), *_live(results)]


def _live(results: Results) -> Iterator[Goal]:
    """Goals of a live capture, if it was measured: that needs root."""
    if "loss" in results:
        reported = "packets dropped at rates at which tcpdump drops none"
        yield Goal(reported, "", 0, True, _dropped(results["loss"]["rows"]))
    if "latency" in results:
        reported = "from a packet to its alert, 99 % at 100,000 packets/s"
        yield Goal(reported, " s", 0.25, True, results["latency"]["p99"])


def _dropped(rows: Iterable[Mapping[str, Any]]) -> float:
    """The most packets that netwatch lost at a rate at which tcpdump lost none."""
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
        size = f"{rows[-1]['bytes'] / 1e9:.2g} GB" if rows else "any size"
        peak = max(row["rss"] - found["interpreter"] for row in rows) / 1e6 if found else None
        yield Goal(f"{command} of up to {size}, memory beyond Python's", " MB", 200, True, peak)
        less = [row["rss"] for row in rows if row["bytes"] * 3.9 <= rows[-1]["bytes"]]
        more = rows[-1]["rss"] / less[-1] if less else None
        yield Goal(f"{command}, peak at {size} / at a quarter or less", "", FLAT, True, more)


def _rest(results: Results) -> Iterator[Goal]:
    cpu: Mapping[str, float] = results["start"]["cpu"] if "start" in results else {}
    for name, bound in (("--version", 0.15), ("scan of an empty capture", 0.4)):
        yield Goal(name, " s", bound, True, cpu.get(name))
    jobs = results.get("jobs")
    # A different answer is not a faster one.
    times = (jobs["times"] if jobs["same"] else 0.0) if jobs else None
    small = results.get("small")
    for row in small["rows"] if small else ():
        work = f"{small['files']:,} small captures, {row['command']}, system s / user s"
        yield Goal(work, "", 0.5, True, row["many"]["system"] / row["many"]["user"])
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
    """The goals as text."""
    shape = "{:<54} {:>9} {:>13}  {}"
    rows = (shape.format(*(cell(goal) for cell in CELLS)) for goal in found)
    return "\n".join([shape.format("work", "goal", "measured", ""), *rows])
