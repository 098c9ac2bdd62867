"""The packets of an incident, whoever gathered them and in whatever order."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.alerts import ALERT, BAN, SECOND, frame

from netwatch.core.alert import Sensor
from netwatch.core.flow import EvidenceFrames
from netwatch.core.message import Observation
from netwatch.core.verdict import Contact, Decision, Match, Ruling
from netwatch.incidents.aggregate import Incidents
from netwatch.incidents.bounded_table import MemoryBudget
from netwatch.incidents.evidence_frames import INTERVAL_LIMIT, NAME_LIMIT, IncidentFrames

GAP = 60 * SECOND


def contact(number: int, kind: str = "tls-sni", name: str = "www.tiktok.com") -> Contact:
    """A contact in the packet of this number, `number` seconds after the start."""
    packet = frame(number)
    seen = Observation(
        time=packet.time,
        time_digits=9,
        evidence=kind,
        name=name,
        client_ip=b"\x0a\x14\1\7",
        client_port=50000,
        client_mac=None,
        server_ip=b"\xcb\0\x71\x0a",
        server_port=443,
        transport="tcp",
        vlan=None,
        source=packet.source,
        packet=number,
        frames=(packet,),
    )
    sure = {"tls-sni": "confirmed", "dns-query": "probable", "ip-from-dns": "possible"}[kind]
    decision = Decision.of((Ruling(BAN, "violation"),))
    match = Match(ALERT.app, "suffix tiktok.com", "exclusive")
    return Contact(seen, match, ALERT.device, ALERT.network, decision, sure)


def numbers(proofs: IncidentFrames) -> list[int]:
    return [each.packet for each in proofs]


def gathered(contacts: list[Contact]) -> IncidentFrames:
    proofs = IncidentFrames(GAP)
    for each in contacts:
        proofs.add(each)
    return proofs


def test_the_first_contact_goes_before_the_strongest() -> None:
    proofs = gathered([contact(9), contact(5, "dns-query"), contact(7, "ip-from-dns")])
    assert numbers(proofs) == [5, 9, 7]


def test_of_repetitions_the_first_and_those_that_bridge_the_quiet_gap_stay() -> None:
    proofs = gathered([contact(number) for number in range(1, 200)])
    kept = sorted(numbers(proofs))
    assert (kept[0], kept[-1]) == (1, 199)
    assert len(kept) <= 2 * (199 // 60 + 2)
    assert all(later - earlier <= 60 for earlier, later in pairwise(kept))


@pytest.mark.parametrize("limit", ["names", "time"])
def test_the_selection_is_bounded(limit: str) -> None:
    proofs = IncidentFrames(GAP)
    most = 2 * INTERVAL_LIMIT + NAME_LIMIT
    for number in range(4 * most):
        name = f"n{number:05}.tiktok.com" if limit == "names" else "www.tiktok.com"
        packet = contact(1 if limit == "names" else 61 * number, name=name)
        proofs.add(packet)
    assert len(numbers(proofs)) <= most


@given(
    st.lists(
        st.tuples(
            st.integers(1, 400),
            st.sampled_from(("tls-sni", "dns-query", "ip-from-dns")),
            st.sampled_from("abc"),
        ),
        max_size=40,
    ),
    st.data(),
)
def test_neither_order_nor_merging_changes_the_selection(steps: list, data: st.DataObject) -> None:
    contacts = [contact(*step) for step in steps]
    shuffled = data.draw(st.permutations(contacts))
    cut = data.draw(st.integers(0, len(contacts)))
    first, second = gathered(shuffled[:cut]), gathered(shuffled[cut:])
    first.merge(second)
    assert list(first) == list(gathered(contacts))


def alerts(found: Incidents) -> list[tuple[EvidenceFrames, ...]]:
    return [alert.evidence_frames for alert in found.alerts(None, Sensor("here", "0"))]


def test_beyond_the_budget_contacts_count_without_packets() -> None:
    found = Incidents(GAP, evidence_bytes=250)
    for number in range(1, 6):
        found.add(contact(number, name=f"n{number}.tiktok.com"))
    (reported,) = found.alerts(None, Sensor("here", "0"))
    assert reported.counts.handshakes == 5
    assert [each.packet for each in reported.evidence_frames] == [1, 2]
    assert found.limits == {"incident-proof": 3}


def test_beyond_the_budget_incidents_merge_without_packets() -> None:
    found, other = Incidents(GAP, evidence_bytes=150), Incidents(GAP)
    found.add(contact(1))
    other.add(contact(1000))
    found.merge(other)
    assert [len(each) for each in alerts(found)] == [1, 0]
    assert found.limits == {"incident-proof": 1}


def test_replaced_packets_free_the_budget() -> None:
    """Each contact is earlier than all before, and takes the place of the last but one."""
    found = Incidents(GAP, evidence_bytes=1000)
    for number in range(59, 0, -1):
        found.add(contact(number))
    ((*proofs,),) = alerts(found)
    assert min(each.packet for each in proofs) == 1
    assert found.frames_dropped == 0


def test_the_budget_is_measured_again_only_when_needed() -> None:
    asked = []

    def held() -> int:
        asked.append(1)
        return 500

    budget = MemoryBudget(held, limit=1600)
    assert [budget.reserve(400) for _ in range(4)] == [True] * 4
    assert asked == []
    assert budget.reserve(400)
    assert len(asked) == 1
    assert budget.reserve(700)
    assert budget.reserve(1)
    assert len(asked) == 2


def test_an_exhausted_budget_is_not_measured_for_every_packet() -> None:
    asked = []

    def held() -> int:
        asked.append(1)
        return 1600

    budget = MemoryBudget(held, limit=1600)
    assert budget.reserve(1600)
    assert [budget.reserve(10) for _ in range(21)] == [False] * 21
    assert len(asked) == 2


def test_incidents_have_packets_only_in_their_frames() -> None:
    found = Incidents(GAP)
    found.add(contact(1))
    ((incident,),) = found._incidents.values()
    assert incident.first_contact.observation.frames == ()
    assert incident.first_contact == replace(contact(1))
