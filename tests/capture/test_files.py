import gzip
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_captures import PACKETS, pcap, pcapng, read

import netwatch
from netwatch.capture.files import (
    UNSUPPORTED_FORMATS,
    CaptureFile,
    NotACaptureError,
    find_captures,
    open_source,
)
from netwatch.core.errors import CaptureError

EXPECTED = (
    "expected pcap or pcapng, optionally compressed with gzip, bzip2, xz, zstd, lz4, or a log"
    " (--as names the format of one that is not recognised)"
)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder with files, hidden ones, a folder below, and links that go round."""
    for name in ("b.pcap", "a.pcap", "a/z.pcap", "a/b/c.pcap", "a-b/d", ".hidden", ".git/e.pcap"):
        path = tmp_path / "captures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pcap())
    (tmp_path / "captures/a/round").symlink_to(tmp_path / "captures")
    (tmp_path / "captures/a/self").symlink_to("self")
    (tmp_path / "captures/link.pcap").symlink_to("b.pcap")
    os.mkfifo(tmp_path / "captures/fifo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(found):
    assert all(entry.error is None for entry in found)
    return [entry.path for entry in found]


IN_FOLDER = [
    "captures/a/b/c.pcap",
    "captures/a/z.pcap",
    "captures/a-b/d",
    "captures/a.pcap",
    "captures/b.pcap",
]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("folder", ["captures", "captures/"])
def test_a_folder_gives_regular_files_below_it(folder):
    found = find_captures([folder])
    assert paths(found) == IN_FOLDER
    assert not any(entry.named_by_user for entry in found)


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("captures/*.pcap", ["captures/a.pcap", "captures/b.pcap"]),
        ("captures/l*", ["captures/link.pcap"]),
        ("captures/[ab].pcap", ["captures/a.pcap", "captures/b.pcap"]),
        ("captures/a/**/c.pcap", ["captures/a/b/c.pcap"]),
        ("captures/a-?", ["captures/a-b/d"]),
        ("captures/*/**", ["captures/a-b/d", "captures/a/b/c.pcap", "captures/a/z.pcap"]),
        ("**/c.pcap", ["./captures/a/b/c.pcap"]),
        ("capt*/**/**/c.pcap", ["captures/a/b/c.pcap"]),
        ("captures/**/b", ["captures/a/b/c.pcap"]),
    ],
)
def test_globs(pattern, matches):
    assert paths(find_captures([pattern])) == matches


@pytest.mark.usefixtures("tree")
def test_two_stars_alone_give_every_file_once():
    found = paths(find_captures(["captures/a-b/**"]))
    assert found == ["captures/a-b/d"]


def test_a_file_whose_name_is_a_pattern(tree):
    (tree / "x[1].pcap").write_bytes(b"")
    (tree / "x1.pcap").write_bytes(b"")
    assert paths(find_captures(["x[1].pcap"])) == ["x[1].pcap"]


@pytest.mark.usefixtures("tree")
def test_named_files_come_in_the_order_given_and_once():
    given = ["captures/b.pcap", "-", "captures/.hidden", "./captures/b.pcap", "captures", "-"]
    found = find_captures(given)
    assert paths(found)[:3] == ["captures/b.pcap", "-", "captures/.hidden"]
    assert paths(found)[3:] == [path for path in IN_FOLDER if path != "captures/b.pcap"]
    assert [entry.named_by_user for entry in found[:3]] == [True] * 3


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("gone.pcap", "gone.pcap: no such file or folder"),
        ("*.gone", "*.gone: no file matches"),
        ("captures/a.pcap/x", "captures/a.pcap/x: cannot be opened: Not a directory"),
        ("captures/a/self", "captures/a/self: cannot be opened: Too many levels of symbolic links"),
        ("nul\0", "nul\0: cannot be opened: its name contains a NUL character"),
    ],
)
def test_what_matches_nothing_is_an_error(path, error):
    assert find_captures(["captures/b.pcap", path]) == [
        CaptureFile("captures/b.pcap"),
        CaptureFile(path, error=error),
    ]


def test_an_empty_folder_is_an_error(tmp_path):
    (entry,) = find_captures([str(tmp_path)])
    assert entry.error == f"{tmp_path}: no files in this folder"


def test_a_folder_that_cannot_be_opened(tree, monkeypatch):
    # Permissions do not stop root, who may be running this.
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "a-b":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_captures(["captures"])
    assert [entry.path for entry in found if entry.error is None] == [
        path for path in IN_FOLDER if "a-b" not in path
    ]
    assert [entry.error for entry in found if entry.error] == [
        "captures/a-b: cannot be opened: Permission denied"
    ]


@pytest.mark.parametrize("data", [pcap(), pcapng(), gzip.compress(pcapng())])
def test_the_content_decides_and_not_the_name(tmp_path, data):
    path = tmp_path / "notes.txt"
    path.write_bytes(data)
    rows, notes = read(path)
    assert ([row.data for row in rows], notes) == (list(PACKETS), [])
    source = open_source(str(path))
    assert (source.name, source.size) == (str(path), len(data))
    source.close()
    source.close()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"hello world", f"is not a capture (starts with 'hello wo'); {EXPECTED}"),
        (b"\xff\xfe\n", f"is not a capture (starts with ff fe 0a); {EXPECTED}"),
        (b"\xa1", f"is not a capture (starts with a1); {EXPECTED}"),
        (b"", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty inside gzip"),
        (
            gzip.compress(b"text", mtime=0),
            f"is not a capture (starts with 'text') inside gzip; {EXPECTED}",
        ),
        (b"PK\x03\x04....", "is a zip archive, unpack it first"),
    ],
)
def test_a_file_that_is_no_capture_is_reported(tmp_path, data, error):
    path = tmp_path / "x.txt"
    path.write_bytes(data)
    with pytest.raises(NotACaptureError) as raised:
        open_source(str(path))
    assert str(raised.value) == f"{path}: {error}"


def test_known_others_are_recognised_by_four_bytes():
    assert {len(magic) for magic in UNSUPPORTED_FORMATS} == {4}


def test_damage_that_leaves_nothing_is_not_called_another_format(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(pcap())[:11])
    with pytest.raises(
        CaptureError, match="nothing can be read: gzip data are truncated"
    ) as raised:
        open_source(str(path))
    assert not isinstance(raised.value, NotACaptureError)


def test_what_cannot_be_opened_is_reported(tmp_path, monkeypatch):
    with pytest.raises(CaptureError, match=r"gone: no such file or folder$"):
        open_source(str(tmp_path / "gone"))
    with pytest.raises(CaptureError, match=r": is a folder, expected a file$"):
        open_source(str(tmp_path))
    with pytest.raises(CaptureError, match=r": cannot be opened: its name contains a NUL char"):
        open_source("a\0b")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(CaptureError, match=r"^-: cannot be opened: standard input is closed$"):
        open_source("-")


def test_permission_denied(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(CaptureError, match=r"^x: cannot be opened: Permission denied$"):
        open_source("x")


SCRIPT = """
from netwatch.capture.files import open_source
source = open_source("-")
print(source.name, source.size, sum(block.count for block in source.blocks()), source.notes)
"""


@pytest.mark.parametrize("data", [pcap(), pcapng(), gzip.compress(pcap())])
def test_standard_input_that_cannot_be_rewound(data):
    root = str(Path(netwatch.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=data,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.stdout.decode() == f"- None {len(PACKETS)} []\n"


def test_a_pipe_yields_blocks_as_data_come(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    whole = pcap()
    first = 24 + 16 + len(PACKETS[0])
    seen = threading.Event()

    def write():
        with path.open("wb", buffering=0) as fifo:
            fifo.write(whole[:first])
            assert seen.wait(30)
            fifo.write(whole[first:])

    writer = threading.Thread(target=write)
    writer.start()
    source = open_source(str(path))
    assert source.size is None
    counts = []
    for block in source.blocks():
        counts.append(block.count)
        seen.set()
    writer.join()
    assert counts[0] == 1
    assert sum(counts) == len(PACKETS)


@given(data=st.binary(max_size=200))
def test_any_bytes_as_a_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(data)
    try:
        rows, _ = read(path)
    except CaptureError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - some bytes are a capture
    else:
        assert len(rows) <= len(data)


def test_an_abandoned_source_is_closed(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(pcap())
    source = open_source(str(path))
    blocks = source.blocks()
    next(blocks)
    blocks.close()
