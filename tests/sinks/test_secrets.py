"""No secret in anything that is told or kept, whatever a receiver does with it."""

import base64
import contextlib
import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import ROOT
from support.receivers import Listener, free_port

from netwatch.cli import main
from netwatch.sinks.secrets import Secret, redacted

SECRET = 's3cr3t "quoted" \\ & lång'
PLAIN = "s3cr3t-of-letters-alone"
CAPTURE = str(ROOT / "pcaps" / "office-day.pcap")
HTTP = {
    "bearer": {"type": "http", "token": {"env": "NW_PLAIN"}},
    "basic": {"type": "http", "user": "soc", "password": {"env": "NW_SECRET"}},
    "hmac": {"type": "http", "secret": {"env": "NW_SECRET"}},
    "header": {"type": "http", "headers": {"X-Key": {"file": "secret"}}},
    "hec": {"type": "splunk_hec", "token": {"env": "NW_PLAIN"}},
    "bulk": {"type": "elastic", "api_key": {"env": "NW_PLAIN"}},
    "bulk-basic": {"type": "elastic", "user": "soc", "password": {"env": "NW_SECRET"}},
}


class Parrot(BaseHTTPRequestHandler):
    """Repeats what it was sent, in every answer."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = ("Authorization", "X-Key", "webhook-signature")
        first = {name: self.headers[name] for name in known if name in self.headers}
        told = json.dumps({**first, "said": body.decode()[:100]}).encode()
        self.send_response(self.server.status)
        self.send_header("Location", f"/{quote(str(self.headers))}")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if self.command == "POST":
            self.wfile.write(told)

    do_HEAD = do_POST  # noqa: N815 - the library's name

    def log_message(self, *_):
        pass


@pytest.fixture
def parrot():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Parrot)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def leaks(text):
    """The secrets in a text, in any form that gives them away."""
    forms = {SECRET, PLAIN, json.dumps(SECRET)[1:-1], quote(SECRET), quote(PLAIN)}
    for pair in (f"soc:{SECRET}", SECRET, PLAIN, f"\0soc\0{SECRET}", f"\0soc\0{PLAIN}"):
        forms.add(base64.b64encode(pair.encode()).decode())
    return [form for form in forms if form in text]


@pytest.fixture
def everything(tmp_path, capfd, monkeypatch):
    """All that commands print and keep with one output, which fails."""
    monkeypatch.setenv("NW_SECRET", SECRET)
    monkeypatch.setenv("NW_PLAIN", PLAIN)
    (tmp_path / "secret").write_text(PLAIN)
    config = tmp_path / "netwatch.yaml"

    def run(keys):
        outputs = json.dumps([{"name": "one", **keys}])
        config.write_text(f"version: 1\nspool: {{path: spool}}\noutputs: {outputs}\n")
        for words in (
            ("doctor",),
            ("outputs", "test"),
            ("outputs", "test", "--format", "jsonl"),
            ("scan", CAPTURE, "-v", "--deliver", "--deliver-timeout", "1"),
            ("outputs", "status"),
            ("outputs", "status", "--format", "jsonl"),
            ("policy", "check"),
        ):
            main([*words, "-c", str(config)])
        told = "".join(capfd.readouterr())
        for path in (tmp_path / "spool").rglob("*"):
            if path.is_file():
                told += path.read_bytes().decode("utf-8", "replace")
        return told

    return run


@pytest.mark.parametrize("code", [302, 400, 401, 500])
@pytest.mark.parametrize("case", HTTP)
def test_what_a_web_server_repeats_is_not_told(case, code, parrot, everything):
    parrot.status = code
    told = everything({**HTTP[case], "url": f"http://127.0.0.1:{parrot.server_port}"})
    assert f"HTTP {code}" in told
    assert leaks(told) == []


class Chatter(Listener):
    """Takes a line at a time, and repeats each in its answer; with a context it speaks TLS."""

    def __init__(self, greeting, answers, context=None):
        self._greeting, self._answers, self._context = greeting, answers, context
        super().__init__(self._secured)

    def _secured(self, client):
        with contextlib.suppress(OSError):
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            self._chat(client)

    def _chat(self, client):
        with contextlib.suppress(OSError), client, client.makefile("rwb") as stream:
            stream.write(self._greeting)
            stream.flush()
            for line in stream:
                stream.write(self._answers(line))
                stream.flush()


def nats_answer(line):
    if line.startswith(b"CONNECT"):
        return b"-ERR 'Authorization Violation for " + line[8:-2].replace(b"'", b'"') + b"'\r\n"
    return b"PONG\r\n"


@pytest.mark.parametrize(
    "how", [{"token": {"env": "NW_PLAIN"}}, {"user": "soc", "password": {"env": "NW_SECRET"}}]
)
def test_what_a_bus_repeats_is_not_told(how, everything):
    pytest.importorskip("nats")
    info = b'INFO {"server_id":"x","version":"2.10.0","proto":1,"headers":true,'
    info += b'"max_payload":1048576,"auth_required":true}\r\n'
    server = Chatter(info, nats_answer)
    try:
        keys = {"type": "nats", "url": f"nats://127.0.0.1:{server.port}", "timeout": "1s", **how}
        told = everything(keys)
    finally:
        server.end()
    assert "uthorization" in told
    assert leaks(told) == []


def test_what_kafka_logs_is_not_told(everything):
    pytest.importorskip("confluent_kafka")
    keys = {
        "type": "kafka",
        "brokers": [f"127.0.0.1:{free_port()}"],
        "topic": "alerts",
        "timeout": "1s",
        "sasl": {"user": "soc", "password": {"env": "NW_PLAIN"}, "mechanism": "PLAIN"},
    }
    told = everything(keys)
    assert "Connection refused" in told
    assert leaks(told) == []


def test_what_a_mail_server_repeats_is_not_told(everything, certificates):
    server = Chatter(b"220 parrot\r\n", mail_answer, certificates.server("127.0.0.1"))
    try:
        keys = {
            "type": "email",
            "host": f"127.0.0.1:{server.port}",
            "security": "tls",
            "tls": {"ca": str(certificates.ca)},
            "from": "a@example.org",
            "to": ["b@example.org"],
            "user": "soc",
            "password": {"env": "NW_PLAIN"},
            "timeout": "2s",
        }
        told = everything(keys)
    finally:
        server.end()
    assert "535" in told
    assert leaks(told) == []


def mail_answer(line):
    if line.upper().startswith(b"EHLO"):
        return b"250-parrot\r\n250 AUTH PLAIN\r\n"
    return b"535 refused: " + line


@given(
    st.text(min_size=8, max_size=60).filter(lambda text: text.strip() == text),
    st.binary(max_size=5),
)
def test_a_secret_is_found_in_any_place_of_base64(value, before):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret"
        try:
            path.write_text(value, encoding="utf-8", newline="")
        except UnicodeEncodeError:
            return
        secret = Secret("", path)
        told = base64.b64encode(before + secret.value().encode() + b"!").decode()
        assert "***" in redacted(told, [secret])
