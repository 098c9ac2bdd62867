"""Gives the metrics of a running capture to Prometheus whenever it scrapes the endpoint."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from netwatch.watch.health import Thresholds
from netwatch.watch.metrics import METRICS
from netwatch.watch.snapshot import TakeSnapshot


class Metrics(Collector):
    """Takes a snapshot whenever Prometheus scrapes the endpoint."""

    def __init__(self, take_snapshot: TakeSnapshot, thresholds: Thresholds) -> None:
        self._take_snapshot = take_snapshot
        self._thresholds = thresholds

    def describe(self) -> Iterable[Family]:
        """Nothing, so that registering the collector takes no snapshot."""
        return ()

    def collect(self) -> Iterator[Family]:
        """All metrics of one snapshot. One whose value does not exist yet is left out."""
        snapshot = self._take_snapshot()
        for metric in METRICS:
            samples = list(metric.read(snapshot, self._thresholds))
            if samples or metric.labels:
                yield family(metric.name, metric.type, metric.help, metric.labels, samples)


def family(
    name: str,
    type_: str,
    help_: str,
    labels: Sequence[str],
    samples: Iterable[tuple[Sequence[str], float]],
) -> Family:
    """A metric, a ``counter`` or a ``gauge``, with its samples: the values of `labels`, and the
    value."""
    kind = CounterMetricFamily if type_ == "counter" else GaugeMetricFamily
    found: CounterMetricFamily | GaugeMetricFamily = kind(name, help_, labels=labels)
    for values, value in samples:
        found.add_metric(values, value)
    return found
