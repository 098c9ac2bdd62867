"""An incident that was written and read again is the one that was written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.alerts import frame
from support.contacts import GAP, NOON, SENSOR, contact

from netwatch.core import typed_json
from netwatch.core.verdict import Contact
from netwatch.formats import jsonl
from netwatch.incidents.contacts import ContactProgress
from netwatch.incidents.incident import Incident
from netwatch.incidents.incident_state import SharedValues, incident_state, restored_incident

contacts = st.builds(
    contact,
    at=st.integers(0, 20).map(lambda n: n * 600),
    evidence=st.sampled_from(["dns-query", "dns-answer", "tls-sni", "ip-from-dns"]),
    name=st.sampled_from(["a.tiktok.com", "b.tiktok.com"]),
    who=st.just(7),
    frames=st.sampled_from([(), (frame(1, 90),), (frame(2, 50),)]),
    packet=st.integers(1, 9),
    flow=st.integers(1, 6),
)


def incident_of(made: list[Contact]) -> Incident:
    incident = Incident.of(made[0], GAP)
    for number, each in enumerate(made):
        if number:
            incident.add(each)
        progress = ContactProgress(each.observation.time, number, 7, NOON, "silent", "reached", 1)
        bans = frozenset({"be"}) if number % 3 == 2 else None
        incident.add_progress(each, progress, bans)
    return incident


def written_and_read(incident: Incident) -> Incident:
    definitions: list[tuple[str, bytes]] = []
    writing = SharedValues(lambda kind, value: definitions.append((kind, typed_json.dumps(value))))
    text = typed_json.dumps(incident_state(incident, writing))
    reading = SharedValues()
    for kind, value in definitions:
        reading.add(kind, typed_json.loads(value))
    return restored_incident(typed_json.loads(text), GAP, reading)


def reported(incident: Incident) -> object:
    (ruling,) = incident.first_contact.decision.rulings
    alert = incident.alert(ruling.ban.id, None, SENSOR)
    return (
        jsonl.alert_record(alert),
        alert.evidence_frames,
        incident.named_order,
        incident.left_out,
    )


@settings(deadline=None)
@given(st.lists(contacts, min_size=1, max_size=12), st.lists(contacts, min_size=1, max_size=6))
def test_an_incident_is_the_same_after_it_was_read(
    made: list[Contact], further: list[Contact]
) -> None:
    again = written_and_read(incident_of(made))
    assert reported(again) == reported(incident_of(made))
    expected = incident_of(made)
    expected.merge(incident_of(further))
    again.merge(written_and_read(incident_of(further)))
    assert reported(again) == reported(expected)
    under = frozenset({"be"})
    assert reported(again.under(under)) == reported(expected.under(under))


def test_a_source_whose_name_is_no_text_is_kept() -> None:
    made = contact(source="caf\udce9.pcap")
    assert reported(written_and_read(Incident.of(made, GAP))) == reported(Incident.of(made, GAP))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("tables"),
        lambda state: state["contacts"].clear(),
        lambda state: state["contacts"][0].__setitem__(1, 5),
        lambda state: state["contacts"][0].__setitem__(1, -1),
        lambda state: state["contacts"][0][0].__setitem__(0, "noon"),
        lambda state: state["counts"].__setitem__(0, 1.5),
        lambda state: state["tables"]["names"]["items"].append(7),
        lambda state: state["origins"]["packets"]["totals"].__setitem__("tallies", {"won": 1}),
    ],
)
def test_what_is_no_incident_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    definitions: list[tuple[str, bytes]] = []
    writing = SharedValues(lambda kind, value: definitions.append((kind, typed_json.dumps(value))))
    incident = Incident.of(contact(), GAP)
    state = typed_json.loads(typed_json.dumps(incident_state(incident, writing)))
    reading = SharedValues()
    for kind, value in definitions:
        reading.add(kind, typed_json.loads(value))
    restored_incident(state, GAP, reading)
    change(state)
    with pytest.raises((*typed_json.MISMATCHES, IndexError)):
        restored_incident(state, GAP, reading)
