"""Captures in a bucket give what they give in a folder, to the byte, and what fails is named."""

import shutil
import uuid
from pathlib import Path

import pytest
from support.paths import PCAPS
from support.s3_faults import Fault, FaultyS3

from netwatch.cli import main

Captured = pytest.CaptureFixture[str]
CONFIG = str(PCAPS / "netwatch.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample captures in folders of days."""
    folder = tmp_path_factory.mktemp("archive") / "2026"
    for number, path in enumerate(sorted(PCAPS.glob("*.pcap"))):
        day = folder / f"{number % 3 + 1:02}"
        day.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, day)
    (folder / "01" / "notes.txt").write_text("no capture")
    return folder


@pytest.fixture(scope="module")
def bucket(s3_server: str, folder: Path) -> str:
    """The same in a bucket."""
    import boto3

    assert s3_server
    name, client = f"archive-{uuid.uuid4().hex[:12]}", boto3.client("s3")
    client.create_bucket(Bucket=name)
    for path in folder.rglob("*.*"):
        client.upload_file(str(path), name, f"2026/{path.relative_to(folder)}")
    return f"s3://{name}/2026"


def run(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    status = main([*arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("", ["scan", "-q", "-c", CONFIG, "--coverage", "--format", "jsonl"]),
        ("/**/*.pcap", ["scan", "-q", "-c", CONFIG, "--format", "jsonl", "--jobs", "2"]),
        ("/", ["scan", "-q", "-c", CONFIG, "--format", "csv", "--continuous"]),
        ("/*/", ["names", "-q", "--format", "csv"]),
    ],
)
def test_gives_what_a_folder_gives(
    bucket: str, folder: Path, capsys: Captured, path: str, options: list[str]
) -> None:
    here = run(capsys, options[0], f"{folder}{path}", *options[1:])
    there = run(capsys, options[0], f"{bucket}{path}", *options[1:])
    assert len(here[1]) > 1000
    assert there == tuple(
        text.replace(str(folder), bucket) if isinstance(text, str) else text for text in here
    )


def test_evidence_and_store_name_the_url(bucket: str, tmp_path: Path, capsys: Captured) -> None:
    import hashlib

    stored = str(tmp_path / "store")
    path = f"{bucket}/02/five-kinds.pcap"
    options = ["-q", "-c", CONFIG, "--evidence", f"{tmp_path}/e", "--store-path", stored]
    assert run(capsys, "scan", path, *options)[0] == 0
    question = "SELECT path, size, sha256 FROM evidence WHERE incident IS NULL"
    asked = run(capsys, "store", "sql", question, "--store-path", stored, "--format", "csv")
    content = (PCAPS / "five-kinds.pcap").read_bytes()
    assert (
        asked[1].splitlines()[1] == f"{path},{len(content)},{hashlib.sha256(content).hexdigest()}"
    )
    (evidence, *_) = (tmp_path / "e").glob("*.pcapng")
    assert path.encode() in evidence.read_bytes()


def test_what_fails_is_named_and_the_rest_is_read(
    bucket: str, folder: Path, s3_faults: FaultyS3, capsys: Captured
) -> None:
    s3_faults.faults = [
        Fault(path="*/dns-over-tcp.pcap", status=403, code="AccessDenied"),
        Fault(path="*/http-host.pcap", status=404, code="NoSuchKey"),
        Fault(path="*/lease-moves.pcap", status=503, code="SlowDown"),
        Fault(path="*/five-kinds.pcap", status=500, times=1),
    ]
    status, output, errors = run(capsys, "names", bucket, "--format", "jsonl", "-q")
    assert status == 1
    assert sorted(errors.replace(bucket, "X").splitlines()) == [
        "netwatch: X/01/dns-over-tcp.pcap: nothing can be read: reading stopped at byte 0:"
        " access is denied",
        "netwatch: X/01/lease-moves.pcap: nothing can be read: reading stopped at byte 0:"
        " the server answered SlowDown: made by a test",
        "netwatch: X/03/http-host.pcap: nothing can be read: reading stopped at byte 0:"
        " no such object",
    ]
    whole = run(capsys, "names", str(folder), "--format", "jsonl", "-q")[1]
    expected = [
        line.replace(str(folder), bucket)
        for line in whole.splitlines()
        if not any(name in line for name in ("dns-over-tcp", "http-host", "lease-moves"))
    ]
    assert output.splitlines() == expected


def test_a_capture_whose_server_fails_midway(
    s3_faults: FaultyS3, bucket: str, capsys: Captured, tmp_path: Path
) -> None:
    import boto3
    from support.made_captures import pcap

    large = pcap([bytes(60_000)] * 50)
    name = bucket[5:].partition("/")[0]
    boto3.client("s3").put_object(Bucket=name, Key="large.pcap", Body=large)
    s3_faults.faults = [
        Fault(path="*/large.pcap", times=1),
        Fault(path="*/large.pcap", status=403, code="AccessDenied"),
    ]
    status, _, errors = run(capsys, "scan", f"s3://{name}/large.pcap", "-c", CONFIG)
    assert status == 1
    assert "/large.pcap: reading stopped at byte 1048576: access is denied\n" in errors
    assert "17 packets" in errors


def test_credentials_are_never_shown(
    bucket: str, s3_faults: FaultyS3, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    s3_faults.faults = [Fault(status=403, code="InvalidAccessKeyId")]
    status, output, errors = run(capsys, "scan", f"{bucket}/01", "-c", CONFIG)
    assert (status, output) == (1, "")
    assert f"{bucket}/01: the server answered InvalidAccessKeyId" in errors
    assert "secret" not in errors
    place = bucket.replace("s3://", "s3://AKIDEXAMPLE:other-secret@")
    status, output, errors = run(capsys, "scan", f"{place}/01", "-c", CONFIG)
    assert (status, output) == (2, "")
    assert (
        errors
        == f"netwatch: {bucket}/01: expected a URL without credentials, which are taken from the"
        " environment\n"
    )
