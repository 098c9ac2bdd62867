"""Samples of metrics with several labels, where a line of the table does not say them."""

import platform
from collections import Counter
from itertools import product
from typing import get_args

from netwatch.core.alert import IncidentKind
from netwatch.core.verdict import Outcome
from netwatch.watch.health import TROUBLES, Thresholds, troubles
from netwatch.watch.metric_kinds import Samples
from netwatch.watch.snapshot import OutputQueue, Snapshot


def build_info(snapshot: Snapshot, _: Thresholds) -> Samples:
    """The versions in use."""
    compiled = "true" if snapshot.compiled else "false"
    yield (snapshot.version, snapshot.signatures, platform.python_version(), compiled), 1


def interface_up(snapshot: Snapshot, _: Thresholds) -> Samples:
    """Whether each interface, or log, can be read."""
    for name in snapshot.interfaces:
        yield (name,), float(name not in (*snapshot.interfaces_down, *snapshot.logs_unreadable))


def reloads(snapshot: Snapshot, _: Thresholds) -> Samples:
    """Reloads by what became of them."""
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
    """How often there is each trouble."""
    found = Counter(trouble.kind for trouble in troubles(snapshot, thresholds))
    for trouble in TROUBLES:
        yield (trouble.kind,), found[trouble.kind]


def oldest(queue: OutputQueue, now: float) -> float:
    """The age of the oldest alert in a queue, in s."""
    return 0 if queue.oldest is None else max(0.0, now - queue.oldest)
