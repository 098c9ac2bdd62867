"""Capture files: which are one capture, and what happens to those that cannot be read."""

import random
from pathlib import Path

import handshakes
import pytest
from support.captures import pcap, timed
from support.frames import ETHERNET, tcp
from support.observing import observations
from support.office import DURING, TIKTOK, capture, one_hello

from netwatch.capture.files import CaptureFile, find_captures, has_capture_name
from netwatch.core.message import Observation
from netwatch.core.statistics import RunStatistics
from netwatch.engine import pipeline
from netwatch.engine.capture_files import group_files


def names(*paths: str, statistics: RunStatistics | None = None) -> list[Observation]:
    captures = group_files(find_captures(paths), continuous=False)
    return [
        each
        for files in captures
        for each in observations(pipeline.names(files, statistics or RunStatistics()))
    ]


def split_hello(folder: Path) -> list[str]:
    """Two files that a ClientHello spans, with names in the wrong order."""
    message = handshakes.records(
        handshakes.client_hello(TIKTOK, random.Random(8), post_quantum=True)
    )
    frames = timed(
        [
            ETHERNET.frame(tcp(flags="S", seq=1000)),
            ETHERNET.frame(tcp(message[:1000])),
            ETHERNET.frame(tcp(message[1000:], seq=2001)),
        ]
    )
    paths = [folder / "z-first.pcap", folder / "a-second.pcap"]
    paths[0].write_bytes(pcap(frames[:2]))
    paths[1].write_bytes(pcap(frames[2:]))
    return [str(path) for path in paths]


def test_a_hello_over_two_files_is_complete_only_if_they_are_one_capture(tmp_path: Path) -> None:
    paths = split_hello(tmp_path)
    for given in (paths, paths[::-1]):
        found = find_captures(given)
        separate = list(group_files(found, continuous=False))
        assert [len(files) for files in separate] == [1, 1]
        complete = [
            observation
            for files in separate
            for observation in observations(pipeline.names(files, RunStatistics()))
            if observation.tls and observation.tls.ja4
        ]
        assert complete == []
        ((*files,),) = group_files(found, continuous=True)
        assert [Path(each.path).name for each in files] == ["z-first.pcap", "a-second.pcap"]
        (observation,) = observations(pipeline.names(files, RunStatistics()))
        assert (observation.name, Path(observation.source).name) == (TIKTOK, "a-second.pcap")
        assert observation.packet == 1


def test_a_split_capture_with_an_empty_and_a_missing_file(
    tmp_path: Path,
) -> None:
    paths = split_hello(tmp_path)
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(pcap([]))
    statistics = RunStatistics()
    found = find_captures([*paths, str(empty), str(tmp_path / "missing.pcap")])
    ((*files,),) = group_files(found, continuous=True)
    assert [each.name for each in observations(pipeline.names(files, statistics))] == [TIKTOK]
    assert (statistics.files, len(statistics.unread)) == (3, 1)


def test_unreadable_files_are_noted_and_the_others_are_read(tmp_path: Path) -> None:
    good = capture(tmp_path / "good.pcap", one_hello(DURING))
    (tmp_path / "notes.txt").write_text("no capture")
    (tmp_path / "broken.pcap").write_bytes(b"broken")
    (tmp_path / "cut.pcap").write_bytes(Path(good).read_bytes() + b"\0\0\0")
    statistics = RunStatistics()
    found = names(str(tmp_path), str(tmp_path / "missing.pcap"), statistics=statistics)
    assert [Path(each.source).name for each in found] == ["cut.pcap", "good.pcap"]
    assert [Path(path).name for path in statistics.skipped] == ["notes.txt"]
    assert sorted(Path(text.split(":")[0]).name for text in statistics.unread) == [
        "broken.pcap",
        "missing.pcap",
    ]
    assert [Path(note.split(":")[0]).name for note in statistics.notes] == ["cut.pcap"]
    assert statistics.files == 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.pcap", True),
        ("a.PCAPNG.gz", True),
        ("day.pcap.1", True),
        ("x/a.cap", True),
        ("a.txt", False),
        ("pcap", True),
        ("a.gz", False),
        ("eve-1.pcap.json", False),
        ("day.pcap.log", False),
    ],
)
def test_which_files_have_the_name_of_a_capture(path: str, expected: bool) -> None:
    assert has_capture_name(path) == expected


def test_a_file_that_was_not_found_is_noted() -> None:
    statistics = RunStatistics()
    assert list(pipeline.names([CaptureFile("x", error="x: no such file")], statistics)) == []
    assert statistics.unread == ["x: no such file"]


def test_progress_is_reported_after_every_block(tmp_path: Path) -> None:
    path = capture(tmp_path / "p.pcap", one_hello(DURING))
    calls: list[tuple[int, str, int]] = []
    list(
        pipeline.names(
            find_captures([path]),
            RunStatistics(),
            progress=lambda statistics, source, at: calls.append(
                (statistics.packets, source.name, at)
            ),
        )
    )
    assert calls == [(1, path, Path(path).stat().st_size)]
