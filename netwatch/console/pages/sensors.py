"""The sensors of a fleet, or the live captures that write to this store: how they are, what they
apply of what was published, and when they were silent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netwatch.console.filter_bar import excluding, filter_bar
from netwatch.console.pages.incidents import QUERY_SECONDS, listed
from netwatch.console.view import Answer, Page, View, bad_request, not_found
from netwatch.store.cases import case_page, is_centre
from netwatch.store.fleet_sensors import Applied, FleetSensor, PublishedKind, roster, silences
from netwatch.store.incident_pages import PAGE, IncidentFilter

SILENT = 60 * 1_000_000_000
"""A live capture that has not written its status for longer than this (ns) is silent."""

CENTRE_SILENT = 600 * 1_000_000_000
"""The centre says when an enrolled sensor is silent. One that was not heard for longer than this
(ns) is silent too: it may be the centre that does not run."""

CLOCK_LIMIT = 2.0
"""Seconds that a clock may be off before the page points at it."""

STATES = ("healthy", "unhealthy", "silent", "new")
"""What a sensor can be; ``new`` is one that was enrolled and never heard."""

KINDS: tuple[PublishedKind, ...] = ("set", "configuration")

_SILENCES = 50
_CASES = 10


@dataclass(frozen=True, slots=True)
class Published:
    """What a sensor does with one kind of what is published: what it applied last, and what it
    rejected last if that is newer."""

    kind: PublishedKind
    applied: Applied | None
    rejected: Applied | None


@dataclass(frozen=True, slots=True)
class ShownSensor:
    """A sensor as pages show it. What its status has not, or has in another form, is None. Times
    are ns, `clock_offset` s, `interfaces` are names and whether they are up, `outputs` names, how
    many alerts wait, and how many were lost."""

    name: str
    state: str
    enrolled: int | None
    heard: int | None
    silent_since: int | None
    clock_offset: float | None
    version: str
    troubles: tuple[str, ...]
    packets: float | None
    dropped: float | None
    rates: Mapping[str, float] | None
    interfaces: tuple[tuple[str, bool], ...]
    outputs: tuple[tuple[str, float, float], ...]
    rows: float | None
    rows_lost: float | None
    published: tuple[Published, ...]
    refused: int
    refused_reason: str

    @property
    def is_healthy(self) -> bool:
        """Whether it is there and has no trouble."""
        return self.state == "healthy"

    @property
    def is_lossy(self) -> bool:
        """Whether it has lost packets, rows or alerts since it began."""
        return bool(self.dropped or self.rows_lost or any(lost for _, _, lost in self.outputs))

    @property
    def is_rejecting(self) -> bool:
        """Whether it rejected the last version of something."""
        return any(applied.rejected for applied in self.published)

    @property
    def is_clock_off(self) -> bool:
        """Whether its clock is so far off that times are hard to compare."""
        return self.clock_offset is not None and abs(self.clock_offset) > CLOCK_LIMIT


def show(view: View) -> Answer:
    """The list: what needs attention first, then by name."""
    states, others = view.query.all("state"), view.query.all("not-state")
    for name, words in (("state", states), ("not-state", others)):
        for word in words:
            view.query.check(name, word, STATES)
    text = view.query.text("name").lower()
    sensors = shown_sensors(view)
    wanted = [
        sensor
        for sensor in sensors
        if (not states or sensor.state in states)
        and sensor.state not in others
        and text in sensor.name.lower()
    ]
    after = view.query.text("after")
    if after and not after.isascii():
        raise bad_request(
            view.say("This place in the list cannot be read: begin at the first page.")
        )
    ordered = sorted(wanted, key=cursor)
    rest = [sensor for sensor in ordered if not after or cursor(sensor) > after]
    names = ("state", *excluding("state"), "name")
    pairs = view.query.kept(names)
    rows = rest[:PAGE]
    values = {
        "rows": rows,
        "older": [*pairs, ("after", cursor(rows[-1]))] if len(rest) > PAGE else [],
        "is_first": not after,
        "pairs": pairs,
        "bar": filter_bar(view, names, (), len(wanted)),
        "wanted": {name: view.query.text(name) for name in ("state", "name")},
        "states": STATES,
        "counts": {name: sum(sensor.state == name for sensor in sensors) for name in STATES},
        "rejecting": sum(sensor.is_rejecting for sensor in sensors),
        "clocks": sum(sensor.is_clock_off for sensor in sensors),
        "is_centre": is_centre(view.console.catalogue),
    }
    return Page("sensors", values)


def one(view: View) -> Answer:
    """One sensor: all that is known of it, and the cases that it saw last."""
    name = view.path["name"]
    sensor = next((sensor for sensor in shown_sensors(view) if sensor.name == name), None)
    if sensor is None:
        raise not_found(view.say("There is no such sensor."))
    catalogue, now = view.console.catalogue, view.console.now()
    quiet = silences(catalogue, 0, now, name, limit=_SILENCES)
    wanted = IncidentFilter(sensor=frozenset({name}))
    cases = case_page(catalogue, wanted, size=_CASES, timeout=QUERY_SECONDS)
    values = {
        "sensor": sensor,
        "silences": [(gap, ((gap.until or now) - gap.since) / 1e9) for gap in quiet],
        "rows": [listed(view, row) for row in cases.rows],
        "sees_devices": view.role == "analyst",
        "sees_cases": view.role in ("analyst", "auditor"),
    }
    return Page("sensor", values)


def shown_sensors(view: View) -> list[ShownSensor]:
    """All sensors by name."""
    now = view.console.now()
    found = roster(view.console.catalogue, timeout=QUERY_SECONDS)
    return [_shown(sensor, now) for sensor in found]


def cursor(sensor: ShownSensor) -> str:
    """A place in the list, as the address has it: what needs attention comes first."""
    order = ("unhealthy", "silent", "new", "healthy")
    is_well = sensor.is_healthy and not sensor.is_rejecting and not sensor.is_clock_off
    return f"{len(order) if is_well else order.index(sensor.state)}.{sensor.name}"


def _shown(sensor: FleetSensor, now: int) -> ShownSensor:
    status = sensor.status
    troubles = _troubles(status)
    store = status.get("store")
    store = store if isinstance(store, Mapping) else {}
    lost = _number(status, "rows_dropped")
    return ShownSensor(
        name=sensor.name,
        state=_state(sensor, troubles, now),
        enrolled=sensor.enrolled,
        heard=sensor.heard,
        silent_since=sensor.silent_since,
        clock_offset=None if sensor.clock_offset is None else sensor.clock_offset / 1e9,
        version=str(status.get("version") or ""),
        troubles=troubles,
        packets=_number(status, "packets"),
        dropped=_number(status, "dropped"),
        rates=_rates(status),
        interfaces=tuple(
            (str(mapping.get("name")), bool(mapping.get("up")))
            for mapping in _mappings(status, "interfaces")
        ),
        outputs=tuple(
            (
                str(mapping.get("name")),
                _number(mapping, "waiting") or 0,
                _number(mapping, "lost") or 0,
            )
            for mapping in _mappings(status, "outputs")
        ),
        rows=_number(store, "rows"),
        rows_lost=_number(store, "lost") if lost is None else lost,
        published=tuple(_published(sensor, kind) for kind in KINDS),
        refused=sensor.refused,
        refused_reason=sensor.refused_reason,
    )


def _state(sensor: FleetSensor, troubles: tuple[str, ...], now: int) -> str:
    if sensor.heard is None:
        return "silent" if sensor.silent_since is not None else "new"
    limit = SILENT if sensor.enrolled is None else CENTRE_SILENT
    if sensor.silent_since is not None or now - sensor.heard > limit:
        return "silent"
    is_well = sensor.status.get("health", "ok") == "ok" and not troubles
    return "healthy" if is_well else "unhealthy"


def _troubles(status: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong, as sentences."""
    found = [str(mapping.get("message")) for mapping in _mappings(status, "troubles")]
    reasons = status.get("reasons")
    if isinstance(reasons, list):
        found += [reason for reason in reasons if isinstance(reason, str)]
    return tuple(dict.fromkeys(found))


def _published(sensor: FleetSensor, kind: PublishedKind) -> Published:
    rejected = sensor.rejected.get(kind) if sensor.is_rejecting(kind) else None
    return Published(kind, sensor.applied.get(kind), rejected)


def _rates(status: Mapping[str, Any]) -> Mapping[str, float] | None:
    rates = status.get("rates")
    if not isinstance(rates, Mapping):
        return None
    found = {name: _number(rates, name) for name in ("packets", "bits", "names")}
    return None if None in found.values() else {name: value or 0 for name, value in found.items()}


def _mappings(status: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of mappings in a status, which a sensor may have sent in another form."""
    values = status.get(name)
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else None
