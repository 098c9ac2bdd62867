"""Devices that avoid visible lookups, found without a list of providers.

A device that asks a resolver whose answers are seen is told each address before it goes there.
If it starts to use another resolver, DNS over HTTPS, a VPN, or addresses that a program brings
along, the share of its contacts with addresses that nobody had been told rises. Each day of a
device is compared with its own earlier days, and with the others of its network on that day: what
concerns them all (a resolver that is no longer captured) is no device's doing.

A contact is a device, an address and an hour. Connections to one address come in bursts and depend
on each other, so that to count them one by one would make any interval too narrow.

An untold address to which a device went on several earlier days is its habit, and contacts with it
do not count: it has the address from elsewhere and always had.

A finding says that lookups were not visible, and never which app was used.
"""

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from statistics import median_high
from typing import NamedTuple

MIN_CONTACTS = 8
"""Contacts that a day must have to be judged: fewer say nothing, even if all are alike."""

MIN_DAYS = 2
"""Earlier days of a device that are compared with; of one with fewer, only the others are."""

MIN_OTHERS = 4
"""Other devices of the network on the day that are compared with; fewer are not."""

PAST_DAYS = 28
"""How many days back those of a device are compared with."""

MARGIN = 0.2
"""By how much a share, at least, must be above what it is compared with."""

NEW_SHARE = 0.5
"""The least share of a device that is compared with others only."""

NEW_LOOKUPS = 0.1
"""Lookups for each untold contact, of which such a device has fewer: one that asks like others may
have caches and hosts files that nothing is known of yet."""

MANY_TIMES = 2
"""A day must have more than so many times the untold contacts of any earlier day. On a day on which
a device does little, the few that it always has are a large share."""

HABIT_DAYS = 2
"""Earlier days on which a device went to an untold address, which make it a habit."""

FEWER_LOOKUPS = 0.2
"""A day with less than this of the lookups per contact that the device usually has, is one on which
it asked less than before."""

ONE_ADDRESS = 0.8
"""The share of untold contacts that go to one address, as those of a tunnel do."""

_Z = 1.96

REASONS = ("share-above-past", "share-above-others", "fewer-lookups", "one-address", "names-shown")
"""The codes of reasons, in the order in which findings have them."""


class Interval(NamedTuple):
    """An interval that has a share with a confidence of 95 %."""

    low: float
    high: float


def wilson(found: int, of: int) -> Interval:
    """The Wilson score interval of a share. Of nothing, nothing is known."""
    if not of:
        return Interval(0.0, 1.0)
    share, squared = found / of, _Z * _Z
    centre = share + squared / (2 * of)
    half = _Z * sqrt(share * (1 - share) / of + squared / (4 * of * of))
    return Interval(
        max(0.0, (centre - half) / (1 + squared / of)),
        min(1.0, (centre + half) / (1 + squared / of)),
    )


class DeviceKey(NamedTuple):
    """A device in a network, as a sensor sees it (empty where that may be several)."""

    network: str
    sensor: str
    device: str


class Counts(NamedTuple):
    """Contacts with an address, and those of them that showed a name."""

    contacts: int
    named: int = 0


@dataclass(frozen=True, slots=True)
class DeviceDay:
    """The contacts of a device on a day (UTC, days since the epoch): `untold` are those with
    addresses that nobody had been told, `named` of these showed a name all the same, and `most` of
    them went to one address. `lookups` are the answers that it got. `addresses` are the untold ones
    where they are known."""

    device: DeviceKey
    day: int
    contacts: int
    untold: int
    named: int = 0
    most: int = 0
    lookups: int = 0
    addresses: Mapping[str, Counts] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The share of untold contacts; 0 without any contact."""
        return self.untold / self.contacts if self.contacts else 0.0

    def without(self, known: Container[str]) -> "DeviceDay":
        """The same without contacts with these of the untold addresses."""
        left = {ip: counts for ip, counts in self.addresses.items() if ip not in known}
        if len(left) == len(self.addresses):
            return self
        removed = [counts for ip, counts in self.addresses.items() if ip not in left]
        contacts = sum(counts.contacts for counts in removed)
        return replace(
            self,
            contacts=self.contacts - contacts,
            untold=self.untold - contacts,
            named=self.named - sum(counts.named for counts in removed),
            most=max((counts.contacts for counts in left.values()), default=0),
            addresses=left,
        )


@dataclass(frozen=True, slots=True)
class Past:
    """The earlier days of a device that were compared with: their contacts, the interval of the
    share, the greatest share and the most untold contacts of one of them, and the lookups."""

    days: int
    contacts: int
    untold: int
    interval: Interval
    highest: float
    most: int
    lookups: int


@dataclass(frozen=True, slots=True)
class Others:
    """The other devices of the network on the day that were compared with, and their median
    share."""

    devices: int
    median: float


@dataclass(frozen=True, slots=True)
class Bypass:
    """A day on which a device hid its lookups, with what it was compared with (None: there was too
    little) and the codes of its reasons."""

    own: DeviceDay
    interval: Interval
    past: Past | None
    others: Others | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """An address that nobody had been told, with the contacts that a device had with it."""

    ip: str
    port: int
    transport: str
    contacts: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A day on which a device hid its lookups, the class of its network, and the addresses with
    most untold contacts."""

    bypass: Bypass
    device_class: str
    addresses: tuple[Address, ...] = ()


