"""QUIC Initial packets of the RFCs, opened by the second reader."""

import random

import handshakes
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import rfc_packets

from netwatch.verify.quic import client_hello, is_unknown
from netwatch.verify.scapy_reader import ScapyReader


@pytest.mark.parametrize("rfc", ["rfc9001", "rfc9369"])
def test_the_client_packet_of_the_rfcs(rfc: str) -> None:
    found = client_hello([rfc_packets(rfc)["client"]])
    assert found is not None
    hello, datagrams = found
    assert (ScapyReader().server_name(hello), datagrams) == (b"example.com", {0})
    assert client_hello([rfc_packets(rfc)["server"]]) is None
    assert client_hello([rfc_packets(rfc)["retry"]]) is None


def test_a_hello_over_packets_in_any_order() -> None:
    sent = handshakes.quic_hello(
        handshakes.QUIC_V1, "www.example.org", random.Random(1), post_quantum=True
    )
    assert len(sent) > 1
    for order in (sent, sent[::-1]):
        found = client_hello(order)
        assert found is not None
        assert found[1] == set(range(len(sent)))
        assert ScapyReader().server_name(found[0]) == b"www.example.org"
    assert client_hello(sent[:1]) is None


def test_a_version_that_is_not_known() -> None:
    packet = bytearray(rfc_packets("rfc9001")["client"])
    packet[1:5] = b"Q043"
    assert is_unknown(bytes(packet))
    assert client_hello([bytes(packet)]) is None


@given(st.lists(st.binary(max_size=1300), max_size=3), st.booleans())
def test_any_bytes(datagrams: list[bytes], is_long: bool) -> None:
    if is_long:
        datagrams = [b"\xc0\0\0\0\1" + each for each in datagrams]
    assert client_hello(datagrams) is None
