"""Whether a capture works: a snapshot compared with a few thresholds, and the part of it that is
stored.

A capture that receives nothing reports nothing, which looks the same as a network without
violations. So a monitoring system has to learn when packets stop, when the kernel drops them, and
when alerts queue up for an output. A running capture stores counters and states about itself for
consoles and reports, as in the metrics, and nothing about packets or people.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from netwatch.core.file_keys import key
from netwatch.core.text import quantity
from netwatch.core.value_kinds import SECONDS
from netwatch.language.sentences import sentence
from netwatch.watch.snapshot import Snapshot

MISSED_CHECKS = 3
"""Intervals of checks for a newer set without a success after which it is a trouble."""


MAX_CLOCK_OFFSET = 2.0
"""Seconds by which the clocks of a sensor and its centre may differ."""

SCHEMA = "netwatch.sensor/1"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a capture is unhealthy, in seconds: no packet for `silence`; packets dropped less
    than `dropping` ago; an alert that has waited for its output longer than `stuck`."""

    silence: float = key(SECONDS, "unhealthy after this time without a packet", "60s")
    dropping: float = key(SECONDS, "unhealthy for this time after a drop by the kernel", "60s")
    stuck: float = key(SECONDS, "unhealthy once an alert waits longer for its output", "5m")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One reason why a capture is unhealthy: the `kind` of a row of `TROUBLES`, the interface or
    output that is concerned (`where`, may be empty), and a sentence for people. If `is_note`, it is
    only for information, and does not make the capture unhealthy."""

    kind: str
    where: str
    message: str
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class TroubleKind:
    """A kind of trouble, when it is reported, and the key of `metrics:` in the configuration
    that sets its threshold (None if it has none, in `Thresholds` under the same name)."""

    kind: str
    description: str
    threshold: str | None
    find: Callable[[Snapshot, Thresholds], Iterator[tuple[str, str]]]


def troubles(snapshot: Snapshot, thresholds: Thresholds) -> list[Trouble]:
    """All reasons why the capture is unhealthy, in the order of `TROUBLES`; none if it is healthy.

    A capture that has just started has `silence` seconds to receive its first packet.
    """
    return [
        Trouble(trouble.kind, where, message)
        for trouble in TROUBLES
        for where, message in trouble.find(snapshot, thresholds)
    ]


def _silent(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    last = max(snapshot.started, snapshot.last_packet or snapshot.started)
    silence = snapshot.now - last
    if silence > thresholds.silence:
        yield "", sentence("trouble-silent", time=_seconds(silence))


def _dropping(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    if snapshot.last_drop is None:
        return
    ago = snapshot.now - snapshot.last_drop
    if ago < thresholds.dropping:
        count = f"{snapshot.dropped:,}"
        yield "", sentence("trouble-dropping", time=_seconds(ago), count=count)


def _stuck(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    for name, queue in sorted(snapshot.outputs.items()):
        age = 0.0 if queue.oldest is None else snapshot.now - queue.oldest
        if age > thresholds.stuck:
            waiting = quantity(queue.waiting, "alert")
            text = sentence("trouble-stuck", output=name, waiting=waiting, time=_seconds(age))
            yield name, text


def _outbox(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    outbox = snapshot.outbox
    if outbox.problem:
        waiting = quantity(outbox.waiting, "alert")
        values = {"problem": outbox.problem, "waiting": waiting}
        if outbox.lost:
            lost = quantity(outbox.lost, "alert")
            yield "", sentence("trouble-outbox-lost", **values, lost=lost)
        else:
            yield "", sentence("trouble-outbox", **values)


def _down(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    for name in snapshot.interfaces_down:
        yield name, sentence("trouble-down", interface=name)


def _unreadable(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    for path, problem in sorted(snapshot.logs_unreadable.items()):
        yield path, sentence("trouble-unreadable", log=path, problem=problem)


def _lagging(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    lag = snapshot.log_lag or 0.0
    if lag > thresholds.stuck:
        yield "", sentence("trouble-lagging", time=_seconds(lag))


def _reload(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    if snapshot.reload_error:
        problem = snapshot.reload_error.splitlines()[0]
        yield "", sentence("trouble-reload", problem=problem)


def _records(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    if snapshot.records_problem:
        yield "", sentence("trouble-records", problem=snapshot.records_problem)


def _evidence(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    if snapshot.evidence.problem:
        yield "", sentence("trouble-evidence", problem=snapshot.evidence.problem)


def _updates(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    updates = snapshot.updates
    if updates.expires is not None and snapshot.now >= updates.expires:
        age = _seconds(snapshot.now - updates.expires)
        yield "", sentence("trouble-expired", version=str(updates.version), time=age)
    since = snapshot.now - (updates.last_check or snapshot.started)
    if updates.problem and since > MISSED_CHECKS * updates.interval:
        missed = _seconds(since)
        yield "", sentence("trouble-updates", time=missed, problem=updates.problem)
    if updates.held:
        yield "", updates.held


def _store(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    store = snapshot.store
    if store.problem:
        if store.lost:
            lost = quantity(store.lost, "row")
            yield "", sentence("trouble-store-lost", problem=store.problem, lost=lost)
        else:
            yield "", sentence("trouble-store", problem=store.problem)


def _losing(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    if snapshot.last_loss is None:
        return
    ago, store = snapshot.now - snapshot.last_loss, snapshot.store
    if ago < thresholds.dropping:
        counts = ((store.skipped, "packet"), (store.lost, "row"), (store.decisions_lost, "record"))
        lost = ", ".join(quantity(count, what) for count, what in counts if count)
        yield "", sentence("trouble-losing", time=_seconds(ago), lost=lost)


def _fleet(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    fleet = snapshot.fleet
    if fleet.evicted:
        yield "spool", sentence("trouble-spool", lost=quantity(fleet.evicted, "row"))
    if fleet.offset is not None and abs(fleet.offset) > MAX_CLOCK_OFFSET:
        kind = "trouble-clock-ahead" if fleet.offset > 0 else "trouble-clock-behind"
        yield "clock", sentence(kind, time=f"{abs(fleet.offset):,.1f} s")
    for problem in fleet.published.problems:
        yield "published", sentence("trouble-published", problem=problem)
    if not fleet.problem:
        return
    if fleet.since is None:
        yield "", sentence("trouble-fleet", problem=fleet.problem)
    elif snapshot.now - fleet.since > thresholds.stuck:
        age = _seconds(snapshot.now - fleet.since)
        yield "", sentence("trouble-centre", time=age, problem=fleet.problem)


def _seconds(seconds: float) -> str:
    return f"{max(0, round(seconds))} s"


TROUBLES: tuple[TroubleKind, ...] = (
    TroubleKind(
        "silent",
        "No packet has arrived, and no record of a log was read, for longer than this; after the"
        " start, if none ever arrived.",
        "silence",
        _silent,
    ),
    TroubleKind(
        "dropping", "The kernel dropped a packet less than this ago.", "dropping", _dropping
    ),
    TroubleKind("stuck", "An alert has waited for its output longer than this.", "stuck", _stuck),
    TroubleKind("outbox", "Alerts cannot be stored on disk, and wait in memory.", None, _outbox),
    TroubleKind("down", "An interface was removed, is down, or has no link.", None, _down),
    TroubleKind("unreadable", "A log cannot be read.", None, _unreadable),
    TroubleKind("lagging", "Logs are read this long after they were written.", "stuck", _lagging),
    TroubleKind(
        "reload",
        "The configuration has a mistake or cannot be read again, so that an older one is in use.",
        None,
        _reload,
    ),
    TroubleKind(
        "records",
        "Records cannot be written, because the disk is full for example.",
        None,
        _records,
    ),
    TroubleKind(
        "evidence",
        "An evidence capture cannot be written, because the disk is full for example.",
        None,
        _evidence,
    ),
    TroubleKind(
        "store",
        "The store cannot be written to: its disk is full, or its database cannot be reached.",
        None,
        _store,
    ),
    TroubleKind(
        "losing",
        "The store lost something less than this ago: packets were judged and not recorded, or"
        " rows or records could not be stored.",
        "dropping",
        _losing,
    ),
    TroubleKind(
        "fleet",
        "A sensor has not been connected to its centre for longer than this, is refused there, had"
        " to evict facts that the centre does not have, refuses what the centre published, or its"
        f" clock is more than {MAX_CLOCK_OFFSET:g} s off.",
        "stuck",
        _fleet,
    ),
    TroubleKind(
        "updates",
        f"The installed set has expired, or no check for a newer one succeeded for {MISSED_CHECKS}"
        " times the interval of `updates: every`, or a newer one is held back.",
        None,
        _updates,
    ),
)
"""All kinds of trouble, in the order in which they are reported."""


def status_record(
    snapshot: Snapshot, before: Snapshot | None, thresholds: Thresholds
) -> dict[str, Any]:
    """The status of a capture as a record; times are s since the epoch, rates are per second since
    the snapshot `before`, null without it."""
    return {
        "schema": SCHEMA,
        "version": snapshot.version,
        "signatures": snapshot.signatures,
        "started": snapshot.started,
        "last_packet": snapshot.last_packet,
        "interfaces": [
            {"name": name, "up": name not in snapshot.interfaces_down}
            for name in snapshot.interfaces
        ],
        "packets": snapshot.packets,
        "bytes": snapshot.wire_bytes,
        "dropped": snapshot.dropped,
        "last_drop": snapshot.last_drop,
        "rates": _rates(snapshot, before),
        "flows": dict(snapshot.flows),
        "open_incidents": dict(snapshot.open_incidents),
        "troubles": [
            {"kind": trouble.kind, "where": trouble.where, "message": trouble.message}
            for trouble in troubles(snapshot, thresholds)
        ],
        "outputs": [
            {"name": name, "waiting": queue.waiting, "oldest": queue.oldest, "lost": queue.lost}
            for name, queue in sorted(snapshot.outputs.items())
        ],
        "store": {
            "rows": snapshot.store.rows,
            "lost": snapshot.store.lost,
            "skipped": snapshot.store.skipped,
            "records_lost": snapshot.store.decisions_lost,
        },
    }


def _rates(snapshot: Snapshot, before: Snapshot | None) -> dict[str, float] | None:
    if before is None or snapshot.now <= before.now:
        return None
    seconds = snapshot.now - before.now
    names = sum(snapshot.observations.values()) - sum(before.observations.values())
    return {
        "packets": (snapshot.packets - before.packets) / seconds,
        "bits": 8 * (snapshot.wire_bytes - before.wire_bytes) / seconds,
        "dropped": (snapshot.dropped - before.dropped) / seconds,
        "names": names / seconds,
    }
