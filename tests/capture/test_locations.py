"""What a URL is, and what of it is shown."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.made_captures import PACKETS, pcap

from netwatch.capture.files import CaptureFile, file_info, find_captures, open_source
from netwatch.capture.locations import is_url, local_path, shown_url, without_secrets
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
