"""Packets that agents sample, over a socket of loopback."""

import socket
from contextlib import closing

import pytest
from support.sflow_datagrams import datagram, raw, sample

from netwatch.capture import sflow_source
from netwatch.capture.sflow_source import SflowSource
from netwatch.core.errors import CaptureError


@pytest.fixture
def source():
    with closing(SflowSource(["127.0.0.1:0"])) as opened:
        yield opened


def sent(source, *datagrams):
    """The blocks with packets that these datagrams give."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        for each in datagrams:
            sender.sendto(each, ("127.0.0.1", source.ports[0]))
    # It reads what is there, and ends.
    source.stop()
    return [block for block in source.blocks() if block.count]


def test_packets(source):
    (block,) = sent(source, datagram(sample(raw(b"abcde"), raw(b"fg", protocol=11))))
    assert bytes(block.data) == b"abcdefg"
    assert list(block.records[1:6]) == [0, 5, 1500, 0, -1]
    assert list(block.records[7:12]) == [5, 2, 1500, 1, -1]
    assert [each.link_type for each in block.interfaces] == [1, 101]
    assert source.received == 2


def test_rate_is_noted_once(source):
    sent(source, *(datagram(sample(raw(b"x"), rate=512), sequence=each) for each in range(3)))
    (note,) = source.notes
    assert "192.0.2.9 samples one packet of 512" in note


def test_packets_of_each_rate_are_a_block(source):
    samples = [
        sample(raw(b"ab"), rate=512),
        sample(raw(b"c"), rate=64),
        sample(raw(b"d"), rate=512),
    ]
    blocks = sent(source, datagram(*samples))
    assert [(each.sampling, bytes(each.data), each.count) for each in blocks] == [
        (512, b"abd", 2),
        (64, b"c", 1),
    ]
    assert [(each.first, each.position) for each in blocks] == [(1, 3), (3, 4)]


def test_too_many_rates_count_as_the_greatest(source):
    samples = [sample(raw(b"x"), rate=each) for each in range(2, 40)]
    (block,) = sent(source, datagram(*samples))
    assert (block.sampling, block.count) == (39, 38)


def test_every_packet_is_no_sampling(source):
    sent(source, datagram(sample(raw(b"x"), rate=1)))
    assert not source.notes


def test_datagrams_that_did_not_arrive(source):
    sent(source, *(datagram(sequence=each) for each in (7, 8, 12, 13)))
    assert (source.dropped, source.events["sflow-datagrams-lost"]) == (3, 3)


def test_numbers_of_a_restarted_agent_are_no_loss(source):
    sent(source, *(datagram(sequence=each) for each in (1 << 30, 1, 2)))
    assert source.dropped == 0


def test_samples_that_the_agent_dropped(source):
    dropped = (100, 100, 104)
    sent(
        source,
        *(
            datagram(sample(raw(b"x"), drops=each), sequence=number)
            for number, each in enumerate(dropped)
        ),
    )
    # What it had dropped before nobody knows here.
    assert source.dropped == 4


def test_agents_have_a_limit(source, monkeypatch):
    monkeypatch.setattr(sflow_source, "MAX_AGENTS", 2)
    sent(source, *(datagram(agent=bytes([192, 0, 2, each])) for each in range(5)))
    assert source.events["sflow-agents-full"] == 3


def test_garbage_is_counted(source):
    assert not sent(source, b"", b"garbage" * 10, datagram(version=4))
    assert source.events["sflow-cut"] + source.events["sflow-version"] == 3


@pytest.mark.parametrize("text", ["eth0", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "[::1]"])
def test_address_is_expected(text):
    with pytest.raises(CaptureError, match=r"expected an address and a port"):
        SflowSource([text])


def test_address_in_use(source):
    with pytest.raises(CaptureError, match="cannot listen"):
        SflowSource([f"127.0.0.1:{source.ports[0]}"])


class Agents:
    """The agents of a configuration, by their address."""

    def __init__(self, **known):
        self.known = known

    def of(self, sender):
        return self.known.get(sender)


class Agent:
    sampling = None

    def __init__(self, sampling=None):
        self.sampling = sampling


def test_unknown_agents_are_refused_counted_and_named():
    with closing(SflowSource(["127.0.0.1:0"], Agents(**{"192.0.2.1": Agent()}))) as opened:
        sent(opened, datagram(sample(raw(b"x"))), datagram(sample(raw(b"x"))))
        assert (opened.received, opened.events["exporter-unknown"]) == (0, 2)
        (note,) = opened.notes
        assert "127.0.0.1 is none of the 'exporters'" in note


def test_the_configuration_says_how_an_agent_samples():
    with closing(SflowSource(["127.0.0.1:0"], Agents(**{"127.0.0.1": Agent(64)}))) as opened:
        (block,) = sent(opened, datagram(sample(raw(b"x"), rate=1)))
        assert opened.sampling == block.sampling == 64
        (note,) = opened.notes
        assert "samples one packet of 64" in note


def test_another_configuration_knows_other_agents(source):
    source.reload(Agents())
    assert not sent(source, datagram(sample(raw(b"x"))))
    assert source.events["exporter-unknown"] == 1


def test_that_all_may_send_is_said():
    with closing(SflowSource(["0.0.0.0:0"])) as opened:
        (note,) = opened.notes
        assert "packets of all agents are taken" in note
    with closing(SflowSource(["0.0.0.0:0"], Agents())) as opened:
        assert not opened.notes
