"""The number of a flow in the store joins its rows, and says nothing else."""

import pyarrow as pa
from support.fleet_messages import rows

from netwatch.store.arrow_schema import chunk_schema
from netwatch.store.flow_names import FlowNames, new_key

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
