import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.sflow_datagrams import AGENT, datagram, raw, sample

from netwatch.capture import sflow
from netwatch.core.errors import ParseError


@pytest.mark.parametrize("kind", [1, 3])
@pytest.mark.parametrize("agent", [AGENT, bytes(15) + b"\1"], ids=["ipv4", "ipv6"])
def test_samples(kind, agent):
    found = sflow.read(datagram(sample(raw(b"abcde"), kind=kind, drops=3), agent=agent))
    assert (found.agent, found.domain, found.sequence, found.dropped) == (agent, 7, 42, ((3, 3),))
    assert found.packets == (sflow.SampledPacket(1, 1500, b"abcde", 512),)


def test_other_samples_and_records_are_skipped():
    counters = struct.pack(">II", 2, 8) + bytes(8)
    other = struct.pack(">II", 1001, 16) + bytes(16)
    found = sflow.read(datagram(counters, sample(other, raw(b"x")), sample(raw(b"y", protocol=11))))
    assert [(each.link_type, each.head) for each in found.packets] == [(1, b"x"), (101, b"y")]


def test_unread_link_types_are_counted():
    found = sflow.read(datagram(sample(raw(b"x", protocol=4), raw(b"y"))))
    assert (len(found.packets), found.unread) == (1, 1)


@pytest.mark.parametrize(
    ("data", "anomaly"),
    [
        (b"", "sflow-cut"),
        (datagram(version=4), "sflow-version"),
        (datagram(agent=bytes(7)), "sflow-cut"),
        (datagram(sample(raw(b"abcdefgh")))[:-4], "sflow-cut"),
        (datagram(sample(raw(b"ab")[:8] + struct.pack(">4I", 1, 1, 1, 99) + b"abcd")), "sflow-cut"),
    ],
)
def test_no_datagram(data, anomaly):
    with pytest.raises(ParseError) as error:
        sflow.read(data)
    assert error.value.anomaly == anomaly


@examples(500)
@given(st.binary(max_size=120), st.integers(0, 200))
def test_garbage(data, cut):
    whole = datagram(sample(raw(b"abcde")), sample(raw(b"xyz"), kind=3))
    for each in (data, whole[:cut], whole[:cut] + data):
        with suppress(ParseError):
            sflow.read(each)
