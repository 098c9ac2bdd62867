"""Captures in an S3 server and in other file systems of fsspec, with everything that goes wrong."""

import gzip
import re
import uuid
from collections.abc import Iterator

import fsspec
import pytest
from support.made_captures import PACKETS, pcap
from support.s3_faults import Fault, FaultyS3

from netwatch.capture import remote_file
from netwatch.capture.files import CaptureFile, file_info, find_captures, open_source
from netwatch.core.errors import CaptureError, ConfigError

CAPTURE = pcap()
LARGE = pcap([bytes([n % 256]) * 60_000 for n in range(120)])
"""More than the first ranges."""


@pytest.fixture(autouse=True)
def hardly_any_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "FIRST_PAUSE", 1e-6)


@pytest.fixture(scope="module")
def bucket(s3_server: str) -> str:
    """The URL of a bucket with captures."""
    assert s3_server
    name = f"archive-{uuid.uuid4().hex[:12]}"
    put(name, {f"2026/{n}.pcap": CAPTURE for n in ("07/a", "07/b", "08/s-1", "08/.h", ".g/x")})
    put(name, {"2026/large": LARGE, "2026/z[1].gz": gzip.compress(LARGE, 1)})
    put(name, {"empty": b"", "dir/": b"", "changing": LARGE})
    return f"s3://{name}"


def put(bucket: str, objects: dict[str, bytes]) -> None:
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    for key, data in objects.items():
        client.put_object(Bucket=bucket, Key=key, Body=data)


def read(file: CaptureFile | str) -> tuple[int, list[str]]:
    """How many packets a capture has, and its notes."""
    source = open_source(file)
    return sum(block.count for block in source.blocks()), source.notes


CAPTURES = ["2026/07/a.pcap", "2026/07/b.pcap", "2026/08/s-1.pcap"]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/2026/07/a.pcap", CAPTURES[:1]),
        ("/2026/07", CAPTURES[:2]),
        ("/2026/", [*CAPTURES, "2026/large", "2026/z[1].gz"]),
        ("/2026/**/*.pcap", CAPTURES),
        ("/2026/*/s-*", CAPTURES[2:]),
        ("/2026/08/s-?.pcap", CAPTURES[2:]),
        ("/2026/0[7]", CAPTURES[:2]),
        ("/2026/z[1].gz", ["2026/z[1].gz"]),
        ("/*/08", CAPTURES[2:]),
    ],
)
def test_objects_folders_and_globs(bucket: str, path: str, names: list[str]) -> None:
    found = find_captures([bucket + path])
    assert [each.path for each in found] == [f"{bucket}/{name}" for name in names]
    assert all(each.error is None and each.size for each in found)
    assert all(each.info is not None and len(each.info.etag) == 32 for each in found)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/gone.pcap", "no such object or folder"),
        ("/gone/*.pcap", "no file matches"),
        ("/dir/", "no files in this folder"),
    ],
)
def test_what_matches_nothing_is_an_error(bucket: str, path: str, error: str) -> None:
    (found,) = find_captures([bucket + path])
    assert found == CaptureFile(bucket + path, error=f"{bucket}{path}: {error}")


def test_reads_objects(bucket: str) -> None:
    assert read(f"{bucket}/2026/07/a.pcap") == (len(PACKETS), [])
    assert read(f"{bucket}/2026/large") == (120, [])
    assert read(f"{bucket}/2026/z[1].gz") == (120, [])
    with pytest.raises(CaptureError, match=f"^{bucket}/empty: is empty"):
        open_source(f"{bucket}/empty")


def test_an_unknown_scheme_is_an_error_of_usage() -> None:
    with pytest.raises(ConfigError, match="nothing://x: expected a URL that fsspec opens"):
        find_captures(["nothing://x"])


@pytest.fixture
def faulty(bucket: str, s3_faults: FaultyS3) -> tuple[str, FaultyS3]:
    """The bucket, behind a proxy that has no fault yet."""
    return bucket, s3_faults


