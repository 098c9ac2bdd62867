"""Whatever a receiver does with a connection, an attempt ends at the `timeout` of its output.

The receivers here are real servers on loopback that keep a client waiting: each sends or reads a
byte now and then, so that no single read times out.
"""

import contextlib
import itertools
import json
import socket
import threading
import time
from unittest import mock

import pytest
from support.made_alerts import output, record
from support.receivers import Listener

from netwatch.core import exchange, value_kinds
from netwatch.core.exchange import TooLongError
from netwatch.delivery import attempt

LIMIT = 0.3
"""The `timeout` of the outputs in seconds, of which a configuration has whole ones only."""

PAUSE = LIMIT / 10
"""Seconds between two bytes."""

AT_MOST = 15.0
"""Seconds after which an attempt has failed the test."""

HELD = 20.0
"""Seconds for which a receiver keeps its client waiting."""


def drip(client, data, end=b""):
    """Send bytes one at a time, again and again, then `end`, which is never reached."""
    until = time.monotonic() + HELD
    for byte in itertools.cycle(data):
        if time.monotonic() > until:
            break
        client.sendall(bytes([byte]))
        time.sleep(PAUSE)
    client.sendall(end)


def flood(client, data):
    """Send the same data as fast as it is read."""
    until = time.monotonic() + HELD
    while time.monotonic() < until:
        client.sendall(data)


def hold(client):
    """Send and read nothing."""
    time.sleep(HELD)


def read_slowly(client):
    """Read one byte now and then."""
    until = time.monotonic() + HELD
    while time.monotonic() < until and client.recv(1):
        time.sleep(PAUSE)


@pytest.fixture
def hostile():
    """Starts receivers with a behaviour; each connection is closed when it ends."""
    made, clients = [], []

    def start(behave):
        def serve(client):
            clients.append(client)
            with contextlib.suppress(OSError), client:
                behave(client)

        # Small buffers, so that data that nobody reads is not taken by the kernel.
        made.append(Listener(serve, receive_buffer=4096))
        return made[-1].port

    yield start
    for each in made:
        each.end()
    for each in clients:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def seconds_until_given_up(tmp_path, alert=None, **keys):
    """How long an attempt takes, whose alert must not count as delivered, and its reason."""
    with mock.patch.dict(value_kinds._SCALES, s=LIMIT):
        made = output(tmp_path, timeout="1s", **keys)
    alert = alert or record(1)
    start = time.monotonic()
    result = attempt.send(made, alert)
    took = time.monotonic() - start
    assert not result.delivered
    assert result.state == "retrying", result
    return took, result.reason


