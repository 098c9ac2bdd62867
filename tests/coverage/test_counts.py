"""Counts add up to the flows seen, in any order, however many counted, within bounds."""

import pickle
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from support.made_flows import BYOD, HQ, flow

from netwatch.core.verdict import Network
from netwatch.coverage.counts import Coverage, Share
from netwatch.coverage.readings import READINGS, Reading
from netwatch.coverage.survey import CACHE_LIMIT, Survey

Seen = tuple[Network | None, str, Reading]

SEEN = st.tuples(
    st.sampled_from([HQ, BYOD, None]),
    st.sampled_from([f"10.20.1.{n}" for n in range(9)]),
    st.sampled_from(READINGS),
)


def counted(flows: list[Seen], limit: int = 20_000) -> Coverage:
    coverage = Coverage(limit)
    for seen in flows:
        coverage.add(*seen)
    return coverage


@given(st.lists(SEEN, max_size=60), st.integers(1, 12))
def test_counts_add_up_to_the_flows(flows: list[Seen], limit: int) -> None:
    report = counted(flows, limit).report(0, {})
    assert report.total.flows == len(flows)
    assert report.total.counts == Counter(told for _, _, told in flows)
    inside = sum(network.total.flows for network in report.networks)
    assert inside + report.outside.flows == len(flows)
    for network in report.networks:
        parts = [*(share for _, share in network.devices), network.rest]
        assert Share.sum(parts) == network.total
        names = [place.name for place, *_ in flows if place]
        assert network.total.flows == names.count(network.name)
    assert sum(len(network.devices) for network in report.networks) <= limit


@given(st.lists(SEEN, max_size=60), st.integers(1, 12), st.randoms(), st.integers(0, 60))
def test_neither_order_nor_sharing_matters(
    flows: list[Seen], limit: int, random: object, cut: int
) -> None:
    shuffled = list(flows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    whole = counted(flows, limit).report(3, {"payload-cut": 1})
    merged = Coverage(limit)
    for part in (shuffled[:cut], shuffled[cut:]):
        merged.merge(pickle.loads(pickle.dumps(counted(part, limit))))
    assert merged.report(3, {"payload-cut": 1}) == whole


def test_a_device_counts_all_its_flows_or_none() -> None:
    flows: list[Seen] = [(HQ, device, "named") for device in "cbacbd"]
    (network,) = counted(flows, 2).report(0, {}).networks
    assert network.devices == (("a", Share({"named": 1})), ("b", Share({"named": 2})))
    assert network.rest == Share({"named": 3})


def test_a_share_tells_its_parts() -> None:
    share = Share({"named": 199, "ech": 1})
    assert (share.flows, share.named, share.unnamed, share.percent) == (200, 199, {"ech": 1}, 99)
    assert Share({}).percent == 0


def test_what_was_lost_before_it_became_a_flow() -> None:
    anomalies = {
        "payload-cut": 3,
        "ip-header-cut": 1,
        "wlan-protected": 4,
        "encrypted-ip": 2,
        "tcp-retransmission": 9,
    }
    report = Coverage().report(100, anomalies)
    assert (report.packets, report.cut) == (100, 4)
    assert report.unreadable == {"encrypted-ip": 2, "wlan-protected": 4}


def test_a_survey_asks_for_each_client_once() -> None:
    asked: list[tuple[bytes, int | None]] = []

    def locate(
        ip: bytes, vlan: int | None, mac: bytes | None, time: int
    ) -> tuple[Network | None, str]:
        asked.append((ip, vlan))
        return (HQ, "ws-1") if ip[0] == 10 else (None, "far")

    coverage = Coverage()
    survey = Survey(coverage, locate, {bytes([203, 0, 113, 53]): "encrypted-dns"}.get)
    for each in (
        flow(name_status="named"),
        flow(server="203.0.113.53"),
        flow("198.51.100.7", "10.20.1.7"),
        flow("203.0.113.10", "10.20.1.7", transport="udp", client_port=51820, server_port=40000),
    ):
        survey.add(each)
    assert len(asked) == 2
    report = coverage.report(4, {})
    (network,) = report.networks
    assert network.devices == (("ws-1", Share({"named": 1, "encrypted-dns": 1, "vpn": 1})),)
    assert report.outside == Share({"no-hello": 1})


def test_a_survey_asks_for_each_flow_where_places_do_not_last() -> None:
    def locate(
        ip: bytes, vlan: int | None, mac: bytes | None, time: int
    ) -> tuple[Network | None, str]:
        return HQ, f"at-{time}"

    coverage = Coverage()
    learned: set[bytes] = set()
    survey = Survey(coverage, locate, lambda ip: None, lambda ip, vlan: ip not in learned)
    client = flow().client_ip, None, None
    for first in (1, 2):
        survey.add(flow(name_status="named", first=first))
    survey.add_named(client, [3, 4])
    learned.add(client[0])
    survey.add(flow(name_status="named", first=5))
    survey.add_named(client, [6, 6, 7])
    (network,) = coverage.report(9, {}).networks
    assert [(id, share.flows) for id, share in network.devices] == [
        ("at-1", 4),
        ("at-5", 1),
        ("at-6", 2),
        ("at-7", 1),
    ]


def test_clients_are_remembered_within_bounds() -> None:
    survey = Survey(Coverage(), lambda ip, vlan, mac, time: (None, ""), lambda ip: None)
    for vlan in range(CACHE_LIMIT + 1):
        survey.add(flow(vlan=vlan))
    assert len(survey._places) == 1
