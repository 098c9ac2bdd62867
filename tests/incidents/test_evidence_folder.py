"""The folder of evidence: names, permissions, limits, restarts, and what goes wrong."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from support.alerts import SECOND, START, alert, frame, proof

from netwatch.capture.files import open_source
from netwatch.core.alert import Alert, Kind
from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import MODE
from netwatch.incidents import evidence_folder as module
from netwatch.incidents.evidence_folder import EvidenceFolder, file_stem

ALERT = alert(proof(frame(1)))


def packets(path: str | Path) -> int:
    source = open_source(str(path))
    count = sum(block.count for block in source.blocks())
    assert source.notes == []
    return count


def file_of(reported: Alert) -> Path:
    return Path(reported.extra["evidence_file"])


def test_the_file_name_has_time_and_id(tmp_path: Path) -> None:
    reported = EvidenceFolder(tmp_path, print).write(ALERT)
    assert file_of(reported) == tmp_path / f"20230320T090001Z-{ALERT.id}.pcapng"
    assert file_of(reported).name == f"{file_stem(ALERT)}.pcapng"
    assert reported.evidence_frames == ()
    assert replace(reported, extra={}) == replace(ALERT, evidence_frames=())


def test_only_owner_and_group_may_read(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        reported = EvidenceFolder(tmp_path / "a" / "b", print).write(ALERT)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_of(reported).stat().st_mode) == MODE == 0o640


def test_each_report_writes_all_packets(tmp_path: Path) -> None:
    evidence = EvidenceFolder(tmp_path, print)
    opened = evidence.write(alert(proof(frame(5)), status="open"))
    assert packets(file_of(opened)) == 1
    update = alert(proof(frame(5)), proof(frame(6)), proof(frame(2)), id=opened.id)
    closed = evidence.write(update)
    assert file_of(closed) == file_of(opened)
    assert packets(file_of(closed)) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == [file_of(closed).name]
    assert (evidence.files, evidence.octets > 0) == (1, True)


@pytest.mark.parametrize(("resuming", "there"), [(True, 3), (False, 2)])
def test_an_incident_resumed_after_a_restart(tmp_path: Path, resuming: bool, there: int) -> None:
    EvidenceFolder(tmp_path, print).write(replace(ALERT, status="open"))
    evidence = EvidenceFolder(tmp_path, print, resuming=resuming)
    rest = alert(proof(frame(7)), id=ALERT.id, first_seen=ALERT.first_seen)
    evidence.write(replace(rest, status="update"))
    reported = evidence.write(
        replace(rest, evidence_frames=(*rest.evidence_frames, proof(frame(9))))
    )
    assert packets(file_of(reported)) == there


def test_without_packets_there_is_no_file(tmp_path: Path) -> None:
    reported = EvidenceFolder(tmp_path, print).write(alert())
    assert reported.extra == {}
    assert list(tmp_path.iterdir()) == []


def test_a_later_report_without_packets_names_the_existing_file(tmp_path: Path) -> None:
    evidence = EvidenceFolder(tmp_path, print)
    first = evidence.write(ALERT)
    assert evidence.write(replace(ALERT, evidence_frames=())).extra == first.extra


def test_files_are_bounded_and_counted(tmp_path: Path) -> None:
    evidence = EvidenceFolder(tmp_path, print, max_files=2)
    reported = [evidence.write(alert(proof(frame(number)))) for number in range(1, 5)]
    assert [("evidence_file" in each.extra) for each in reported] == [True, True, False, False]
    assert evidence.left_out == {"evidence-files": 2}
    assert len(list(tmp_path.iterdir())) == 2
    again = EvidenceFolder(tmp_path, print, max_files=2)
    assert "evidence_file" in again.write(alert(proof(frame(1)))).extra
    assert "evidence_file" not in again.write(alert(proof(frame(9)))).extra


def test_bytes_of_the_folder_are_bounded_and_counted(tmp_path: Path) -> None:
    size = file_of(EvidenceFolder(tmp_path / "size", print).write(ALERT)).stat().st_size
    evidence = EvidenceFolder(tmp_path / "all", print, max_bytes=size * 2)
    for number in range(1, 5):
        evidence.write(alert(proof(frame(number))))
    assert evidence.left_out == {"evidence-folder-bytes": 2}
    assert sum(each.stat().st_size for each in (tmp_path / "all").iterdir()) <= size * 2


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    evidence = EvidenceFolder(tmp_path, print, max_files=1)
    assert "evidence_file" in evidence.write(ALERT).extra
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NetwatchError, match="cannot be used as the evidence folder"):
        EvidenceFolder(tmp_path / "file", print)


def test_a_failure_to_write_is_reported_at_once_and_tried_again(tmp_path: Path) -> None:
    warnings: list[str] = []
    folder = tmp_path / "gone"
    evidence = EvidenceFolder(folder, warnings.append)
    folder.rmdir()
    failed = [evidence.write(alert(proof(frame(number)), id=32 * str(number))) for number in (1, 2)]
    assert all("evidence_file" not in each.extra for each in failed)
    path = folder / f"{file_stem(failed[0])}.pcapng"
    assert warnings == [f"{path}: evidence cannot be written: No such file or directory"]
    assert evidence.problem.endswith(": No such file or directory")
    evidence.retry()
    assert len(warnings) == 1
    folder.mkdir()
    evidence.retry()
    assert warnings[1:] == [f"{folder}: evidence is written again"]
    assert evidence.problem == ""
    assert sorted(folder.iterdir()) == sorted(
        folder / f"{file_stem(each)}.pcapng" for each in failed
    )
    evidence.close()
    assert (evidence.missing, evidence.files, evidence.left_out) == (0, 2, {})
    assert len(warnings) == 2


def test_what_cannot_be_written_until_the_end_is_counted(tmp_path: Path) -> None:
    warnings: list[str] = []
    folder = tmp_path / "gone"
    evidence = EvidenceFolder(folder, warnings.append)
    folder.rmdir()
    for status in ("open", "closed"):
        evidence.write(alert(proof(frame(1)), status=status))
    evidence.close()
    assert evidence.missing == 1
    assert evidence.left_out == {"evidence-not-written": 1}
    assert warnings[1:] == [f"{folder}: 1 evidence capture could not be written"]


def test_what_is_kept_in_memory_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = file_of(EvidenceFolder(tmp_path / "size", print).write(ALERT)).stat().st_size
    monkeypatch.setattr(module, "MAX_UNWRITTEN", 2 * size)
    folder = tmp_path / "gone"
    evidence = EvidenceFolder(folder, print)
    folder.rmdir()
    for number in (1, 2, 3):
        evidence.write(alert(proof(frame(1)), id=32 * str(number)))
    assert evidence.missing == 1
    folder.mkdir()
    evidence.close()
    assert len(list(folder.iterdir())) == 2
    assert evidence.missing == 1


def test_a_symbolic_link_as_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / f".{file_stem(ALERT)}.pcapng.part").symlink_to(tmp_path / "victim")
    evidence = EvidenceFolder(folder, print)
    evidence.write(ALERT)
    assert (tmp_path / "victim").read_text() == "mine"
    assert evidence.problem != ""
    assert "evidence_file" in evidence.write(ALERT).extra
    assert evidence.problem == ""


def test_the_file_says_kind_and_outcome_of_its_incident(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, print)
    kind = Kind("background", ("2 contacts with api.tiktokv.com", "6,000 bytes\nreceived"))
    folder.write(replace(ALERT, status="open"))
    reported = folder.write(replace(ALERT, kind=kind, outcome="reached"))
    text = file_of(reported).read_bytes()
    assert b"ban be-fed-tiktok-2023 of BE-FED; background, reached (closed)." in text
    assert b" 2 contacts with api.tiktokv.com. 6,000 bytes\\u000areceived." in text
    assert b"(open)" not in text


def test_interfaces_have_name_and_link_type(tmp_path: Path) -> None:
    raw = replace(frame(3, source="tun0"), link_type=101)
    reported = EvidenceFolder(tmp_path, print).write(
        alert(proof(frame(1)), proof(raw), proof(frame(2, source="eth2")))
    )
    (block,) = open_source(reported.extra["evidence_file"]).blocks()
    assert [(on.link_type, on.time_digits, on.name) for on in block.interfaces] == [
        (1, 9, "eth1"),
        (1, 9, "eth2"),
        (101, 9, "tun0"),
    ]
    assert block.records[0] == START + SECOND
