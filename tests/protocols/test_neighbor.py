import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
)

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim
from netwatch.protocols import neighbor

MAC = "02:00:00:20:06:14"
PACKED = bytes.fromhex(MAC.replace(":", ""))
TARGET = "2001:db8:20:6::14"
IP = bytes.fromhex("20010db8002000060000000000000014")
SOURCE, DEST = ICMPv6NDOptSrcLLAddr(lladdr=MAC), ICMPv6NDOptDstLLAddr(lladdr=MAC)


def held(*ips, router=False):
    return (AddressClaim("announcement", ips, PACKED, on_link=True, is_router=router),)


@pytest.mark.parametrize(
    ("message", "claims"),
    [
        (ICMPv6ND_NS(tgt=TARGET) / SOURCE, held()),
        (ICMPv6ND_NS(tgt=TARGET), ()),  # duplicate address detection (RFC 4862)
        (ICMPv6ND_NA(tgt=TARGET, R=0, S=1, O=1) / DEST, held(IP)),
        (ICMPv6ND_NA(tgt=TARGET, R=1, S=0, O=1) / DEST, held(IP, router=True)),
        (ICMPv6ND_NA(tgt=TARGET, R=0, S=1, O=0) / DEST, ()),  # a proxy, an anycast address
        (ICMPv6ND_NA(tgt=TARGET, R=0, S=1, O=1), ()),
        (ICMPv6ND_RS() / SOURCE, held()),
        (ICMPv6ND_RS(), ()),
        (ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo() / SOURCE / ICMPv6NDOptMTU(), held(router=True)),
        (ICMPv6ND_Redirect(tgt=TARGET) / DEST, ()),
    ],
    ids=["ns", "dad", "na", "router-na", "proxy-na", "bare-na", "rs", "bare-rs", "ra", "redirect"],
)
def test_what_is_claimed(message, claims):
    data = bytes(message)
    found = neighbor.parse(data)
    assert (found.claims, found.size, found.anomalies) == (claims, len(data), ())


NS = bytes(ICMPv6ND_NS(tgt=TARGET))


@pytest.mark.parametrize(
    ("payload", "anomaly"),
    [
        (b"", "nd-cut"),
        (NS[:23], "nd-cut"),
        (b"\x80" + NS[1:], "nd-type"),
        (NS[:1] + b"\1" + NS[2:], "nd-type"),
        (NS + b"\1\0" + bytes(6), "nd-option"),
        (NS + b"\1\2" + bytes(6), "nd-option"),
        (NS + b"\1", "nd-option"),
    ],
)
def test_messages_that_must_be_discarded(payload, anomaly):
    with pytest.raises(ParseError) as caught:
        neighbor.parse(payload)
    assert caught.value.anomaly == anomaly


def test_options_are_bounded():
    found = neighbor.parse(NS + (b"\x0e\1" + bytes(6)) * 65 + bytes(SOURCE))
    assert (found.anomalies, found.claims) == (("nd-many-options",), ())


def test_an_address_of_another_size_is_none_of_ethernet():
    assert neighbor.parse(NS + b"\1\2" + bytes(14)).claims == ()


@given(st.sampled_from([133, 134, 135, 136, 137, 128]), st.binary(max_size=80))
def test_any_bytes_give_a_message_or_an_anomaly(kind, data):
    try:
        found = neighbor.parse(bytes([kind, 0]) + data)
    except ParseError as error:
        anomalies, claims = (error.anomaly,), ()
    else:
        anomalies, claims = found.anomalies, found.claims
    assert all(each.startswith("nd-") for each in anomalies)
    assert all(each.mac and len(each.mac) == 6 for each in claims)
