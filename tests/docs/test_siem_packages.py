"""The packages for receivers: the same bytes again, and nothing left of former ones."""

import io
import sys
import tarfile
from pathlib import Path

import pytest
from siem_packages import __main__ as program
from siem_packages.archive import tar_gz

MOMENT = 1_700_000_000


def contents(name: str) -> dict[str, str]:
    """The texts in a package, by their paths, its own folder included."""
    (packed,) = (c for path, c in program.packages(MOMENT).items() if path.startswith(name))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        files = {each.name: archive.extractfile(each) for each in archive if each.isfile()}
        return {path: file.read().decode() for path, file in files.items() if file}


def test_packages_are_the_same_bytes_again() -> None:
    assert program.packages(MOMENT) == program.packages(MOMENT)


def test_an_archive_has_its_folders_and_only_scripts_can_be_executed() -> None:
    packed = tar_gz({"a/b.txt": "one", "run.sh": "two"}, "top", MOMENT)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        modes = {each.name: each.mode for each in archive}
        assert {each.mtime for each in archive} == {MOMENT}
    assert modes == {"top": 0o755, "top/a": 0o755, "top/a/b.txt": 0o644, "top/run.sh": 0o755}


def test_check_tells_what_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(MOMENT))

    def run(*options: str) -> int:
        monkeypatch.setattr(sys, "argv", ["siem_packages", "-o", str(tmp_path), *options])
        return program.main()

    assert run("--check") == 1
    assert list(tmp_path.iterdir()) == []
    assert (run(), run("--check")) == (0, 0)
    first = min(path for path in tmp_path.rglob("*") if path.is_file())
    first.write_bytes(b"changed")
    former = tmp_path / "netwatch-former-0.0.1.tar.gz"
    former.write_bytes(b"")
    capsys.readouterr()
    assert run("--check") == 1
    assert {line.partition(":")[0] for line in capsys.readouterr().out.splitlines()} == {
        str(first),
        str(former),
    }
    assert (run(), run("--check"), former.exists()) == (0, 0, False)
