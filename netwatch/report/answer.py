"""Was a ban complied with? The answer, from what was seen and from what could not be seen.

The answer neither accuses on the basis of a guess nor acquits on the basis of not having looked:

``not-in-force``
    The ban forbids nothing on any day of the report.
``not-kept``
    At least one violation is *proved*: confirmed, of kind session or background, and a server of
    the app answered. No page, no embedded video and no lookup is ever that, nor is an attempt that
    was blocked.
``kept``
    There is no violation of any weight but possible ones, and everything was there to be seen: in
    each network that the ban is about, every hour was captured and judged by this ban with these
    signatures, hardly a flow had no name (`Thresholds`), and the network was not silent when it
    should have been used.
``cannot-be-said``
    Otherwise. The reasons say what would have to be known.

Reasons are codes with numbers; `netwatch.report.words` has their sentences.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from netwatch.core.verdict import CONFIDENCE_RANK, Ban
from netwatch.report.values import Answer, NetworkRow, Reason, Thresholds, Value

WEIGHTS = ("proved", "unanswered", "blocked", "probable", "lookup", "embed", "possible")
"""How a violation counts, weightiest first. ``proved`` decides for ``not-kept``; ``possible`` does
not count; any other leaves the answer open."""

REASONS = (
    "proved",
    "unanswered",
    "blocked",
    "probable",
    "lookup",
    "embed",
    "no-coverage",
    "gaps",
    "silent-sensors",
    "unnamed",
    "network-unseen",
    "lost",
    "not-judged",
    "silent",
    "by-flows",
    "by-logs",
    "unreadable",
    "packets",
    "partial",
    "retention",
    "erased",
    "min-confidence",
    "no-violation",
    "not-in-force",
)
"""The codes of reasons that decide, in the order of a report."""

NOTES = (
    "possible",
    "advisory",
    "exempt",
    "after-expiry",
    "outside-periods",
    "part-in-force",
    "other-versions",
    "beyond",
    "merged",
)
"""The codes of notes, which do not decide."""

_USED = ("session", "background")


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation by its `weight` (of `WEIGHTS`), and its device."""

    weight: str
    device: str


@dataclass(frozen=True, slots=True)
class Visible:
    """The coverage of the networks that a ban is about, on the days on which it forbids.

    `unseen` are configured networks that no sensor ever saw. `gaps` is the number of times, longer
    than the threshold, in which one of the networks was not captured, and `gap_hours` their total
    length. `unjudged_hours` were captured, but not judged by this ban with these signatures;
    `command` judges them. `silent`, `by_flows`, `by_logs` and `unreadable` are the hours by network
    in which it should have been used and had no flow, which flow records alone show, which logs of
    services alone show, and in which otherwise names could not be read; `silent_sensors` is how
    many sensors were not heard for longer than that, and `silent_hours` the total time.
    `lost_hours` is how long more was seen than is in the store. `packets_lost` is the share of
    packets that were dropped or could not be read. `pruned` means that incidents of these days were
    deleted by age, and `erased` is how many persons were erased from the store since.
    """

    networks: Sequence[NetworkRow]
    unseen: Sequence[str] = ()
    gaps: int = 0
    gap_hours: float = 0.0
    silent_sensors: int = 0
    silent_hours: float = 0.0
    packets_lost: float = 0.0
    partial_captures: int = 0
    lost_rows: int = 0
    pruned: bool = False
    erased: int = 0
    lost_hours: float = 0.0
    unjudged_hours: float = 0.0
    command: str = ""
    silent: Mapping[str, float] = field(default_factory=dict)
    by_flows: Mapping[str, float] = field(default_factory=dict)
    by_logs: Mapping[str, float] = field(default_factory=dict)
    unreadable: Mapping[str, float] = field(default_factory=dict)


def weight(confidence: str, kind: str, outcome: str) -> str:
    """How a violation counts: a word of `WEIGHTS`."""
    if confidence == "possible":
        return "possible"
    if kind == "embed":
        return "embed"
    if outcome == "blocked":
        return "blocked"
    if confidence == "confirmed" and kind in _USED:
        return "proved" if outcome == "reached" else "unanswered"
    return "lookup" if kind == "lookup" else "probable"


