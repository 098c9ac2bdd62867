"""Whoever has seen it, an incident begins with the same contact."""

import itertools
from dataclasses import replace

import pytest
from support.contacts import contact

from netwatch.core.flow import PACKETS, LogInfo, origin_of
from netwatch.core.verdict import Contact
from netwatch.incidents.contacts import ContactProgress, FirstContacts
from netwatch.incidents.incident import Incident

NOON = 1_679_313_600_000_000_000
GAP = 1_800_000_000_000


def seen(time: int, digits: int | None = None) -> Contact:
    """A contact that packets show, or a log with so many digits after the second."""
    made = contact()
    log = None if digits is None else LogInfo("dnsmasq")
    observation = replace(
        made.observation, time=time, time_digits=9 if digits is None else digits, log=log
    )
    return replace(made, observation=observation)


@pytest.mark.parametrize(
    ("contacts", "expected"),
    [
        ([seen(NOON + 5), seen(NOON + 9)], 0),
        ([seen(NOON, 0), seen(NOON + 999_999_999)], 1),  # in the same second
        ([seen(NOON, 0), seen(NOON + 1_000_000_000)], 0),  # later
        ([seen(NOON, 0), seen(NOON + 400_000_000, 3), seen(NOON + 400_123_456)], 2),
        ([seen(NOON, 0), seen(NOON + 400_000_000, 3), seen(NOON + 401_000_000)], 1),
        ([seen(NOON, 3), seen(NOON - 9)], 1),
    ],
)
def test_the_most_exact_of_the_earliest_is_the_first(
    contacts: list[Contact], expected: int
) -> None:
    for given in itertools.permutations(contacts):
        firsts = FirstContacts()
        for each in given[:1]:
            firsts.add(each)
        rest = FirstContacts()
        for each in given[1:]:
            rest.add(each)
        firsts.merge(rest)
        assert firsts.first.observation.time == contacts[expected].observation.time


def test_what_two_origins_show_is_counted_once() -> None:
    packets, log = seen(NOON), seen(NOON, 6)
    incident = Incident.of(packets, GAP)
    incident.add(log)
    incident.add(log)
    incident.add_progress(packets, ContactProgress(NOON, 10, 500, NOON, "silent", "reached", 1))
    incident.add_progress(log, ContactProgress(NOON, 30, 400, NOON))
    counts = incident.counts
    assert (counts.handshakes, counts.flow_count) == (2, 1)
    assert (counts.totals.bytes_out, counts.totals.bytes_in) == (30, 500)
    assert (incident.outcome, counts.totals.tallies["reached"]) == ("reached", 1)
    assert set(incident.origins) == {PACKETS, "dnsmasq"}
    assert [each[0] for each in incident.evidence.items.values()] == [1, 2]


def test_formats_of_one_program_are_one_origin() -> None:
    names = ["zeek", "zeek-tsv", "windows-dns", "windows-dns-events"]
    assert [origin_of(LogInfo(name)) for name in names] == ["zeek", "zeek", "windows", "windows"]
