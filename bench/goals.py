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
    return [
        *_peers(results),
        *_ratios(results),
        *_memory(results),
        *_rest(results),
        *_flows(results),
        *_live(results),
    ]


def _live(results: Results) -> Iterator[Goal]:
    """Goals of a live capture, if it was measured: that needs root."""
    if "live" in results:
        each = {row["reader"]: row["each"] for row in results["live"]["rows"]}
        measured = _quotient(each, "suricata --af-packet", "netwatch live")
        work = "live, 100,000 packets/s, CPU a packet, suricata / netwatch"
        yield Goal(work, "", 2, False, measured)
    if "loss" in results:
        reported = "packets dropped at rates at which tcpdump drops none"
        yield Goal(reported, "", 0, True, _dropped(results["loss"]["rows"]))
    if "latency" in results:
        reported = "from a packet to its alert, 99 % at 100,000 packets/s"
        yield Goal(reported, " s", 0.25, True, results["latency"]["p99"])


def _flows(results: Results) -> Iterator[Goal]:
    """Goals of flow records, if they were measured."""
    if "flows" not in results:
        return
    found = results["flows"]
    costs = {row["name"]: row["cpu"] for row in found["rows"]}
    each = found["records"] / costs["netwatch live"] / 1000
    yield Goal("IPFIX of 20 fields, live, records a CPU s", " thousand", 500, False, each)
    measured = _quotient(costs, "nfacctd", "netwatch live")
    yield Goal("the same, CPU of nfacctd / netwatch live", "", 1, False, measured)


def _dropped(rows: Iterable[Mapping[str, Any]]) -> float:
    """The most packets that netwatch lost at a rate at which tcpdump lost none."""
    free = {row["rate"] for row in rows if row["reader"].startswith("tcpdump") and not row["lost"]}
    ours = [row for row in rows if row["reader"].startswith("netwatch")]
    return float(max((row["lost"] for row in ours if row["rate"] in free), default=0))


def _peers(results: Results) -> Iterator[Goal]:
    both = (("ndpiReader", 5), ("nfstream", 8), ("tshark", 15))
    for kind, least in (("office", 4), ("dns", 8)):
        for peer, bound in (("suricata", least), *both):
            measured = _ratio(results, kind, peer, BASE)
            yield Goal(f"{kind}, {peer} / {BASE}", "", bound, False, measured)
    measured = _ratio(results, "office", BASE, "tcpdump")
    yield Goal(f"office, {BASE} / tcpdump", "", 1.8, True, measured)
    for kind, bound in (("office", 2.5), ("dns", 5)):
        measured = _ratio(results, kind, "suricata eve", "netwatch names")
        yield Goal(f"{kind}, suricata eve / netwatch names", "", bound, False, measured)


def _ratios(results: Results) -> Iterator[Goal]:
    """Goals of sections that compare a few commands."""
    flows = _cpu(results, "new-flows")
    work = f"{results['new-flows']['packets']:,} SYNs of new flows" if flows else "new flows"
    yield Goal(f"{work}, suricata / {BASE}", "", 4, False, _quotient(flows, "suricata", BASE))
    bans = {str(row["bans"]): row["cpu"] for row in _rows(results, "bans", "rows")}
    yield Goal("1,000 bans on one app / one ban", "", 1.5, True, _quotient(bans, "1000", "1"))
    applying = {str(row["bans"]): row["cpu"] for row in _rows(results, "bans", "applying")}
    measured = _quotient(applying, "1000", "1")
    yield Goal("the same, where all bans apply to one client", "", 1.5, True, measured)
    captures = _cpu(results, "compressed")
    for suffix, bound in (("gz", 3.2), ("zst", 1.2)):
        measured = _quotient(captures, suffix, "plain")
        yield Goal(f"a capture as {suffix} / plain", "", bound, True, measured)
    found = results.get("columns")
    beyond = {row["format"]: row["beyond"] for row in found["rows"]} if found else {}
    each = 1e6 * beyond["parquet"] / found["messages"] if found else None
    yield Goal("dns, names as Parquet, a message beyond start", " µs", 1.2, True, each)


def _cpu(results: Results, section: str) -> dict[str, float]:
    commands = results[section]["commands"] if section in results else {}
    return {name: row["cpu"] for name, row in commands.items()}


def _quotient(costs: Mapping[str, float], above: str, below: str) -> float | None:
    return costs[above] / costs[below] if above in costs and below in costs else None


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
    cpu: Mapping[str, float] = results["start"]["cpu"] if "start" in results else {}
    for name, bound in (("--version", 0.15), ("scan of an empty capture", 0.09)):
        yield Goal(name, " s", bound, True, cpu.get(name))
    small = results.get("small")
    for row in small["rows"] if small else ():
        work = f"{small['files']:,} small captures, {row['command']}, system s / user s"
        yield Goal(work, "", 0.5, True, row["many"]["system"] / row["many"]["user"])
    for section, work in (("jobs", "two captures"), ("one-file", "one capture")):
        yield Goal(
            f"{work}, same alerts, wall s with --jobs 1 / 2",
            "",
            1.7,
            False,
            _times(results.get(section)),
        )


def _times(found: Mapping[str, Any] | None) -> float | None:
    # A different answer is not a faster one.
    return (found["times"] if found["same"] else 0.0) if found else None


def _rows(results: Results, section: str, part: str) -> Sequence[Mapping[str, Any]]:
    """The rows of a part of a section, none if it was not measured."""
    return results[section].get(part, ()) if section in results else ()


def _ratio(results: Results, kind: str, above: str, below: str) -> float | None:
    rows = results[kind]["rows"] if kind in results else []
    return _quotient({row["peer"]: row["cpu"] for row in rows if "cpu" in row}, above, below)


CELLS: tuple[Callable[[Goal], str], ...] = (
    lambda goal: goal.work,
    lambda goal: goal.goal,
    lambda goal: goal.found,
    lambda goal: goal.verdict,
)


def text(found: Iterable[Goal]) -> str:
    """The goals as text."""
    shape = "{:<60} {:>9} {:>13}  {}"
    rows = (shape.format(*(cell(goal) for cell in CELLS)) for goal in found)
    return "\n".join([shape.format("work", "goal", "measured", ""), *rows])
