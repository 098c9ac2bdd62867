"""Bans that say the same share their incidents: the alerts are those of each ban by itself."""

import json
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.alerts import frame
from support.contacts import BAN, GAP, NOON, SECOND, SENSOR, contact

from netwatch.core.verdict import Contact, Decision, Exemption, Ruling
from netwatch.formats import jsonl
from netwatch.incidents import origin_counts
from netwatch.incidents.aggregate import Incidents, under_each_ban
from netwatch.incidents.contacts import ContactProgress
from netwatch.incidents.scan import ScanIncidents

BANS = [
    replace(BAN, id="city", severity="high"),
    replace(BAN, id="region", severity="low", min_confidence="confirmed"),
    replace(BAN, id="state", severity="critical", min_confidence="possible"),
    replace(BAN, id="union", severity="medium"),
]
LEAVE = Exemption("state", "laptop-7", None, None, "research", "CISO")
Step = tuple[Contact, ContactProgress | None, frozenset[str] | None]

rulings = st.lists(
    st.tuples(st.sampled_from(BANS), st.sampled_from(["violation", "advisory", "exempt"])),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each[0].id,
).map(
    lambda said: tuple(Ruling(ban, kind, LEAVE if kind == "exempt" else None) for ban, kind in said)
)
progress = st.builds(
    ContactProgress,
    time=st.just(0),
    bytes_out=st.integers(0, 3000),
    bytes_in=st.integers(0, 50_000),
    last=st.integers(0, 9000).map(lambda n: NOON + n * SECOND),
    was=st.just("silent"),
    now=st.sampled_from(["reached", "blocked", "unknown", "attempted"]),
    contacts=st.integers(0, 1),
)


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Contacts, some with what became of them, for all of their bans or for some."""
    said = draw(st.lists(rulings, min_size=1, max_size=3))
    made: list[Step] = []
    for number in range(draw(st.integers(1, 14))):
        one = contact(
            at=draw(st.integers(0, 20)) * 600,
            evidence=draw(st.sampled_from(["dns-query", "tls-sni", "ip-from-dns"])),
            name=draw(st.sampled_from(["a.tiktok.com", "b.tiktok.com"])),
            role=draw(st.sampled_from(["exclusive", "vendor"])),
            who=draw(st.integers(7, 8)),
            packet=number,
            flow=draw(st.integers(1, 3)),
            frames=draw(st.sampled_from([(), (frame(number, 90),)])),
        )
        one = replace(one, decision=Decision.of(draw(st.sampled_from(said))))
        became = draw(st.none() | progress)
        if became is not None:
            became = replace(became, time=one.observation.time)
        ids = sorted(each.ban.id for each in one.decision.rulings)
        some = draw(st.none() | st.sets(st.sampled_from(ids), min_size=1).map(frozenset))
        made.append((one, became, some))
    return made


def take(incidents: Incidents | ScanIncidents, made: Iterable[Step]) -> None:
    made = list(made)
    for one, _, _ in made:
        incidents.add(one)
    for one, became, some in made:
        if became is not None:
            incidents.add_progress(one, became, some)


def one_by_one(made: Sequence[Step]) -> list[Step]:
    """The same under each ban by itself, as if there were no other."""
    return [
        (under, became if some is None or under.decision.rulings[0].ban.id in some else None, None)
        for one, became, some in made
        for under in under_each_ban(one)
    ]


def outcome(incidents: Incidents | ScanIncidents) -> tuple[object, ...]:
    if isinstance(incidents, Incidents):
        found: Any = incidents.found(None, SENSOR)
    else:
        found = incidents.result(None, SENSOR)
    alerts, counts = list(found.alerts), (found.by_verdict, found.recorded, found.limits)
    records = [json.dumps(jsonl.alert_record(alert)) for alert in alerts]
    return records, [alert.evidence_frames for alert in alerts], counts


@settings(deadline=None)
@given(data=st.data())
def test_shared_incidents_give_the_alerts_of_each_ban(data: st.DataObject) -> None:
    made = data.draw(steps())
    expected = Incidents(GAP)
    take(expected, one_by_one(made))
    shared = Incidents(GAP)
    take(shared, data.draw(st.permutations(made)))
    assert outcome(shared) == outcome(expected)
    assert outcome(shared) == outcome(expected), "asking changes nothing"


@settings(deadline=None)
@given(data=st.data())
def test_parts_on_disk_and_of_several_processes_change_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = data.draw(steps())
    expected = Incidents(GAP)
    take(expected, one_by_one(made))
    limit = data.draw(st.integers(1, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("spill")))
        with ScanIncidents(GAP, limit=limit) as merged:
            workers = [ScanIncidents(GAP, merged.folder, limit=limit) for _ in range(2)]
            for number, step in enumerate(made):
                take(workers[number % 2], [step])
            for worker in data.draw(st.permutations(workers)):
                merged.merge(pickle.loads(pickle.dumps(worker)))
            assert outcome(merged) == outcome(expected)


def test_many_bans_are_one_incident_in_memory() -> None:
    bans = [replace(BAN, id=f"ban-{number}") for number in range(200)]
    shared = Incidents(GAP)
    for number in range(20):
        shared.add(contact(number, more=tuple(bans)))
    assert shared.count == 1
    found = shared.alerts(None, SENSOR)
    assert {alert.ban.id for alert in found} == {"rule", *(ban.id for ban in bans)}
    assert len({alert.id for alert in found}) == 201
    assert {alert.counts.handshakes for alert in found} == {20}


def test_what_became_of_contacts_for_too_many_sets_of_bans_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(origin_counts, "PARTIAL_LIMIT", 1)
    one = contact(0, more=(BANS[0], BANS[1]))
    shared = Incidents(GAP)
    shared.add(one)
    for ban in ("city", "region", "city"):
        became = ContactProgress(NOON, 10, 20, NOON)
        shared.add_progress(one, became, frozenset({ban}))
    by_ban = {alert.ban.id: alert for alert in shared.alerts(None, SENSOR)}
    assert (by_ban["city"].counts.bytes_out, by_ban["rule"].counts.bytes_out) == (20, 0)
    assert by_ban["city"].extra["left_out"] == {"progress": 1}


def test_an_incident_of_two_parts_has_the_exemption_of_the_first() -> None:
    exempt = Decision.of((Ruling(BANS[2], "exempt", LEAVE), Ruling(BAN, "violation")))
    other = replace(LEAVE, reason="another")
    later = Decision.of((Ruling(BANS[2], "exempt", other), Ruling(BANS[0], "violation")))
    shared = Incidents(GAP)
    shared.add(replace(contact(60), decision=later))
    shared.add(replace(contact(0), decision=exempt))
    (alert,) = [each for each in shared.alerts(None, SENSOR) if each.ban.id == "state"]
    assert alert.counts.handshakes == 2
    assert alert.exemption == LEAVE
