"""How failed connections are described to people."""

import asyncio
import gc
import select
import socket
import ssl

import pytest
from support.faulty_proxy import reset
from support.made_alerts import output
from support.ports import free_port

from netwatch.core.exchange import exchange
from netwatch.core.tls_sockets import describe_error
from netwatch.delivery import attempt
from netwatch.sinks.tls import TlsOptions


@pytest.mark.parametrize(
    ("keys", "scheme"),
    [
        ({"type": "http"}, "https"),
        ({"type": "elastic"}, "https"),
        ({"type": "syslog", "transport": "tls"}, ""),
        ({"type": "email", "security": "tls", "from": "a@b.example", "to": ["c@d.example"]}, ""),
    ],
)
def test_server_without_tls_is_reported_as_such(keys, scheme, http, tmp_path):
    where = f"127.0.0.1:{http.server_port}"
    address = {"url": f"{scheme}://{where}"} if scheme else {"host": where}
    reached, text = attempt.check_connection(output(tmp_path, timeout="2s", **keys, **address))
    assert not reached
    assert text == f"{where}: the server does not speak TLS"


def test_refused_connection_has_the_same_description_everywhere():
    port = free_port()
    with pytest.raises(OSError, match="refused") as plain:
        socket.create_connection(("127.0.0.1", port), 1)
    with pytest.raises(OSError, match="Connect call failed") as other:
        asyncio.run(asyncio.open_connection("127.0.0.1", port))
    assert describe_error(plain.value) == describe_error(other.value) == "Connection refused"


def test_reset_before_the_handshake_leaves_no_socket_open():
    context = TlsOptions().context()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        plain = socket.create_connection(listener.getsockname(), 5)
        reset(listener.accept()[0])
    select.select([plain], [], [], 5)
    # A socket that is left open gives a warning when it is collected, which fails the test. It is
    # young, and to look at what the tests before have left takes seconds.
    with exchange(5), pytest.raises(ConnectionResetError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")
    gc.collect(1)


def test_error_without_a_message_is_described_by_its_type():
    assert describe_error(TimeoutError()) == "TimeoutError"
    assert "strange" in describe_error(ssl.SSLError(1, "strange"))


def test_unknown_host_name_is_reported(tmp_path):
    keys = {"type": "syslog", "host": "nowhere.invalid:514", "transport": "udp"}
    reached, text = attempt.check_connection(output(tmp_path, **keys))
    assert not reached
    assert text.startswith("nowhere.invalid:514: ")
    assert "not known" in text or "failure in name resolution" in text
