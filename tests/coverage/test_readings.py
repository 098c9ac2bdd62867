"""Each flow has one reading, on both sides of every rule that leads to it."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_flows import flow

from netwatch.core.flow import BYPASS_CATEGORIES, NAME_STATUSES, Flow, NameStatus
from netwatch.core.message import Evidence, Message, QuicInfo, ShownName, TlsInfo
from netwatch.coverage.readings import READINGS, facing, name_status, reading

HIDDEN: dict[str, NameStatus] = {
    "dns.example": "encrypted-dns",
    "mask.example": "relay",
    "vpn.example": "vpn",
    "onion.example": "tor",
}


def tls(ech: str | None = None, *, cut: bool = False) -> TlsInfo:
    return TlsInfo("1.3", (), ech, None if cut else lambda: "t13d")


def told(message: Message) -> NameStatus:
    return NAME_STATUSES[name_status(message, HIDDEN.get)]


def message(name: str | None, evidence: Evidence = "tls-sni", **fields: Any) -> Message:
    by_destination = evidence in ("tls-cert", "dns-answer", "dns-cname")
    shown = () if name is None else (ShownName(evidence, name, by_destination),)
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
        # A server's hello has no fingerprint; nor has one that is cut.
        (message(None, tls=tls(cut=True)), "none"),
        (message(None), "none"),
        (message(None, anomalies=("http-head-cut",)), "none"),
        (message("www.example", "http-host"), "named"),
        (message("mask.example", "quic-sni"), "relay"),
        (message("vpn.example", "http-host"), "vpn"),
        (message("onion.example", "socks-host"), "tor"),
        # A lookup and a certificate are no way there.
        (message("vpn.example", "dns-query"), "named"),
        (message("vpn.example", "dns-cname"), "named"),
        (message("vpn.example", "tls-cert", tls=tls(cut=True)), "named"),
    ],
)
def test_what_a_message_tells(read: Message, expected: str) -> None:
    assert told(read) == expected


def test_one_hidden_name_of_several_decides() -> None:
    shown = (ShownName("http-host", "www.example"), ShownName("http-host", "vpn.example"))
    assert told(Message(shown, 9)) == "vpn"


UDP = {"transport": "udp"}
ONE_WAY = {"bytes_in": 0}
OTHER_WAY = {"bytes_out": 0}
SILENT = {"bytes_in": 0, "bytes_out": 0}
MIDWAY = {"start_seen": False}


@pytest.mark.parametrize(
    ("fields", "known", "expected"),
    [
        ({"name_status": "named"}, None, "named"),
        ({"name_status": "named"} | MIDWAY | ONE_WAY, None, "named"),
        ({"name_status": "ech"}, None, "ech"),
        ({"name_status": "vpn"} | SILENT, None, "vpn"),
        ({"name_status": "tor", "server_port": 853}, None, "tor"),
        ({"name_status": "no-sni"}, None, "no-sni"),
        ({"name_status": "no-sni"}, "encrypted-dns", "encrypted-dns"),
        ({"name_status": "named"}, "encrypted-dns", "named"),
        ({"name_status": "truncated"}, None, "truncated"),
        ({"name_status": "truncated", "incomplete_message": True}, None, "truncated"),
        ({"name_status": "truncated"} | OTHER_WAY, None, "one-direction"),
        # by port
        ({"server_port": 853}, None, "encrypted-dns"),
        ({"server_port": 853, "name_status": "named"}, None, "encrypted-dns"),
        ({"server_port": 853} | UDP, None, "encrypted-dns"),
        ({"server_port": 853} | SILENT, None, "no-data"),
        ({"server_port": 854}, None, "no-hello"),
        ({"server_port": 51820} | UDP, None, "vpn"),
        ({"server_port": 51820}, None, "no-hello"),
        ({"server_port": 500} | UDP, None, "vpn"),
        ({"server_port": 4500} | UDP | ONE_WAY, None, "vpn"),
        ({"server_port": 4500}, None, "no-hello"),
        ({"server_port": 1194} | UDP, None, "vpn"),
        ({"server_port": 1194}, None, "vpn"),
        ({"server_port": 1194, "name_status": "named"}, None, "named"),
        # by address
        ({}, "encrypted-dns", "encrypted-dns"),
        ({"server_port": 8443} | UDP, "encrypted-dns", "encrypted-dns"),
        ({"server_port": 22}, "encrypted-dns", "no-hello"),
        ({"server_port": 9001}, "tor", "tor"),
        (SILENT, "encrypted-dns", "no-data"),
        # why no name came
        (SILENT, None, "no-data"),
        ({"incomplete_message": True}, None, "hello-incomplete"),
        ({"incomplete_message": True} | MIDWAY, None, "hello-incomplete"),
        ({"incomplete_message": True} | OTHER_WAY, None, "one-direction"),
        (MIDWAY, None, "begun-before-capture"),
        (MIDWAY | ONE_WAY, None, "begun-before-capture"),
        (ONE_WAY, None, "one-direction"),
        (OTHER_WAY, None, "one-direction"),
        ({}, None, "no-hello"),
        (UDP, None, "no-hello"),
    ],
)
def test_what_is_known_of_a_flow(fields: dict[str, Any], known: str | None, expected: str) -> None:
    assert reading(flow(**fields), known) == expected


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
def test_every_flow_has_one_reading(each: Flow, known: str | None) -> None:
    found = reading(facing(each), known)
    assert found in READINGS
    if each.name_status == "named":
        assert found in ("named", "encrypted-dns", "no-data")
    elif each.name_status in BYPASS_CATEGORIES:
        assert found == each.name_status
    else:
        assert found != "named"


def test_readings_hold_all_outcomes_but_none() -> None:
    assert set(get_args(NameStatus)) - {"none"} <= set(READINGS)


FAR_FIRST = {"transport": "udp", "client_port": 51820, "server_port": 40000}


def test_the_far_end_of_a_tunnel_met_first_is_the_server() -> None:
    seen = flow("203.0.113.10", "10.20.1.7", bytes_out=7, bytes_in=9, **FAR_FIRST)
    turned = flow(bytes_out=9, bytes_in=7, transport="udp", client_port=40000, server_port=51820)
    assert facing(seen) == turned


@pytest.mark.parametrize(
    "fields",
    [
        {**FAR_FIRST, "transport": "tcp"},
        {**FAR_FIRST, "server_port": 443},
        {**FAR_FIRST, "server_port": 51820},
        {**FAR_FIRST, "name_status": "named"},
        {**FAR_FIRST, "client_port": 51821},
    ],
)
def test_other_flows_face_as_they_are(fields: dict[str, Any]) -> None:
    seen = flow(**fields)
    assert facing(seen) is seen
