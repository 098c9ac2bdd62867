import hashlib
import json
import pickle
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.contacts import APPS, BAN, GAP, HQ, NOON, SECOND, SENSOR, contact

from netwatch.core.alert import ALERT_SCHEMA, Destination, IncidentCounts
from netwatch.core.verdict import BanPeriod, Decision, Exemption, Network, Ruling
from netwatch.formats import jsonl
from netwatch.incidents import aggregate as incidents
from netwatch.incidents import alert_parts, incident, origin_counts
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.contacts import ContactProgress


def gather(contacts, gap=GAP):
    gathered = Incidents(gap)
    for each in contacts:
        gathered.add(each)
    return gathered


def alerts(*contacts):
    return gather(contacts).alerts(None, SENSOR)


def test_one_contact_is_an_incident_with_all_its_values():
    (alert,) = alerts(contact(1.5))
    assert alert.status == "closed"
    assert (alert.verdict, alert.severity, alert.confidence) == ("violation", "high", "confirmed")
    assert alert.first_seen == alert.last_seen == NOON + 1_500_000_000
    assert alert.time_digits == 6
    assert (alert.app, alert.ban, alert.network) == (APPS["tiktok"], BAN, HQ)
    assert (alert.device.id, alert.vlan, alert.exemption) == ("laptop-7", 20, None)
    assert alert.destinations == (Destination("192.0.2.1", 443, None, None, None),)
    assert alert.names == ("www.tiktok.com",)
    (item,) = alert.evidence
    assert (item.type, item.name, item.rule, item.role) == (
        "tls-sni",
        "www.tiktok.com",
        "suffix tiktok.com",
        "exclusive",
    )
    assert (item.time, item.time_digits, item.source, item.packet, item.count) == (
        alert.first_seen,
        6,
        "a.pcap",
        1,
        1,
    )
    assert alert.counts == IncidentCounts(lookups=0, handshakes=1, flows=1, attempted=1)
    assert len(alert.community_ids) == 1
    assert alert.community_ids[0].startswith("1:")
    assert alert.sensor == SENSOR
    assert alert.extra == {}


def test_the_id_is_the_hash_of_a_json_array():
    key = ('laptop "\\7"\u00e9\U0001f600', "tiktok", "r\u00e8gle", "violation")
    text = json.dumps([ALERT_SCHEMA, *key, NOON])
    expected = hashlib.sha256(text.encode()).hexdigest()[:32]
    assert alert_parts.incident_id(key, NOON) == expected
    text = json.dumps([ALERT_SCHEMA, *key, NOON, "gh\u00ebnt"])
    expected = hashlib.sha256(text.encode()).hexdigest()[:32]
    assert alert_parts.incident_id(key, NOON, "gh\u00ebnt") == expected


def test_contacts_within_the_quiet_gap_are_one_incident():
    (alert,) = alerts(contact(0), contact(1800), contact(3600))
    assert alert.last_seen - alert.first_seen == 2 * GAP


def test_contacts_further_apart_are_two():
    first, second = alerts(contact(1800.000000001), contact(0))
    assert first.first_seen < second.first_seen
    assert first.id != second.id


def test_a_late_contact_joins_two_incidents():
    gathered = gather([contact(0), contact(3600)])
    assert len(gathered) == 2
    gathered.add(contact(1800))
    assert len(gathered) == 1
    (alert,) = gathered.alerts(None, SENSOR)
    assert alert.counts.handshakes == 3


@pytest.mark.parametrize(
    "other",
    [
        {"who": 8},
        {"app": "capcut"},
        {"ban": replace(BAN, id="other")},
        {"kind": "advisory"},
    ],
)
def test_what_separates_incidents(other):
    assert len(alerts(contact(0), contact(1, **other))) == 2


def test_periods_of_a_ban_change_no_id():
    days = (BanPeriod(None, date(2023, 9, 16)), BanPeriod(date(2023, 9, 26), None, "again"))
    (alert,) = alerts(contact(0))
    (extended,) = alerts(contact(0, ban=replace(BAN, periods=days)))
    assert extended.id == alert.id
    assert extended.ban != alert.ban


