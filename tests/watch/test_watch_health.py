"""When a capture is not well: just beyond each threshold, and not just before."""

from dataclasses import replace

import pytest
from support.snapshots import BUSY, NOW, QUIET

from netwatch.watch.health import TROUBLES, Thresholds, troubles
from netwatch.watch.snapshot import Queue, Snapshot


def kinds(seen: Snapshot, **limits: float) -> list[tuple[str, str]]:
    found = troubles(seen, Thresholds(**limits))
    assert all(each.kind in TROUBLES and each.told for each in found)
    return [(each.kind, each.where) for each in found]


def test_a_busy_and_a_new_capture_are_well() -> None:
    assert kinds(BUSY) == kinds(QUIET) == []


@pytest.mark.parametrize(("ago", "found"), [(60, []), (60.5, [("silent", "")])])
def test_packets_that_stop(ago: float, found: list) -> None:
    assert kinds(replace(BUSY, last_packet=NOW - ago)) == found
    assert kinds(replace(QUIET, started=NOW - ago)) == found


@pytest.mark.parametrize(("ago", "found"), [(59.5, [("dropping", "")]), (60, [])])
def test_packets_that_the_kernel_drops(ago: float, found: list) -> None:
    assert kinds(replace(BUSY, last_drop=NOW - ago)) == found


@pytest.mark.parametrize(("ago", "found"), [(300, []), (301, [("stuck", "siem")])])
def test_an_output_that_is_stuck(ago: float, found: list) -> None:
    assert kinds(replace(BUSY, outputs={"siem": Queue(1, NOW - ago)})) == found


def test_an_interface_that_is_down() -> None:
    assert kinds(replace(BUSY, down=("eth2",))) == [("down", "eth2")]


def test_thresholds_can_be_set_and_all_is_told() -> None:
    sick = replace(BUSY, down=("eth1",), last_packet=NOW - 9, last_drop=NOW - 100)
    found = kinds(sick, silence=8, dropping=101, stuck=10)
    assert found == [("silent", ""), ("dropping", ""), ("stuck", "siem"), ("down", "eth1")]


def test_a_clock_that_was_set_back_is_no_trouble() -> None:
    assert kinds(replace(BUSY, last_packet=NOW + 100, outputs={"a": Queue(1, NOW + 9)})) == []
