"""Where files of a repository come from: servers that do not do what they should, folders,
archives.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from support.sets import Publisher
from tuf.api.exceptions import DownloadError, DownloadHTTPError

from netwatch.updates import client
from netwatch.updates.client import FolderFetcher, HttpFetcher, fetcher_for
from netwatch.updates.set_format import SetError


@contextmanager
def answering(status: int, body: bytes = b"", **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A server that always answers so: its URL, and the first lines and headers it was sent."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.requestline}\n{self.headers}")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def fetcher() -> Iterator[HttpFetcher]:
    made = HttpFetcher("")
    yield made
    made.close()


def test_a_file_is_fetched_as_it_is(fetcher: HttpFetcher) -> None:
    with answering(200, b"\x1f\x8bdata", Content_Type="x") as (url, asked):
        assert fetcher.download_bytes(url, 100) == b"\x1f\x8bdata"
    assert "User-Agent: netwatch/" in asked[0]
    assert "Accept-Encoding: identity" in asked[0]


def test_an_encoding_is_not_undone(fetcher: HttpFetcher) -> None:
    with answering(200, b"not gzip", Content_Encoding="gzip") as (url, _):
        assert fetcher.download_bytes(url, 100) == b"not gzip"


@pytest.mark.parametrize("status", [204, 206, 301, 302, 307, 403, 404, 500, 503])
def test_anything_but_200_is_an_error(fetcher: HttpFetcher, status: int) -> None:
    with answering(200, b"elsewhere") as (other, redirected):  # noqa: SIM117
        with answering(status, Location=other) as (url, _), pytest.raises(DownloadHTTPError) as why:
            fetcher.download_bytes(url, 100)
    assert why.value.status_code == status
    assert redirected == []


def test_a_longer_answer_is_not_read_to_its_end(fetcher: HttpFetcher) -> None:
    with answering(200, bytes(1000)) as (url, _), pytest.raises(DownloadError, match="exceeding"):
        fetcher.download_bytes(url, 999)


def test_an_answer_that_ends_early_is_an_error(fetcher: HttpFetcher) -> None:
    broken = pytest.raises(Exception, match=r"IncompleteRead|Connection broken")
    with answering(200, b"half", Content_Length="100") as (url, _), broken:
        fetcher.download_bytes(url, 1000)


def test_a_proxy_is_asked_and_the_environment_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with answering(200, b"by proxy") as (url, asked):
        made = HttpFetcher(url)
        assert made.download_bytes("http://updates.example/sets/a", 100) == b"by proxy"
        made.close()
        direct = HttpFetcher("")
        assert direct.download_bytes(url, 100) == b"by proxy"
        direct.close()
    assert asked[0].startswith("GET http://updates.example/sets/a HTTP/1.1")


def test_a_folder_has_files_only(tmp_path: Path) -> None:
    made = FolderFetcher()
    (tmp_path / "a b").write_bytes(b"text")
    base = tmp_path.as_uri()
    assert made.download_bytes(f"{base}/a%20b", 10) == b"text"
    with pytest.raises(DownloadHTTPError) as why:
        made.download_bytes(f"{base}/none", 10)
    assert why.value.status_code == 404
    with pytest.raises(DownloadError):
        made.download_bytes(base, 10)
    made.close()


def test_a_source_is_recognised(publisher: Publisher, tmp_path: Path) -> None:
    assert fetcher_for("https://a.example/sets/", "")[1] == "https://a.example/sets/"
    found, base = fetcher_for(publisher.folder.as_uri(), "")
    assert (type(found), base) == (FolderFetcher, publisher.folder.as_uri())
    with pytest.raises(SetError, match="found nothing"):
        fetcher_for(str(tmp_path / "none"), "")


def test_an_archive_of_too_many_members_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tarfile

    monkeypatch.setattr(client, "MAX_MEMBERS", 2)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(3):
            tar.addfile(tarfile.TarInfo(f"f{number}"))
    with pytest.raises(SetError, match="expected at most 2 members"):
        fetcher_for(str(tmp_path / "a.tar"), "")
