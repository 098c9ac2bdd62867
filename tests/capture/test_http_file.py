"""Captures on HTTP servers that are good, poor, broken and hostile."""

import gzip
import hashlib
import socket
from http.server import BaseHTTPRequestHandler

import pytest
from support.http_captures import Answer, CaptureServer, reply
from support.made_captures import PACKETS, pcap

from netwatch.capture import http_file, http_requests, remote_file
from netwatch.capture.files import CaptureFile, file_info, find_captures, open_source
from netwatch.capture.remote_file import RemoteError
from netwatch.core.errors import CaptureError

CAPTURE = pcap()
LARGE = pcap([bytes([n % 256]) * 60_000 for n in range(80)])
"""More than the first ranges."""


@pytest.fixture(autouse=True)
def hardly_any_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "FIRST_PAUSE", 1e-6)


def read(url: str) -> tuple[int, list[str]]:
    """How many packets a capture has, and its notes."""
    source = open_source(url)
    return sum(block.count for block in source.blocks()), source.notes


@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize("has_etags", [True, False])
def test_reads_a_capture(capture_server: CaptureServer, has_ranges: bool, has_etags: bool) -> None:
    capture_server.files = {"/a.pcap": CAPTURE, "/b": LARGE, "/c.gz": gzip.compress(LARGE)}
    capture_server.has_ranges, capture_server.has_etags = has_ranges, has_etags
    assert read(f"{capture_server.url}/a.pcap") == (len(PACKETS), [])
    assert read(f"{capture_server.url}/b") == (80, [])
    assert read(f"{capture_server.url}/c.gz") == (80, [])
    source = open_source(f"{capture_server.url}/b")
    assert source.size == len(LARGE)
    source.close()


def test_a_file_of_one_range_costs_one_request(capture_server: CaptureServer) -> None:
    capture_server.files = {"/a.pcap": CAPTURE}
    read(f"{capture_server.url}/a.pcap")
    assert capture_server.requests == [("/a.pcap", "bytes=0-1048575")]


def test_an_empty_file_and_one_that_is_no_capture(capture_server: CaptureServer) -> None:
    capture_server.files = {"/empty": b"", "/text": b"no capture"}
    for name, reason in (("empty", "is empty"), ("text", "is not a capture")):
        with pytest.raises(CaptureError, match=f"^{capture_server.url}/{name}: {reason}"):
            open_source(f"{capture_server.url}/{name}")


def status(number: int, **headers: str) -> Answer:
    return lambda client: reply(client, number, headers)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([status(404)], "no such file"),
        ([status(401)], r"access is denied \(status 401\)"),
        ([status(503)] * 6, "the server answered with status 503, given up after 6 attempts"),
        ([status(418)], "the server answered with status 418"),
        ([status(302, Location="file:///etc/passwd")], "redirects to file://, which is not"),
        ([status(302, Location="gopher://x/")], "redirects to gopher://, which is not"),
        ([status(302)], "the server answered with status 302"),
        ([status(302, Location="/a.pcap")] * 9, "redirects more than 5 times"),
        ([status(206, **{"Content-Range": "bytes 5-9/100"})], "other bytes than were asked for"),
        ([status(416)], "refuses to send the beginning"),
    ],
)
def test_answers_that_are_no_capture(
    capture_server: CaptureServer, answers: list[Answer], reason: str
) -> None:
    capture_server.files = {"/a.pcap": CAPTURE}
    capture_server.answers = answers
    with pytest.raises(CaptureError, match=f"^{capture_server.url}/a.pcap: .*{reason}"):
        open_source(f"{capture_server.url}/a.pcap")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/b", "https://h/b"),
        ("https://user:password@other/b#x", "https://other/b"),
        ("http://h/b", None),
        ("ftp://h/b", None),
    ],
)
def test_where_a_redirection_may_lead(location: str, expected: str | None) -> None:
    if expected is not None:
        assert http_requests.redirected("https://h/a", location) == expected
    else:
        with pytest.raises(RemoteError, match="which is not followed"):
            http_requests.redirected("https://h/a", location)


