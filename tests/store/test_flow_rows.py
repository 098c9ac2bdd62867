"""Slots of the flow table as columns: each row is the flow that `to_flow` makes of its slot."""

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from netwatch.core.addresses import ip_text
from netwatch.core.flow import DENIALS, INITIAL_WINDOW, NAME_STATUSES
from netwatch.dissect.flows.records import to_flow
from netwatch.dissect.loop import layout
from netwatch.store.client_columns import ClientKey, Clients, readable

SOURCES = ["a.pcap", "caf\udce9.pcap"]

WORDS_32 = st.integers(0, 0xFFFFFFFF) | st.sampled_from([0, 1, 0xFFFFFFFF, 0x80000000])
LARGE = st.integers(0, (1 << 62) - 1)
SIZES = st.integers(0, 3) | st.integers(INITIAL_WINDOW - 1, INITIAL_WINDOW + 1) | LARGE
FLAGS = [
    layout.FLAG_IPV6, layout.FLAG_CLIENT_KNOWN, layout.FLAG_CLIENT_1, layout.FLAG_START_SEEN,
    layout.FLAG_REPORT_END,
]  # fmt: skip


@st.composite
def slots(draw: Any) -> list[int]:
    """A slot as the flow table closes it."""
    words = [0] * layout.FLOW_WORDS
    words[layout.FLOW_KEY] = draw(LARGE) & ~255
    words[layout.FLOW_LAST], words[layout.FLOW_FIRST] = draw(LARGE), draw(LARGE)
    for side in (0, 1):
        words[layout.FLOW_EXPECTED + side] = draw(LARGE)
        words[layout.FLOW_BYTES + side] = draw(SIZES)
        acked = draw(WORDS_32 | st.none())
        words[layout.FLOW_ACKED + side] = 0 if acked is None else acked | 1 << layout.MARK_PLACED
        if draw(st.booleans()):
            words[layout.FLOW_ACKED + side] = 1 << layout.ACKED_CONTESTED
        mac = draw(st.integers(0, (1 << 48) - 1) | st.none())
        words[layout.FLOW_MACS + side] = 0 if mac is None else 1 << 48 | mac
        for place in range(4):
            words[layout.FLOW_ADDRESSES + 4 * side + place] = draw(WORDS_32)
    words[layout.FLOW_STATE] = (
        draw(st.integers(0, (1 << 32) - 1))
        | draw(st.integers(0, 7)) << layout.DENIED_BY
        | draw(st.integers(0, len(DENIALS) - 1)) << layout.DENIAL
    )
    status = draw(st.integers(0, len(NAME_STATUSES) - 1))
    words[layout.FLOW_GENERATION] = draw(st.integers(0, 255)) | status << 8
    words[layout.FLOW_PORTS] = draw(st.integers(0, 65535)) << 16 | draw(st.integers(0, 65535))
    vlan = draw(st.integers(0, 4095) | st.none())
    words[layout.FLOW_FLAGS] = (
        draw(st.sampled_from([6, 17]))
        | sum(draw(st.sets(st.sampled_from(FLAGS))))
        | (0 if vlan is None else vlan + 1) << 16
    )
    words[layout.FLOW_PACKET] = draw(st.integers(0, 1)) << 40 | draw(st.integers(1, (1 << 40) - 1))
    return words


@examples(200)
@given(st.lists(slots(), min_size=1, max_size=20))
def test_a_row_is_the_flow_of_its_slot(found: list[list[int]]) -> None:
    pa = pytest.importorskip("pyarrow")
    from netwatch.store.flow_rows import flow_columns

    clients, words = Clients(), array("q", [word for slot in found for word in slot])
    sequence = pa.array(range(5, 5 + len(found)), pa.int64())
    rows = flow_columns(words, sequence, SOURCES, clients).to_pylist()
    keys = list(clients.keys)
    assert len(rows) == len(found)
    for place, (row, slot) in enumerate(zip(rows, found, strict=True)):
        flow = to_flow(tuple(slot), SOURCES)
        assert keys[row.pop("client")] == ClientKey(flow.client_ip, flow.client_mac, flow.vlan)
        assert row == {
            "sequence": 5 + place,
            "first": flow.first,
            "last": flow.last,
            "transport": flow.transport,
            "client_port": flow.client_port,
            "server_ip": ip_text(flow.server_ip),
            "server_port": flow.server_port,
            "vlan": flow.vlan,
            "bytes_out": flow.bytes_out,
            "bytes_in": flow.bytes_in,
            "name_status": flow.name_status,
            "start_seen": flow.start_seen,
            "incomplete_message": flow.incomplete_message,
            "client_sent": flow.client_sent,
            "server_sent": flow.server_sent,
            "source": readable(flow.source),
            "packet": flow.packet,
            "flow": flow.flow_id,
            "log_format": None,
            "client_acknowledged": flow.client_acknowledged,
            "server_acknowledged": flow.server_acknowledged,
            "client_checksums": flow.client_checksums,
            "server_checksums": flow.server_checksums,
        }