def test_a_contact_without_verdict_is_not_added():
    gathered = gather([contact(kind=None, ban=None)])
    assert len(gathered) == 0


def test_evidence_is_the_first_of_each_kind_and_name_with_its_count():
    (alert,) = alerts(
        contact(5, "dns-query", packet=9, port=53),
        contact(3, "dns-query", packet=7, source="b.pcap", port=53),
        contact(3, "dns-query", packet=8, source="a.pcap", port=53),
        contact(6, "tls-sni", packet=10),
        contact(4, "tls-sni", "v16.tiktok.com", packet=11),
    )
    reported = [(item.type, item.name, item.packet, item.count) for item in alert.evidence]
    assert reported == [
        ("dns-query", "www.tiktok.com", 8, 3),
        ("tls-sni", "v16.tiktok.com", 11, 1),
        ("tls-sni", "www.tiktok.com", 10, 1),
    ]
    assert alert.names == ("v16.tiktok.com", "www.tiktok.com")
    assert (alert.counts.lookups, alert.counts.handshakes) == (3, 2)


def test_destinations_are_where_the_device_connected_not_its_resolvers():
    (alert,) = alerts(
        contact(0, "dns-query", server=53, port=53),
        contact(0, "dns-answer", server=53, port=53),
        contact(0, "dns-cname", server=53, port=53),
        contact(1, "tls-sni", server=9),
        contact(1, "ip-from-dns", server=10),
        contact(1, "tls-cert", server=2),
    )
    assert [place.ip for place in alert.destinations] == ["192.0.2.2", "192.0.2.9", "192.0.2.10"]


def test_destinations_are_looked_up():
    class Places:
        def lookup(self, ip):
            return 138699, "TIKTOK PTE. LTD.", {1: "SG", 2: None}[ip[3]]

    (alert,) = gather([contact(), contact(server=2)]).alerts(Places(), SENSOR)
    assert alert.destinations == (
        Destination("192.0.2.1", 443, 138699, "TIKTOK PTE. LTD.", "SG"),
        Destination("192.0.2.2", 443, 138699, "TIKTOK PTE. LTD.", None),
    )


def test_flows_are_distinct_conversations_of_handshakes():
    (alert,) = alerts(
        contact(0, flow=1),
        contact(1, flow=1),
        contact(2, flow=2),
        contact(3, flow=2, source="b.pcap"),
        contact(4, "dns-query", flow=9),
    )
    assert alert.counts.flows == 3


def test_the_best_confidence_counts():
    (alert,) = alerts(contact(0, "dns-query"), contact(1), contact(2, "dns-query"))
    assert alert.confidence == "confirmed"


def test_below_min_confidence_an_incident_is_only_recorded():
    weak = contact(0, role="embed", name="analytics.tiktok.com")
    gathered = gather([weak])
    assert gathered.alerts(None, SENSOR) == []
    assert (len(gathered), *gathered.found(None, SENSOR)[1:3]) == (1, {}, 1)
    gathered.add(contact(1, "dns-query"))
    (alert,) = gathered.alerts(None, SENSOR)
    assert alert.confidence == "probable"
    assert alert.first_seen == weak.observation.time
    assert gathered.found(None, SENSOR)[1:3] == ({"violation": 1}, 0)


@pytest.mark.parametrize(
    ("asked", "reported"), [("possible", 3), ("probable", 2), ("confirmed", 1)]
)
def test_min_confidence(asked, reported):
    ban = replace(BAN, min_confidence=asked)
    found = alerts(
        contact(who=1, ban=ban, evidence="ip-from-dns"),
        contact(who=2, ban=ban, evidence="dns-query"),
        contact(who=3, ban=ban),
    )
    assert len(found) == reported


def test_an_exempt_alert_has_its_exemption():
    leave = Exemption("rule", "laptop-7", None, None, "research", "CISO")
    exempt = replace(contact(), decision=Decision.of((Ruling(BAN, "exempt", leave),)))
    (alert,) = alerts(exempt)
    assert (alert.verdict, alert.exemption) == ("exempt", leave)


