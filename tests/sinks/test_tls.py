"""What kept a connection from being made, in words for people."""

import asyncio
import gc
import select
import socket
import ssl

import pytest
from support.faulty_proxy import reset
from support.made_alerts import output
from support.receivers import free_port

from netwatch.delivery import probe
from netwatch.sinks.tls import Tls, plainly


@pytest.mark.parametrize(
    ("keys", "scheme"),
    [
        ({"type": "http"}, "https"),
        ({"type": "elastic"}, "https"),
        ({"type": "syslog", "transport": "tls"}, ""),
        ({"type": "email", "security": "tls", "from": "a@b.example", "to": ["c@d.example"]}, ""),
    ],
)
def test_who_speaks_no_tls_is_told_as_that(keys, scheme, http, tmp_path):
    where = f"127.0.0.1:{http.server_port}"
    address = {"url": f"{scheme}://{where}"} if scheme else {"host": where}
    well, told = probe.reach(output(tmp_path, timeout="2s", **keys, **address))
    assert not well
    assert told == f"{where}: speaks no TLS there"


def test_a_connection_that_is_refused_is_told_alike_by_all():
    port = free_port()
    with pytest.raises(OSError, match="refused") as plain:
        socket.create_connection(("127.0.0.1", port), 1)
    with pytest.raises(OSError, match="Connect call failed") as other:
        asyncio.run(asyncio.open_connection("127.0.0.1", port))
    assert plainly(plain.value) == plainly(other.value) == "Connection refused"


def test_a_connection_that_is_reset_before_the_handshake_leaves_nothing_open():
    context = Tls().context()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        plain = socket.create_connection(listener.getsockname(), 5)
        reset(listener.accept()[0])
    select.select([plain], [], [], 5)
    # What is left open is told as a warning when it is collected, which fails the test.
    with pytest.raises(ConnectionResetError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")
    gc.collect()


def test_what_has_no_words_is_told_by_its_name():
    assert plainly(TimeoutError()) == "TimeoutError"
    assert "strange" in plainly(ssl.SSLError(1, "strange"))


def test_a_name_that_is_not_known(tmp_path):
    keys = {"type": "syslog", "host": "nowhere.invalid:514", "transport": "udp"}
    well, told = probe.reach(output(tmp_path, **keys))
    assert not well
    assert told.startswith("nowhere.invalid:514: ")
    assert "not known" in told or "failure in name resolution" in told