def test_faults_that_pass_change_nothing(faulty: tuple[str, FaultyS3]) -> None:
    bucket, proxy = faulty
    proxy.faults = [
        Fault(path="*/large", status=500, times=1),
        Fault(path="*/large", status=503, code="SlowDown", times=1),
        Fault(path="*/large", cut_after=300_000, times=2),
        Fault(path="*/large", cut_after=0, times=1),
    ]
    assert read(f"{bucket}/2026/large") == (120, [])
    assert all(fault.met == fault.times for fault in proxy.faults)


def test_a_cut_body_is_continued_where_it_ended(faulty: tuple[str, FaultyS3]) -> None:
    bucket, proxy = faulty
    proxy.faults = [Fault(path="*.pcap", cut_after=100, times=1)]
    assert read(f"{bucket}/2026/07/a.pcap") == (len(PACKETS), [])
    assert proxy.requests["GET", f"/{bucket[5:]}/2026/07/a.pcap"] == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(status=503, code="SlowDown"), "the server answered SlowDown: made by a test"),
        (Fault(status=403, code="AccessDenied"), "access is denied"),
        (Fault(status=404, code="NoSuchKey"), "no such object"),
        (Fault(cut_after=0), "given up after 6 attempts"),
        (Fault(headers={"Content-Range": "bytes 7-9/10"}), "other bytes than were asked for"),
    ],
)
def test_what_does_not_pass_names_the_object(
    faulty: tuple[str, FaultyS3], fault: Fault, reason: str
) -> None:
    bucket, proxy = faulty
    proxy.faults = [fault]
    with pytest.raises(CaptureError, match=f"^{bucket}/2026/07/a.pcap: .*{reason}"):
        open_source(f"{bucket}/2026/07/a.pcap")


def test_a_change_in_the_middle_is_not_mixed(faulty: tuple[str, FaultyS3]) -> None:
    bucket, proxy = faulty

    def change() -> None:
        put(bucket[5:], {"changing": LARGE[:-1] + b"x"})

    proxy.faults = [
        Fault(path="*/changing", times=1),
        Fault(path="*/changing", before=change, times=1),
    ]
    packets, notes = read(f"{bucket}/changing")
    assert 0 < packets < 120
    # The second and the third range are on their way together.
    assert re.fullmatch(
        "reading stopped at byte (1048576|3145728): it has changed since it was listed", notes[0]
    )


def test_a_change_since_the_listing(bucket: str) -> None:
    put(bucket[5:], {"changed": CAPTURE})
    (found,) = find_captures([f"{bucket}/changed"])
    assert file_info(found) == found.info
    put(bucket[5:], {"changed": CAPTURE + b"x"})
    with pytest.raises(CaptureError, match="it has changed since it was listed"):
        open_source(found)
    now = file_info(CaptureFile(found.path, url=found.url))
    assert found.info is not None
    assert (now.key, now.size) == (found.info.key, len(CAPTURE) + 1)
    assert now.etag != found.info.etag


def test_no_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    (found,) = find_captures([f"{bucket}/2026/"])
    assert found.error == f"{bucket}/2026/: Unable to locate credentials"
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def memory() -> Iterator[str]:
    """A file system of fsspec that is no S3."""
    system = fsspec.filesystem("memory")
    system.pipe({"/netwatch/a/large": LARGE, "/netwatch/a/b.pcap": CAPTURE})
    yield "memory://netwatch/a"
    system.rm("/netwatch", recursive=True)


def test_other_file_systems(memory: str) -> None:
    found = find_captures([memory])
    assert [each.path for each in found] == [
        "memory:///netwatch/a/b.pcap",
        "memory:///netwatch/a/large",
    ]
    assert [read(each) for each in found] == [(len(PACKETS), []), (120, [])]


def test_a_change_in_another_file_system(memory: str) -> None:
    (found,) = find_captures([f"{memory}/large"])
    source = open_source(found)
    blocks = source.blocks()
    next(blocks)
    fsspec.filesystem("memory").pipe("/netwatch/a/large", LARGE[:-1] + b"x")
    assert sum(block.count for block in blocks) < 120
    assert "it has changed while it was read" in source.notes[0]