class _History:
    """The earlier days of a device that were no findings. An untold address to which it went on
    `HABIT_DAYS` of them is a habit of it: the server of a program, a line in its hosts file."""

    def __init__(self) -> None:
        self._days: list[DeviceDay] = []
        self._addresses: Counter[str] = Counter()
        self._habits: set[str] = set()

    def add(self, day: DeviceDay) -> None:
        """Add a day, with its habits."""
        self._days.append(day)
        self._addresses.update(day.addresses.keys())
        self._habits.update(ip for ip in day.addresses if self._addresses[ip] >= HABIT_DAYS)

    def without_habits(self, day: DeviceDay) -> DeviceDay:
        """A later day without the contacts that are habits."""
        return day.without(self._habits)

    def past(self, before: int) -> Past | None:
        """What the device did before a day, without what it does again and again; None if that is
        too little."""
        known = [day for day in self._days if day.day >= before - PAST_DAYS]
        if len(known) < MIN_DAYS:
            return None
        known = [day.without(self._habits) for day in known]
        contacts, untold = sum(day.contacts for day in known), sum(day.untold for day in known)
        return Past(
            days=len(known),
            contacts=contacts,
            untold=untold,
            interval=wilson(untold, contacts),
            highest=max(day.share for day in known),
            most=max(day.untold for day in known),
            lookups=sum(day.lookups for day in known),
        )


def bypasses(
    days: Iterable[DeviceDay], known: Mapping[int, Container[DeviceKey]] | None = None
) -> Iterator[Bypass]:
    """The findings, by day, network and device. Days on which a device hid its lookups are not
    compared with later: it goes on being found as long as it goes on. On the days in `known` these
    devices did; they are not judged again, and only compared with."""
    by_day: defaultdict[int, list[DeviceDay]] = defaultdict(list)
    for each in days:
        by_day[each.day].append(each)
    histories: defaultdict[DeviceKey, _History] = defaultdict(_History)
    for number, today in sorted(by_day.items()):
        if known is not None and (hiding := known.get(number)) is not None:
            for each in today:
                if each.device not in hiding and each.contacts >= MIN_CONTACTS:
                    histories[each.device].add(each)
            continue
        judged: dict[DeviceKey, DeviceDay] = {}
        shares: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        for each in sorted(today, key=lambda each: each.device):
            own = histories[each.device].without_habits(each)
            if own.contacts >= MIN_CONTACTS:
                judged[each.device] = own
                insort(shares[each.device[:2]], own.share)
        for each in sorted(today, key=lambda each: each.device):
            history, candidate = histories[each.device], judged.get(each.device)
            found = candidate and _judged(candidate, history, shares[each.device[:2]])
            if found:
                yield found
            elif each.contacts >= MIN_CONTACTS:
                history.add(each)


def _others(shares: Sequence[float], own: DeviceDay) -> Others | None:
    """What the others of a network did; None if they are too few. `shares` are those of all, in
    order."""
    if len(shares) - 1 < MIN_OTHERS:
        return None
    left = [*shares]
    left.remove(own.share)
    return Others(len(left), median_high(left))


def _judged(own: DeviceDay, history: _History, shares: Sequence[float]) -> Bypass | None:
    """Whether a day is a finding. It has to be one by all that there is to compare with: the past,
    and the `shares` of all devices of the network, in order."""
    interval = wilson(own.untold, own.contacts)
    if interval.low <= MARGIN:
        return None
    past = history.past(own.day)
    if past is None:
        if interval.low < NEW_SHARE or own.lookups >= NEW_LOOKUPS * own.untold:
            return None
    elif (
        # Days differ more than contacts that are drawn at random would: the worst counts, too.
        interval.low <= max(past.interval.high, past.highest) + MARGIN
        or own.untold <= MANY_TIMES * past.most
    ):
        return None
    others = _others(shares, own)
    if others is None:
        if past is None:
            return None
    elif interval.low <= others.median + MARGIN:
        return None
    return Bypass(own, interval, past, others, tuple(_reasons(own, past, others)))


def _reasons(own: DeviceDay, past: Past | None, others: Others | None) -> Iterator[str]:
    if past is not None:
        yield "share-above-past"
    if others is not None:
        yield "share-above-others"
    if past is not None and own.lookups * past.contacts < (
        FEWER_LOOKUPS * past.lookups * own.contacts
    ):
        yield "fewer-lookups"
    if own.most >= ONE_ADDRESS * own.untold:
        yield "one-address"
    if own.named:
        yield "names-shown"
