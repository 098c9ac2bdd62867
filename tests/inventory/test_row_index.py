"""The index finds the row of a key by checksums alone, also where checksums are equal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.inventory import row_index
from netwatch.inventory.row_index import RowChains, RowIndex


def index(keys: list[bytes], rows: int = 0) -> tuple[RowIndex, list[int | None]]:
    made = RowIndex(lambda row, key: keys[row] == key, rows)
    return made, [made.put(key, row) for row, key in enumerate(keys)]


@given(st.lists(st.binary(max_size=2), max_size=400), st.sampled_from([0, 3, 400]))
def test_finds_what_a_dictionary_finds(keys: list[bytes], rows: int) -> None:
    last: dict[bytes, int] = {}
    expected = []
    for row, key in enumerate(keys):
        expected.append(last.get(key))
        last[key] = row
    made, earlier = index(keys, rows)
    assert [made.find(key) for key in keys] == [last[key] for key in keys]
    assert made.find(b"absent") is None
    assert earlier == expected


def test_keys_with_the_same_checksum_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_index, "crc32", len)
    keys = [bytes([number]) for number in range(200)]
    made, earlier = index(keys)
    assert earlier == [None] * 200
    assert [made.find(key) for key in keys] == list(range(200))
    assert made.find(bytes([201])) is None


@given(st.lists(st.binary(max_size=1), max_size=60))
def test_chains_have_all_rows_of_a_key(keys: list[bytes]) -> None:
    chains = RowChains(lambda row, key: keys[row] == key)
    rows: dict[bytes, list[int]] = {}
    for row, key in enumerate(keys):
        chains.add(key, row)
        rows.setdefault(key, []).append(row)
    assert {key: list(chains.rows(key)) for key in rows} == {
        key: each[::-1] for key, each in rows.items()
    }
    assert sorted(chains.shared()) == sorted(each for each in rows.values() if len(each) > 1)
    assert list(chains.rows(b"absent")) == []
    assert chains.last(b"absent") is None