def test_device_network_and_vlan_are_those_of_the_first_contact():
    late = replace(contact(5, vlan=30), network=Network("byod", "personal"))
    late = replace(late, device=replace(late.device, ip="10.30.0.9"))
    for order in ([late, contact(0)], [contact(0), late]):
        (alert,) = alerts(*order)
        assert (alert.vlan, alert.network, alert.device.ip) == (20, HQ, "10.20.0.7")


def test_the_id_depends_on_device_app_ban_and_time_alone():
    (alert,) = alerts(contact(0))
    (again,) = alerts(contact(9, "dns-query"), contact(0, source="/elsewhere/b.pcap", packet=5))
    assert alert.id == again.id
    assert alert.id == "df7c1537157d597f80e16b0d6c9b5f59"
    (later,) = alerts(contact(0.000000001))
    assert later.id != alert.id


def test_alerts_are_in_order_of_their_start():
    found = alerts(*(contact(at, who=who) for who, at in enumerate([50, 10, 90, 10])))
    assert [(alert.first_seen, alert.id) for alert in found] == sorted(
        (alert.first_seen, alert.id) for alert in found
    )
    assert [alert.first_seen - NOON for alert in found] == [at * SECOND for at in (10, 10, 50, 90)]


def test_bytes_are_added_to_the_incident_of_the_contact():
    early, late = contact(0), contact(9000)
    gathered = gather([early, late])
    assert gathered.add_progress(early, ContactProgress(early.observation.time, 100, 2000, NOON))
    assert gathered.add_progress(early, ContactProgress(early.observation.time, 1, 2, NOON))
    assert not gathered.add_progress(contact(-1), ContactProgress(NOON - SECOND, 5, 5, NOON))
    assert not gathered.add_progress(contact(0, who=9), ContactProgress(NOON, 5, 5, NOON))
    first, second = gathered.alerts(None, SENSOR)
    assert (first.counts.bytes_out, first.counts.bytes_in) == (101, 2002)
    assert (second.counts.bytes_out, second.counts.bytes_in) == (0, 0)


def test_names_and_evidence_are_bounded_and_counted(monkeypatch):
    monkeypatch.setattr(incident, "NAME_LIMIT", 3)
    monkeypatch.setattr(incident, "EVIDENCE_LIMIT", 3)
    many = [contact(n, name=f"n{n}.tiktok.com", packet=n) for n in range(8)]
    for order in (many, many[::-1]):
        gathered = gather(order)
        (alert,) = gathered.alerts(None, SENSOR)
        assert alert.names == ("n0.tiktok.com", "n1.tiktok.com", "n2.tiktok.com")
        assert [item.name for item in alert.evidence] == list(alert.names)
        assert alert.extra == {"left_out": {"names": 5, "evidence": 5}}
        assert gathered.limits == {"incident-names": 5, "incident-evidence": 5}


def test_the_strongest_evidence_is_stored(monkeypatch):
    monkeypatch.setattr(incident, "EVIDENCE_LIMIT", 1)
    (alert,) = alerts(
        contact(0, "dns-query", "a.tiktok.com"),
        contact(1, "tls-sni", "z.tiktok.com"),
        contact(2, "dns-query", "b.tiktok.com"),
    )
    assert [item.name for item in alert.evidence] == ["z.tiktok.com"]


def test_destinations_and_community_ids_are_bounded(monkeypatch):
    monkeypatch.setattr(incident, "DESTINATION_LIMIT", 2)
    monkeypatch.setattr(incident, "COMMUNITY_LIMIT", 2)
    lookups = [contact(0, "dns-query", flow=n) for n in range(10, 15)]
    shakes = [contact(n, server=n, flow=n) for n in range(1, 3)]
    (alert,) = alerts(*lookups, *shakes, contact(3, server=3, flow=1))
    assert [place.ip for place in alert.destinations] == ["192.0.2.1", "192.0.2.2"]
    assert len(alert.community_ids) == 2
    assert alert.extra["left_out"] == {"destinations": 1, "community_ids": 6}
    (kept,) = alerts(*shakes)
    (of_lookups,) = alerts(*lookups, shakes[0])
    assert set(kept.community_ids) & set(of_lookups.community_ids)


