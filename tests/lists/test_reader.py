"""Files of a list: what is read, what is included, and what is refused."""

import hashlib
import os
from pathlib import Path

import pytest

from netwatch.core.errors import ConfigError
from netwatch.lists import reader
from netwatch.lists.reader import Bounds, read_list


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_included_files_are_read_once_with_their_own_places(tmp_path: Path) -> None:
    write(
        tmp_path,
        top="full:top.example\ninclude:middle\ninclude:bottom\n",
        middle="middle.example\ninclude:bottom\ninclude:top\n",
        bottom="\nbottom.example\n",
    )
    listing = read_list(str(tmp_path / "top"))
    found = {(listed.name, Path(listed.file).name, listed.line) for listed in listing.names}
    assert found == {
        ("top.example", "top", 1),
        ("middle.example", "middle", 1),
        ("bottom.example", "bottom", 2),
    }
    assert listing.bad_lines == 0


def test_an_include_chooses_by_attributes(tmp_path: Path) -> None:
    write(
        tmp_path,
        top="include:other @cn @-ads\n",
        other="a.example @cn\nb.example\nc.example @cn @ads\ninclude:third @eu\n",
        third="d.example @cn @eu\ne.example @eu\n",
    )
    listing = read_list(str(tmp_path / "top"))
    assert [listed.name for listed in listing.names] == ["a.example", "d.example"]
    assert listing.skipped == {"left out by the attributes of an include": 3}


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "missing", ".hidden", ""])
def test_only_files_beside_the_list_are_included(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret.example\n", encoding="utf-8")
    folder = tmp_path / "lists"
    folder.mkdir()
    write(folder, top=f"top.example\nfull:www.example.com\ninclude:{name}\n")
    listing = read_list(str(folder / "top"))
    assert [listed.name for listed in listing.names] == ["top.example", "www.example.com"]
    assert [problem.line for problem in listing.problems] == [3]


def test_standard_input_includes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, other="other.example\n")
    monkeypatch.chdir(tmp_path)
    listing = read_list("standard input", None, b"include:other\nfull:a.example\n")
    assert [listed.name for listed in listing.names] == ["a.example"]
    assert "expected a list from a file" in listing.problems[0].message


def test_many_includes_end_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_INCLUDES", 2)
    write(tmp_path, top="include:a\ninclude:b\ninclude:c\n", a="a.example", b="b.example", c="")
    listing = read_list(str(tmp_path / "top"))
    assert listing.bad_lines == 1
    assert listing.problems[0].line == 3


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    write(tmp_path, plain="a.example\n", top="include:plain\n")
    digest = hashlib.sha256(b"a.example\n").hexdigest()
    assert read_list(str(tmp_path / "plain")).digest == digest
    both = hashlib.sha256(b"include:plain\na.example\n").hexdigest()
    assert read_list(str(tmp_path / "top")).digest == both


def test_the_bytes_of_all_files_together_are_bounded(
    tmp_path: Path,
) -> None:
    write(tmp_path, top="include:other\n", other="x" * 30)
    with pytest.raises(ConfigError, match="other: cannot be read: expected at most 26 bytes"):
        read_list(str(tmp_path / "top"), bounds=Bounds(bytes=40))


def test_the_names_of_a_list_are_bounded_where_it_is_said(tmp_path: Path) -> None:
    write(tmp_path, top="a.example\nb.example\na.example\nc.example\n")
    assert len(read_list(str(tmp_path / "top"), bounds=Bounds(names=3)).names) == 3
    with pytest.raises(ConfigError) as caught:
        read_list(str(tmp_path / "top"), bounds=Bounds(names=2))
    expected = f"{tmp_path}/top:4: expected a list of at most 2 names, found more"
    assert str(caught.value) == expected


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a file, found a folder"):
        read_list(str(tmp_path))
    with pytest.raises(ConfigError, match="No such file"):
        read_list(str(tmp_path / "none"))


def test_a_pipe_that_is_included_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write(tmp_path, top="a.example\ninclude:pipe\n")
    listing = read_list(str(tmp_path / "top"))
    assert listing.problems[0].line == 2


def test_a_long_line_is_a_bad_one(tmp_path: Path) -> None:
    write(tmp_path, top="a" * 70_000 + "\ngood.example\n")
    listing = read_list(str(tmp_path / "top"))
    assert [listed.name for listed in listing.names] == ["good.example"]
    assert listing.bad_lines == 1
