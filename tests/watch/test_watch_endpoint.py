"""The endpoint over a real socket: what it answers, and what it bears."""

import http.client
import json
import socket
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.snapshots import BUSY, QUIET

from netwatch.core.errors import NetwatchError
from netwatch.watch.endpoint import MAX_REQUESTS, Endpoint
from netwatch.watch.health import Thresholds
from netwatch.watch.listen import Listen
from netwatch.watch.snapshot import Snapshot


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_metrics_are_those_of_now() -> None:
    seen = [QUIET]
    with Endpoint(Listen("127.0.0.1", 0), lambda: seen[0]) as endpoint:
        for packets in (5, 6):
            seen[0] = replace(QUIET, packets=packets)
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
    ("seen", "status", "kinds"), [(BUSY, 200, []), (replace(BUSY, down=("eth2",)), 503, ["down"])]
)
def test_health(seen: Snapshot, status: int, kinds: list[str]) -> None:
    with Endpoint(Listen("127.0.0.1", 0), lambda: seen) as endpoint:
        answer, text = ask(endpoint.port, "/healthz")
    told = json.loads(text)
    assert (answer, told["healthy"]) == (status, status == 200)
    assert [each["kind"] for each in told["troubles"]] == kinds
    assert all(each["told"] for each in told["troubles"])


def test_thresholds_are_those_that_were_given() -> None:
    where = Listen("127.0.0.1", 0, Thresholds(stuck=10))
    with Endpoint(where, lambda: BUSY) as endpoint:
        assert ask(endpoint.port, "/healthz")[0] == 503
        assert 'netwatch_troubles{trouble="stuck"} 1.0' in ask(endpoint.port, "/metrics")[1]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 200), ("/nothing", "GET", 404), ("/metrics", "POST", 405), ("/../x", "GET", 404)],
)
def test_other_requests(path: str, method: str, status: int) -> None:
    with Endpoint(Listen("127.0.0.1", 0), lambda: QUIET) as endpoint:
        assert ask(endpoint.port, path, method)[0] == status


def test_ipv6_loopback() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        endpoint = Endpoint(Listen("::1", 0), lambda: QUIET)
    except NetwatchError:
        pytest.skip("no IPv6 loopback here")
    with endpoint:
        assert ask(endpoint.port, "/healthz", host="::1")[0] == 200


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NetwatchError, match=rf"^metrics: cannot listen on 127\.0\.0\.1:{port}"):
            Endpoint(Listen("127.0.0.1", port), lambda: QUIET)


def test_clients_that_say_nothing_hold_up_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    with Endpoint(Listen("127.0.0.1", 0), lambda: QUIET) as endpoint:
        idle = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(8)]
        assert ask(endpoint.port, "/healthz")[0] == 200
        idle[0].sendall(b"nonsense\r\n\r\n")
        idle[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        for each in idle:
            each.close()
        assert ask(endpoint.port, "/healthz")[0] == 200
    assert capsys.readouterr().err == ""


def test_more_requests_than_are_answered_at_a_time_are_turned_away() -> None:
    with Endpoint(Listen("127.0.0.1", 0), lambda: QUIET) as endpoint:
        idle = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(MAX_REQUESTS)]
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(endpoint.port, "/healthz")
        for each in idle:
            each.close()
    with pytest.raises(ConnectionError):
        ask(endpoint.port, "/healthz")
