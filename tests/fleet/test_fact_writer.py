"""What a sensor's writer says in its spool of what is lost."""

import json
from pathlib import Path
from typing import Any

from support.paths import PCAPS

from netwatch.capture.files import CaptureFile
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.judged import QUARTER
from netwatch.engine.capture_files import read_blocks
from netwatch.engine.engine import FLOW_TIMEOUT
from netwatch.engine.record_facts import Recorder
from netwatch.fleet.fact_writer import FactWriter
from netwatch.fleet.spool import NAME
from netwatch.store import messages
from netwatch.store.writer import RunDescription, located

CAPTURE = CaptureFile(str(PCAPS / "five-kinds.pcap"))
LIVE = RunDescription("live", "gate", None)


class Direct:
    """A sink that hands everything to a writer in this process."""

    def __init__(self, writer: FactWriter) -> None:
        self._writer = writer

    def send(self, message: object) -> bool:
        self._writer.take(message)
        return True

    def close(self) -> None:
        pass


def recorder(writer: FactWriter) -> Recorder:
    """A recorder that has recorded a capture, whose end is not said."""
    made = Recorder(Direct(writer), 0, (), RunStatistics())
    for block, source in read_blocks([CAPTURE], RunStatistics()):
        made.process(block, source)
    made.checkpoint(1 << 62)
    return made


def said(folder: Path, table: str) -> list[dict[str, Any]]:
    """The records of a table in the spool, in order."""
    paths = sorted(folder.glob(f"*-{table}-*.batch"))
    return [json.loads(path.read_bytes()) for path in paths]


def test_a_run_that_was_killed_is_said_to_be_by_the_next_one(tmp_path: Path) -> None:
    killed = FactWriter(tmp_path, LIVE, 7, located)
    recorder(killed)
    killed.flush()
    assert (tmp_path / NAME).exists()
    following = FactWriter(tmp_path, LIVE, 8, located)
    following.flush()
    ((lost,), (ended,)) = said(tmp_path, "loss"), said(tmp_path, "capture")
    assert lost["run"]["started"] == ended["run"]["started"] == 7
    assert min(map(int, lost["losses"]["killed"])) == (ended["last"] - FLOW_TIMEOUT) // QUARTER
    assert (ended["whole"], lost["adds"]) == (False, True)
    following.end()
    again = FactWriter(tmp_path, LIVE, 9, located)
    again.end()
    assert len(said(tmp_path, "loss")) == 1


def test_a_writer_that_goes_on_with_its_run_says_nothing(tmp_path: Path) -> None:
    recorder(FactWriter(tmp_path, LIVE, 7, located))
    first = FactWriter(tmp_path, LIVE, 7, located)
    made = recorder(first)
    first.flush()
    again = FactWriter(tmp_path, LIVE, 7, located)
    again.take(messages.CaptureEnded(0, True, 1, 2))
    again.end()
    assert said(tmp_path, "loss") == []
    assert not (tmp_path / NAME).exists()
    made.finish()


def test_captures_that_nobody_ended_are_not_whole(tmp_path: Path) -> None:
    """A worker that was killed says no end, nor does one whose writer was gone; a centre would keep
    the capture open."""
    recorder(FactWriter(tmp_path, LIVE, 7, located))
    first = FactWriter(tmp_path, LIVE, 7, located)
    recorder(first)
    first.flush()
    again = FactWriter(tmp_path, LIVE, 7, located)
    again.end()
    (ended,) = said(tmp_path, "capture")
    assert (ended["whole"], ended["run"]["position"]) == (False, 0)
    assert ended["first"] < ended["last"]
    (lost,) = said(tmp_path, "loss")
    assert max(map(int, lost["losses"]["killed"])) == ended["last"] // QUARTER
    assert (lost["all"], lost["adds"], lost["run"]["position"]) == (False, True, 0)


def test_a_whole_run_says_that_nothing_is_lost(tmp_path: Path) -> None:
    writer = FactWriter(tmp_path, LIVE, 7, located)
    recorder(writer).finish()
    writer.end(writer.stored)
    assert said(tmp_path, "loss") == []
    assert [each["whole"] for each in said(tmp_path, "capture")] == [True]


def test_flows_of_several_apps_are_said(tmp_path: Path) -> None:
    writer = FactWriter(tmp_path, LIVE, 7, located)
    recorder(writer).finish()
    writer.take(messages.OneOfNames(0, [("hq", "service", 5, 2, 7)]))
    writer.flush()
    (found,) = said(tmp_path, "oneofk")
    assert found["flows"] == [["hq", "service", 5, 2, 7]]
    writer.end(writer.stored)


def test_losses_of_all_kinds_are_said(tmp_path: Path) -> None:
    writer = FactWriter(tmp_path, LIVE, 7, located)
    recorder(writer).finish()
    writer.take(messages.CaptureLosses(0, {"skipped": {5: 3}}))
    writer.take(messages.RunLosses({"records": {5: 1}, "killed": {5: 2}}))
    writer.lose("rows", 4)
    writer.flush()
    writer.end(writer.stored + 2 + 4 + 6)
    found = [(each["losses"], each["all"], each["adds"]) for each in said(tmp_path, "loss")]
    assert found[:2] == [
        ({"skipped": {"5": 3}}, False, False),
        ({"records": {"5": 1}, "killed": {"5": 2}}, True, False),
    ]
    own = [(kind, sum(each.values()), adds) for losses, _, adds in found[2:]
           for kind, each in losses.items()]  # fmt: skip
    assert own == [("rows", 4, True), ("late", 6, True)]
