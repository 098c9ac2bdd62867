"""Flows are counted in the same way compiled and interpreted."""

import random
from array import array
from functools import cache
from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.interpreted import all_interpreted

from netwatch.dissect.flows import accounting, address_tables
from netwatch.dissect.loop import layout

PORTS = (53, 80, 443, 500, 853, 1023, 1194, 4500, 5443, 40000, 50000, 51820, 65535)


@cache
def forms() -> tuple[tuple[ModuleType, ModuleType], ...]:
    """The compiled modules and the interpreted ones."""
    names = tuple(f"netwatch.dissect.flows.{name}" for name in ("accounting", "address_tables"))
    found = all_interpreted(*names)
    return (accounting, address_tables), (found[names[0]], found[names[1]])


def slots(rng: random.Random, count: int) -> tuple[list[list[int]], list[bytes]]:
    """Any words that a slot may have; the addresses in them."""
    found, addresses = [], []
    ends = [rng.randbytes(size) for size in (4, 4, 4, 16, 16, 16)]
    for _ in range(count):
        words = [0] * layout.FLOW_WORDS
        six = rng.random() < 0.4
        for side, at in enumerate((layout.FLOW_ADDRESSES, layout.FLOW_ADDRESSES + 4)):
            end = rng.choice(ends[3:] if six else ends[:3])
            words[at : at + 4] = address_tables.words_of(end)
            words[layout.FLOW_BYTES + side] = rng.choice((0, 0, 1, 1 << 40))
            words[layout.FLOW_MACS + side] = rng.choice((0, 1 << 48, (1 << 49) - 1))
            addresses.append(end)
        words[layout.FLOW_KEY] = rng.getrandbits(54) << 9
        words[layout.FLOW_LAST] = words[layout.FLOW_FIRST] = rng.getrandbits(62)
        words[layout.FLOW_STATE] = rng.getrandbits(3) | rng.getrandbits(3) << 8
        words[layout.FLOW_GENERATION] = rng.randrange(9) << 8 | rng.getrandbits(8)
        words[layout.FLOW_PORTS] = rng.choice(PORTS) << 16 | rng.choice(PORTS)
        words[layout.FLOW_FLAGS] = (
            rng.choice((6, 17))
            | (layout.FLAG_IPV6 if six else 0)
            | rng.getrandbits(7) << 9
            | rng.choice((0, 1, 31, 4096)) << 16
        )
        found.append(words)
    return found, addresses


@examples(100, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 40), st.booleans())
def test_both_forms_count_the_same(seed: int, count: int, report_all: bool) -> None:
    found = []
    for module, tables in forms():
        rng = random.Random(seed)
        flows, addresses = slots(rng, count)
        salt = rng.getrandbits(63)
        pairs = [sorted(rng.sample(addresses, 2)) for _ in range(2)]
        ranges = [pair for pair in pairs if len(pair[0]) == len(pair[1])]
        options = module.FlowOptions(
            ranges=tables.AddressRanges(ranges, {30}),
            categories=tables.AddressCategories({rng.choice(addresses): rng.randrange(5, 9)}),
            report_all=report_all,
        )
        by = module.FlowAccounting(options, salt)
        for address in rng.sample(addresses, 2):
            by.learned.add(address)
        by.resolved.add(*addresses[:2])
        reported: list[int] = []
        words = array("q", [word for each in flows for word in each])
        followed = {each[0] | each[layout.FLOW_GENERATION] & 255 for each in flows[:1]}
        assert by.account(words, 0, followed, reported) == len(words)
        found.append((reported, list(by.named.take()), list(by.others.take())))
    assert found[0] == found[1]
