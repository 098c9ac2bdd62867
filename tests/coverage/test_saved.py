"""Coverage that was written and read again adds up as the one that was written."""

from typing import Any

import pytest

from netwatch.core.typed_json import MISMATCHES, dumps, loads
from netwatch.core.verdict import Network
from netwatch.coverage.counts import Coverage
from netwatch.coverage.saved import coverage_state, restored_coverage


def counted(device: str = "a") -> Coverage:
    coverage = Coverage()
    coverage.add(Network("hq", "service"), device, "named", 3)
    coverage.add(Network("hq", "service"), "b", "no-hello")
    coverage.add(None, "c", "named")
    coverage.add_missed("another VLAN", 2)
    return coverage


def again(coverage: Coverage) -> Coverage:
    return restored_coverage(loads(dumps(coverage_state(coverage))))


def test_counts_are_the_same_and_can_be_merged() -> None:
    assert again(counted()).report(1, {}) == counted().report(1, {})
    merged, expected = again(counted()), counted()
    merged.merge(again(counted("d")))
    expected.merge(counted("d"))
    assert merged.report(1, {}) == expected.report(1, {})


@pytest.mark.parametrize(
    "change",
    [
        {"outside": [1]},
        {"missed": []},
        {"networks": [["hq", "palace", [0] * 40]]},
        {"networks": []},
        {"devices": [["hq", "a", ["1"]]]},
    ],
)
def test_what_is_no_coverage_is_refused(change: dict[str, Any]) -> None:
    state = loads(dumps(coverage_state(counted()))) | change
    with pytest.raises(MISMATCHES):
        restored_coverage(state)
