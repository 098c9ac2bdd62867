"""What a recorder makes of blocks, wherever they come from."""

from array import array

import pytest
from support.captures import START, Frames, block, timed
from support.frames import ETHERNET
from support.kept_facts import Kept
from support.made_hellos import cut, record

from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.core.statistics import RunStatistics

FRAMES: Frames = timed([ETHERNET.frame(each) for each in cut(record("www.example.org"), 600)])


@pytest.mark.parametrize("records", [array("q"), array("q", bytes(8 * FIELDS))])
@pytest.mark.parametrize("empty", [1, 3])
def test_a_source_may_have_no_packets_at_first(records: "array[int]", empty: int) -> None:
    """A live source without packets gives blocks without, with or without room for records."""
    kept = Kept()
    recorder = kept.recorder(0, (), RunStatistics())
    for _ in range(empty):
        recorder.process(Block(b"", records, 0, (Interface(1, 9),), 1, 0), "eth0")
        recorder.checkpoint(START)
    recorder.process(block(FRAMES), "eth0")
    recorder.process(Block(b"", records, 0, (Interface(1, 9),), 4, 0), "eth0")
    recorder.finish()
    assert [row["name"] for row in kept.rows if row["table"] == "observation"] == [
        "www.example.org"
    ]


def test_a_source_that_never_has_packets_records_nothing() -> None:
    kept = Kept()
    recorder = kept.recorder(0, (), RunStatistics())
    recorder.process(Block(b"", array("q"), 0, (Interface(1, 9),), 1, 0), "eth0")
    recorder.finish()
    assert kept.rows == []