def test_many_flows_are_estimated():
    (alert,) = alerts(*(contact(0, flow=n % 12_000) for n in range(24_000)))
    assert 10_800 < alert.counts.flows < 13_200
    few = origin_counts.FLOW_LIMIT
    (alert,) = alerts(*(contact(0, flow=n) for n in range(few)))
    assert alert.counts.flows == few


def test_the_number_of_incidents_is_bounded_and_counted(monkeypatch):
    monkeypatch.setattr(incidents, "INCIDENT_LIMIT", 2)
    gathered = gather([contact(who=who) for who in (1, 2, 3, 3, 1)])
    assert len(gathered) == 2
    assert gathered.dropped == 2
    assert gathered.limits == {"incident-limit": 2}
    assert len(gathered._incidents) == 2
    gathered.merge(gather([contact(who=4), contact(who=1)]))
    assert (len(gathered), gathered.dropped) == (2, 3)


contacts = st.lists(
    st.builds(
        contact,
        at=st.integers(0, 40).map(lambda n: n * 300),
        evidence=st.sampled_from(
            ["dns-query", "dns-answer", "tls-sni", "http-host", "ip-from-dns", "tls-cert"]
        ),
        name=st.sampled_from([f"{n}.tiktok.com" for n in range(6)]),
        role=st.sampled_from(["exclusive", "embed"]),
        who=st.integers(1, 2),
        app=st.sampled_from(["tiktok", "tiktok", "capcut"]),
        kind=st.sampled_from(["violation", "violation", "exempt"]),
        server=st.integers(1, 6),
        packet=st.integers(1, 9),
        source=st.sampled_from(["a.pcap", "b.pcap"]),
        flow=st.integers(1, 6),
        time_digits=st.sampled_from([6, 9]),
        vlan=st.sampled_from([None, 20]),
    ),
    max_size=40,
)


def outcome(gathered):
    return *gathered.found(None, SENSOR), len(gathered)


def lines(gathered):
    return [json.dumps(jsonl.alert_record(reported)) for reported in gathered.alerts(None, SENSOR)]


@contextmanager
def limits(number):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NAME", "EVIDENCE", "DESTINATION", "COMMUNITY"):
            patch.setattr(incident, f"{name}_LIMIT", number)
        patch.setattr(origin_counts, "FLOW_LIMIT", number)
        yield


@pytest.mark.parametrize("limit", [3, 256])
@settings(deadline=None)
@given(data=st.data())
def test_neither_the_order_nor_the_parts_change_the_outcome(limit, data):
    with limits(limit):
        check_order(data)


def check_order(data):
    given_ = data.draw(contacts)
    shuffled = data.draw(st.permutations(given_))
    parts = data.draw(st.lists(st.integers(0, 2), min_size=len(given_), max_size=len(given_)))
    whole = gather(given_)
    assert outcome(gather(shuffled)) == outcome(whole)
    workers = [Incidents(GAP) for _ in range(3)]
    for each, part in zip(shuffled, parts, strict=True):
        workers[part].add(each)
    merged = Incidents(GAP)
    for worker in data.draw(st.permutations(workers)):
        merged.merge(pickle.loads(pickle.dumps(worker)))
    assert outcome(merged) == outcome(whole)
    assert outcome(merged) == outcome(whole)
    assert lines(merged) == lines(whole)


@settings(deadline=None)
@given(contacts)
def test_incidents_are_apart_by_more_than_the_quiet_gap(given_):
    found = {}
    for alert in gather(given_).alerts(None, SENSOR):
        found.setdefault((alert.device.id, alert.app.id, alert.verdict), []).append(alert)
    for row in found.values():
        for one, two in pairwise(row):
            assert two.first_seen - one.last_seen > GAP
    assert gather(given_).limits == {}
