"""When an incident was active: its contacts and their bytes, by minute and by class of hosts.

The kind of an incident is judged by this (`netwatch.incidents.kind`). Entries are sums, minima and
maxima, so that they do not depend on the order of arrival. If there are more entries than the
limit, the earliest stay, some hours of use without a pause; the totals always count all. Bursts are
contacts without a longer pause between them.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from netwatch.core.addresses import ip_text
from netwatch.core.message import LOOKUPS
from netwatch.core.verdict import Contact, Match
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.incidents.contacts import ContactProgress
from netwatch.incidents.kind_thresholds import VALUES

ENTRY_LIMIT = 2048
"""Entries of an incident, each for one minute and one class of hosts."""

HOST_LIMIT = 64
"""Hosts of an incident to list with the number of their contacts."""

MINUTE = 60_000_000_000
"""A minute, ns."""

STACK_LIMIT = 16
"""Lists of cipher suites of an incident to tell apart."""

JA4_SUITES = slice(11, 23)
"""The part of a JA4 that depends on the list of cipher suites."""

HostClass = Literal["app-only", "page", "shared", "asked", "filtered"]
"""What a host is: one that only the app calls; one of the app that pages call as well; one shared
with other apps (roles ``vendor``, ``embed`` and ``cdn``). ``asked`` are lookups of hosts that only
the app calls; other lookups mean nothing, since browsers look up names in advance. ``filtered`` are
connections to a filter's address, which are not contacts with the app."""

CLASSES: tuple[HostClass, ...] = get_args(HostClass)

APP_ONLY, PAGE, SHARED, ASKED, FILTERED = range(5)
"""Places in `CLASSES`."""

SECOND = 1_000_000_000
CONTACTED = (APP_ONLY, PAGE, SHARED)
"""The classes of hosts that were contacted, not only looked up."""


def class_of(match: Match) -> int:
    """The class of a host that a rule matches, as a place in `CLASSES`."""
    if match.app_only:
        return APP_ONLY
    return PAGE if match.role == "exclusive" else SHARED


def is_filtered(contact: Contact) -> bool:
    """Whether a contact other than a lookup led to an address of a filter."""
    server = contact.observation.server_ip
    return bool(server) and contact.blocked_by == ip_text(server)


@dataclass(slots=True)
class Activity:
    """Contacts of one class of hosts in some time: their number, the payload that their flows sent
    and received, the times of the first and the last of them, and of the last packet of their flows
    (ns). `use_in` is what was received as in use (`netwatch.incidents.contacts.use_of`)."""

    first: int
    last: int
    until: int
    contacts: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    use_in: int = 0

    def add(self, other: "Activity") -> None:
        """Add further contacts, or the outcome of some."""
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        self.until = max(self.until, other.until)
        self.contacts += other.contacts
        self.bytes_out += other.bytes_out
        self.bytes_in += other.bytes_in
        self.use_in += other.use_in

    def copy(self) -> "Activity":
        """A copy that changes independently of this one."""
        counts = self.contacts, self.bytes_out, self.bytes_in, self.use_in
        return Activity(self.first, self.last, self.until, *counts)


