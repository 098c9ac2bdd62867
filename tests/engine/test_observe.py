"""From captures to observations: which files are one capture, and what cannot be read."""

import random
from pathlib import Path

import handshakes
import pytest
from support.captures import pcap, timed
from support.frames import ETHERNET, tcp
from support.office import DURING, TIKTOK, capture, one_hello

from netwatch.capture.files import Found, find
from netwatch.core.observation import Observation
from netwatch.core.statistics import RunStatistics
from netwatch.engine import observe as wire
from netwatch.engine import pipeline


def names(*paths: str, statistics: RunStatistics | None = None) -> list[Observation]:
    captures = wire.captures(find(paths), continuous=False)
    return [
        each for files in captures for each in pipeline.names(files, statistics or RunStatistics())
    ]


def split_hello(folder: Path) -> list[str]:
    """Two files, in the wrong order by name, with a ClientHello over both."""
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


def test_a_hello_over_two_files_is_whole_only_where_they_are_one_capture(tmp_path: Path) -> None:
    paths = split_hello(tmp_path)
    for given in (paths, paths[::-1]):
        found = find(given)
        alone = list(wire.captures(found, continuous=False))
        assert [len(files) for files in alone] == [1, 1]
        whole = [
            observation
            for files in alone
            for observation in pipeline.names(files, RunStatistics())
            if observation.tls and observation.tls.ja4
        ]
        assert whole == []
        ((*files,),) = wire.captures(found, continuous=True)
        assert [Path(each.path).name for each in files] == ["z-first.pcap", "a-second.pcap"]
        (observation,) = pipeline.names(files, RunStatistics())
        assert (observation.name, Path(observation.source).name) == (TIKTOK, "a-second.pcap")
        assert observation.packet == 1


def test_a_file_without_packets_or_that_is_missing_does_not_disturb_a_capture_in_pieces(
    tmp_path: Path,
) -> None:
    paths = split_hello(tmp_path)
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(pcap([]))
    statistics = RunStatistics()
    found = find([*paths, str(empty), str(tmp_path / "missing.pcap")])
    ((*files,),) = wire.captures(found, continuous=True)
    assert [each.name for each in pipeline.names(files, statistics)] == [TIKTOK]
    assert (statistics.files, len(statistics.unread)) == (3, 1)


def test_bad_files_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
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
    ("path", "meant"),
    [
        ("a.pcap", True),
        ("a.PCAPNG.gz", True),
        ("day.pcap.1", True),
        ("x/a.cap", True),
        ("a.txt", False),
        ("pcap", True),
        ("a.gz", False),
    ],
)
def test_which_files_are_meant_as_captures(path: str, meant: bool) -> None:
    assert wire.meant_as_capture(path) == meant


def test_an_unread_find_is_passed_on() -> None:
    statistics = RunStatistics()
    assert list(pipeline.names([Found("x", error="x: no such file")], statistics)) == []
    assert statistics.unread == ["x: no such file"]


def test_progress_is_told_after_every_block(tmp_path: Path) -> None:
    path = capture(tmp_path / "p.pcap", one_hello(DURING))
    told: list[tuple[int, str, int]] = []
    list(
        pipeline.names(
            find([path]),
            RunStatistics(),
            lambda statistics, source, at: told.append((statistics.packets, source.name, at)),
        )
    )
    assert told == [(1, path, Path(path).stat().st_size)]
