"""The index finds the row of a key by checksums alone, also where checksums are equal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.inventory import row_index
from netwatch.inventory.row_index import RowIndex


def index(keys: list[bytes], rows: int = 0) -> tuple[RowIndex, list[int | None]]:
    made = RowIndex(lambda row, key: keys[row] == key, rows)
    return made, [made.add(key, row) for row, key in enumerate(keys)]


@given(st.lists(st.binary(max_size=2), max_size=400), st.sampled_from([0, 3, 400]))
def test_finds_what_a_dictionary_finds(keys: list[bytes], rows: int) -> None:
    first: dict[bytes, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    made, earlier = index(keys, rows)
    assert [made.find(key) for key in keys] == [first[key] for key in keys]
    assert made.find(b"absent") is None
    assert earlier == [None if first[key] == row else first[key] for row, key in enumerate(keys)]


def test_keys_with_the_same_checksum_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_index, "crc32", len)
    keys = [bytes([number]) for number in range(200)]
    made, earlier = index(keys)
    assert earlier == [None] * 200
    assert [made.find(key) for key in keys] == list(range(200))
    assert made.find(bytes([201])) is None


def test_a_replaced_row_is_the_result() -> None:
    keys = [b"a", b"b", b"a"]
    made = RowIndex(lambda row, key: keys[row] == key)
    assert [made.replace(key, row) for row, key in enumerate(keys)] == [None, None, 0]
    assert (made.find(b"a"), made.find(b"b")) == (2, 1)
