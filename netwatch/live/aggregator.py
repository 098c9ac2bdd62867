"""The process that keeps what the workers find: incidents, their alerts, their state.

One loop, which never waits for anything but the workers: it gathers contacts into
incidents, tells alerts, stores what is open, takes another configuration when one has
been read, and ends what is over. What can take long is done by others: packets by the
workers, receivers by the threads of the delivery, configurations by one of its own.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from netwatch.config import Config
from netwatch.core.alert import Alert, Sensor
from netwatch.core.errors import NetwatchError
from netwatch.core.verdict import Contact
from netwatch.formats import jsonl
from netwatch.live.clock import Clock
from netwatch.live.events import (
    Event,
    Listener,
    Lost,
    Passed,
    Refused,
    Reloaded,
    Said,
    Started,
    Stopped,
    Told,
)
from netwatch.live.messages import Claimed, Ended, Reload, Seen, Spoken, Standing
from netwatch.live.open_incidents import Ledger
from netwatch.live.output import GoneError, Output
from netwatch.live.reload import Reloader
from netwatch.live.reorder_buffer import HOLD, Held
from netwatch.live.sd_notify import Notify
from netwatch.live.state_file import Store
from netwatch.live.worker_pool import Crew
from netwatch.sinks.base import Record

TICK = 0.1
"""Seconds that the loop waits for workers at most, before it sees to the rest."""

SAVE_LIMIT = 1000
"""Incidents that are stored in one second, beside those just told."""

MINUTE = 60.0
DEAF = 20.0
"""Seconds of silence of a worker after which the service manager is not told any more
that all is well."""

SAME = 5.0
"""Seconds within which two workers that say the same mean the same."""

ENDING = 60.0
"""Seconds that workers have to end."""


class Delivers(Protocol):
    """Takes alerts to their outputs, as `netwatch.delivery.delivery.Delivery` does."""

    def put(self, *records: Record) -> None: ...  # noqa: D102

    def reopen(self) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Parts:
    """What a keeper works with: `output` takes records, `prove` keeps the packets of an
    alert; `store`, `deliver` and `prove` are None where there is none. `listeners` get what
    happens, `watchers` look at the keeper once a second."""

    crew: Crew
    reloader: Reloader
    output: Output
    notify: Notify
    store: Store | None = None
    deliver: Delivers | None = None
    prove: Callable[[Alert], Alert] | None = None
    listeners: Sequence[Listener] = ()
    watchers: Sequence[Callable[["Keeper"], None]] = ()


class Keeper:
    """Keeps the findings of `parts.crew` until that ends. `interfaces` are what is told,
    `live` says that their packets go by the clock."""

    def __init__(self, parts: Parts, config: Config, interfaces: Sequence[str], live: bool) -> None:
        self.config = config
        self.clock = Clock(live)
        self.ledger = Ledger(config.quiet_gap, config.geo, self._told)
        self.reloads = self.refused = 0
        self.last_reload: float | None = None
        self.gone = False
        self.error: str | None = None
        self.crew = parts.crew
        self.output = parts.output
        self.store = parts.store
        self._parts = parts
        self._interfaces = tuple(interfaces)
        self._live = live
        self._held: Held[tuple[Sensor, Contact | Spoken]] = Held(HOLD if len(parts.crew) > 1 else 0)
        self._serial = 0
        self._sensors: dict[int, Sensor] = {0: config.sensor}
        self._serials = [0] * len(parts.crew)
        self._fresh = False
        self._due: dict[Callable[[float], None], tuple[float, float]] = {}
        self._noted: dict[str, tuple[int, float]] = {}
        self._hangup = False
        self._reason = ""
        self._ending: float | None = None
        self._dropped = 0
        self._passed = (time.monotonic(), 0, 0, 0)

    def stop(self, reason: str) -> None:
        """End soon; may be called from a signal handler."""
        self._reason = self._reason or reason

    def hangup(self) -> None:
        """Read the configuration and open files anew; may be called from a signal handler."""
        self._hangup = True

    def run(self) -> None:
        """Keep until the workers have ended; what is open then is told as closed."""
        crew = self.crew
        restored = self._restore()
        config = self.config
        rules = config.version, config.catalog.version
        self._tell(Started(self._interfaces, len(crew), *rules, restored))
        for note in config.notes:
            self._tell(Said(note, trouble=False))
        self._parts.notify.ready(f"capturing on {', '.join(self._interfaces)}")
        self._begin()
        while not crew.over and self._patient():
            for number, message in crew.take(TICK):
                self._receive(number, message)
            self._release(time.monotonic())
            self._round(time.monotonic())
        self._finish()

    def _begin(self) -> None:
        """What comes round, and how often, in seconds."""
        now = time.monotonic()
        rounds: list[tuple[Callable[[float], None], float]] = [
            (self._end_quiet, 1.0),
            (self._look_for_change, 2.0),
            (self._save, 1.0),
            (self._watch, 1.0),
            (self._report_drops, 5.0),
            (self._report, MINUTE),
        ]
        period = self._parts.notify.period
        if period is not None:
            rounds.append((self._alive, period))
        self._due = {each: (now + every, every) for each, every in rounds}

    def _round(self, now: float) -> None:
        if self._reason and self._ending is None:
            self._ending = now + ENDING
            self._parts.notify.stopping()
            self.crew.stop()
        if self._hangup:
            self._hangup = False
            self.output.reopen()
            if self._parts.deliver is not None:
                self._parts.deliver.reopen()
            self._reload()
        self._take_reload()
        if self._fresh:
            self._fresh = False
            self._save(now)
        try:
            self.output.pump()
        except GoneError as error:
            self.gone = True
            self.stop(str(error))
        for each, (due, every) in self._due.items():
            if now >= due:
                self._due[each] = now + every, every
                each(now)

    def _patient(self) -> bool:
        return self._ending is None or time.monotonic() < self._ending

    def _receive(self, number: int, message: object) -> None:
        at = time.monotonic_ns()
        if isinstance(message, Seen):
            self._seen(message.time, at)
            for item in message.items:
                contact = item.contact if isinstance(item, Spoken) else item
                sensor = self._sensors[message.serial]
                self._held.put(contact.observation.time, (sensor, item), at / 1e9)
        elif isinstance(message, Standing):
            if message.time is not None:
                self._seen(message.time, at)
            for note in message.notes:
                self._note(number, note, at / 1e9)
            self._serials[number] = message.serial
        elif isinstance(message, Claimed):
            self.crew.pass_on(number, message)
        elif isinstance(message, Ended) and message.error:
            self.error = message.error
            self.stop(message.error)

    def _note(self, number: int, note: str, at: float) -> None:
        """Tell what a worker's source says, unless another said the same just now: all of
        them look at the same interfaces."""
        self._noted = {k: v for k, v in self._noted.items() if at - v[1] < SAME}
        teller, _ = self._noted.get(note, (number, at))
        if teller == number:
            self._noted[note] = number, at
            self._tell(Said(note))

    def _seen(self, time_: int, at: int) -> None:
        if self.clock.seen(time_, at):
            self._tell(Said("the clock of the packets was set; open incidents stay open"))

    def _release(self, now: float) -> None:
        for sensor, item in self._held.take(now):
            if isinstance(item, Spoken):
                self.ledger.add_bytes(item.contact, item.bytes_out, item.bytes_in)
            else:
                self.ledger.add(item, sensor, self.clock.shift)

    def _told(self, alert: Alert) -> None:
        """Tell an alert everywhere."""
        self._fresh = True
        if self._parts.prove is not None:
            alert = self._parts.prove(alert)
        try:
            self.output.alert(alert)
        except GoneError as error:
            self.gone = True
            self.stop(str(error))
        if self._parts.deliver is not None:
            self._parts.deliver.put(jsonl.alert_record(alert))
        self._tell(Told(alert))

    def _tell(self, event: Event) -> None:
        for listener in self._parts.listeners:
            listener(event)

    def _end_quiet(self, now: float) -> None:
        steady = self.clock.steady(time.monotonic_ns())
        if steady is not None:
            self.ledger.end(steady)

    def _look_for_change(self, now: float) -> None:
        if self._parts.reloader.changed():
            self._reload()

    def _reload(self) -> None:
        self._parts.notify.reloading()
        self._parts.reloader.start()

    def _take_reload(self) -> None:
        found = self._parts.reloader.take()
        if found is None:
            return
        if isinstance(found, NetwatchError):
            self.refused += 1
            self._tell(Refused(str(found)))
        else:
            self.reloads += 1
            self.last_reload = time.time()
            self._serial += 1
            # Workers go over to it one by one, and tell by which they judged.
            kept = {n: each for n, each in self._sensors.items() if n >= min(self._serials)}
            self._sensors = kept | {self._serial: found.sensor}
            self.crew.send(Reload(self._serial, found))
            before, self.config = self.config, found
            if _ends(found) != _ends(before):
                self._tell(Said("outputs, spool or metrics changed: a restart takes them"))
            self.ledger.reload(found.quiet_gap, found.geo)
            before.geo.close()
            self._tell(Reloaded(found.version, found.catalog.version))
            for note in found.notes:
                self._tell(Said(note, trouble=False))
        if not self._parts.reloader.busy:
            self._parts.notify.ready(f"capturing on {', '.join(self._interfaces)}")

    def _restore(self) -> int:
        """Go on with what was open when an earlier run died; how many incidents that are."""
        if self.store is None:
            return 0
        entries = self.store.load(self.config.quiet_gap)
        refused = [entry for entry in entries if not self.ledger.restore(entry)]
        self.store.save((), [entry.number for entry in refused])
        return len(entries) - len(refused)

    def _save(self, now: float, limit: int = SAVE_LIMIT) -> None:
        if self.store is None:
            return
        over = self.ledger.over()
        changed = self.ledger.changed(limit)
        if not over and not changed:
            return
        if self.store.save(changed, over):
            for entry in changed:
                entry.keep()
        else:
            self.ledger.over_again(over)

    def _watch(self, now: float) -> None:
        for watcher in self._parts.watchers:
            watcher(self)

    def _report_drops(self, now: float) -> None:
        dropped = self.crew.dropped
        if dropped > self._dropped:
            self._tell(Lost(dropped - self._dropped, dropped))
        self._dropped = dropped

    def _report(self, now: float) -> None:
        then, packets, octets, dropped = self._passed
        statistics = self.crew.statistics()
        self._passed = now, statistics.packets, statistics.wire_bytes, self.crew.dropped
        passed = (
            statistics.packets - packets,
            statistics.wire_bytes - octets,
            self._passed[3] - dropped,
        )
        self._tell(Passed(now - then, *passed, len(self.ledger)))

    def _alive(self, now: float) -> None:
        if not self._live or self.crew.silence < DEAF:
            self._parts.notify.alive()

    def _finish(self) -> None:
        """The capture is over: all that is open is told as closed, unless it ended by a
        fault, after which a later run goes on with it."""
        self._parts.notify.stopping()
        self._release(float("inf"))
        self._report_drops(time.monotonic())
        if self.error is None or self.store is None:
            self.ledger.end_all()
        self._save(time.monotonic(), limit=len(self.ledger))
        self._tell(Stopped(self._reason or "the capture has ended"))


def _ends(config: Config) -> tuple[object, ...]:
    """What of a configuration is opened at the start, and stays."""
    return config.outputs, config.outbox, config.metrics
