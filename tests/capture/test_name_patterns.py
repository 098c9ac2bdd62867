"""Globs over the names that a server lists mean what they mean on a disk."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from netwatch.capture.files import find_captures
from netwatch.capture.name_patterns import fixed_part, is_hidden, matcher

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
