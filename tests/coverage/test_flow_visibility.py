"""Each flow has exactly one visibility, on both sides of every rule that decides it."""

from array import array
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.flow_oracle import correct_direction, flow_visibility
from support.made_flows import flow

from netwatch.core.flow import BYPASS_CATEGORIES, NAME_STATUSES, Flow, NameStatus
from netwatch.core.message import Evidence, Message, QuicInfo, ShownName, TlsInfo
from netwatch.coverage.flow_visibility import (
    VISIBILITIES,
    message_name_status,
    visibilities,
    visibility_of,
)

CATEGORIES: dict[str, NameStatus] = {
    "dns.example": "encrypted-dns",
    "mask.example": "relay",
    "vpn.example": "vpn",
    "onion.example": "tor",
}


def tls(ech: str | None = None, *, cut: bool = False) -> TlsInfo:
    return TlsInfo("1.3", (), ech, None if cut else lambda: "t13d")


def name_status(message: Message) -> NameStatus:
    return NAME_STATUSES[message_name_status(message, CATEGORIES.get)]


def message(name: str | None, evidence: Evidence = "tls-sni", **fields: Any) -> Message:
    client_is_destination = evidence in ("tls-cert", "dns-answer", "dns-cname")
    shown = () if name is None else (ShownName(evidence, name, client_is_destination),)
    return Message(shown, 100, **fields)


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (message("www.example", tls=tls()), "named"),
        (message("www.example", tls=tls("grease")), "named"),
        (message("www.example", tls=tls("present")), "named"),
        (message("www.example", tls=tls("outer")), "ech"),
        (message(None, tls=tls("outer")), "ech"),
        (message("dns.example", tls=tls("outer")), "encrypted-dns"),
        (message(None, tls=tls()), "no-sni"),
        (message(None, tls=tls("grease")), "no-sni"),
        (message(None, quic=QuicInfo("Q046")), "no-sni"),
        (message("www.example", "quic-sni", quic=QuicInfo("1"), tls=tls()), "named"),
        # Neither the hello of a server nor a truncated one has a fingerprint.
        (message(None, tls=tls(cut=True)), "none"),
        (message(None), "none"),
        (message(None, anomalies=("http-head-cut",)), "none"),
        (message("www.example", "http-host"), "named"),
        (message("mask.example", "quic-sni"), "relay"),
        (message("vpn.example", "http-host"), "vpn"),
        (message("onion.example", "socks-host"), "tor"),
        # Neither a lookup nor a certificate shows that the client went there.
        (message("vpn.example", "dns-query"), "named"),
        (message("vpn.example", "dns-cname"), "named"),
        (message("vpn.example", "tls-cert", tls=tls(cut=True)), "named"),
    ],
)
def test_name_status_of_a_message(read: Message, expected: str) -> None:
    assert name_status(read) == expected


def test_one_bypass_among_several_names_decides() -> None:
    shown = (ShownName("http-host", "www.example"), ShownName("http-host", "vpn.example"))
    assert name_status(Message(shown, 9)) == "vpn"


UDP = {"transport": "udp"}
OUT_ONLY = {"bytes_in": 0}
IN_ONLY = {"bytes_out": 0}
NO_PAYLOAD = {"bytes_in": 0, "bytes_out": 0}
MIDFLOW = {"start_seen": False}


