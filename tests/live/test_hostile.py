"""Floods: memory stays bounded, evictions are counted, and every banned name is reported
nevertheless. Longer floods are in bench/hostile.py."""

from pathlib import Path

import floods
import hostile
import pytest
from support.namespaces import needs_namespaces

FLOODS = (
    "syn",
    "half-open",
    "subdomains",
    "banned-subdomains",
    "fragments",
    "initials",
    "devices",
)


# The memory of a flood of devices depends on how far the capture is behind, so it runs alone.
@pytest.mark.parametrize(
    "kind",
    [*FLOODS[:-1], pytest.param(FLOODS[-1], marks=pytest.mark.alone)],
)
def test_a_flood_hides_no_banned_name(kind: str, tmp_path: Path) -> None:
    assert set(floods.FLOODS) == set(FLOODS)
    found = hostile.run(floods.Load(kind, floods.FLOODS[kind].short, probes=40), tmp_path)
    assert found["peak"] > 20_000_000
    assert hostile.failures(found) == []


@pytest.mark.alone
@needs_namespaces
@pytest.mark.parametrize("kind", ["half-open", "fragments", "initials"])
def test_a_flood_on_an_interface_hides_no_banned_name(kind: str, tmp_path: Path) -> None:
    found = hostile.run(
        floods.Load(kind, floods.FLOODS[kind].short, probes=40), tmp_path, pps=2_000
    )
    assert hostile.failures(found) == []
    assert "capture-dropped" not in found["counters"]


def test_failed_expectations_are_listed() -> None:
    bad = {"kind": "syn", "status": 1, "missed": 2, "peak": 10**9, "counters": {}}
    assert hostile.failures(bad) == [
        "syn: status 1",
        "syn: 2 banned names were missed",
        "syn: 1000 MB",
        "syn: flow-table-full is not counted",
    ]
