"""Signatures of reports: made, checked, and refused where one bit is different."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.core.errors import NetwatchError
from netwatch.report.files import sign, verify, write_new_key

NO_KEY = base64.b64encode(bytes(32)).decode()


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A signature of two files."""
    write_new_key(tmp_path / "a.key")
    for name in ("report.json", "report.html"):
        (tmp_path / name).write_text(f"the {name}")
    files = [tmp_path / "report.json", tmp_path / "report.html"]
    sign(tmp_path / "a.key", files, tmp_path / "report.sig")
    return tmp_path / "report.sig"


def test_a_signature_holds(signed: Path) -> None:
    found = verify(signed, signed.with_name("a.key.pub"))
    assert found.problems == ()
    assert found.files == ("report.html", "report.json")


def test_the_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    write_new_key(tmp_path / "k")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    with pytest.raises(NetwatchError, match="exists already"):
        write_new_key(tmp_path / "k")
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(NetwatchError, match="mode 640"):
        sign(tmp_path / "k", [], tmp_path / "report.sig")


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_a_file_that_was_changed_is_named(signed: Path, name: str) -> None:
    path = signed.with_name(name)
    path.write_text(path.read_text() + " ")
    (problem,) = verify(signed).problems
    assert f"{name} was changed" in problem
    path.unlink()
    (problem,) = verify(signed).problems
    assert f"{name} cannot be read" in problem


def _other_hash(record: dict[str, object]) -> None:
    record["files"][0]["sha256"] = "0" * 64  # type: ignore[index]


def _other_time(record: dict[str, object]) -> None:
    record["time"] = "2020-01-01T00:00:00Z"


def _without_a_file(record: dict[str, object]) -> None:
    del record["files"][0]  # type: ignore[attr-defined]


def _more(record: dict[str, object]) -> None:
    record["note"] = "added"


def _other_signature(record: dict[str, object]) -> None:
    raw = bytearray(base64.b64decode(str(record["signature"])))
    raw[7] ^= 1
    record["signature"] = base64.b64encode(raw).decode()


def _no_signature(record: dict[str, object]) -> None:
    record["signature"] = ""


@pytest.mark.parametrize(
    "change",
    [_other_hash, _other_time, _without_a_file, _more, _other_signature, _no_signature],
)
def test_a_signature_that_was_changed_does_not_hold(
    signed: Path, change: Callable[[dict[str, object]], None]
) -> None:
    record = json.loads(signed.read_text())
    change(record)
    signed.write_text(json.dumps(record))
    assert any(
        "the signature does not match the content" in each for each in verify(signed).problems
    )


def test_a_signature_by_another_key_is_refused_where_the_key_is_known(signed: Path) -> None:
    other = signed.with_name("other.key")
    write_new_key(other)
    sign(other, [signed.with_name("report.json")], signed)
    assert verify(signed).problems == ()
    (problem,) = verify(signed, signed.with_name("a.key.pub")).problems
    assert "not by the key" in problem


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '"text"',
        '{"schema": "netwatch.report-signature/1"}',
        '{"schema": "netwatch.report-signature/1", "key": "AA==", "time": "", "signature": "",'
        ' "files": []}',
        f'{{"schema": "netwatch.report-signature/1", "key": "{NO_KEY}", "time": "",'
        ' "signature": "", "files": [{"name": "../etc/passwd", "sha256": ""}]}',
        "x" * 20_000,
    ],
)
def test_what_is_no_signature_is_said(tmp_path: Path, content: str) -> None:
    path = tmp_path / "report.sig"
    path.write_text(content)
    with pytest.raises(NetwatchError, match=r"report\.sig: "):
        verify(path)
