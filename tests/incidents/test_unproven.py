"""Unknown clients that no handshake proves: their own incidents up to a limit, one beyond it."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.alerts import frame
from support.contacts import ANSWERED, GAP, NOON, SENSOR, contact

from netwatch.core.alert import Alert
from netwatch.core.flow import UNSEEN
from netwatch.core.verdict import Contact
from netwatch.formats import jsonl
from netwatch.incidents.contacts import ContactProgress
from netwatch.incidents.incident import CLIENT_LIMIT
from netwatch.incidents.scan import ScanIncidents
from netwatch.incidents.unproven import SUMMED
from netwatch.language.sentences import sentence

HOUR = 3600


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def asked(who: int, at: float = 0.0, **fields: object) -> Contact:
    """A lookup by a client that the inventory does not have."""
    return contact(at, "dns-query", who=who, **fields)


def shown(who: int, at: float = 0.0, **fields: object) -> Contact:
    """A hello of such a client, of whose server nothing was seen."""
    return contact(at, who=who, seen=UNSEEN, **fields)


def listed(made: Contact) -> Contact:
    """The same contact of a client that the inventory has."""
    device = replace(made.device, reason=sentence("device-address-network"))
    return replace(made, device=device)


def scanned(limit: int, *contacts: Contact, memory: int = 20_000) -> tuple[list[Alert], int]:
    """The alerts, and the number of contacts that were summed up."""
    with ScanIncidents(GAP, limit=memory, client_limit=limit) as incidents:
        for each in contacts:
            incidents.add(each)
        result = incidents.result(None, SENSOR)
        return list(result.alerts), result.anomalies.get(SUMMED, 0)


def devices(alerts: list[Alert]) -> list[str]:
    return sorted(alert.device.id for alert in alerts)


@pytest.mark.parametrize("memory", [2, 100])
def test_the_limit_itself_changes_nothing_and_one_client_more_makes_one_incident(
    memory: int,
) -> None:
    contacts = [asked(n, n) for n in range(8)]
    assert devices(scanned(8, *contacts, memory=memory)[0]) == [f"laptop-{n}" for n in range(8)]
    (alert,), summed = scanned(7, *contacts, memory=memory)
    assert (alert.device.id, summed, alert.counts.lookups) == ("unproven:hq", 8, 8)
    assert (alert.first_seen, alert.last_seen) == (NOON, NOON + 7 * 10**9)
    record = json.loads(json.dumps(jsonl.alert_record(alert)))
    assert record["clients"] == 8
    assert (record["device"]["ip"], record["device"]["mac"]) == (None, None)
    assert record["device"]["reason"] == sentence("device-unproven")
    assert record["verdict"] == "violation"


@pytest.mark.parametrize("memory", [2, 100])
def test_known_and_proven_clients_keep_their_incidents_in_a_flood(memory: int) -> None:
    flood = [asked(n, n / 10) for n in range(100, 120)]
    kept = [
        listed(asked(1)),
        asked(2),
        contact(5, who=2, seen=ANSWERED),  # both ends took part
        listed(shown(3)),
        asked(4, app="capcut"),
        contact(9, who=4, seen=ANSWERED),  # proven with another app
    ]
    alerts, summed = scanned(3, *flood, *kept, shown(5), memory=memory)
    assert devices(alerts) == [
        "laptop-1",
        "laptop-2",
        "laptop-3",
        "laptop-4",
        "laptop-4",
        "unproven:hq",
    ]
    assert summed == 21
    own = {alert.device.id: alert for alert in alerts}
    assert own["laptop-2"].counts.lookups == own["laptop-2"].counts.handshakes == 1
    assert own["laptop-2"].first_seen == NOON


def test_the_answer_of_a_server_proves_a_client_later() -> None:
    hello = shown(5, flow=3)
    with ScanIncidents(GAP, limit=4, client_limit=2) as incidents:
        for each in (hello, *(shown(n, 1) for n in range(100, 110))):
            incidents.add(each)
        seen = ContactProgress(NOON, 0, 0, NOON, seen=ANSWERED)
        incidents.add_progress(replace(hello, seen=ANSWERED), seen)
        assert devices(list(incidents.result(None, SENSOR).alerts)) == ["laptop-5", "unproven:hq"]


def test_each_hour_counts_by_itself() -> None:
    quiet = [asked(n, 2 * HOUR) for n in range(3)]
    flood = [asked(n) for n in range(10, 15)]
    alerts, summed = scanned(3, *quiet, *flood)
    assert devices(alerts) == ["laptop-0", "laptop-1", "laptop-2", "unproven:hq"]
    assert summed == 5


def test_bans_and_apps_have_an_incident_each() -> None:
    contacts = [
        asked(n, app=app, kind=kind)
        for n in range(5)
        for app in ("tiktok", "capcut")
        for kind in ("violation", "exempt")
    ]
    alerts, _ = scanned(4, *contacts)
    assert len(alerts) == len({(alert.app.id, alert.verdict) for alert in alerts}) == 4
    assert {alert.device.id for alert in alerts} == {"unproven:hq"}


def test_a_flood_is_bounded_by_objects_not_by_clients() -> None:
    clients, memory = 12_000, 500
    with ScanIncidents(GAP, limit=memory, client_limit=50) as incidents:
        for number in range(clients):
            incidents.add(asked(number, number / 1000))
            assert incidents.in_memory <= memory
        result = incidents.result(None, SENSOR)
        (alert,) = result.alerts
        assert incidents.in_memory == 0
    assert result.anomalies == {SUMMED: clients}
    assert alert.counts.lookups == clients > CLIENT_LIMIT
    assert alert.extra["clients"] == pytest.approx(clients, rel=0.1)
    assert len(alert.evidence) == 1


contacts = st.lists(
    st.builds(
        contact,
        at=st.integers(0, 12).map(lambda n: n * 1000),
        evidence=st.sampled_from(["dns-query", "tls-sni"]),
        name=st.sampled_from(["a.tiktok.com", "b.tiktok.com"]),
        who=st.integers(1, 9),
        app=st.sampled_from(["tiktok", "capcut"]),
        kind=st.sampled_from(["violation", "exempt", None]),
        seen=st.sampled_from([UNSEEN, UNSEEN, ANSWERED]),
        frames=st.sampled_from([(), (), (frame(1, 90),)]),
        packet=st.integers(1, 9),
        flow=st.integers(1, 6),
    ),
    max_size=30,
)


def outcome(incidents: ScanIncidents) -> tuple[object, ...]:
    result = incidents.result(None, SENSOR)
    records = [json.dumps(jsonl.alert_record(alert)) for alert in result.alerts]
    return records, result.by_verdict, result.recorded, result.limits, result.anomalies


@settings(deadline=None)
@given(data=st.data())
def test_neither_order_nor_parts_nor_memory_change_what_is_summed_up(data: st.DataObject) -> None:
    made = data.draw(contacts)
    limit = data.draw(st.integers(1, 9))
    whole = ScanIncidents(GAP, client_limit=limit)
    for each in made:
        whole.add(each)
    expected = outcome(whole)
    parts = data.draw(st.lists(st.integers(0, 1), min_size=len(made), max_size=len(made)))
    memory = data.draw(st.integers(1, 5))
    with ScanIncidents(GAP, limit=memory, client_limit=limit) as merged:
        workers = [
            ScanIncidents(GAP, merged.folder, limit=memory, client_limit=limit) for _ in range(2)
        ]
        for each, part in data.draw(st.permutations(list(zip(made, parts, strict=True)))):
            workers[part].add(each)
        for worker in workers:
            merged.merge(pickle.loads(pickle.dumps(worker)))
        assert outcome(merged) == expected
    if limit == 9:
        unlimited = ScanIncidents(GAP, client_limit=10**6)
        for each in made:
            unlimited.add(each)
        assert outcome(unlimited) == expected
