"""Devices that avoid visible lookups, found without a list of providers.

A device that asks a resolver whose answers are seen is told each address before it goes there.
If it starts to use another resolver, DNS over HTTPS, a VPN, or addresses that a program brings
along, the share of its contacts with addresses that nobody had been told rises. Each day of a
device is compared with its own earlier days, and with the others of its network on that day: what
concerns them all (a resolver that is no longer captured) is no device's doing.

A contact is a device, an address and an hour. Connections to one address come in bursts and depend
on each other, so that to count them one by one would make any interval too narrow.

A finding says that lookups were not visible, and never which app was used.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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

MANY_TIMES = 2
"""A day must have more than so many times the untold contacts of any earlier day. On a day on which
a device does little, the few that it always has are a large share."""

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


@dataclass(frozen=True, slots=True)
class DeviceDay:
    """The contacts of a device on a day (UTC, days since the epoch): `untold` are those with
    addresses that nobody had been told, `named` of these showed a name all the same, and `most` of
    them went to one address. `lookups` are the answers that it got."""

    device: DeviceKey
    day: int
    contacts: int
    untold: int
    named: int = 0
    most: int = 0
    lookups: int = 0

    @property
    def share(self) -> float:
        """The share of untold contacts; 0 without any contact."""
        return self.untold / self.contacts if self.contacts else 0.0


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


def bypasses(days: Iterable[DeviceDay]) -> Iterator[Bypass]:
    """The findings, by day, network and device. Days on which a device hid its lookups are not
    compared with later: it goes on being found as long as it goes on."""
    by_day: defaultdict[int, list[DeviceDay]] = defaultdict(list)
    for each in days:
        by_day[each.day].append(each)
    earlier: defaultdict[DeviceKey, list[DeviceDay]] = defaultdict(list)
    for day in sorted(by_day):
        today = sorted(by_day[day], key=lambda each: each.device)
        judged: defaultdict[tuple[str, str], list[DeviceDay]] = defaultdict(list)
        for each in today:
            if each.contacts >= MIN_CONTACTS:
                judged[each.device[:2]].append(each)
        shares = {place: sorted(each.share for each in its) for place, its in judged.items()}
        for each in today:
            if each.contacts < MIN_CONTACTS:
                continue
            found = _judged(each, _past(earlier[each.device], day), shares[each.device[:2]])
            if found is not None:
                yield found
            else:
                earlier[each.device].append(each)


def _past(earlier: Sequence[DeviceDay], day: int) -> Past | None:
    """What a device did before a day; None if that is too little."""
    known = [each for each in earlier if each.day >= day - PAST_DAYS]
    if len(known) < MIN_DAYS:
        return None
    contacts, untold = sum(each.contacts for each in known), sum(each.untold for each in known)
    return Past(
        days=len(known),
        contacts=contacts,
        untold=untold,
        interval=wilson(untold, contacts),
        highest=max(each.share for each in known),
        most=max(each.untold for each in known),
        lookups=sum(each.lookups for each in known),
    )


def _others(shares: Sequence[float], own: DeviceDay) -> Others | None:
    """What the others of a network did; None if they are too few. `shares` are those of all, in
    order."""
    if len(shares) - 1 < MIN_OTHERS:
        return None
    left = [*shares]
    left.remove(own.share)
    return Others(len(left), median_high(left))


def _judged(own: DeviceDay, past: Past | None, shares: Sequence[float]) -> Bypass | None:
    """Whether a day is a finding. It has to be one by all that there is to compare with: the past,
    and the `shares` of all devices of the network, in order."""
    interval = wilson(own.untold, own.contacts)
    if past is None:
        if interval.low < NEW_SHARE:
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
