"""The kinds of metrics in the table of metrics, their bound on series, and samples with several
labels that do not fit into a line of the table.

Every label has a bounded set of values, which come from the code or from the configuration and
never from packets. If there are more than `MAX_SERIES` values, the first in sorted order have a
series each, and the rest is summed up under ``other``, so that no counter ever falls.
"""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

from netwatch.core.alert import IncidentKind
from netwatch.core.verdict import Outcome
from netwatch.watch.health import TROUBLES, Thresholds, troubles
from netwatch.watch.snapshot import Backlog, OutputQueue, Snapshot, TableUsage

MAX_SERIES = 256
"""The maximum number of values of a label, including `OTHER`."""

OTHER = "other"
"""The label value of the sum beyond `MAX_SERIES`."""

Labels = tuple[str, ...]
MetricType = Literal["counter", "gauge"]
Samples = Iterable[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, as listed in the table `netwatch.watch.metrics.METRICS`.

    `name` is the full name with its prefix and, for a counter, ``_total``. `read` returns the
    samples of a snapshot: the values of `labels`, and the value.
    """

    name: str
    type: MetricType
    labels: Labels
    help: str
    read: Callable[[Snapshot, Thresholds], Samples]


def counter(name: str, help: str, read: Callable[[Snapshot], int]) -> Metric:
    """A counter without labels."""
    return Metric(name, "counter", (), help, lambda snapshot, _: [((), read(snapshot))])


def gauge(name: str, help: str, read: Callable[[Snapshot], float | None]) -> Metric:
    """A gauge without labels; it is left out while its value is None."""

    def samples(snapshot: Snapshot, _: Thresholds) -> Samples:
        value = read(snapshot)
        return [] if value is None else [((), value)]

    return Metric(name, "gauge", (), help, samples)


def counts(
    name: str, label: str, help: str, read: Callable[[Snapshot], Mapping[str, int]]
) -> Metric:
    """A counter with one label, whose number of series is limited."""
    return Metric(name, "counter", (label,), help, lambda snapshot, _: _limited(read(snapshot)))


def _limited(counts: Mapping[str, int]) -> Samples:
    ordered = sorted(counts.items())
    rest = ordered[MAX_SERIES - 1 :] if len(ordered) > MAX_SERIES else []
    for value, count in ordered[: MAX_SERIES - 1] if rest else ordered:
        yield (value,), count
    if rest:
        yield (OTHER,), sum(count for _, count in rest)


def backlog(name: str, type_: MetricType, help: str, read: Callable[[Backlog], int]) -> Metric:
    """A metric for each queue in memory."""
    return Metric(
        name,
        type_,
        ("queue",),
        help,
        lambda snapshot, _: [
            ((queue,), read(backlog)) for queue, backlog in sorted(snapshot.backlogs.items())
        ],
    )


def table(name: str, type_: MetricType, help: str, read: Callable[[TableUsage], int]) -> Metric:
    """A metric for each bounded table."""
    return Metric(
        name,
        type_,
        ("table",),
        help,
        lambda snapshot, _: [
            ((table,), read(use)) for table, use in sorted(snapshot.tables.items())
        ],
    )


def output(
    name: str,
    type_: MetricType,
    help: str,
    read: Callable[[OutputQueue, float], float],
) -> Metric:
    """A metric for each output; `read` gets its queue and the time of the snapshot."""
    return Metric(
        name,
        type_,
        ("output",),
        help,
        lambda snapshot, _: [
            ((output,), read(queue, snapshot.now))
            for output, queue in sorted(snapshot.outputs.items())
        ],
    )


def build_info(snapshot: Snapshot, _: Thresholds) -> Samples:
    """The versions in use."""
    compiled = "true" if snapshot.compiled else "false"
    yield (snapshot.version, snapshot.signatures, platform.python_version(), compiled), 1


def interface_up(snapshot: Snapshot, _: Thresholds) -> Samples:
    """Whether each interface, or log, can be read."""
    for name in snapshot.interfaces:
        yield (name,), float(name not in (*snapshot.interfaces_down, *snapshot.logs_unreadable))


def reloads(snapshot: Snapshot, _: Thresholds) -> Samples:
    """Reloads by result."""
    yield ("applied",), snapshot.reloads
    yield ("refused",), snapshot.refused_reloads


def open_incidents(snapshot: Snapshot, _: Thresholds) -> Samples:
    """Open incidents by verdict."""
    for verdict, count in sorted(snapshot.open_incidents.items()):
        yield (verdict,), count


def judged(snapshot: Snapshot, _: Thresholds) -> Samples:
    """Incidents that ended, by kind and outcome."""
    # All pairs are exposed, so that a rate is known when the first incident of a pair ends.
    for kind, outcome in product(get_args(IncidentKind), get_args(Outcome)):
        yield (kind, outcome), snapshot.judged.get((kind, outcome), 0)


def troubles_by_kind(snapshot: Snapshot, thresholds: Thresholds) -> Samples:
    """How often each trouble occurs."""
    found = Counter(trouble.kind for trouble in troubles(snapshot, thresholds))
    for trouble in TROUBLES:
        yield (trouble.kind,), found[trouble.kind]


def oldest(queue: OutputQueue, now: float) -> float:
    """The age of the oldest alert in a queue, in s."""
    return 0 if queue.oldest is None else max(0.0, now - queue.oldest)
