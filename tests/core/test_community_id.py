import communityid
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.community_id import community_id

PORTS = st.integers(0, 65535)


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