@pytest.mark.parametrize(
    ("before", "after", "is_followed"),
    [
        ("203.0.113.1", "10.0.0.7", False),
        ("203.0.113.1", "127.0.0.1", False),
        ("203.0.113.1", "localhost", False),
        ("203.0.113.1", "169.254.169.254", False),
        ("203.0.113.1", "[::1]", False),
        ("203.0.113.1", "[::ffff:192.168.0.1]", False),
        ("[2001:db8::1]", "[fe80::1%25lo]", False),
        ("203.0.113.1", "198.51.100.1", True),
        ("203.0.113.1", "[2001:db8::1]", True),
        ("10.0.0.7", "192.168.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
    ],
)
def test_no_server_elsewhere_leads_to_a_private_network(
    before: str, after: str, is_followed: bool
) -> None:
    urls = f"https://{before}/a", f"https://{after}:8443/b"
    if is_followed:
        http_requests.refuse_inside(*urls)
    else:
        with pytest.raises(RemoteError, match="of a private network, which is not followed"):
            http_requests.refuse_inside(*urls)


def broken(client: BaseHTTPRequestHandler) -> bool:
    """End the connection without an answer."""
    client.close_connection = True
    client.connection.shutdown(socket.SHUT_RDWR)
    return True


def cut(capture_server: CaptureServer, at: int) -> Answer:
    """Answer with the range that is asked for, and end in the middle."""

    def answer(client: BaseHTTPRequestHandler) -> bool:
        first, last = (int(n) for n in (client.headers["Range"] or "=0-9").split("=")[1].split("-"))
        data = capture_server.files[client.path]
        part = data[first : last + 1]
        shown = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        return reply(client, 206, {"Content-Range": shown, "ETag": etag}, part, cut=at)

    return answer


def test_faults_that_pass_change_nothing(capture_server: CaptureServer) -> None:
    capture_server.files = {"/b": LARGE}
    capture_server.answers = [
        status(500),
        broken,
        status(429, **{"Retry-After": "0"}),
        cut(capture_server, 300_000),
        status(503),
        cut(capture_server, 0),
        cut(capture_server, 7),
        lambda client: False,
        broken,
    ]
    assert read(f"{capture_server.url}/b") == (80, [])


def test_a_capture_that_changes_is_not_mixed(capture_server: CaptureServer) -> None:
    capture_server.files = {"/b": LARGE}

    def change(_client: BaseHTTPRequestHandler) -> bool:
        capture_server.files["/b"] = LARGE[:-1] + b"x"
        return False

    capture_server.answers = [lambda client: False, change]
    packets, notes = read(f"{capture_server.url}/b")
    assert packets < 80
    assert notes[0] == "reading stopped at byte 1048576: it has changed since it was listed"


def test_a_capture_that_changed_since_it_was_listed(capture_server: CaptureServer) -> None:
    capture_server.files = {"/b": LARGE}
    url = f"{capture_server.url}/b"
    info = file_info(CaptureFile(url, url=url))
    assert info.size == len(LARGE)
    assert info.key == url
    capture_server.files = {"/b": CAPTURE}
    with pytest.raises(CaptureError, match="it has changed since it was listed"):
        open_source(CaptureFile(url, url=url, info=info))


def test_a_body_that_is_cut_without_ranges(capture_server: CaptureServer) -> None:
    capture_server.files = {"/b": LARGE}
    capture_server.answers = [lambda client: reply(client, 200, {}, LARGE, cut=2_000_000)]
    packets, notes = read(f"{capture_server.url}/b")
    assert 0 < packets < 80
    assert "the connection broke, and the server sends no ranges" in notes[0]


def endless(client: BaseHTTPRequestHandler) -> bool:
    client.send_response(200)
    client.send_header("Transfer-Encoding", "chunked")
    client.end_headers()
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    client.wfile.write(b"%x\r\n" % len(CAPTURE) + CAPTURE + b"\r\n")
    while True:
        client.wfile.write(chunk)


def test_an_answer_without_end(
    capture_server: CaptureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_file, "MAX_UNSIZED", 4 << 20)
    capture_server.answers = [endless]
    packets, notes = read(f"{capture_server.url}/b")
    assert packets >= len(PACKETS)
    assert any("the answer does not end" in note for note in notes)


def test_a_range_that_is_longer_than_was_asked_for(capture_server: CaptureServer) -> None:
    shown = {"Content-Range": f"bytes 0-{len(CAPTURE) - 1}/{len(CAPTURE)}"}
    capture_server.answers = [lambda client: reply(client, 206, shown, CAPTURE + bytes(9_000_000))]
    assert read(f"{capture_server.url}/b") == (len(PACKETS), [])


def test_user_and_password_go_to_their_server_and_are_not_shown(
    capture_server: CaptureServer,
) -> None:
    other = CaptureServer()
    other.files = {"/a.pcap": CAPTURE}
    capture_server.answers = [status(302, Location=f"{other.url}/a.pcap")]
    url = f"http://anna:pa%40ss@127.0.0.1:{capture_server.port}/a.pcap?X-Amz-Signature=abc&n=1"
    (found,) = find_captures([url])
    source = open_source(found)
    assert source.name == f"{capture_server.url}/a.pcap?X-Amz-Signature=***&n=1"
    assert sum(block.count for block in source.blocks()) == len(PACKETS)
    assert capture_server.authorizations == ["Basic YW5uYTpwYUBzcw=="]
    assert other.authorizations == [None]
    other.end()


def page(*links: str) -> bytes:
    return "".join(f'<a href="{link}">x</a>' for link in links).encode()


@pytest.fixture
def index(capture_server: CaptureServer) -> CaptureServer:
    capture_server.files = {
        "/d/": page("../", "b.pcap", "a/", "?C=M", "/d/a.pcap", "http://192.0.2.1/x", "/e/", ".h"),
        "/d/a/": page("../", "z%20z.pcap", "/d/", "../../etc", "javascript:x", "http://["),
        "/d/b.pcap": CAPTURE,
    }
    return capture_server


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/d/", ["/d/a/z%20z.pcap", "/d/a.pcap", "/d/b.pcap"]),
        ("/d/*.pcap", ["/d/a.pcap", "/d/b.pcap"]),
        ("/d/**/z*.pcap", ["/d/a/z%20z.pcap"]),
        ("/d/[b]*", ["/d/b.pcap"]),
    ],
)
def test_index_pages_are_folders(index: CaptureServer, path: str, names: list[str]) -> None:
    found = find_captures([index.url + path])
    assert [each.error for each in found] == [None] * len(names)
    assert [each.url for each in found] == [index.url + name for name in names]
    assert all(each.named_by_user == ("*" in path) for each in found)
    assert {path for path, _ in index.requests} <= {"/d/", "/d/a/"}


def test_an_index_page_that_lists_nothing(index: CaptureServer) -> None:
    (found,) = find_captures([f"{index.url}/d/*.gone"])
    assert found.error == f"{index.url}/d/*.gone: no file matches in the index pages of the server"


@pytest.mark.parametrize(("name", "limit"), [("MAX_PAGE", 10), ("MAX_PAGES", 1), ("MAX_FILES", 1)])
def test_index_pages_are_limited(
    index: CaptureServer, monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    monkeypatch.setattr(http_file, name, limit)
    (found,) = find_captures([f"{index.url}/d/"])
    assert found.error is not None
    assert f"more than {limit}" in found.error


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CaptureError, match="cannot be reached, given up after 6 attempts"):
        open_source(f"http://127.0.0.1:{port}/x.pcap")
