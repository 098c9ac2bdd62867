"""What a URL is, and what of it is shown.

Globs over the names that a server lists mean what they mean on a disk.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.made_captures import PACKETS, pcap

from netwatch.capture.files import CaptureFile, file_info, find_captures, open_source
from netwatch.capture.locations import (
    fixed_part,
    is_hidden,
    is_url,
    local_path,
    matcher,
    shown_url,
    without_secrets,
)
from netwatch.core.errors import CaptureError, ConfigError


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://b/k", True),
        ("HTTPS://h/x", True),
        ("file:///x", True),
        ("/a/b.pcap", False),
        ("c:/x", False),
        ("captures/s3://x", False),
        ("-", False),
    ],
)
def test_what_is_a_url(path: str, expected: bool) -> None:
    assert is_url(path) is expected


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/a@b/c.pcap", "s3://bucket/a@b/c.pcap"),
        ("s3://key:se@cret@bucket/c.pcap", "s3://bucket/c.pcap"),
        ("https://h/x?sv=1&sig=a%2Fb&n=7#x", "https://h/x?sv=***&sig=***&n=7#x"),
        ("https://h/x?X-Amz-Signature=1&AWSAccessKeyId=A", "https://h/x?X-Amz-Signature=***&AWSAccessKeyId=***"),
        ("https://h/x?Policy=p&id=" + "a" * 33, "https://h/x?Policy=***&id=***"),
        ("https://token@h/x", "https://h/x"),
        ("s3://key:se/cr/et=@bucket/c.pcap", "s3://bucket/c.pcap"),
        ("az://name:5e/cret@container/c.pcap", "az://container/c.pcap"),
        ("sftp://h:22/a@b/c.pcap", "sftp://h:22/a@b/c.pcap"),
        ("abfs://container@account.example/x", "abfs://container@account.example/x"),
        ("https://h/x?file=3.pcap", "https://h/x?file=3.pcap"),
    ],
)  # fmt: skip
def test_secrets_are_not_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert shown_url(shown) == shown
    assert without_secrets(f"cannot connect to '{url}'") == f"cannot connect to '{shown}'"


def test_file_urls_are_paths(tmp_path: Path) -> None:
    (tmp_path / "a b.pcap").write_bytes(pcap())
    (found,) = find_captures([f"file://{tmp_path}/a%20b.pcap", f"file://localhost{tmp_path}/*"])
    assert found == CaptureFile(f"{tmp_path}/a b.pcap")
    source = open_source(f"file://{tmp_path}/a%20b.pcap")
    assert sum(block.count for block in source.blocks()) == len(PACKETS)
    with pytest.raises(ConfigError, match="expected file:///PATH, a file of this machine"):
        local_path("file://server/x")


def test_what_identifies_a_local_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(b"one")
    first = file_info(CaptureFile(str(path)))
    assert (first.key, first.size) == (str(path), 3)
    assert file_info(CaptureFile(str(path))) == first
    path.unlink()
    path.write_bytes(b"two")
    assert file_info(CaptureFile(str(path))).etag != first.etag
    with pytest.raises(CaptureError, match="gone: No such file"):
        file_info(CaptureFile(f"{tmp_path}/gone"))


def test_local_files_import_nothing_of_urls(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap())
    script = (
        "import sys; from netwatch.capture.files import find_captures, open_source;"
        f"[*open_source(find_captures([{str(tmp_path / 'a.pcap')!r}])[0]).blocks()];"
        "print([name for name in ('fsspec', 'urllib3', 'concurrent.futures',"
        "'netwatch.capture.remote_file') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"


NAMES = [
    "top/a.pcap",
    "top/b.pcap",
    "top/.hidden",
    "top/.git/e.pcap",
    "top/a/z.pcap",
    "top/a/b/c.pcap",
    "top/a/b/.c.pcap",
    "top/a-b/d",
    "top/a/b/b/c.pcap",
]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disk")
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def on_disk(folder: Path, pattern: str) -> dict[str, bool]:
    found = find_captures([f"{folder}/{pattern}"])
    return {
        os.path.relpath(entry.path, folder): entry.named_by_user
        for entry in found
        if entry.error is None
    }


PARTS = st.sampled_from(
    ["**", "*", "top", "a", "b", "?", "*.pcap", "[ab]", "a*b", ".*", ".git", "c.pcap", "a-b", "d"]
)


@examples(300)
@given(st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: "/".join(["top", *parts])))
def test_matches_what_a_glob_on_a_disk_finds(disk: Path, pattern: str) -> None:
    matches = matcher(pattern)
    found = {name for name in NAMES if matches(name) is not None}
    assert found == set(on_disk(disk, pattern))


def test_says_what_was_meant_and_what_was_only_below() -> None:
    matches = matcher("top/a*")
    assert matches("top/a.pcap") is True
    assert matches("top/a/b/c.pcap") is False
    assert matches("top/a/b/.c.pcap") is None
    assert matcher("top/a/*/")("top/a/b/c.pcap") is False
    assert matcher("top/a/*/")("top/a/z.pcap") is None


def test_many_stars_take_no_time() -> None:
    assert matcher("a/" + "**/" * 30 + "*a" * 30 + "b")("a/" * 300 + "a" * 300) is None


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("b/2026/s-*.pcap", ("b/2026", "s-")),
        ("b/**", ("b", "")),
        ("b/x[1]/y", ("b", "x")),
        ("*/x", ("", "")),
    ],
)
def test_the_part_of_a_glob_that_is_listed(pattern: str, expected: tuple[str, str]) -> None:
    assert fixed_part(pattern) == expected


def test_hidden_names_count_from_the_folder_that_was_named() -> None:
    assert not is_hidden("b/.x/y", "b/.x")
    assert is_hidden("b/.x/.y/z", "b/.x")
