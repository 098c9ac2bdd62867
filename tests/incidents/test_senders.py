"""What speaks against an incident: the same in any order, within limits, and as JSON."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.contacts import GAP, SENSOR, contact
from support.examples import examples

from netwatch.core.flow import Contradiction, Sender
from netwatch.core.typed_json import dumps, loads
from netwatch.core.verdict import Contact
from netwatch.formats.jsonl import alert_record
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.incident import Incident
from netwatch.incidents.incident_state import SharedValues, incident_state, restored_incident
from netwatch.incidents.senders import (
    CONTRADICTING_SENDERS,
    CONTRADICTION_LIMIT,
    MANY_CLIENTS,
    SenderTable,
)

APP = "api16-normal.tiktokv.com"


def of_mac(number: int, at: float = 0.0, **more: object) -> Contact:
    """A contact in a frame with the MAC with this number, which is not the device's."""
    mac = f"02:00:00:66:00:{number:02x}"
    against = (Contradiction("mac-not-bound", f"MAC {mac}.", mac),)
    made = contact(at, name=APP, packet=number + 1)
    return replace(made, contradictions=against, sender=Sender(mac, "laptop-7"), **more)


def two_names(number: int, at: float = 0.0) -> Contact:
    """A contact in whose flow there was another name."""
    against = (Contradiction("two-names", f"Name {number}.example."),)
    return replace(contact(at, name=APP, packet=number + 1), contradictions=against)


CONTACTS = st.lists(
    st.one_of(
        st.builds(of_mac, st.integers(0, CONTRADICTING_SENDERS + 2), st.integers(0, 9)),
        st.builds(two_names, st.integers(0, 3), st.integers(0, 9)),
        st.builds(contact, st.integers(0, 9)),
    ),
    min_size=1,
    max_size=24,
)
SENDERS = st.lists(
    st.tuples(st.integers(0, CONTRADICTING_SENDERS + 2), st.integers(0, 9)), max_size=24
)


def found(parts: list[list[Contact]], others: list[tuple[int, int]]) -> list[str]:
    """The alerts of contacts that several processes aggregated; `others` are further clients of
    MACs."""
    whole = Incidents(GAP)
    for part in parts:
        incidents = Incidents(GAP)
        for each in part:
            incidents.add(each)
        whole.merge(incidents)
    for mac, client in others:
        made = of_mac(mac)
        assert made.sender is not None
        whole.add_sender(replace(made, sender=made.sender._replace(client=str(client))))
    return [json.dumps(alert_record(each)) for each in whole.alerts(None, SENSOR)]


@given(CONTACTS, SENDERS, st.randoms())
@examples(60)
def test_the_order_of_arrival_does_not_matter(
    contacts: list[Contact], others: list[tuple[int, int]], order
) -> None:
    alerts = found([contacts], others)
    order.shuffle(contacts)
    order.shuffle(others)
    middle = len(contacts) // 2
    assert found([contacts[:middle], contacts[middle:]], others) == alerts
    (alert,) = map(json.loads, alerts)
    genuine = any(not each.contradictions for each in contacts)
    if genuine:
        assert alert["confidence"] == "confirmed"
    elif not others:
        assert alert["confidence"] == "probable"


@given(CONTACTS, SENDERS)
@examples(30)
def test_an_incident_that_was_read_again_is_the_same(
    contacts: list[Contact], others: list[tuple[int, int]]
) -> None:
    incident, senders = Incident.of(contacts[0], GAP), SenderTable()
    for each in contacts[1:]:
        incident.add(each)
    for mac, client in others:
        sender = of_mac(mac).sender
        assert sender is not None
        senders.add(sender._replace(client=str(client)), 5)
    written: list[tuple[str, object]] = []
    shared = SharedValues(lambda kind, value: written.append((kind, value)))
    state = loads(dumps(incident_state(incident, shared)))
    again = SharedValues()
    for kind, value in written:
        again.add(kind, loads(dumps(value)))
    restored = restored_incident(state, GAP, again)
    table = SenderTable.restored(loads(dumps(senders.state())))
    for left, right in ((incident, restored), (incident.settled(senders), restored.settled(table))):
        assert left.alert("rule", None, SENSOR) == right.alert("rule", None, SENSOR)


def test_a_router_sends_for_many_clients() -> None:
    table = SenderTable()
    for number in range(MANY_CLIENTS - 1):
        table.add(Sender("02:00:00:00:00:01", f"10.20.0.{number}"), number)
    assert not table.is_router("02:00:00:00:00:01")
    table.add(Sender("02:00:00:00:00:01", "10.20.0.0"), 7)
    assert not table.is_router("02:00:00:00:00:01")
    table.add(Sender("02:00:00:00:00:01", "10.20.9.9"), 8)
    assert table.is_router("02:00:00:00:00:01")
    table.forget(7)
    assert not table.is_router("02:00:00:00:00:01")
    table.forget(9)
    assert len(table) == 0


def test_tables_have_limits() -> None:
    table = SenderTable(limit=2)
    for mac in ("c", "b", "d", "a"):
        table.add(Sender(mac, "10.20.0.1"), 1)
    assert (sorted(mac for (mac, _), _ in table), table.dropped) == (["a", "b"], 2)
    incident = Incident.of(two_names(0), GAP)
    for number in range(1, 2 * CONTRADICTION_LIMIT):
        incident.add(two_names(number))
        incident.add(of_mac(number))
    alert = incident.alert("rule", None, SENSOR)
    assert len(alert.contradictions) == CONTRADICTION_LIMIT
    assert alert.extra["left_out"]["contradictions"] > CONTRADICTION_LIMIT
    assert len(incident.contradictions.by_sender) == CONTRADICTING_SENDERS
