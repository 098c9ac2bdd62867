"""Slots of the flow table as columns: each row is the flow that `to_flow` makes of its slot.

The number of a flow in the store joins its rows, and says nothing else.
"""

from array import array
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.fleet_messages import rows

from netwatch.core.addresses import ip_text
from netwatch.core.flow import DENIALS, INITIAL_WINDOW, NAME_STATUSES
from netwatch.dissect.flows.records import to_flow
from netwatch.dissect.loop import layout
from netwatch.store.fact_tables import chunk_schema
from netwatch.store.flow_rows import FlowNames, new_key
from netwatch.store.messages import ClientKey, Clients, readable

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
            "sampling": None,
            "is_doubted": None,
        }


FLOWS = [(77 << 9) | 0x100, (78 << 9) | 0x100, (77 << 9) | 0x100, (1 << 62) + 1, -3]


def named(names: FlowNames, table: str, flows: list[int], capture: int | None = 1) -> list[int]:
    found = rows(table, *({"flow": each} for each in flows))
    return list(names.renamed(found, capture).column("flow").to_pylist())


def test_rows_of_one_flow_have_one_name_in_every_table() -> None:
    names = FlowNames(new_key())
    shown = named(names, "observation", FLOWS)
    assert shown[0] == shown[2]
    assert len({*shown}) == len({*FLOWS})
    assert named(names, "flow", FLOWS) == shown
    for each in rows("flow", *({"flow": each} for each in FLOWS)).to_batches():
        assert names.renamed(each, 1).column("flow").to_pylist() == shown
    sliced = rows("flow", *({"flow": each} for each in FLOWS)).slice(1, 3)
    assert names.renamed(sliced, 1).column("flow").to_pylist() == shown[1:4]


def test_a_name_fits_into_its_column_and_is_no_place_in_a_log() -> None:
    shown = named(FlowNames(new_key()), "flow", [*range(1, 500)])
    assert all(0 <= each < 1 << 63 for each in shown)
    assert len({*shown}) == len(shown)


def test_the_place_in_a_log_stays() -> None:
    assert named(FlowNames(new_key()), "observation", [-3, -1]) == [-3, -1]


def test_captures_and_keys_have_nothing_in_common() -> None:
    key = new_key()
    shown = {
        *named(FlowNames(key), "flow", FLOWS[:2], 1),
        *named(FlowNames(key), "flow", FLOWS[:2], 2),
        *named(FlowNames(new_key()), "flow", FLOWS[:2], 1),
        *FLOWS[:2],
    }
    assert len(shown) == 8


def test_a_column_of_captures_tells_them_apart() -> None:
    names = FlowNames(new_key())
    found = rows("flow", *({"flow": FLOWS[0]} for _ in range(3)))
    with_captures = found.append_column("capture", pa.array([1, 2, 1], pa.int32()))
    one, two, three = names.renamed(with_captures).column("flow").to_pylist()
    assert one == three == named(names, "flow", FLOWS[:1], 1)[0]
    assert two == named(names, "flow", FLOWS[:1], 2)[0]


def test_claims_and_empty_tables_are_as_they_were() -> None:
    names = FlowNames(new_key())
    claims = rows("claim", {"claim": b"{}"})
    assert names.renamed(claims, 1) is claims
    empty = chunk_schema("flow").empty_table()
    assert names.renamed(empty, 1) is empty
