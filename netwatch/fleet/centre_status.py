"""The counts of a centre, as metrics and as its health."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from netwatch import __version__
from netwatch.core.text import quantity
from netwatch.watch.endpoint import family
from netwatch.watch.health import Trouble


@dataclass(slots=True)
class CentreStatus:
    """The counters of a centre, by sensor where they are `Counter`. `connection_problem` and
    `store_problem` are empty while all is well. `heard` is when each sensor was last heard (s,
    monotonic), `enrolled` the sensors with credentials, `lag` the age of the newest message when it
    was committed (s, by its sensor's corrected clock), `states` are from `fleet.silence`, `dropped`
    contents whose parts did not arrive, `misdirected` requests whose answer would go astray,
    `outside_networks` and `outside_devices` messages about what is not the sensor's own,
    `contradictions` the details by sensor and kind, `bypasses` days of devices that hid their
    lookups, of which the outputs were told."""

    started: float = field(default_factory=time.time)
    enrolled: set[str] = field(default_factory=set)
    heard: dict[str, float] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    lag: dict[str, float] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    alerts: Counter[str] = field(default_factory=Counter)
    new_alerts: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    repeated: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    misdirected: Counter[str] = field(default_factory=Counter)
    outside_networks: Counter[str] = field(default_factory=Counter)
    outside_devices: Counter[str] = field(default_factory=Counter)
    contradictions: dict[tuple[str, str], str] = field(default_factory=dict)
    connections: int = 0
    server_restarts: int = 0
    bypasses: int = 0
    connection_problem: str = "not connected yet"
    store_problem: str = ""

    def outside(self) -> dict[str, list[str]]:
        """By sensor, sentences on reports about what is not its own."""
        found: dict[str, list[str]] = {}
        for (sensor, _), text in sorted(self.contradictions.copy().items()):
            found.setdefault(sensor, []).append(text)
        return found

    def troubles(self) -> list[Trouble]:
        """Why the centre is not healthy; none if it is. Faults of a sensor are only noted: they
        must not make the centre look ill, so that it is restarted."""
        found = []
        if self.connection_problem:
            found.append(Trouble("server", "", self.connection_problem))
        if self.store_problem:
            found.append(Trouble("store", "", self.store_problem))
        for (sensor, kind), text in sorted(self.contradictions.items()):
            found.append(Trouble(kind, sensor, text, is_note=True))
        for sensor, count in sorted(self.refused.items()):
            text = f"{quantity(count, 'message')} of {sensor} refused: netwatch fleet refused list"
            found.append(Trouble("refused", sensor, text, is_note=True))
        return found


@dataclass(frozen=True, slots=True)
class CentreMetric:
    """A metric of a centre; by sensor if `read` returns a mapping."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str
    read: Callable[[CentreStatus], float | Mapping[str, float]]


CENTRE_METRICS = (
    CentreMetric(
        "netwatch_fleet_build_info",
        "gauge",
        ("version",),
        "The version in use; the value is always 1.",
        lambda _: {__version__: 1},
    ),
    CentreMetric(
        "netwatch_fleet_start_time_seconds",
        "gauge",
        (),
        "When the centre was started, in seconds since the epoch.",
        lambda status: status.started,
    ),
    CentreMetric(
        "netwatch_fleet_connected",
        "gauge",
        (),
        "Whether the centre is connected to its server.",
        lambda status: float(not status.connection_problem),
    ),
    CentreMetric(
        "netwatch_fleet_sensors",
        "gauge",
        (),
        "Sensors that are enrolled.",
        lambda status: len(status.enrolled),
    ),
    CentreMetric(
        "netwatch_fleet_heard_age_seconds",
        "gauge",
        ("sensor",),
        "Seconds since a sensor gave a sign of life.",
        lambda status: {name: time.monotonic() - at for name, at in sorted(status.heard.items())},
    ),
    CentreMetric(
        "netwatch_fleet_sensor_silent",
        "gauge",
        ("sensor",),
        "1 while a sensor is silent: it gives no sign of life, and was not stopped.",
        lambda status: {
            name: float(state == "silent") for name, state in sorted(status.states.items())
        },
    ),
    CentreMetric(
        "netwatch_fleet_bypasses_total",
        "counter",
        (),
        "Days of devices that hid their lookups, of which the outputs were told.",
        lambda status: status.bypasses,
    ),
    CentreMetric(
        "netwatch_fleet_clock_offset_seconds",
        "gauge",
        ("sensor",),
        "How far the clock of a sensor is ahead of the centre's.",
        lambda status: {name: each / 1e9 for name, each in sorted(status.offsets.items())},
    ),
    CentreMetric(
        "netwatch_fleet_lag_seconds",
        "gauge",
        ("sensor",),
        "Seconds between the sending of the last message of a sensor and its commit.",
        lambda status: dict(sorted(status.lag.items())),
    ),
    CentreMetric(
        "netwatch_fleet_alerts_total",
        "counter",
        ("sensor",),
        "Alerts that were committed, those that were sent again too.",
        lambda status: dict(sorted(status.alerts.items())),
    ),
    CentreMetric(
        "netwatch_fleet_alerts_new_total",
        "counter",
        (),
        "Alerts with something new when they were committed.",
        lambda status: status.new_alerts,
    ),
    CentreMetric(
        "netwatch_fleet_rows_total",
        "counter",
        ("sensor",),
        "Observations, flows and address claims that were committed.",
        lambda status: dict(sorted(status.rows.items())),
    ),
    CentreMetric(
        "netwatch_fleet_batches_total",
        "counter",
        (),
        "Batches of facts and records of coverage that were committed.",
        lambda status: status.batches,
    ),
    CentreMetric(
        "netwatch_fleet_batches_repeated_total",
        "counter",
        (),
        "Batches that were stored already, or came before their predecessor.",
        lambda status: status.repeated,
    ),
    CentreMetric(
        "netwatch_fleet_refused_total",
        "counter",
        ("sensor",),
        "Messages and alerts that were refused because they are not valid.",
        lambda status: dict(sorted(status.refused.items())),
    ),
    CentreMetric(
        "netwatch_fleet_parts_dropped_total",
        "counter",
        ("sensor",),
        "Contents in parts that did not become whole, and are sent again.",
        lambda status: dict(sorted(status.dropped.items())),
    ),
    CentreMetric(
        "netwatch_fleet_replies_refused_total",
        "counter",
        ("sensor",),
        "Requests that were not answered, because the answer would not go to their sensor.",
        lambda status: dict(sorted(status.misdirected.items())),
    ),
    CentreMetric(
        "netwatch_fleet_outside_networks_total",
        "counter",
        ("sensor",),
        "Messages in which a sensor spoke of networks that are not its own.",
        lambda status: dict(sorted(status.outside_networks.items())),
    ),
    CentreMetric(
        "netwatch_fleet_outside_devices_total",
        "counter",
        ("sensor",),
        "Messages in which a sensor spoke of devices of an inventory that are not its own.",
        lambda status: dict(sorted(status.outside_devices.items())),
    ),
    CentreMetric(
        "netwatch_fleet_connections_total",
        "counter",
        (),
        "Connections to the server that were established.",
        lambda status: status.connections,
    ),
    CentreMetric(
        "netwatch_fleet_server_restarts_total",
        "counter",
        (),
        "How often the server was started again because it had ended.",
        lambda status: status.server_restarts,
    ),
)
"""The metrics of a centre, in the order in which they are exposed. The label `sensor` has the names
of enrolled sensors, which the server verifies."""


class CentreMetrics(Collector):
    """Reads the status whenever Prometheus scrapes the endpoint."""

    def __init__(self, status: CentreStatus) -> None:
        self._status = status

    def describe(self) -> Iterator[Family]:
        """Yields nothing, so that registering the collector reads nothing."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        """All metrics."""
        for metric in CENTRE_METRICS:
            value = metric.read(self._status)
            samples: list[tuple[Sequence[str], float]] = (
                [((label,), number) for label, number in value.items()]
                if isinstance(value, Mapping)
                else [((), value)]
            )
            yield family(metric.name, metric.type, metric.help, metric.labels, samples)