class ActivityTable:
    """The activity of one incident. `entries` has it by minute and class, `totals` by class;
    `hosts` counts contacts by class and name, `stacks` are the lists of cipher suites in hellos to
    hosts that only the app calls, as in JA4."""

    def __init__(self) -> None:
        self.limit = ENTRY_LIMIT
        self.clear()

    def clear(self) -> None:
        """Forget all activity."""
        self.entries: dict[tuple[int, int], Activity] = {}
        self.totals: dict[int, Activity] = {}
        self.hosts = BoundedTable(HOST_LIMIT)
        self.stacks = BoundedTable(STACK_LIMIT)
        self._last: tuple[int, int] | None = None

    def add(self, contact: Contact) -> None:
        """Count a contact, unless it is a lookup of a host that other callers use too."""
        kind, repeats = class_of(contact.match), contact.repeats
        evidence, time = contact.observation.evidence, contact.observation.time
        contacts, last = (1, time) if repeats is None else (repeats.count, repeats.last)
        hosts = contacts
        if evidence in LOOKUPS:
            if kind != APP_ONLY:
                return
            # An answer belongs to a query, and is on its own if queries are not captured.
            kind, contacts = ASKED, contacts if evidence == "dns-query" else 0
        elif contact.outcome == "blocked" and is_filtered(contact):
            kind = FILTERED
        elif kind == APP_ONLY and contact.detail.ja4:
            suites = contact.detail.ja4[JA4_SUITES]
            if suites not in self.stacks.items:
                self.stacks.add(suites)
        self._count(kind, (time, last, last), contacts)
        self.hosts.add((kind, contact.observation.name), (), hosts)

    def add_progress(self, kind: int, progress: ContactProgress) -> None:
        """Add the outcome of contacts with hosts of a class that were added before."""
        times = progress.time, progress.time, progress.last
        volume = progress.bytes_out, progress.bytes_in, progress.use_in
        self._count(kind, times, 0, volume)

    def merge(self, other: "ActivityTable") -> None:
        """Add everything that another part of the incident counted."""
        for key, activity in other.entries.items():
            self._enter(key, activity)
        for kind, activity in other.totals.items():
            self._total(kind, activity)
        self.hosts.merge(other.hosts)
        self.stacks.merge(other.stacks)

    def merge_class(self, other: "ActivityTable", kind: int) -> None:
        """Add what another part of the incident counted of one class, but not its hosts."""
        for key, activity in other.entries.items():
            if key[1] == kind:
                self._enter(key, activity)
        self._total(kind, other.totals[kind])

    def of_class(self, kind: int) -> Iterator[Activity]:
        """The entries of a class, in order of time."""
        return (self.entries[key] for key in sorted(self.entries) if key[1] == kind)

    def total(self, kind: int) -> Activity:
        """All activity of a class; without contacts if there was none."""
        return self.totals.get(kind) or Activity(0, 0, 0)

    @property
    def is_app_seen(self) -> bool:
        """Whether a host that only the app calls was contacted."""
        return self.total(APP_ONLY).contacts > 0

    @property
    def has_contacts(self) -> bool:
        """Whether any host of the app was contacted."""
        return any(self.total(kind).contacts for kind in (APP_ONLY, PAGE, SHARED))

    def names(self, kind: int) -> list[str]:
        """The hosts of a class that are stored, sorted."""
        return sorted(name for of, name in self.hosts.items if of == kind)

    def _count(
        self,
        kind: int,
        times: tuple[int, int, int],
        contacts: int,
        volume: tuple[int, int, int] | None = None,
    ) -> None:
        """Count contacts from the first of these times to the second, which is in the same minute,
        or instead the volume of their flows (sent, received, received as in use), whose last packet
        was at the third. This runs for each contact, so it calls nothing if the entry exists."""
        time, last, until = times
        key = time // MINUTE, kind
        entry = self.entries.get(key)
        if entry is None:
            self._enter(key, Activity(time, last, last))
            entry = self.entries.get(key)
        total = self.totals.get(kind)
        if total is None:
            total = self.totals[kind] = Activity(time, last, last)
        for part in (entry, total):
            if part is None:
                continue
            if volume is None:
                part.contacts += contacts
            else:
                part.bytes_out += volume[0]
                part.bytes_in += volume[1]
                part.use_in += volume[2]
            if time < part.first:
                part.first = time
            if last > part.last:
                part.last = last
            if until > part.until:
                part.until = until

    def _total(self, kind: int, activity: Activity) -> None:
        known = self.totals.get(kind)
        if known is None:
            self.totals[kind] = activity.copy()
        else:
            known.add(activity)

    def _enter(self, key: tuple[int, int], activity: Activity) -> None:
        known = self.entries.get(key)
        if known is not None:
            known.add(activity)
            return
        if len(self.entries) >= self.limit:
            if self._last is None:
                self._last = max(self.entries)
            # An evicted entry has so many before it that it never comes back.
            if key > self._last:
                return
            del self.entries[self._last]
        self._last = None
        self.entries[key] = activity.copy()


@dataclass(frozen=True, slots=True)
class Burst:
    """Contacts without a longer pause: those with hosts that only the app calls, those with its
    hosts that pages call as well, and all of them; `minutes` is the number of minutes with new
    contacts."""

    app_only: Activity
    page: Activity
    all: Activity
    minutes: int


def bursts(activity: ActivityTable, classes: Sequence[int] = CONTACTED) -> Iterator[Burst]:
    """The bursts of the activity of these classes, in order of time."""
    parts: dict[int, Activity] = {}
    minutes: set[int] = set()
    last: int | None = None
    for minute, kind in sorted(activity.entries):
        if kind not in classes:
            continue
        entry = activity.entries[minute, kind]
        if last is not None and entry.first - last > VALUES["burst_gap"] * SECOND:
            yield _burst(parts, len(minutes))
            parts, minutes, last = {}, set(), None
        minutes.add(minute)
        last = max(entry.last, last or entry.last)
        if kind in parts:
            parts[kind].add(entry)
        else:
            parts[kind] = entry.copy()
    if parts:
        yield _burst(parts, len(minutes))


def _burst(parts: dict[int, Activity], minutes: int) -> Burst:
    first, *others = parts.values()
    whole = first.copy()
    for other in others:
        whole.add(other)
    nothing = Activity(0, 0, 0)
    return Burst(parts.get(APP_ONLY, nothing), parts.get(PAGE, nothing), whole, minutes)


def are_enough(starts: Sequence[int]) -> bool:
    """Whether there are enough bursts to speak of intervals; `starts` are their first contacts."""
    return len(starts) >= VALUES["regular_bursts"]


def are_regular(starts: Sequence[int]) -> bool:
    """Whether bursts with these first contacts (ns, in order) come at regular intervals."""
    return are_enough(starts) and spread(starts)[1] <= VALUES["regular_variation"]


def are_timed(found: Sequence[Burst]) -> bool:
    """Whether bursts are so regular, and so small, that a timer of the app explains them."""
    starts = [burst.all.first for burst in found]
    return (
        are_regular(starts)
        and spread(starts)[0] >= VALUES["regular_seconds"]
        and all(burst.all.bytes_in <= VALUES["regular_bytes_in"] for burst in found)
    )


def spread(starts: Sequence[int]) -> tuple[float, float]:
    """The mean interval (s) of times in order (ns), and its coefficient of variation."""
    gaps = [seconds(earlier, later) for earlier, later in itertools.pairwise(starts)]
    mean = math.fsum(gaps) / len(gaps)
    variance = math.fsum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    return mean, math.sqrt(variance) / mean


def seconds(first: int, last: int) -> float:
    """Seconds from one time to another (ns)."""
    return (last - first) / SECOND
