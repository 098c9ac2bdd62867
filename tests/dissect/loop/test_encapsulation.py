"""The tables of what packets are wrapped in: the loop reads every row, and tests cover it."""

import messages
import pytest
from support import layers
from support.captures import dissector, observed, timed
from support.frames import udp
from support.interpreted import interpreted_loop
from support.link_headers import RARE_LINKS
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

from netwatch.core.encapsulation import (
    ETHER_TYPES,
    GRE_PROTOCOLS,
    IP_PROTOCOLS,
    LINK_TYPES,
    TUNNEL_FUNCTIONS,
    UDP_TUNNELS,
    Encapsulation,
)
from netwatch.dissect.loop import layout

ASKED = udp(messages.query(1, "www.example.org", "A"))

TABLES = {
    "link types": LINK_TYPES,
    "EtherTypes": ETHER_TYPES,
    "IP protocols": IP_PROTOCOLS,
    "GRE protocols": GRE_PROTOCOLS,
}


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES.keys())
def test_each_row_has_a_number_of_its_own_and_a_known_layer(rows: tuple) -> None:
    assert len({row.number for row in rows}) == len(rows)
    for row in rows:
        assert hasattr(layout, f"LAYER_{row.layer.upper()}"), row


@pytest.mark.parametrize("row", GRE_PROTOCOLS, ids=lambda row: f"{row.number:04x}")
def test_what_gre_carries_is_read_or_counted_as_said(row: Encapsulation) -> None:
    frame = layers.wlan(layers.snap(ASKED))
    contents = {
        "ethernet": layers.frame(ASKED)[1],
        "erspan": layers.frame(ASKED)[1],
        "erspan_3": bytes(12) + layers.frame(ASKED)[1],
        "wlan": frame,
        "ppp": layers.ppp(ASKED),
        "frame_relay": RARE_LINKS["frame-relay"].frame(ASKED),
        "wccp": ASKED,
    }
    packet = layers.ipv4(47, layers.gre((row.number, contents.get(row.layer, ASKED))))
    by = dissector()
    found = observed(timed([layers.on_ethernet((layers.IPV4, packet))]), by=by)
    counted = {f"counted as `{name}`" for name in by.anomalies()}
    assert ([each.name for each in found], counted) == (
        (["www.example.org"], set())
        if row.layer in contents
        else ([], {row.action.partition(";")[0]})
    )


def test_each_link_type_is_tested() -> None:
    assert {row.number for row in LINK_TYPES} == {carrier.number for carrier in CARRIERS}


def test_each_tunnel_is_read_by_a_function_and_tested() -> None:
    assert len({row.port for row in UDP_TUNNELS}) == len(UDP_TUNNELS) < 128
    functions = vars(interpreted_loop()["netwatch.dissect.loop.udp_tunnels"])
    assert {name for name in TUNNEL_FUNCTIONS if callable(functions[name])} == set(TUNNEL_FUNCTIONS)
    ports = set()
    for wrapping in WRAPPINGS:
        (frame,) = Wrapped(CARRIERS[0], (wrapping,)).frames(udp(b"x" * 60))
        size = 20 if frame[12:14] == b"\x08\x00" else 40
        protocol = frame[14 + (9 if size == 20 else 6)]
        if protocol == 17:
            source, to = (int.from_bytes(frame[14 + size + at :][:2]) for at in (0, 2))
            ports |= {
                row.port
                for row in UDP_TUNNELS
                if row.port == to or (row.either and row.port == source)
            }
