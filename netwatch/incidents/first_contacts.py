"""The contact that an incident begins with, whose time is in its id.

A log may say only in which second something was that packets show to the nanosecond. So that an
incident has one id whoever saw it, the first contact is looked for among those that may have been
the earliest one, and the most exact of these is taken: that of packets, then that with the most
digits. This does not depend on the order in which contacts arrive.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from netwatch.core.verdict import Contact, Device
from netwatch.incidents.contacts import contact_order, single

EXACT = 10
"""The precision of packets, whose time is what the capture says. That of a log is the number of
digits of its time after the second."""


class FirstContacts:
    """The first contact of each precision, with its place in the order of contacts."""

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first: dict[int, tuple[tuple[Any, ...], Contact]] = {}

    def add(self, contact: Contact) -> None:
        """Take a contact."""
        observation = contact.observation
        precision = EXACT if observation.log is None else observation.time_digits
        known = self._first.get(precision)
        if known is not None and observation.time > known[0][0]:
            return
        order = contact_order(contact)
        if known is None or order < known[0]:
            self._first[precision] = order, single(contact)

    def merge(self, other: "FirstContacts") -> None:
        """Take the contacts of another part of the incident."""
        for precision, (order, contact) in other._first.items():
            known = self._first.get(precision)
            if known is None or order < known[0]:
                self._first[precision] = order, contact

    def become(self, device: Device) -> None:
        """Be the first contacts of another device. Their order stays."""
        for precision, (order, contact) in self._first.items():
            self._first[precision] = order, replace(contact, device=device)

    def __iter__(self) -> Iterator[Contact]:
        """The contacts, the most exact first."""
        return (self._first[precision][1] for precision in sorted(self._first, reverse=True))

    @property
    def first(self) -> Contact:
        """The first contact of the incident."""
        if len(self._first) == 1:
            return next(iter(self._first.values()))[1]
        latest = min(order[0] + _span(precision) for precision, (order, _) in self._first.items())
        return next(each for each in self if each.observation.time <= latest)


def _span(precision: int) -> int:
    """How much later than its time a contact may have been, ns."""
    return 0 if precision >= 9 else 10 ** (9 - precision) - 1
