"""Logs that are sent: over UDP, TCP, TLS and a Unix socket, by good and by hostile senders."""

import contextlib
import socket
import ssl
import stat
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from support.waiting import TIMEOUT, wait_until

from netwatch.core.errors import NetwatchError
from netwatch.logs.dnstap import ACCEPT, DNSTAP, FINISH, READY, START, STOP, control_frame
from netwatch.logs.live import receivers
from netwatch.logs.live.receivers import BEGIN_SECONDS, IDLE_SECONDS, MAX_CONNECTIONS, Receivers
from netwatch.logs.live.source import parse


class Listening:
    """Receivers, and what they have received."""

    def __init__(self, *addresses: str) -> None:
        self.receivers = Receivers([parse(address) for address in addresses])
        self.records: list[bytes] = []
        self.later = 0.0

    @property
    def port(self) -> int:
        """The first port that is listened at."""
        return self.receivers.ports[0]

    def poll(self) -> bool:
        """Receive; True."""
        now = time.monotonic() + self.later
        self.records += [
            record for batch in self.receivers.poll(0, now) for record in batch.records
        ]
        return True

    def until(self, condition: Callable[[], bool]) -> None:
        """Receive until a condition is true."""
        wait_until(lambda: self.poll() and condition())

    def wait_for(self, *records: bytes) -> None:
        """Receive these records."""
        self.until(lambda: len(self.records) >= len(records))
        assert self.records == list(records)

    def connect(self) -> socket.socket:
        """A connection by TCP."""
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT)


@pytest.fixture
def listen() -> Iterator[Callable[..., Listening]]:
    with contextlib.ExitStack() as stack:

        def start(*addresses: str) -> Listening:
            listening = Listening(*addresses)
            stack.callback(listening.receivers.close)
            return listening

        yield start


Listen = Callable[..., Listening]


