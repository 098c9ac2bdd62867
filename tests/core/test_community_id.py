"""Community IDs, by the definition and of rows, in both forms."""

from dataclasses import replace
from typing import Any, Literal

import communityid
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.made_batches import ADDRESSES, PORTS
from support.made_records import BARE
from support.observing import batch_of

from netwatch.core.community_id import community_id
from netwatch.formats.observation_lines import ObservationLines
from netwatch.formats.quoted_texts import JSON

FLOWS = st.tuples(ADDRESSES, ADDRESSES, PORTS, PORTS, st.sampled_from(["tcp", "udp"]))


def peer(src, dst, sport, dport, proto, seed):
    flow = communityid.FlowTuple(proto, src, dst, sport, dport)
    return communityid.CommunityID(seed=seed).calc(flow)


def test_a_known_flow():
    # 128.232.110.120:34855 to 66.35.250.204:80, the example of the specification.
    src, dst = bytes([128, 232, 110, 120]), bytes([66, 35, 250, 204])
    assert community_id(src, dst, 34855, 80, 6) == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="


@pytest.mark.parametrize("proto", [6, 17, 132])
@given(
    ends=st.sampled_from([4, 16]).flatmap(
        lambda size: st.tuples(*[st.binary(min_size=size, max_size=size)] * 2)
    ),
    sport=PORTS,
    dport=PORTS,
    seed=PORTS,
)
def test_agrees_with_the_specification_s_package(proto, ends, sport, dport, seed):
    src, dst = ends
    mine = community_id(src, dst, sport, dport, proto, seed)
    assert mine == peer(src, dst, sport, dport, proto, seed)
    assert mine == community_id(dst, src, dport, sport, proto, seed)


@given(sport=PORTS, dport=PORTS)
def test_one_address_on_both_sides_is_ordered_by_port(sport, dport):
    here = bytes([10, 0, 0, 1])
    mine = community_id(here, here, sport, dport, 6)
    assert mine == peer(here, here, sport, dport, 6, 0)
    assert mine == community_id(here, here, dport, sport, 6)


def flow(client: bytes, server: bytes, port: int, at: int, transport: Literal["tcp", "udp"]) -> Any:
    return replace(
        BARE,
        client_ip=client,
        server_ip=server,
        client_port=port,
        server_port=at,
        transport=transport,
    )


@pytest.mark.parametrize("native", [False, True], ids=["own code", "as the processor can"])
@given(flows=st.lists(FLOWS, min_size=1, max_size=8), data=st.data())
@settings(deadline=None)
def test_each_flow_has_its_id_whatever_was_before(
    native: bool, flows: list[Any], data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(flows), min_size=1, max_size=20))
    out: list[str] = []
    lines = ObservationLines(JSON)
    ids = lines.community_ids
    ids.native = native and ids.native
    lines.write(batch_of(*(flow(*each) for each in chosen)), out.append)
    for line, (*addresses_and_ports, transport) in zip(
        "".join(out).splitlines(), chosen, strict=True
    ):
        expected = community_id(*addresses_and_ports, 6 if transport == "tcp" else 17)
        assert f'"community_id":"{expected}"' in line


def test_flows_of_one_place_of_the_cache_replace_each_other() -> None:
    flows = [
        (BARE.client_ip, BARE.server_ip, 1024 + (number % 3 << 12) // 7, 53 + number % 5, "udp")
        for number in range(5000)
    ]
    out: list[str] = []
    ObservationLines(JSON).write(batch_of(*(flow(*each) for each in flows)), out.append)
    found = [line.split('"community_id":"')[1][:30] for line in "".join(out).splitlines()]
    assert found == [community_id(*each[:4], 17) for each in flows]