def answered(head=b"", then=b"", drip_it=True):
    """Read a request, answer with `head`, and go on with `then`."""

    def behave(client):
        while not client.recv(65536).endswith((b"}", b"\n")):
            pass
        client.sendall(head)
        (drip if drip_it else flood)(client, then)

    return behave


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HTTP_RECEIVERS = {
    "nothing": hold,
    "status line": answered(b"", b"HTTP/1.1 200 O"),
    "headers": answered(OK, b"X-A: b\r\n"),
    "100 Continue": answered(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 Continue at once": answered(b"", b"HTTP/1.1 100 Continue\r\n\r\n", drip_it=False),
    "body": answered(OK + b"Content-Length: 100000\r\n\r\n", b"x"),
    "body without a length": answered(OK + b"\r\n", b"x"),
    "size of a chunk": answered(CHUNKED, b"0"),
    "extension of a chunk": answered(CHUNKED + b"1;", b"x"),
    "chunks": answered(CHUNKED, b"1\r\nx\r\n"),
    "trailers": answered(CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    "trailers at once": answered(CHUNKED + b"0\r\n", b"X-A: b\r\n", drip_it=False),
}


@pytest.mark.parametrize("what", HTTP_RECEIVERS)
def test_answer_over_http_that_drips_ends_at_the_timeout(what, hostile, tmp_path):
    port = hostile(HTTP_RECEIVERS[what])
    took, reason = seconds_until_given_up(tmp_path, type="http", url=f"http://127.0.0.1:{port}/")
    assert took < AT_MOST
    if what != "trailers at once":
        assert reason == f"127.0.0.1:{port}: no answer within {LIMIT:g} s"


@pytest.mark.parametrize("behave", [hold, read_slowly])
@pytest.mark.parametrize("kind", ["http", "elastic"])
def test_request_that_is_read_slowly_ends_at_the_timeout(kind, behave, hostile, tmp_path):
    port = hostile(behave)
    large = record(1, names=["x" * 250] * 40_000)
    keys = {"type": kind, "url": f"http://127.0.0.1:{port}/"}
    took, reason = seconds_until_given_up(tmp_path, large, **keys)
    assert took < AT_MOST
    assert reason == f"127.0.0.1:{port}: no answer within {LIMIT:g} s"


def test_proxy_that_drips_ends_at_the_timeout(hostile, tmp_path):
    def behave(client):
        client.recv(65536)
        drip(client, b"HTTP/1.1 200 OK\r\nX-A: b\r\n"[:40])

    port = hostile(behave)
    keys = {"type": "http", "url": "https://siem.invalid/", "proxy": f"http://127.0.0.1:{port}"}
    took, reason = seconds_until_given_up(tmp_path, **keys)
    assert took < AT_MOST
    assert reason == f"siem.invalid: no answer within {LIMIT:g} s"


# The head of a TLS record of a handshake (RFC 8446 section 5.1) with 16 KiB to come.
RECORD = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"

TLS_OUTPUTS = {
    "http": lambda port: {"type": "http", "url": f"https://127.0.0.1:{port}/"},
    "proxy": lambda port: {
        "type": "http",
        "url": "https://siem.invalid/",
        "proxy": f"https://127.0.0.1:{port}/",
    },
    "syslog": lambda port: {"type": "syslog", "transport": "tls", "host": f"127.0.0.1:{port}"},
    "mail": lambda port: {**MAIL, "security": "tls", "host": f"127.0.0.1:{port}"},
    "kafka": lambda port: {**KAFKA, "brokers": [f"127.0.0.1:{port}"], "tls": {}},
}
MAIL = {"type": "email", "from": "a@b.example", "to": ["c@d.example"]}
KAFKA = {"type": "kafka", "topic": "alerts"}


@pytest.mark.parametrize("kind", TLS_OUTPUTS)
def test_handshake_that_drips_ends_at_the_timeout(kind, hostile, tmp_path):
    if kind == "kafka":
        pytest.importorskip("confluent_kafka")

    def behave(client):
        client.recv(65536)
        client.sendall(RECORD)
        drip(client, b"\x00")

    port = hostile(behave)
    took, _ = seconds_until_given_up(tmp_path, **TLS_OUTPUTS[kind](port))
    assert took < AT_MOST


@pytest.mark.parametrize("behave", [hold, read_slowly])
@pytest.mark.parametrize("confirm", [True, False])
def test_syslog_that_is_read_slowly_ends_at_the_timeout(confirm, behave, hostile, tmp_path):
    port = hostile(behave)
    large = record(1, names=["x" * 250] * 40_000)
    keys = {"type": "syslog", "transport": "tcp", "host": f"127.0.0.1:{port}", "confirm": confirm}
    took, reason = seconds_until_given_up(tmp_path, large, max_bytes="16M", **keys)
    assert took < AT_MOST
    assert reason == f"127.0.0.1:{port}: no answer within {LIMIT:g} s"


def test_syslog_receiver_that_answers_for_ever_ends_at_the_timeout(hostile, tmp_path):
    port = hostile(lambda client: drip(client, b"x"))
    keys = {"type": "syslog", "transport": "tcp", "host": f"127.0.0.1:{port}"}
    took, reason = seconds_until_given_up(tmp_path, **keys)
    assert took < AT_MOST
    assert f"did not close the connection within {LIMIT:g} s" in reason


@pytest.mark.parametrize("confirm", [True, False])
def test_syslog_over_tls_that_never_ends_ends_at_the_timeout(
    confirm, hostile, certificates, tmp_path
):
    context = certificates.server("127.0.0.1")

    def behave(client):
        with context.wrap_socket(client, server_side=True) as secure:
            drip(secure, b"x")

    port = hostile(behave)
    keys = {"type": "syslog", "transport": "tls", "host": f"127.0.0.1:{port}"}
    made = output(tmp_path, timeout="1s", confirm=confirm, tls={"ca": str(certificates.ca)}, **keys)
    start = time.monotonic()
    result = attempt.send(made, record(1))
    assert time.monotonic() - start < AT_MOST
    assert bool(result.delivered) is not confirm


def lines(*answers):
    """Speak SMTP: a greeting and an answer to each command, the last of which drips."""

    def behave(client):
        for answer in answers[:-1]:
            client.sendall(answer)
            client.recv(65536)
        drip(client, answers[-1])

    return behave


EHLO = b"250-mail.example\r\n250 SIZE 1000000\r\n"
MAIL_SERVERS = {
    "greeting": lines(b"220-mail.example\r\n"),
    "EHLO": lines(b"220 mail.example\r\n", b"250-X\r\n"),
    "MAIL": lines(b"220 mail.example\r\n", EHLO, b"250-ok\r\n"),
    "end of data": lines(
        b"220 mail.example\r\n", EHLO, b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250-ok\r\n"
    ),
    "each step": lines(*[b"220 mail.example\r\n", EHLO, b"250 ok\r\n", b"250 ok\r\n"], b"3"),
}


@pytest.mark.parametrize("what", MAIL_SERVERS)
def test_mail_server_that_drips_ends_at_the_timeout(what, hostile, tmp_path):
    port = hostile(MAIL_SERVERS[what])
    keys = {**MAIL, "host": f"127.0.0.1:{port}", "security": "none"}
    took, reason = seconds_until_given_up(tmp_path, **keys)
    assert took < AT_MOST
    assert reason == f"127.0.0.1:{port}: no answer within {LIMIT:g} s"


def test_starttls_that_drips_ends_at_the_timeout(hostile, tmp_path):
    start = [b"220 mail.example\r\n", b"250-mail.example\r\n250 STARTTLS\r\n", b"220 go\r\n"]
    port = hostile(lines(*start, RECORD + bytes(100)))
    took, _ = seconds_until_given_up(tmp_path, **MAIL, host=f"127.0.0.1:{port}")
    assert took < AT_MOST


def test_accepted_mail_is_delivered_whatever_the_server_says_afterwards(hostile, tmp_path):
    for last in (b"421 gone\r\n", b"2", b"\xff\xff\r\n"):
        port = hostile(
            lines(
                b"220 mail.example\r\n",
                EHLO,
                *[b"250 ok\r\n"] * 2,
                b"354 go\r\n",
                b"250 ok\r\n",
                last,
            )
        )
        made = output(tmp_path, **MAIL, timeout="1s", host=f"127.0.0.1:{port}", security="none")
        assert attempt.send(made, record(1)).delivered, last


INFO = {"server_id": "x", "version": "2.10.0", "proto": 1, "headers": True, "max_payload": 1048576}


def nats(info=INFO, then=b"PONG\r\n", after=b"PING\r\n", drip_it=True):
    """Speak NATS: the information of the server, an answer to CONNECT, then `after` for ever."""

    def behave(client):
        client.sendall(b"INFO " + json.dumps(info).encode() + b"\r\n")
        client.recv(65536)
        client.sendall(then)
        (drip if drip_it else flood)(client, after)

    return behave


NATS_SERVERS = {
    "nothing": hold,
    "information": lambda client: drip(client, b"INFO {"),
    "handshake": nats(INFO | {"tls_required": True}, RECORD, b"\0"),
    "answer to CONNECT": nats(then=b"PO", after=b"N"),
    "pings": nats(),
    "pings at once": nats(drip_it=False),
    "line without an end": nats(after=b"MSG a "),
    "unknown words": nats(after=b"HELLO\r\n"),
}


@pytest.mark.parametrize("what", NATS_SERVERS)
def test_nats_server_that_drips_ends_at_the_timeout(what, hostile, tmp_path, capfd):
    pytest.importorskip("nats")
    port = hostile(NATS_SERVERS[what])
    took, _ = seconds_until_given_up(tmp_path, type="nats", url=f"nats://127.0.0.1:{port}")
    assert took < AT_MOST
    assert capfd.readouterr() == ("", "")


KAFKA_BROKERS = {
    "nothing": hold,
    "length": lambda client: drip(client, b"\0"),
    "answer": lambda client: (client.recv(65536), client.sendall(b"\0\1\0\0"), drip(client, b"\0")),
}


@pytest.mark.parametrize("what", KAFKA_BROKERS)
def test_broker_that_drips_ends_at_the_timeout(what, hostile, tmp_path):
    pytest.importorskip("confluent_kafka")
    port = hostile(KAFKA_BROKERS[what])
    took, _ = seconds_until_given_up(tmp_path, **KAFKA, brokers=[f"127.0.0.1:{port}"])
    assert took < AT_MOST


RESOLVED = [
    {"type": "http", "url": "http://siem.invalid/"},
    {"type": "syslog", "host": "siem.invalid", "transport": "udp"},
    {"type": "syslog", "host": "siem.invalid", "transport": "tcp"},
    {"type": "email", "host": "siem.invalid", "from": "a@b.example", "to": ["c@d.example"]},
    {"type": "nats", "url": "nats://siem.invalid"},
]


@pytest.mark.parametrize("keys", RESOLVED)
def test_name_that_is_not_resolved_ends_at_the_timeout(keys, tmp_path, monkeypatch):
    if keys["type"] == "nats":
        pytest.importorskip("nats")
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(HELD) and [])
    monkeypatch.setattr(socket, "getfqdn", lambda: "sensor.example")
    try:
        took, reason = seconds_until_given_up(tmp_path, **keys)
    finally:
        ended.set()
    assert took < AT_MOST
    assert f"within {LIMIT:g} s" in reason


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_name_that_cannot_be_encoded_is_reported(host):
    with exchange.exchange(5), pytest.raises(OSError, match="not a valid host name"):
        exchange.connect(host, 80)


def test_answer_without_end_is_limited_in_size(hostile, monkeypatch):
    monkeypatch.setattr(exchange, "MAX_RECEIVED", 100_000)
    port = hostile(lambda client: flood(client, b"x" * 4096))

    def read_all():
        while sock.recv(4096):
            pass

    with (
        exchange.exchange(30),
        exchange.connect("127.0.0.1", port) as sock,
        pytest.raises(TooLongError, match="more than 100,000 bytes"),
    ):
        read_all()


def test_second_address_is_tried_in_time(hostile, monkeypatch):
    port = hostile(hold)
    # A full backlog answers no further connection, as an address that is filtered.
    with socket.create_server(("127.0.0.2", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            tcp = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            found = [(*tcp, full.getsockname()), (*tcp, ("127.0.0.1", port))]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            with exchange.exchange(2), exchange.connect("siem.example", port) as sock:
                assert sock.getpeername() == ("127.0.0.1", port)
        finally:
            for each in waiting:
                each.close()


def test_inner_exchange_does_not_extend_the_outer_one():
    with exchange.exchange(1), exchange.exchange(60):
        assert exchange.time_left() <= 1
    with pytest.raises(RuntimeError, match="outside of an exchange"):
        exchange.time_left()
