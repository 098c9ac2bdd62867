"""Open incidents are reported when they open, when their confidence rises, and when they end."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.contacts import ANSWERED, BAN, GAP, NOON, SECOND, SENSOR, contact

from netwatch.core.alert import Alert
from netwatch.core.flow import UNSEEN
from netwatch.core.verdict import Contact
from netwatch.incidents import aggregate
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.contacts import ContactProgress
from netwatch.incidents.scan import ScanIncidents
from netwatch.language.sentences import sentence
from netwatch.live import open_incident
from netwatch.live import open_incidents as module
from netwatch.live.open_incident import OpenIncident
from netwatch.live.open_incidents import CLOSE_DELAY, OpenIncidents

LISTED = sentence("device-mac-entry")
"""Why a device is known that the inventory has."""


class Sent(list[Alert]):
    """Alerts in the order in which they were sent."""

    def states(self) -> list[tuple[str, str]]:
        return [(alert.status, alert.confidence) for alert in self]


def open_incidents(gap: int = GAP) -> tuple[OpenIncidents, Sent]:
    sent = Sent()
    return OpenIncidents(gap, None, sent.append), sent


def add(incidents: OpenIncidents, *contacts: Contact, offset: int = 0) -> None:
    for made in contacts:
        incidents.add(made, SENSOR, offset)


def test_an_incident_is_reported_as_it_opens_rises_and_ends() -> None:
    incidents, sent = open_incidents()
    add(incidents, contact(0, "dns-query"))
    assert sent.states() == [("open", "probable")]
    add(incidents, contact(1, "dns-query"), contact(2, "tls-sni"), contact(3, "tls-sni"))
    assert sent.states()[1:] == [("update", "confirmed")]
    incidents.close_quiet(NOON + 3 * SECOND + GAP + CLOSE_DELAY)
    assert len(sent) == 2
    incidents.close_quiet(NOON + 3 * SECOND + GAP + CLOSE_DELAY + 1)
    assert sent.states()[2:] == [("closed", "confirmed")]
    assert len({alert.id for alert in sent}) == 1
    assert len(incidents) == 0
    assert sent[-1].counts.handshakes == 2
    assert sent[-1].last_seen == NOON + 3 * SECOND


def test_closed_incidents_are_those_of_a_scan() -> None:
    contacts = [contact(n * 100, ["dns-query", "tls-sni"][n % 2], who=n % 3) for n in range(60)]
    contacts += [contact(9000 + n, who=n % 3) for n in range(6)]
    incidents, sent = open_incidents()
    scanned = Incidents(GAP)
    for made in contacts:
        incidents.close_quiet(made.observation.time)
        add(incidents, made)
        scanned.add(made)
    incidents.close_all()
    closed = sorted((a for a in sent if a.status == "closed"), key=lambda a: (a.first_seen, a.id))
    assert closed == scanned.alerts(None, SENSOR)
    assert incidents.by_verdict == scanned.found(None, SENSOR).by_verdict
    assert incidents.judged == Counter((alert.kind.value, alert.outcome) for alert in closed)
    assert incidents.judged.total() == len(closed) > 0


@given(st.permutations(range(8)), st.integers(0, 2**32))
def test_contacts_out_of_order_give_the_same_incidents(order: list[int], seed: int) -> None:
    kinds = random.Random(seed).choices(["dns-query", "tls-sni", "ip-from-dns"], k=8)
    contacts = [contact(n / 10, kinds[n]) for n in range(8)]
    incidents, sent = open_incidents()
    add(incidents, *(contacts[n] for n in order))
    incidents.close_all()
    scanned = Incidents(GAP)
    for made in contacts:
        scanned.add(made)
    expected = scanned.alerts(None, SENSOR)
    assert len(sent) >= 2 * len(expected)
    assert len({alert.id for alert in sent}) == len(expected)
    for alert in expected:
        assert sent[-1].evidence == alert.evidence
        assert sent[-1].first_seen == alert.first_seen


def test_weak_evidence_is_reported_once_it_gets_stronger() -> None:
    incidents, sent = open_incidents()
    add(
        incidents,
        contact(0, "dns-query", role="embed"),
        contact(0, "dns-query", role="embed", who=8),
    )
    assert sent == []
    add(incidents, contact(5, "tls-sni"))
    assert sent.states() == [("open", "confirmed")]
    assert sent[0].first_seen == NOON
    incidents.close_all()
    assert sent.states()[1:] == [("closed", "confirmed")]
    assert incidents.recorded == 1


def test_an_earlier_contact_that_arrives_later_does_not_change_the_id() -> None:
    incidents, sent = open_incidents()
    add(incidents, contact(10), contact(4, packet=2))
    incidents.close_all()
    assert sent[0].id == sent[-1].id
    assert sent[-1].first_seen == NOON + 4 * SECOND


def test_two_incidents_that_a_contact_joins() -> None:
    incidents, sent = open_incidents(60 * SECOND)
    add(incidents, contact(0), contact(110), contact(55))
    first, second, joined = sent
    assert [alert.status for alert in sent] == ["open", "open", "closed"]
    assert joined.id == second.id
    incidents.close_all()
    assert (sent[-1].status, sent[-1].id) == ("closed", first.id)
    assert sent[-1].counts.handshakes == 3
    assert len(sent) == 4


def test_a_contact_after_the_end_is_counted() -> None:
    incidents, sent = open_incidents()
    add(incidents, contact(0))
    incidents.close_quiet(NOON + 2 * GAP)
    add(incidents, contact(20, "ip-from-dns"))
    assert (incidents.late_contacts, len(incidents), len(sent)) == (1, 0, 2)
    add(incidents, contact(2 * GAP / SECOND))
    assert [alert.status for alert in sent] == ["open", "closed", "open"]
    assert sent[2].id != sent[0].id


def test_a_longer_quiet_gap_does_not_reopen_ended_incidents() -> None:
    incidents, sent = open_incidents()
    add(incidents, contact(0))
    incidents.close_quiet(NOON + GAP + CLOSE_DELAY + 1)
    incidents.reload(10 * GAP, None, 10_000)
    add(incidents, contact(GAP / SECOND + 60))
    assert [alert.status for alert in sent] == ["open", "closed", "open"]


def test_setting_the_clock_ends_no_incident() -> None:
    incidents, sent = open_incidents()
    add(incidents, contact(0))
    year = 365 * 86_400 * SECOND
    add(incidents, contact(year / SECOND, who=9), offset=-year)
    incidents.close_quiet(NOON + 60 * SECOND)
    assert [alert.status for alert in sent] == ["open", "open"]
    add(incidents, contact(-year / SECOND, packet=3), offset=year + 120 * SECOND)
    incidents.close_quiet(NOON + GAP + 100 * SECOND)
    assert [alert.status for alert in sent] == ["open", "open", "open", "closed", "closed"]
    assert len(incidents) == 1


def test_an_alert_names_the_rules_that_judged_last() -> None:
    other = module.Sensor("probe-1", "0.1.0", "5e1b", "c0fe")
    incidents, sent = open_incidents()
    incidents.add(contact(0, "dns-query"), SENSOR, 0)
    incidents.add(contact(1, "tls-sni"), other, 0)
    assert [alert.sensor.policy for alert in sent] == ["c0ff", "c0fe"]


def test_memory_is_bounded_and_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "INCIDENT_LIMIT", 50)
    monkeypatch.setattr(module, "ENDED_LIMIT", 20)
    incidents, sent = open_incidents()
    for round_ in range(5):
        start = round_ * 3 * GAP / SECOND
        add(incidents, *(contact(start, who=who) for who in range(round_ * 100, round_ * 100 + 80)))
        assert len(incidents) == 80
        assert incidents.in_memory <= 50
        incidents.close_quiet(NOON + int((start + 2 * GAP / SECOND) * SECOND))
        assert len(incidents) == 0
        assert incidents.ended_count <= 20
    assert incidents.limits == {}
    assert len(sent) == 2 * 400
    incidents.close_quiet(NOON + 100 * module.ENDED_AGE)
    assert incidents.ended_count == 0


@pytest.mark.parametrize("limit", [1, 3, 20_000])
@settings(deadline=None)
@given(
    contacts=st.lists(
        st.builds(
            contact,
            at=st.integers(0, 30).map(lambda n: n * 400),
            evidence=st.sampled_from(["dns-query", "tls-sni"]),
            who=st.integers(1, 5),
            app=st.sampled_from(["tiktok", "capcut"]),
            kind=st.sampled_from(["violation", "exempt"]),
        ),
        max_size=40,
    ),
)
def test_eviction_changes_no_incident(limit: int, contacts: list[Contact]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregate, "INCIDENT_LIMIT", limit)
        incidents, sent = open_incidents()
    scanned = ScanIncidents(GAP)
    for made in sorted(contacts, key=lambda made: made.observation.time):
        incidents.close_quiet(made.observation.time)
        add(incidents, made)
        incidents.add_progress(made, ContactProgress(made.observation.time, 3, 5, NOON))
        assert incidents.in_memory <= limit
        scanned.add(made)
        scanned.add_progress(made, ContactProgress(made.observation.time, 3, 5, NOON))
    incidents.close_all()
    closed = sorted((a for a in sent if a.status == "closed"), key=lambda a: (a.first_seen, a.id))
    assert closed == scanned.result(None, SENSOR).alerts
    assert len(sent) - len(closed) >= len(closed)
    assert incidents.limits == {}


def test_an_incident_that_turns_out_to_be_graver_is_updated() -> None:
    incidents, sent = open_incidents()
    hello = contact(0, outcome="blocked")
    add(incidents, hello)
    assert [(a.status, a.outcome, a.severity) for a in sent] == [("open", "blocked", "medium")]
    other = contact(1, packet=2, flow=2)
    add(incidents, other)
    assert len(sent) == 1  # It is not known yet that the second one got through.
    incidents.add_progress(
        other, ContactProgress(other.observation.time, 1, 1, NOON, "silent", "reached", 1)
    )
    assert [(a.status, a.outcome, a.severity) for a in sent[1:]] == [("update", "reached", "high")]
    incidents.add_progress(other, ContactProgress(other.observation.time, 1, 1, NOON))
    assert len(sent) == 2


def test_an_embed_that_turns_out_to_be_the_app_is_updated() -> None:
    incidents, sent = open_incidents()
    shared = replace(BAN, min_confidence="possible")
    add(incidents, contact(0, role="embed", ban=shared))
    assert [(a.status, a.kind.value, a.severity) for a in sent] == [("open", "embed", "medium")]
    add(incidents, contact(1, "ip-from-dns", ban=shared, packet=2))
    assert [(a.status, a.kind.value, a.severity) for a in sent[1:]] == [
        ("update", "background", "high")
    ]


def test_incidents_are_saved_before_they_are_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "INCIDENT_LIMIT", 8)
    incidents, _ = open_incidents()
    saved: dict[int, str] = {}

    def save(entries: list[OpenIncident]) -> None:
        for entry in entries:
            saved[entry.number] = entry.key[0]
            entry.mark_saved()

    incidents.save = save
    add(incidents, *(contact(who, who=who) for who in range(20)))
    assert saved == {number: f"laptop-{number - 1}" for number in range(1, 13)}
    assert {entry.number for entry in incidents.changed(100)} == set(range(13, 21))
    add(incidents, contact(21, who=0))
    assert 1 in {entry.number for entry in incidents.changed(100)}
    incidents.close_all()
    assert set(incidents.take_numbers_to_delete()) == set(range(1, 21)) & set(saved)


def test_without_room_on_disk_contacts_are_rejected_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aggregate, "INCIDENT_LIMIT", 8)
    monkeypatch.setattr(open_incident, "EVICTED_LIMIT", 4)
    incidents, sent = open_incidents()
    add(incidents, *(contact(who, who=who) for who in range(20)))
    assert len(incidents) == 12
    assert incidents.limits == {"incident-limit": 8}
    incidents.close_all()
    assert [alert.status for alert in sent].count("closed") == 12


def test_incidents_that_cannot_be_read_again_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aggregate, "INCIDENT_LIMIT", 8)
    incidents, _ = open_incidents()
    add(incidents, *(contact(who, who=who) for who in range(12)))
    database = incidents._evicted._database
    assert database is not None
    database.execute("DROP TABLE incident")
    add(incidents, contact(13, who=0))
    assert incidents.limits == {"incident-lost": 4}
    add(incidents, *(contact(who, who=who) for who in range(20, 40)))
    assert incidents.limits == {"incident-lost": 4}


def test_changed_incidents_are_saved_and_ended_ones_deleted() -> None:
    incidents, _ = open_incidents()
    add(incidents, *(contact(0, who=who) for who in range(5)))
    assert len(incidents.changed(0)) == 5
    for entry in incidents:
        entry.mark_saved()
    assert incidents.changed(10) == []
    add(incidents, *(contact(1, who=who) for who in range(5)))
    assert len(incidents.changed(3)) == 3
    assert len(incidents.changed(10)) == 5
    assert incidents.take_numbers_to_delete() == []
    incidents.close_all()
    numbers = incidents.take_numbers_to_delete()
    assert len(set(numbers)) == 5
    assert incidents.take_numbers_to_delete() == []
    incidents.put_back_numbers_to_delete(numbers)
    assert incidents.take_numbers_to_delete() == numbers


def asked(who: int, at: float = 0.0) -> Contact:
    return contact(at, "dns-query", who=who)


def by_device(sent: Sent, status: str) -> list[str]:
    return sorted(alert.device.id for alert in sent if alert.status == status)


def test_of_a_flood_of_unknown_clients_the_first_keep_their_incidents() -> None:
    incidents, sent = open_incidents()
    incidents.unknown.limit = 3
    add(incidents, *(asked(n, n) for n in range(50)))
    assert len(incidents) == 4
    listed = asked(60)
    listed = replace(listed, device=replace(listed.device, reason=LISTED))
    add(incidents, asked(1, 60), listed, contact(61, who=61))
    # What the proven client does next is its own, whatever the app.
    add(incidents, contact(62, "dns-query", who=61, app="capcut"))
    incidents.close_all()
    own = [f"laptop-{n}" for n in (0, 1, 2, 60, 61, 61)]
    assert by_device(sent, "open") == by_device(sent, "closed") == [*own, "unproven:hq"]
    (summed,) = (each for each in sent if each.id == sent[3].id and each.status == "closed")
    assert (summed.device.id, summed.counts.lookups) == ("unproven:hq", 47)
    assert summed.extra["clients"] == 47
    assert incidents.anomalies == {"clients-unproven": 47}


def test_an_unknown_client_that_is_proven_later_gets_its_own_incident() -> None:
    incidents, sent = open_incidents()
    incidents.unknown.limit = 1
    hello = contact(5, who=9, seen=UNSEEN)
    add(incidents, asked(1), asked(2), hello)
    assert by_device(sent, "open") == ["laptop-1", "unproven:hq"]
    at = hello.observation.time
    incidents.add_progress(hello, ContactProgress(at, 0, 0, at, now="attempted", contacts=1))
    assert by_device(sent, "open") == ["laptop-1", "unproven:hq"]
    incidents.add_progress(hello, ContactProgress(at, 9, 5, at, now="reached", contacts=1))
    seen = ContactProgress(at, 0, 0, at, seen=ANSWERED)
    incidents.add_progress(replace(hello, seen=ANSWERED), seen)
    incidents.close_all()
    assert by_device(sent, "closed") == ["laptop-1", "laptop-9", "unproven:hq"]
    (own,) = (each for each in sent if each.device.id == "laptop-9" and each.status == "closed")
    assert (own.outcome, own.confidence, own.counts.bytes_in) == ("reached", "confirmed", 5)


def test_the_next_hour_has_room_for_other_unknown_clients() -> None:
    incidents, sent = open_incidents()
    incidents.unknown.limit = 1
    add(incidents, asked(1), asked(2), asked(3, 3600), asked(4, 3601))
    assert by_device(sent, "open") == ["laptop-1", "laptop-3", "unproven:hq", "unproven:hq"]