@pytest.mark.parametrize(
    ("fields", "address_category", "expected"),
    [
        ({"name_status": "named"}, None, "named"),
        ({"name_status": "named"} | MIDFLOW | OUT_ONLY, None, "named"),
        ({"name_status": "ech"}, None, "ech"),
        ({"name_status": "vpn"} | NO_PAYLOAD, None, "vpn"),
        ({"name_status": "tor", "server_port": 853}, None, "tor"),
        ({"name_status": "no-sni"}, None, "no-sni"),
        ({"name_status": "no-sni"}, "encrypted-dns", "encrypted-dns"),
        ({"name_status": "named"}, "encrypted-dns", "named"),
        ({"name_status": "truncated"}, None, "truncated"),
        ({"name_status": "truncated", "incomplete_message": True}, None, "truncated"),
        ({"name_status": "truncated"} | IN_ONLY, None, "one-direction"),
        # by port
        ({"server_port": 853}, None, "encrypted-dns"),
        ({"server_port": 853, "name_status": "named"}, None, "encrypted-dns"),
        ({"server_port": 853} | UDP, None, "encrypted-dns"),
        ({"server_port": 853} | NO_PAYLOAD, None, "no-data"),
        ({"server_port": 854}, None, "no-hello"),
        ({"server_port": 51820} | UDP, None, "vpn"),
        ({"server_port": 51820}, None, "no-hello"),
        ({"server_port": 500} | UDP, None, "vpn"),
        ({"server_port": 4500} | UDP | OUT_ONLY, None, "vpn"),
        ({"server_port": 4500}, None, "no-hello"),
        ({"server_port": 1194} | UDP, None, "vpn"),
        ({"server_port": 1194}, None, "vpn"),
        ({"server_port": 1194, "name_status": "named"}, None, "named"),
        # by address
        ({}, "encrypted-dns", "encrypted-dns"),
        ({"server_port": 8443} | UDP, "encrypted-dns", "encrypted-dns"),
        ({"server_port": 22}, "encrypted-dns", "no-hello"),
        ({"server_port": 9001}, "tor", "tor"),
        (NO_PAYLOAD, "encrypted-dns", "no-data"),
        # reasons why no name was seen
        (NO_PAYLOAD, None, "no-data"),
        ({"incomplete_message": True}, None, "hello-incomplete"),
        ({"incomplete_message": True} | MIDFLOW, None, "hello-incomplete"),
        ({"incomplete_message": True} | IN_ONLY, None, "one-direction"),
        (MIDFLOW, None, "begun-before-capture"),
        (MIDFLOW | OUT_ONLY, None, "begun-before-capture"),
        (OUT_ONLY, None, "one-direction"),
        (IN_ONLY, None, "one-direction"),
        ({}, None, "no-hello"),
        (UDP, None, "no-hello"),
    ],
)
def test_visibility_of_a_flow(
    fields: dict[str, Any], address_category: str | None, expected: str
) -> None:
    assert flow_visibility(flow(**fields), address_category) == expected


FLOWS = st.builds(
    flow,
    transport=st.sampled_from(["tcp", "udp"]),
    client_port=st.sampled_from([1, 500, 853, 50000, 51820]),
    server_port=st.sampled_from([22, 443, 500, 853, 1194, 4500, 9001, 51820]),
    bytes_out=st.sampled_from([0, 1, 1 << 40]),
    bytes_in=st.sampled_from([0, 1]),
    name_status=st.sampled_from(NAME_STATUSES),
    start_seen=st.booleans(),
    incomplete_message=st.booleans(),
)


@given(FLOWS, st.sampled_from([None, *BYPASS_CATEGORIES]))
def test_every_flow_has_one_visibility(each: Flow, address_category: str | None) -> None:
    found = flow_visibility(correct_direction(each), address_category)
    assert found in VISIBILITIES
    if each.name_status == "named":
        assert found in ("named", "encrypted-dns", "no-data")
    elif each.name_status in BYPASS_CATEGORIES:
        assert found == each.name_status
    else:
        assert found != "named"


def test_every_name_status_but_none_is_a_visibility() -> None:
    assert set(get_args(NameStatus)) - {"none"} <= set(VISIBILITIES)


SERVER_FIRST = {"transport": "udp", "client_port": 51820, "server_port": 40000}


def test_a_vpn_server_whose_packet_came_first_is_still_the_server() -> None:
    mistaken = flow("203.0.113.10", "10.20.1.7", bytes_out=7, bytes_in=9, **SERVER_FIRST)
    corrected = flow(bytes_out=9, bytes_in=7, transport="udp", client_port=40000, server_port=51820)
    assert correct_direction(mistaken) == corrected


@pytest.mark.parametrize(
    "fields",
    [
        {**SERVER_FIRST, "transport": "tcp"},
        {**SERVER_FIRST, "server_port": 443},
        {**SERVER_FIRST, "server_port": 51820},
        {**SERVER_FIRST, "name_status": "named"},
        {**SERVER_FIRST, "client_port": 51821},
    ],
)
def test_the_direction_of_other_flows_is_unchanged(fields: dict[str, Any]) -> None:
    original = flow(**fields)
    assert correct_direction(original) is original


def test_a_flow_record_never_shows_that_there_was_no_content() -> None:
    """What it has of payload is an estimate: an hour of such records alone was not captured."""
    fields = {"name_status": "none", "bytes_out": 0, "bytes_in": 0}
    assert visibility_of(flow(**fields), "none") == "no-data"
    assert visibility_of(flow(**fields, log="ipfix"), "none") == "flow-record"
    words = array("q", [0])
    found = [
        visibilities(1, b"\1", array("q", [50000]), array("q", [443]), words, words, b"\0", b"\0",
                     bytes([flags]))[0]
        for flags in (2, 2 | 4)
    ]  # fmt: skip
    assert [VISIBILITIES[place] for place in found] == ["no-data", "flow-record"]
