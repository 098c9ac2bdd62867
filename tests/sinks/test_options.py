"""How failed connections are described to people.

No password or token crosses a network in the clear unless the configuration accepts it.
"""

import asyncio
import gc
import json
import select
import socket
import ssl

import pytest
from support.faulty_proxy import reset
from support.made_alerts import output
from support.ports import free_port

from netwatch.cli import main
from netwatch.core.addresses import is_loopback
from netwatch.core.errors import ConfigError
from netwatch.core.exchange import exchange
from netwatch.core.tls_sockets import describe_error
from netwatch.delivery import attempt
from netwatch.sinks.options import TlsOptions
from netwatch.sinks.secrets import redact


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


TOKEN = {"env": "NW_TOKEN"}
LOGIN = {"user": "soc", "password": TOKEN}
KAFKA = {"type": "kafka", "topic": "alerts"}
PLAIN = {"user": "soc", "password": TOKEN, "mechanism": "PLAIN"}
SCRAM = {"user": "soc", "password": TOKEN}

CLEAR = {
    "http": {"type": "http", "url": "http://siem.example/", "token": TOKEN},
    "http with a password": {"type": "http", "url": "http://siem.example/", **LOGIN},
    "http with a header": {
        "type": "http",
        "url": "http://siem.example/",
        "headers": {"X-Key": TOKEN},
    },
    "http with a written header": {
        "type": "http",
        "url": "http://siem.example/",
        "headers": {"authorization": "Bearer of-bad-news"},
    },
    "remote proxy": {
        "type": "http",
        "url": "http://127.0.0.1/",
        "proxy": "http://proxy.example:3128",
        "token": TOKEN,
    },
    "http by a local proxy": {
        "type": "http",
        "url": "http://siem.example/",
        "proxy": "https://127.0.0.1:3128",
        "token": TOKEN,
    },
    "address": {"type": "http", "url": "http://10.1.2.3/", "token": TOKEN},
    "IPv6": {"type": "http", "url": "http://[2001:db8::1]/", "token": TOKEN},
    "name like a local one": {"type": "http", "url": "http://localhost.example/", "token": TOKEN},
    "splunk_hec": {"type": "splunk_hec", "url": "http://splunk.example:8088", "token": TOKEN},
    "elastic": {"type": "elastic", "url": "http://elastic.example:9200", "api_key": TOKEN},
    "elastic with a password": {"type": "elastic", "url": "http://elastic.example", **LOGIN},
    "nats": {"type": "nats", "url": "nats://nats.example", "token": TOKEN},
    "nats with a password": {"type": "nats", "url": "nats://nats.example", **LOGIN},
    "kafka": {**KAFKA, "brokers": ["127.0.0.1:9092", "kafka.example:9092"], "sasl": PLAIN},
}
SAFE = {
    "https": {"type": "http", "url": "https://siem.example/", "token": TOKEN},
    "https by a proxy": {
        "type": "http",
        "url": "https://siem.example/",
        "proxy": "http://proxy.example:3128",
        "token": TOKEN,
    },
    "loopback": {"type": "http", "url": "http://127.0.0.1:8080/", "token": TOKEN},
    "signature": {"type": "http", "url": "http://siem.example/", "secret": TOKEN},
    "no credential": {"type": "http", "url": "http://siem.example/", "headers": {"X-Team": "soc"}},
    "elastic": {"type": "elastic", "url": "http://elastic.example"},
    "nats over TLS": {"type": "nats", "url": "tls://nats.example", "token": TOKEN},
    "nats with tls": {"type": "nats", "url": "nats://nats.example", "tls": {}, "token": TOKEN},
    "kafka with tls": {**KAFKA, "brokers": ["kafka.example"], "tls": {}, "sasl": PLAIN},
    "SCRAM": {**KAFKA, "brokers": ["kafka.example"], "sasl": SCRAM},
}


@pytest.mark.parametrize("case", CLEAR)
def test_credential_in_the_clear_is_refused_unless_accepted(case, tmp_path):
    with pytest.raises(ConfigError, match=r"is sent in the clear to .*'insecure: true'") as raised:
        output(tmp_path, **CLEAR[case])
    assert len(raised.value.problems) == 1
    (warning,) = output(tmp_path, **CLEAR[case], insecure=True).warnings()
    assert "is sent in the clear to" in warning.message
    assert warning.line


@pytest.mark.parametrize("case", SAFE)
@pytest.mark.parametrize("insecure", [False, True])
def test_what_nobody_can_read_needs_no_acceptance(case, insecure, tmp_path):
    assert output(tmp_path, **SAFE[case], insecure=insecure).warnings() == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1")),
        *((host, True) for host in ("127.255.255.254", "::1", "::ffff:127.0.0.1", "::1%lo")),
        *((host, False) for host in ("", "0.0.0.0", "::", "10.0.0.1", "fe80::1%lo", "1")),
        *((host, False) for host in ("localhost.example", "127.0.0.1.example", "127.1")),
    ],
)
def test_loopback_is_recognised(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("command", [["policy", "check"], ["doctor"]])
def test_commands_say_what_is_sent_in_the_clear(command, accepted, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("NW_TOKEN", "sesame-open")
    keys = {**CLEAR["http"], "name": "siem", "insecure": accepted, "url": "http://siem.invalid/"}
    config = tmp_path / "netwatch.yaml"
    config.write_text(f"version: 1\noutputs:\n  - {json.dumps(keys)}\n")
    code = main([*command, "-c", str(config)])
    text = "".join(capsys.readouterr())
    assert f"{config}:3: " in text
    assert "'token' is sent in the clear to siem.invalid" in text
    if command == ["policy", "check"]:
        assert code == (0 if accepted else 2)
    else:
        assert code == 1
    assert ("warn" in text) is accepted
    assert ("'insecure: true'" in text) is not accepted


def test_policy_check_has_a_record_of_each_warning(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("NW_TOKEN", "t0ken")
    config = tmp_path / "netwatch.yaml"
    keys = {**CLEAR["nats"], "insecure": True}
    config.write_text(f"version: 1\noutputs:\n  - {json.dumps(keys)}\n")
    assert main(["policy", "check", "--format", "jsonl", "-c", str(config)]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (warning,) = (each["warning"] for each in records if each["kind"] == "warning")
    assert "'token' is sent in the clear to nats.example" in warning


def test_credential_that_is_written_in_a_header_is_redacted(tmp_path):
    made = output(tmp_path, **CLEAR["http with a written header"], insecure=True)
    assert redact("I know of-bad-news", made.options.secrets()) == "I know ***"
