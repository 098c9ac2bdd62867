"""The table of conversations, beside a dictionary that does the same."""

import random

from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from netwatch.flow_export.pair_table import LEAST_SLOTS, Entry, PairTable, entry_of, pair_hash
from netwatch.flow_export.records import FlowRecord

Key = tuple[int, bytes, bytes, int]

# Keys with few hashes, so that most of them collide.
KEYS = [
    (hash_, bytes([source] * 4), bytes([7, 7, 7, destination]), ports)
    for hash_ in (0, LEAST_SLOTS - 1, 2**64 - 1)
    for source in range(2)
    for destination in range(2)
    for ports in (6 << 32 | 443, 17 << 32 | 443)
]


def check(table: PairTable, kept: dict[Key, Entry], key: Key) -> None:
    """Both have the same under a key, as many, and the same that is the oldest."""
    assert table.get(*key) is kept.get(key)
    assert table.count == len(kept)
    assert table.oldest() is next(iter(kept.values()), None)


def exchange(table: PairTable, kept: dict[Key, Entry], key: Key) -> None:
    """Put an entry where there is none, else drop the one that there is."""
    found = kept.pop(key, None)
    if found is not None:
        table.drop(found)
    else:
        kept[key] = entry = entry_of(*key)
        table.put(entry)
    check(table, kept, key)


@examples(200)
@given(st.lists(st.sampled_from(KEYS), max_size=60))
def test_colliding_keys(keys: list[Key]) -> None:
    table, kept = PairTable(), dict[Key, Entry]()
    for key in keys:
        exchange(table, kept, key)
    for key in KEYS:
        check(table, kept, key)


def test_many_entries() -> None:
    rng = random.Random(3)
    table, kept = PairTable(), dict[Key, Entry]()
    keys = [(rng.randrange(2**64), bytes(4), bytes(16), number) for number in range(3000)]
    for _ in range(12_000):
        exchange(table, kept, rng.choice(keys))
    for entry in list(kept.values()):
        assert table.oldest() is entry
        table.drop(entry)
    assert table.oldest() is None
    assert not table.count


def test_the_hash_is_that_of_both_directions() -> None:
    first, second = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])

    def hash_of(sides: tuple[bytes, bytes], ports: tuple[int, int], protocol: int = 6) -> int:
        return pair_hash(FlowRecord(1, 2, *sides, *ports, protocol, 1, 1))

    one = hash_of((first, second), (40000, 443))
    assert one == hash_of((second, first), (443, 40000))
    others = [
        hash_of((first, second), (443, 40000)),
        hash_of((first, second), (40001, 443)),
        hash_of((first, second), (40000, 443), 17),
        hash_of((first, first), (40000, 443)),
    ]
    assert len({one, *others}) == 5
    assert all(0 <= each < 2**64 for each in others)
    spread = {hash_of((first, second), (port, 443)) % 256 for port in range(4096)}
    assert len(spread) > 240
