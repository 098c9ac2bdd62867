"""Names of rotated files, and entries in order of time."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs.reordering import in_order
from netwatch.logs.rotation import log_name


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["queries.log", "queries.log.1", "queries.log.2.gz", "queries.log-20261127.gz"], 1),
        (["dns.log", "dns.00:00:00-01:00:00.log.gz", "dns.2026-11-27-00-00-00.log"], 1),
        (["eve.json", "eve-2026-11-27.json", "eve.json.1.xz", "eve-2026-11-27-10:00.json"], 1),
        (["u_ex.log", "u_ex.1764208988.log"], 1),
        (["resolver1.log", "resolver2.log"], 2),
        (["dns.log", "conn.log"], 2),
        (["a/dns.log", "b/dns.log"], 2),
    ],
)
def test_files_of_one_log_have_one_name(names, expected):
    assert len({log_name(name) for name in names}) == expected


def test_late_entries_are_counted_and_handed_on():
    anomalies = Counter()
    entries = [(3, "c"), (1, "a"), (4, "d"), (5, "e"), (2, "b"), (6, "f")]
    assert list(in_order(entries, anomalies, 2)) == ["a", "c", "b", "d", "e", "f"]
    assert anomalies == {"log-record-late": 1}


@given(st.lists(st.integers(0, 99), max_size=60), st.integers(1, 9))
def test_nothing_is_lost_and_all_is_in_order_that_can_be(times, size):
    entries = [(time, number) for number, time in enumerate(times)]
    anomalies = Counter()
    found = list(in_order(entries, anomalies, size))
    assert sorted(found) == list(range(len(times)))
    if not anomalies:
        assert found == [number for _, number in sorted(entries)]
    if len(times) <= size:
        assert not anomalies
