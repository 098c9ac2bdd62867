"""The endpoint over a real socket: its answers, and clients that misbehave. Of too many connections
the oldest is closed; none lasts too long.
"""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.snapshots import BUSY, QUIET
from support.waiting import TIMEOUT, wait_until

from netwatch.core.errors import NetwatchError
from netwatch.watch import endpoint as module
from netwatch.watch.endpoint import MAX_REQUESTS, Connections, Endpoint
from netwatch.watch.endpoint_options import EndpointOptions
from netwatch.watch.health import Thresholds
from netwatch.watch.snapshot import Snapshot

Pair = tuple[socket.socket, socket.socket]


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_each_scrape_takes_a_new_snapshot() -> None:
    current = [QUIET]
    with Endpoint.of_capture(EndpointOptions(("127.0.0.1", 0)), lambda: current[0]) as endpoint:
        for packets in (5, 6):
            current[0] = replace(QUIET, packets=packets)
            status, text = ask(endpoint.port, "/metrics")
            assert status == 200
            values = {
                sample.name: sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
            assert values["netwatch_packets_total"] == packets
            assert values["process_resident_memory_bytes"] > 0


@pytest.mark.parametrize(
    ("snapshot", "status", "kinds"),
    [(BUSY, 200, []), (replace(BUSY, interfaces_down=("eth2",)), 503, ["down"])],
)
def test_health(snapshot: Snapshot, status: int, kinds: list[str]) -> None:
    with Endpoint.of_capture(EndpointOptions(("127.0.0.1", 0)), lambda: snapshot) as endpoint:
        answer, text = ask(endpoint.port, "/healthz")
    health = json.loads(text)
    assert (answer, health["healthy"]) == (status, status == 200)
    assert [trouble["kind"] for trouble in health["troubles"]] == kinds
    assert all(trouble["message"] == trouble["told"] != "" for trouble in health["troubles"])


def test_thresholds_can_be_set() -> None:
    where = EndpointOptions(("127.0.0.1", 0), Thresholds(stuck=10))
    with Endpoint.of_capture(where, lambda: BUSY) as endpoint:
        assert ask(endpoint.port, "/healthz")[0] == 503
        assert 'netwatch_troubles{trouble="stuck"} 1.0' in ask(endpoint.port, "/metrics")[1]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 200), ("/nothing", "GET", 404), ("/metrics", "POST", 405), ("/../x", "GET", 404)],
)
def test_other_requests(path: str, method: str, status: int) -> None:
    with Endpoint.of_capture(EndpointOptions(("127.0.0.1", 0)), lambda: QUIET) as endpoint:
        assert ask(endpoint.port, path, method)[0] == status


def test_ipv6_loopback() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        endpoint = Endpoint.of_capture(EndpointOptions(("::1", 0)), lambda: QUIET)
    except NetwatchError:
        pytest.skip("no IPv6 loopback here")
    with endpoint:
        assert ask(endpoint.port, "/healthz", host="::1")[0] == 200


def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NetwatchError, match=rf"^metrics: cannot listen on 127\.0\.0\.1:{port}"):
            Endpoint.of_capture(EndpointOptions(("127.0.0.1", port)), lambda: QUIET)


def test_silent_clients_delay_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    with Endpoint.of_capture(EndpointOptions(("127.0.0.1", 0)), lambda: QUIET) as endpoint:
        idle = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(8)]
        assert ask(endpoint.port, "/healthz")[0] == 200
        idle[0].sendall(b"nonsense\r\n\r\n")
        idle[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        for connection in idle:
            connection.close()
        assert ask(endpoint.port, "/healthz")[0] == 200
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("count", [MAX_REQUESTS, 4 * MAX_REQUESTS])
def test_slow_connections_do_not_shut_out_the_health_check(count: int) -> None:
    with Endpoint.of_capture(EndpointOptions(("127.0.0.1", 0)), lambda: QUIET) as endpoint:
        slow = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(count)]
        for connection in slow:
            connection.sendall(b"GET /healthz HT")
        for _ in range(3):
            assert ask(endpoint.port, "/healthz")[0] == 200
        # The oldest one was closed.
        slow[0].settimeout(TIMEOUT)
        assert slow[0].recv(1) == b""
        for connection in slow:
            connection.close()
    with pytest.raises(ConnectionError):
        ask(endpoint.port, "/healthz")


def test_a_request_that_drips_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 0.5)
    with (
        Endpoint.of_capture(EndpointOptions(("127.0.0.1", 0)), lambda: QUIET) as endpoint,
        socket.create_connection(("127.0.0.1", endpoint.port)) as connection,
    ):
        begun = time.monotonic()
        connection.settimeout(0.05)

        def is_closed() -> bool:
            try:
                connection.sendall(b"G")
                return connection.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        wait_until(is_closed)
        assert time.monotonic() - begun >= 0.5


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/", "/nothing"])
def test_other_host_names_are_refused(path: str) -> None:
    options = EndpointOptions(("127.0.0.1", 0), hosts=("probe.example.org",))
    with Endpoint.of_capture(options, lambda: QUIET) as endpoint:

        def status(host: str | None) -> int:
            with socket.create_connection(("127.0.0.1", endpoint.port), TIMEOUT) as connection:
                header = f"Host: {host}\r\n" if host is not None else ""
                connection.sendall(f"GET {path} HTTP/1.1\r\n{header}\r\n".encode())
                return int(connection.makefile("rb").readline().split()[1])

        found = 404 if path == "/nothing" else 200
        for host in (f"127.0.0.1:{endpoint.port}", "localhost", "probe.example.org:80", None):
            assert status(host) == found
        assert status("rebound.example.net") == 421
        assert status(f"rebound.example.net:{endpoint.port}") == 421


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    made = [socket.socketpair() for _ in range(4)]
    yield made
    for ends in made:
        for end in ends:
            end.close()


def is_closed(pair: Pair) -> bool:
    pair[1].setblocking(False)
    try:
        return pair[1].recv(1) == b""
    except BlockingIOError:
        return False


def test_the_oldest_makes_room(pairs: list[Pair]) -> None:
    connections = Connections(2, 60)
    for pair in pairs[:3]:
        connections.add(pair[0])
    assert [is_closed(pair) for pair in pairs] == [True, False, False, False]
    connections.remove(pairs[1][0])
    connections.add(pairs[3][0])
    assert [is_closed(pair) for pair in pairs] == [True, False, False, False]
    assert connections.closed == 1


def test_a_connection_has_a_time(pairs: list[Pair]) -> None:
    connections = Connections(10, 0.2)
    begun = time.monotonic()
    connections.add(pairs[0][0])
    connections.close_overdue()
    assert not is_closed(pairs[0]) or time.monotonic() - begun > 0.2
    wait_until(lambda: connections.close_overdue() or is_closed(pairs[0]))
    assert time.monotonic() - begun >= 0.2


def test_a_connection_that_was_closed_before_is_no_error(pairs: list[Pair]) -> None:
    connections = Connections(1, 60)
    connections.add(pairs[0][0])
    pairs[0][0].close()
    connections.add(pairs[1][0])
    connections.remove(pairs[0][0])
    assert not is_closed(pairs[1])
