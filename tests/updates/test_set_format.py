"""Manifests and archives: what is written is read, and nothing else is believed."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.updates import set_format
from netwatch.updates.set_format import (
    Content,
    Manifest,
    SetError,
    is_readable_by,
    pack,
    read_folder,
    read_manifest,
    set_hash,
    unpack,
)

FILES = {
    "apps/clips.yaml": b"app: clips\n",
    "bans/city-2023.yaml": b"id: city-2023\n",
    "NOTES.md": b"",
    "evidence/clips.yaml": b"a" * 1000,
}


def manifest(files: dict[str, bytes] = FILES, archive: bytes | None = None) -> Manifest:
    return Manifest(
        version=12,
        created=datetime(2026, 11, 1, tzinfo=UTC),
        expires=datetime(2027, 2, 1, tzinfo=UTC),
        netwatch="0.1.0",
        archive=Content.of(pack(files) if archive is None else archive),
        files={name: Content.of(data) for name, data in files.items()},
    )


def test_a_manifest_is_read_as_it_was_written() -> None:
    written = manifest()
    assert read_manifest(written.to_bytes()) == written
    assert written.to_bytes() == manifest(dict(reversed(FILES.items()))).to_bytes()
    assert set_hash(written.to_bytes()) != set_hash(replace(written, version=13).to_bytes())


def test_an_archive_is_read_as_it_was_written() -> None:
    assert unpack(pack(FILES), manifest()) == FILES
    assert pack(FILES) == pack(dict(reversed(FILES.items())))


def _set(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


ONE = {"length": 1, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_set("format", value="netwatch.set/2"), "expected format netwatch.set/1"),
        (_set("version", value=0), "expected a number from 1"),
        (_set("version", value=True), "expected a number from 1"),
        (_set("version", value="12"), "expected a number from 1"),
        (_set("version", value=10**9), "expected a number from 1"),
        (_set("created", value="2026-11-01"), "does not match"),
        (_set("expires", value=None), "expected a text"),
        (_set("netwatch", value="new"), "expected a release like"),
        (_set("archive", "length", value=1 << 40), "expected a number from 0"),
        (_set("archive", "sha256", value="00"), "expected 64 hex digits"),
        (_set("files", value={}), "expected 1 to"),
        (_set("files", value=[]), "expected 1 to"),
        (_set("files", value={"apps/a.yaml": ONE}), "expected files of bans"),
        (_set("files", value={"bans/a.yaml": ONE}), "expected files of apps"),
        *(
            (_set("files", name, value=ONE), "a set has no file of the name")
            for name in (
                "../evil.yaml",
                "/etc/passwd",
                "apps/../../x.yaml",
                "apps/deeper/x.yaml",
                "apps/x.py",
                "__init__.py",
                "apps/.x.yaml",
                "apps/x.yaml\n",
                "set.json",
                "apps\\x.yaml",
            )
        ),
        (lambda content: content.pop("expires"), "'expires' is missing"),
        (lambda content: content["archive"].pop("sha256"), "'sha256' is missing"),
    ],
)
def test_a_manifest_with_mistakes_is_refused(
    change: Callable[[dict[str, Any]], None], expected: str
) -> None:
    content = json.loads(manifest().to_bytes())
    change(content)
    with pytest.raises(SetError) as caught:
        read_manifest(json.dumps(content).encode())
    assert expected in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"1", b"null", b"[" * 100_000])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(SetError):
        read_manifest(data)


def test_a_manifest_that_is_too_long_is_refused() -> None:
    with pytest.raises(SetError, match="at most"):
        read_manifest(manifest().to_bytes() + b" " * set_format.MAX_MANIFEST_BYTES)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_manifest_or_refused(data: bytes) -> None:
    with pytest.raises(SetError):
        read_manifest(data)


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(tar.getvalue())


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


GOOD = [(member(name), data) for name, data in FILES.items()]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (GOOD[1:], "lacks files"),
        ([*GOOD, (member("apps/more.yaml"), b"")], "does not name"),
        ([*GOOD, (member("../../etc/cron.d/x"), b"")], "does not name"),
        ([*GOOD, GOOD[0]], "does not name"),
        ([(member("apps/clips.yaml", tarfile.SYMTYPE, "/etc/passwd"), b"")], "does not name"),
        ([(member("apps/clips.yaml", tarfile.LNKTYPE, "x"), b"")], "does not name"),
        ([(member("apps/clips.yaml", tarfile.DIRTYPE), b"")], "does not name"),
        ([(member("apps/clips.yaml"), b"app: evil!\n"), *GOOD[1:]], "differs from set.json"),
        ([(member("apps/clips.yaml"), b"app: clips\n" * 2), *GOOD[1:]], "differs from set.json"),
    ],
)
def test_an_archive_that_differs_from_its_manifest_is_refused(
    members: list[tuple[tarfile.TarInfo, bytes]], expected: str
) -> None:
    archive = archive_of(*members)
    with pytest.raises(SetError, match=expected):
        unpack(archive, manifest(archive=archive))


def test_an_archive_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_format, "MAX_SET_BYTES", 1 << 20)
    archive = gzip.compress(bytes(50 << 20))
    with pytest.raises(SetError, match="expected at most"):
        unpack(archive, manifest(archive=archive))


@pytest.mark.parametrize(
    "archive",
    [b"", b"PK\x03\x04", pack(FILES)[:-1], pack(FILES) + pack(FILES), pack(FILES) + b"\0"],
)
def test_a_damaged_archive_is_refused(archive: bytes) -> None:
    with pytest.raises(SetError):
        unpack(archive, manifest(archive=archive))


def test_another_archive_is_refused() -> None:
    with pytest.raises(SetError, match="is not the one"):
        unpack(pack(FILES), manifest(archive=b"other"))


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_any_change_of_an_archive_is_refused(at: int, other: bytes) -> None:
    good = pack(FILES)
    at %= len(good)
    changed = good[:at] + other + good[at + len(other) :]
    try:
        files = unpack(changed, manifest(archive=changed))
    except SetError:
        return
    assert files == FILES


@pytest.mark.parametrize(
    ("required", "release", "readable"),
    [
        ("0.1.0", "0.1.0", True),
        ("0.1", "0.1.0", True),
        ("0.2.0", "0.10.0", True),
        ("0.10.0", "0.2.0", False),
        ("1.0.0", "0.9.9", False),
        ("0.1.0", "0.1.0.dev1", True),
        ("0.1.1", "0.1.0", False),
    ],
)
def test_a_set_may_require_a_release(required: str, release: str, readable: bool) -> None:
    assert is_readable_by(required, release) is readable


def test_a_folder_has_the_files_of_a_set(tmp_path: Path) -> None:
    for name, data in {**FILES, "__init__.py": b"", "apps/x.pyc": b"", "other/x.yaml": b""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert read_folder(tmp_path) == FILES
    (tmp_path / "apps" / "Not An App.yaml").write_bytes(b"")
    with pytest.raises(SetError, match=r"has no file of the name 'apps/Not An App\.yaml'"):
        read_folder(tmp_path)


def test_a_folder_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_format, "MAX_SET_FILES", 2)
    (tmp_path / "apps").mkdir()
    for name in "abc":
        (tmp_path / "apps" / f"{name}.yaml").write_bytes(b"")
    with pytest.raises(SetError, match="expected at most 2 files"):
        read_folder(tmp_path)