def test_datagrams(listen: Listen) -> None:
    listening = listen("syslog+udp://:0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for data in (b"<30>one\n", b"", b"<30>two\0", b"\xff" * 60_000):
            sender.sendto(data, ("127.0.0.1", listening.port))
    listening.wait_for(b"<30>one", b"<30>two", b"\xff" * 60_000)


def test_dropped_datagrams_are_counted(listen: Listen) -> None:
    listening = listen("syslog+udp://:0")
    (_, opened), *_ = listening.receivers._sockets
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(100):
            sender.sendto(b"x" * 1000, ("127.0.0.1", listening.port))
        listening.poll()
        sender.sendto(b"last", ("127.0.0.1", listening.port))
        listening.until(lambda: listening.records[-1:] == [b"last"])
    assert listening.receivers.dropped == 101 - len(listening.records)
    assert listening.receivers.dropped > 0


@pytest.mark.parametrize("data", [b"7 <30>one7 <30>two", b"<30>one\n<30>two"])
def test_both_framings_over_tcp(listen: Listen, data: bytes) -> None:
    listening = listen("syslog+tcp://:0")
    with listening.connect() as sender:
        for at in range(0, len(data), 5):
            sender.sendall(data[at : at + 5])
            listening.poll()
    listening.wait_for(b"<30>one", b"<30>two")
    listening.until(lambda: len(listening.receivers) == 0)


def test_messages_over_tls(listen: Listen, tmp_path: Path) -> None:
    authority = trustme.CA()
    path = tmp_path / "both.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(path))
    listening = listen(f"syslog+tls://:0?cert={path}")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with listening.connect() as connection:
        connection.setblocking(False)
        sender = context.wrap_socket(
            connection, server_hostname="127.0.0.1", do_handshake_on_connect=False
        )
        listening.until(lambda: _is_shaken(sender))
        sender.send(b"7 <30>one" + b"%d %s" % (60_000, b"x" * 60_000))
        listening.wait_for(b"<30>one", b"x" * 60_000)
        sender.close()
    with listening.connect() as connection:
        connection.sendall(b"no TLS")
        listening.until(lambda: len(listening.receivers) == 0)


def test_what_is_no_tls_is_counted_and_keeps_nobody_out(listen: Listen, tmp_path: Path) -> None:
    authority, path = trustme.CA(), tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
    listening = listen(f"tls://:0?cert={path}")
    message = b"\0\x0a\0\x10" + bytes(12)
    with listening.connect() as silent, listening.connect() as plain:
        plain.sendall(message)
        listening.until(lambda: listening.receivers.events["tls-failed"] == 1)
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with listening.connect() as connected:
            connected.setblocking(False)
            secure = context.wrap_socket(
                connected, server_hostname="127.0.0.1", do_handshake_on_connect=False
            )
            with secure:
                listening.until(lambda: _is_shaken(secure))
                secure.sendall(message)
                listening.wait_for(message)
        listening.later = BEGIN_SECONDS + 1
        listening.until(lambda: listening.receivers.events["connection-idle"] == 1)
        assert silent.recv(1) == b""


def _is_shaken(secure: ssl.SSLSocket) -> bool:
    """Whether a handshake has ended; it goes on as far as it can."""
    try:
        secure.do_handshake()
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
    return True


def test_sender_elsewhere_is_refused(listen: Listen) -> None:
    listening = listen("syslog+tcp://:0?from=10.0.0.0/8")
    with listening.connect() as sender:
        listening.until(lambda: listening.receivers.events["sender-refused"] == 1)
        assert sender.recv(1) == b""


def test_garbage_and_endless_lines(listen: Listen) -> None:
    listening = listen("syslog+tcp://:0")
    with listening.connect() as garbage, listening.connect() as endless:
        garbage.sendall(b"5 <1>ab" + b"\xff" * 100)
        listening.until(lambda: listening.receivers.events["frame-length-invalid"] == 1)
        assert garbage.recv(1) == b""
        assert listening.records == [b"<1>ab"]
        for _ in range(100):
            endless.sendall(b"y" * 20_000)
            listening.poll()
        endless.sendall(b"\nend\n")
        listening.wait_for(b"<1>ab", b"end")
    listening.until(lambda: len(listening.receivers) == 0)
    assert listening.receivers.events["line-too-long"] == 1


def test_thousand_connections(listen: Listen) -> None:
    listening = listen("syslog+tcp://:0")
    with contextlib.ExitStack() as stack:
        good = stack.enter_context(listening.connect())
        good.sendall(b"<1>before\n")
        listening.wait_for(b"<1>before")
        for _ in range(1000):
            stack.enter_context(listening.connect())
            listening.poll()
        assert len(listening.receivers) == MAX_CONNECTIONS
        # A connection that has brought nothing gives way.
        latest = stack.enter_context(listening.connect())
        latest.sendall(b"<1>latest\n")
        good.sendall(b"<1>after\n")
        listening.until(lambda: len(listening.records) == 3)
        events = listening.receivers.events
        assert events["connection-evicted"] == 1002 - MAX_CONNECTIONS
        assert sorted(listening.records) == [b"<1>after", b"<1>before", b"<1>latest"]


def test_busy_connections_stay(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "MAX_CONNECTIONS", 2)
    listening = listen("syslog+tcp://:0")
    with listening.connect() as first, listening.connect() as second:
        for sender in (first, second):
            sender.sendall(b"<1>x\n")
        listening.until(lambda: len(listening.records) == 2)
        with listening.connect() as third:
            listening.until(lambda: listening.receivers.events["connection-refused"] == 1)
            assert third.recv(1) == b""


def test_idle_connections_end(listen: Listen) -> None:
    listening = listen("syslog+tcp://:0")
    with listening.connect() as silent, listening.connect() as used:
        used.sendall(b"<1>x\n")
        listening.until(lambda: len(listening.receivers) == 2 and len(listening.records) == 1)
        listening.later = BEGIN_SECONDS + 1
        listening.poll()
        assert len(listening.receivers) == 1
        assert silent.recv(1) == b""
        listening.later = IDLE_SECONDS + 1
        listening.poll()
        assert used.recv(1) == b""
    assert listening.receivers.events["connection-idle"] == 2


def dnstap_client(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(TIMEOUT)
    client.connect(str(path))
    return client


def test_dnstap_over_a_unix_socket(listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / "dnstap.sock"
    listening = listen(f"dnstap+unix://{path}")
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    with dnstap_client(path) as client:
        client.sendall(control_frame(READY, DNSTAP))
        listening.until(lambda: len(listening.receivers) == 1)
        listening.poll()
        assert client.recv(100) == control_frame(ACCEPT, DNSTAP)
        client.sendall(control_frame(START, DNSTAP) + struct.pack(">I", 3) + b"abc")
        listening.wait_for(b"abc")
        client.sendall(struct.pack(">I", 2) + b"de" + control_frame(STOP))
        listening.wait_for(b"abc", b"de")
        assert client.recv(100) == control_frame(FINISH)
    with dnstap_client(path) as client:
        client.sendall(b"garbage of a hostile sender")
        listening.until(lambda: listening.receivers.events["frame-too-long"] == 1)
        assert client.recv(1) == b""


def test_only_own_sockets_are_replaced_and_removed(listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / "dnstap.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))
    first = listen(f"dnstap+unix://{path}")
    with pytest.raises(NetwatchError, match="another process listens there"):
        Receivers([parse(f"dnstap+unix://{path}")])
    assert path.exists()
    path.unlink()
    second = listen(f"dnstap+unix://{path}")
    first.receivers.close()
    assert path.exists()
    second.receivers.close()
    assert not path.exists()
    path.write_text("a file")
    with pytest.raises(NetwatchError, match="there is a file that is not a socket"):
        Receivers([parse(f"dnstap+unix://{path}")])
    assert path.read_text() == "a file"


def test_taken_port_is_an_error(listen: Listen) -> None:
    port = listen("syslog+tcp://:0").port
    with pytest.raises(NetwatchError, match="cannot be listened at: Address already in use"):
        Receivers([parse(f"syslog+tcp://:{port}")])