def blind(network: NetworkRow) -> tuple[int, int]:
    """The flows of a network with content, and how many of them had no readable name."""
    flows = network.flows - network.unnamed.get("no-data", 0)
    return flows, flows - network.named


def answer(
    ban: Ban,
    days_in_force: int,
    days: int,
    violations: Iterable[Violation],
    visible: Visible,
    thresholds: Thresholds,
    notes: Iterable[Reason] = (),
) -> Answer:
    """Whether `ban` was complied with on its `days_in_force` of the `days` of a report."""
    shares = [blind(network) for network in visible.networks]
    flows, unnamed = sum(each for each, _ in shares), sum(each for _, each in shares)
    seen = by_weight(violations)
    said = [*notes]
    if possible := seen.pop("possible", None):
        said.insert(0, Reason("possible", possible))
    if 0 < days_in_force < days:
        said.append(Reason("part-in-force", {"days": days_in_force, "all": days}))
    if not days_in_force:
        reasons = [Reason("not-in-force", {})]
        word = "not-in-force"
    else:
        reasons = [Reason(code, seen[code]) for code in WEIGHTS if code in seen]
        reasons += _what_was_not_seen(ban, visible, thresholds)
        word = "not-kept" if "proved" in seen else "cannot-be-said" if reasons else "kept"
        if word == "kept":
            reasons = [Reason("no-violation", {"flows": flows})]
    return Answer(
        word,  # type: ignore[arg-type]
        days_in_force,
        unnamed / flows if flows else None,
        flows,
        unnamed,
        tuple(reasons),
        tuple(said),
    )


def by_weight(violations: Iterable[Violation]) -> dict[str, Mapping[str, Value]]:
    """The numbers of incidents and devices by weight."""
    incidents: Counter[str] = Counter()
    devices: dict[str, set[str]] = {}
    for violation in violations:
        incidents[violation.weight] += 1
        devices.setdefault(violation.weight, set()).add(violation.device)
    return {
        code: {"incidents": count, "devices": len(devices[code])}
        for code, count in incidents.items()
    }


def _what_was_not_seen(ban: Ban, visible: Visible, thresholds: Thresholds) -> list[Reason]:
    """The reasons why the absence of violations would prove nothing."""
    found: list[Reason] = []
    shares = {network.network: blind(network) for network in visible.networks}
    if not any(flows for flows, _ in shares.values()):
        found.append(Reason("no-coverage", {}))
    if visible.gaps:
        found.append(Reason("gaps", {"count": visible.gaps, "hours": round(visible.gap_hours, 1)}))
    if visible.silent_sensors:
        count, hours_long = visible.silent_sensors, round(visible.silent_hours, 1)
        found.append(Reason("silent-sensors", {"count": count, "hours": hours_long}))
    for name, (flows, unnamed) in shares.items():
        if flows and unnamed / flows > thresholds.unnamed:
            found.append(
                Reason(
                    "unnamed",
                    {
                        "network": name,
                        "share": unnamed / flows,
                        "flows": flows,
                        "threshold": thresholds.unnamed,
                    },
                )
            )
    found += [Reason("network-unseen", {"network": name}) for name in visible.unseen]
    if visible.lost_hours:
        found.append(Reason("lost", {"hours": visible.lost_hours}))
    if visible.unjudged_hours:
        found.append(
            Reason("not-judged", {"hours": visible.unjudged_hours, "command": visible.command})
        )
    for code, hours in (
        ("silent", visible.silent),
        ("by-flows", visible.by_flows),
        ("by-logs", visible.by_logs),
        ("unreadable", visible.unreadable),
    ):
        found += [Reason(code, {"network": name, "hours": hours[name]}) for name in hours]
    if visible.packets_lost > thresholds.packets:
        found.append(
            Reason("packets", {"share": visible.packets_lost, "threshold": thresholds.packets})
        )
    if visible.partial_captures or visible.lost_rows:
        found.append(
            Reason("partial", {"captures": visible.partial_captures, "rows": visible.lost_rows})
        )
    if visible.pruned:
        found.append(Reason("retention", {}))
    if visible.erased:
        found.append(Reason("erased", {"count": visible.erased}))
    if CONFIDENCE_RANK[ban.min_confidence] > CONFIDENCE_RANK["probable"]:
        found.append(Reason("min-confidence", {"confidence": ban.min_confidence}))
    return found
