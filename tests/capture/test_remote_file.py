"""A file on a server is read ahead, in bounded pieces, and again where an attempt fails."""

import random
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.waiting import wait_until

from netwatch.capture import remote_file
from netwatch.capture.remote_file import (
    ATTEMPTS,
    FIRST_RANGE,
    MAX_RETRIES,
    RANGE,
    RANGES,
    Range,
    RemoteError,
    RemoteFile,
    TransientError,
)

Fault = Callable[[bytes], bytes]

CONTENT = random.Random(1).randbytes(1 << 20) * 50


@pytest.fixture(autouse=True)
def hardly_any_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "FIRST_PAUSE", 1e-6)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "netwatch-fetch"], "end")


class Server:
    """Has `content`, and does something else for the next requests where `faults` say so."""

    def __init__(
        self, content: bytes, faults: list[Callable[[bytes], bytes]] | None = None
    ) -> None:
        self.content = content
        self.faults = faults or []
        self.requests: list[Range] = []
        self.lock = threading.Lock()

    def fetch(self, wanted: Range) -> bytes:
        with self.lock:
            self.requests.append(wanted)
            fault = self.faults.pop(0) if self.faults else None
        data = self.content[wanted.start : wanted.end]
        return fault(data) if fault else data


def overloaded(_data: bytes) -> bytes:
    raise TransientError("the server is busy")


def denied(_data: bytes) -> bytes:
    raise RemoteError("access is denied")


def read_all(file: RemoteFile, size: int = 1 << 20) -> bytes:
    buffer, whole = memoryview(bytearray(size)), bytearray()
    while got := file.readinto(buffer):
        whole += buffer[:got]
    file.close()
    return bytes(whole)


def test_ranges_grow_and_cover_the_file_once() -> None:
    server = Server(CONTENT)
    assert read_all(RemoteFile(server.fetch, len(CONTENT))) == CONTENT
    asked = sorted(server.requests, key=lambda each: each.start)
    assert [each.end for each in asked[:-1]] == [each.start for each in asked[1:]]
    assert asked[0] == Range(0, FIRST_RANGE)
    assert max(each.end - each.start for each in asked) == RANGE


def test_who_only_looks_at_the_beginning_causes_one_request() -> None:
    server = Server(CONTENT)
    file = RemoteFile(server.fetch, len(CONTENT))
    assert file.readinto(memoryview(bytearray(4096))) == 4096
    file.close()
    assert len(server.requests) <= 3
    assert sum(each.end - each.start for each in server.requests) < 8 << 20


def test_no_more_is_ahead_than_a_few_ranges() -> None:
    server = Server(CONTENT)
    file = RemoteFile(server.fetch, len(CONTENT))
    buffer, read = memoryview(bytearray(1 << 18)), 0
    while got := file.readinto(buffer):
        read += got
        with server.lock:
            ahead = sum(each.end - each.start for each in server.requests) - read
        assert ahead <= (RANGES + 1) * RANGE
    file.close()


@given(st.lists(st.sampled_from(["busy", "cut", "none"]), max_size=30))
def test_faults_that_pass_change_nothing(faults: list[str]) -> None:
    kinds: dict[str, Fault] = {
        "busy": overloaded,
        "cut": lambda data: data[: max(1, len(data) // 3)],
        "none": bytes,
    }
    content = CONTENT[:3_200_000]
    server = Server(content, [kinds[fault] for fault in faults])
    # As many as `ATTEMPTS` in a row end the file, and are another test.
    if "busy" * ATTEMPTS not in "".join(faults):
        assert read_all(RemoteFile(server.fetch, len(content))) == content


def test_a_cut_body_is_continued_where_it_ended() -> None:
    server = Server(CONTENT[:500_000], [lambda data: data[:1000]])
    assert read_all(RemoteFile(server.fetch, 500_000)) == CONTENT[:500_000]
    assert server.requests == [Range(0, 500_000), Range(1000, 500_000)]


def test_a_server_that_stays_busy_is_given_up() -> None:
    server = Server(CONTENT, [overloaded] * 100)
    file = RemoteFile(server.fetch, len(CONTENT))
    with pytest.raises(OSError, match="Errno 5") as caught:
        read_all(file)
    assert caught.value.strerror == "the server is busy, given up after 6 attempts"
    assert len(server.requests) == ATTEMPTS


def test_a_byte_at_a_time_is_given_up() -> None:
    server = Server(CONTENT, [lambda data: data[:1]] * 10_000)
    with pytest.raises(OSError, match="Errno 5") as caught:
        read_all(RemoteFile(server.fetch, len(CONTENT)))
    assert "given up after 101 attempts" in caught.value.strerror
    assert len(server.requests) == MAX_RETRIES + 1


def test_what_is_refused_is_not_asked_for_again() -> None:
    server = Server(CONTENT[:100], [denied])
    with pytest.raises(OSError, match="Errno 5") as caught:
        read_all(RemoteFile(server.fetch, 100))
    assert caught.value.strerror == "access is denied"
    assert len(server.requests) == 1


def test_what_came_before_a_failure_is_read() -> None:
    server = Server(CONTENT, [bytes, denied])
    file = RemoteFile(server.fetch, len(CONTENT))
    buffer = memoryview(bytearray(FIRST_RANGE))
    assert file.readinto(buffer) == FIRST_RANGE
    assert buffer == CONTENT[:FIRST_RANGE]
    with pytest.raises(OSError, match="Errno 5"):
        read_all(file)


def test_first_bytes_that_are_there_are_not_asked_for() -> None:
    server = Server(CONTENT)
    file = RemoteFile(server.fetch, len(CONTENT), CONTENT[:3_000_000])
    assert read_all(file) == CONTENT
    assert min(each.start for each in server.requests) == 3_000_000


def test_the_content_is_verified_at_the_end() -> None:
    def changed() -> None:
        raise RemoteError("it has changed")

    file = RemoteFile(Server(b"abc").fetch, 3, verify=changed)
    buffer = memoryview(bytearray(8))
    assert file.readinto(buffer) == 3
    with pytest.raises(OSError, match="Errno 5") as caught:
        file.readinto(buffer)
    assert caught.value.strerror == "it has changed"


def test_what_failed_is_not_verified() -> None:
    def never() -> None:
        raise AssertionError

    def denied(_data: bytes) -> bytes:
        raise RemoteError("access is denied")

    file = RemoteFile(Server(b"abc", [denied]).fetch, 3, verify=never)
    buffer = memoryview(bytearray(8))
    with pytest.raises(OSError, match="Errno 5") as caught:
        file.readinto(buffer)
    assert caught.value.strerror == "access is denied"
    assert file.readinto(buffer) == 0


def test_closing_ends_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "FIRST_PAUSE", 60.0)
    monkeypatch.setattr(remote_file, "MAX_PAUSE", 60.0)
    server = Server(CONTENT, [overloaded] * 100)
    file = RemoteFile(server.fetch, len(CONTENT))
    wait_until(lambda: server.requests, "the first attempt")
    file.close()


def test_a_body_that_hardly_comes_counts_as_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(remote_file.time, "monotonic", lambda: now[0])
    pace = remote_file.Pace()
    now[0] = 59.0
    pace.add(1)
    now[0] = 61.0
    with pytest.raises(TransientError, match="less than 1,024 bytes a second"):
        pace.add(1)
