"""The kinds of metrics that the table of metrics consists of, and their bound on series.

Every label has a bounded set of values, which come from the code or from the configuration
and never from packets. Of more than `MAX_SERIES` values the first in sorted order have a
series each, and the rest is summed up under ``other``, so that no counter ever falls.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from netwatch.watch.health import Thresholds
from netwatch.watch.snapshot import Backlog, OutputQueue, Snapshot, TableUsage

MAX_SERIES = 256
"""Values that a label has at most, `OTHER` included."""

OTHER = "other"
"""The label value of what is summed up beyond `MAX_SERIES`."""

Labels = tuple[str, ...]
MetricType = Literal["counter", "gauge"]
Samples = Iterable[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, as the table `netwatch.watch.metrics.METRICS` lists it.

    `name` is the full name with its prefix and, for a counter, ``_total``. `read` returns
    the samples of a snapshot: the values of `labels`, and the value.
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
    """A metric of each queue in memory."""
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
    """A metric of each bounded table."""
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
    """A metric of each output; `read` takes its queue and the time of the snapshot."""
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
