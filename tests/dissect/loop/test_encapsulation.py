"""The tables of what packets are wrapped in: the loop reads every row, and tests cover it."""

import pytest
from support.frames import udp
from support.interpreted import interpreted_loop
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

from netwatch.core.encapsulation import (
    ETHER_TYPES,
    IP_PROTOCOLS,
    LINK_TYPES,
    TUNNEL_FUNCTIONS,
    UDP_TUNNELS,
)
from netwatch.dissect.loop import layout

TABLES = {"link types": LINK_TYPES, "EtherTypes": ETHER_TYPES, "IP protocols": IP_PROTOCOLS}


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES.keys())
def test_each_row_has_a_number_of_its_own_and_a_known_layer(rows: tuple) -> None:
    assert len({row.number for row in rows}) == len(rows)
    for row in rows:
        assert hasattr(layout, f"LAYER_{row.layer.upper()}"), row


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
            ports.add(int.from_bytes(frame[14 + size + 2 : 14 + size + 4]))
    assert ports == {row.port for row in UDP_TUNNELS}
