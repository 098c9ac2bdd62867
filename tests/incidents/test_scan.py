"""Any number of incidents, the same whether they fit into memory or not."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.alerts import frame
from support.contacts import GAP, NOON, SENSOR, contact

from netwatch.core.errors import NetwatchError
from netwatch.core.verdict import Contact
from netwatch.formats import jsonl
from netwatch.incidents import scan
from netwatch.incidents.contacts import ContactProgress
from netwatch.incidents.scan import ScanIncidents

BYTES = {7: (100, 2000), 8: (1, 0), 9: (0, 50)}
"""Payload of the flow of a contact, by the number of its device."""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def collect(incidents: ScanIncidents, contacts: Sequence[Contact]) -> None:
    for each in contacts:
        incidents.add(each)
    for each in contacts:
        sent, received = BYTES[int(each.device.id.removeprefix("laptop-"))]
        incidents.add_progress(each, ContactProgress(each.observation.time, sent, received, NOON))


def outcome(incidents: ScanIncidents) -> tuple[object, ...]:
    result = incidents.result(None, SENSOR)
    alerts = list(result.alerts)
    assert list(result.alerts) == alerts
    records = [json.dumps(jsonl.alert_record(alert)) for alert in alerts]
    frames = [alert.evidence_frames for alert in alerts]
    return records, frames, result.by_verdict, result.recorded, result.limits


contacts = st.lists(
    st.builds(
        contact,
        at=st.integers(0, 20).map(lambda n: n * 600),
        evidence=st.sampled_from(["dns-query", "tls-sni", "ip-from-dns"]),
        name=st.sampled_from(["a.tiktok.com", "b.tiktok.com"]),
        who=st.integers(7, 9),
        app=st.sampled_from(["tiktok", "capcut"]),
        kind=st.sampled_from(["violation", "exempt", None]),
        frames=st.sampled_from([(), (frame(1, 90),), (frame(2, 50),)]),
        packet=st.integers(1, 9),
        flow=st.integers(1, 6),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(data=st.data())
def test_neither_order_nor_limits_nor_parts_change_the_outcome(data: st.DataObject) -> None:
    made = data.draw(contacts)
    whole = ScanIncidents(GAP)
    collect(whole, made)
    expected = outcome(whole)
    shuffled = data.draw(st.permutations(made))
    parts = data.draw(st.lists(st.integers(0, 2), min_size=len(made), max_size=len(made)))
    limit, size = data.draw(st.integers(1, 5)), data.draw(st.integers(100, 400))
    with ScanIncidents(GAP, limit=limit, evidence_bytes=size) as merged:
        workers = [
            ScanIncidents(GAP, merged.folder, limit=limit, evidence_bytes=size) for _ in range(3)
        ]
        for number, worker in enumerate(workers):
            mine = [each for each, part in zip(shuffled, parts, strict=True) if part == number]
            collect(worker, mine)
        for worker in data.draw(st.permutations(workers)):
            merged.merge(pickle.loads(pickle.dumps(worker)))
        assert outcome(merged) == expected


def test_incidents_beyond_the_limit_are_written_to_disk_and_deleted(temporary: Path) -> None:
    with ScanIncidents(GAP, limit=10) as incidents:
        for number in range(95):
            incidents.add(contact(who=number))
        (folder,) = temporary.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600] * 10
        result = incidents.result(None, SENSOR)
        alerts = list(result.alerts)
        assert sorted(int(alert.device.id.removeprefix("laptop-")) for alert in alerts) == [
            *range(95)
        ]
        assert [alert.id for alert in alerts] == sorted(alert.id for alert in alerts)
        assert result.by_verdict == {"violation": 95}
        assert result.limits == {}
    assert list(temporary.iterdir()) == []


def test_nothing_is_written_where_all_incidents_fit(temporary: Path) -> None:
    with ScanIncidents(GAP, limit=10) as incidents:
        for number in range(10):
            incidents.add(contact(who=number))
        assert len(list(incidents.result(None, SENSOR).alerts)) == 10
        assert list(temporary.iterdir()) == []


def test_payload_of_incidents_on_disk_is_bounded_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "LATE_PROGRESS_LIMIT", 3)
    with ScanIncidents(GAP, limit=1) as incidents:
        first = contact(who=7)
        incidents.add(first)
        incidents.add(contact(who=8))
        for _ in range(10):
            incidents.add_progress(first, ContactProgress(first.observation.time, 5, 7, NOON))
            assert len(incidents._late) < 3
        counts = {a.device.id: a.counts for a in incidents.result(None, SENSOR).alerts}
    assert (counts["laptop-7"].bytes_out, counts["laptop-7"].bytes_in) == (50, 70)
    assert counts["laptop-8"].bytes_out == 0


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(temporary: Path) -> None:
    temporary.rmdir()
    with ScanIncidents(GAP, limit=1) as incidents:
        incidents.add(contact(who=1))
        with pytest.raises(NetwatchError, match=r"netwatch-.*No such file.*TMPDIR"):
            incidents.add(contact(who=2))
