"""Incidents told when they open, rise and end, and told once."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import GAP, NOON, SECOND, SENSOR, contact

from netwatch.core.alert import Alert
from netwatch.core.verdict import Contact
from netwatch.incidents import aggregate as gathering
from netwatch.incidents.aggregate import Incidents
from netwatch.live import open_incidents as module
from netwatch.live.open_incidents import SLACK, Ledger


class Told(list[Alert]):
    """Alerts in the order in which they were told."""

    def states(self) -> list[tuple[str, str]]:
        return [(alert.status, alert.confidence) for alert in self]


def ledger(gap: int = GAP) -> tuple[Ledger, Told]:
    told = Told()
    return Ledger(gap, None, told.append), told


def add(book: Ledger, *contacts: Contact, shift: int = 0) -> None:
    for each in contacts:
        book.add(each, SENSOR, shift)


def test_told_as_it_opens_rises_and_ends() -> None:
    book, told = ledger()
    add(book, contact(0, "dns-query"))
    assert told.states() == [("open", "probable")]
    add(book, contact(1, "dns-query"), contact(2, "tls-sni"), contact(3, "tls-sni"))
    assert told.states()[1:] == [("update", "confirmed")]
    book.end(NOON + 3 * SECOND + GAP + SLACK)
    assert len(told) == 2
    book.end(NOON + 3 * SECOND + GAP + SLACK + 1)
    assert told.states()[2:] == [("closed", "confirmed")]
    assert len({alert.id for alert in told}) == 1
    assert len(book) == 0
    assert told[-1].counts.handshakes == 2
    assert told[-1].last_seen == NOON + 3 * SECOND


def test_the_last_word_is_what_a_scan_tells() -> None:
    contacts = [contact(n * 100, ["dns-query", "tls-sni"][n % 2], who=n % 3) for n in range(60)]
    contacts += [contact(9000 + n, who=n % 3) for n in range(6)]
    book, told = ledger()
    whole = Incidents(GAP)
    for each in contacts:
        book.end(each.observation.time)
        add(book, each)
        whole.add(each)
    book.end_all()
    closed = sorted((a for a in told if a.status == "closed"), key=lambda a: (a.first_seen, a.id))
    assert closed == whole.alerts(None, SENSOR)
    assert book.by_verdict == whole.by_verdict


@given(st.permutations(range(8)), st.integers(0, 2**32))
def test_a_little_disorder_changes_nothing_but_the_order(order: list[int], seed: int) -> None:
    kinds = random.Random(seed).choices(["dns-query", "tls-sni", "ip-from-dns"], k=8)
    contacts = [contact(n / 10, kinds[n]) for n in range(8)]
    book, told = ledger()
    add(book, *(contacts[n] for n in order))
    book.end_all()
    whole = Incidents(GAP)
    for each in contacts:
        whole.add(each)
    expected = whole.alerts(None, SENSOR)
    assert len(told) >= 2 * len(expected)
    assert len({alert.id for alert in told}) == len(expected)
    for alert in expected:
        assert told[-1].evidence == alert.evidence
        assert told[-1].first_seen == alert.first_seen


def test_weak_evidence_is_counted_and_told_when_it_gets_stronger() -> None:
    book, told = ledger()
    add(book, contact(0, "dns-query", role="embed"), contact(0, "dns-query", role="embed", who=8))
    assert told == []
    add(book, contact(5, "tls-sni"))
    assert told.states() == [("open", "confirmed")]
    assert told[0].first_seen == NOON
    book.end_all()
    assert told.states()[1:] == [("closed", "confirmed")]
    assert book.recorded == 1


def test_an_earlier_contact_that_comes_later_keeps_the_id_that_was_told() -> None:
    book, told = ledger()
    add(book, contact(10), contact(4, packet=2))
    book.end_all()
    assert told[0].id == told[-1].id
    assert told[-1].first_seen == NOON + 4 * SECOND


def test_two_that_turn_out_to_be_one() -> None:
    book, told = ledger(60 * SECOND)
    add(book, contact(0), contact(110), contact(55))
    first, second, joined = told
    assert [alert.status for alert in told] == ["open", "open", "closed"]
    assert joined.id == second.id
    book.end_all()
    assert (told[-1].status, told[-1].id) == ("closed", first.id)
    assert told[-1].counts.handshakes == 3
    assert len(told) == 4


def test_what_comes_after_the_end_is_counted() -> None:
    book, told = ledger()
    add(book, contact(0))
    book.end(NOON + 2 * GAP)
    add(book, contact(20, "ip-from-dns"))
    assert (book.late, len(book), len(told)) == (1, 0, 2)
    add(book, contact(2 * GAP / SECOND))
    assert [alert.status for alert in told] == ["open", "closed", "open"]
    assert told[2].id != told[0].id


def test_a_longer_quiet_gap_swallows_nothing() -> None:
    book, told = ledger()
    add(book, contact(0))
    book.end(NOON + GAP + SLACK + 1)
    book.reload(10 * GAP, None)
    add(book, contact(GAP / SECOND + 60))
    assert [alert.status for alert in told] == ["open", "closed", "open"]


def test_a_clock_that_is_set_ends_nothing() -> None:
    book, told = ledger()
    add(book, contact(0))
    year = 365 * 86_400 * SECOND
    add(book, contact(year / SECOND, who=9), shift=-year)
    book.end(NOON + 60 * SECOND)
    assert [alert.status for alert in told] == ["open", "open"]
    add(book, contact(-year / SECOND, packet=3), shift=year + 120 * SECOND)
    book.end(NOON + GAP + 100 * SECOND)
    assert [alert.status for alert in told] == ["open", "open", "open", "closed", "closed"]
    assert len(book) == 1


def test_the_rules_that_judged_last_are_told() -> None:
    other = module.Sensor("probe-1", "0.1.0", "5e1b", "c0fe")
    book, told = ledger()
    book.add(contact(0, "dns-query"), SENSOR, 0)
    book.add(contact(1, "tls-sni"), other, 0)
    assert [alert.sensor.policy for alert in told] == ["c0ff", "c0fe"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "INCIDENT_LIMIT", 50)
    monkeypatch.setattr(module, "ENDED_LIMIT", 20)
    book, told = ledger()
    for round_ in range(5):
        start = round_ * 3 * GAP / SECOND
        add(book, *(contact(start, who=who) for who in range(round_ * 100, round_ * 100 + 80)))
        assert len(book) == 50
        book.end(NOON + int((start + 2 * GAP / SECOND) * SECOND))
        assert len(book) == 0
        assert book.remembered <= 20
    assert book.limits == {"incident-limit": 150}
    assert len(told) == 2 * 250
    book.end(NOON + 100 * module.ENDED_AGE)
    assert book.remembered == 0


def test_what_is_to_be_stored() -> None:
    book, _ = ledger()
    add(book, *(contact(0, who=who) for who in range(5)))
    assert len(book.changed(0)) == 5
    for entry in book:
        entry.keep()
    assert book.changed(10) == []
    add(book, *(contact(1, who=who) for who in range(5)))
    assert len(book.changed(3)) == 3
    assert len(book.changed(10)) == 5
    assert book.over() == []
    book.end_all()
    numbers = book.over()
    assert len(set(numbers)) == 5
    assert book.over() == []
    book.over_again(numbers)
    assert book.over() == numbers
