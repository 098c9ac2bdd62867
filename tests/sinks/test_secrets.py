"""No secret is shown or stored, whatever a receiver does with it."""

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
from support.ports import free_port
from support.receivers import Listener

from netwatch.cli import main
from netwatch.sinks.secrets import Secret, redact

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
    """Repeats what it was sent in every answer."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = ("Authorization", "X-Key", "webhook-signature")
        first = {name: self.headers[name] for name in known if name in self.headers}
        text = json.dumps({**first, "said": body.decode()[:100]}).encode()
        self.send_response(self.server.status)
        self.send_header("Location", f"/{quote(str(self.headers))}")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "POST":
            self.wfile.write(text)

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
    """The secrets that a text reveals, in any encoding."""
    forms = {SECRET, PLAIN, json.dumps(SECRET)[1:-1], quote(SECRET), quote(PLAIN)}
    for pair in (f"soc:{SECRET}", SECRET, PLAIN, f"\0soc\0{SECRET}", f"\0soc\0{PLAIN}"):
        forms.add(base64.b64encode(pair.encode()).decode())
    return [form for form in forms if form in text]


@pytest.fixture
def everything(tmp_path, capfd, monkeypatch):
    """Everything that commands print and store with one output, which fails."""
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
        text = "".join(capfd.readouterr())
        for path in (tmp_path / "spool").rglob("*"):
            if path.is_file():
                text += path.read_bytes().decode("utf-8", "replace")
        return text

    return run


@pytest.mark.parametrize("code", [302, 400, 401, 500])
@pytest.mark.parametrize("case", HTTP)
def test_secrets_repeated_by_a_web_server_are_redacted(case, code, parrot, everything):
    parrot.status = code
    text = everything({**HTTP[case], "url": f"http://127.0.0.1:{parrot.server_port}"})
    assert f"HTTP {code}" in text
    assert leaks(text) == []


class Chatter(Listener):
    """Repeats each line that it receives in its answer. With a context it uses TLS."""

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
def test_secrets_repeated_by_a_message_bus_are_redacted(how, everything):
    pytest.importorskip("nats")
    info = b'INFO {"server_id":"x","version":"2.10.0","proto":1,"headers":true,'
    info += b'"max_payload":1048576,"auth_required":true}\r\n'
    server = Chatter(info, nats_answer)
    try:
        keys = {"type": "nats", "url": f"nats://127.0.0.1:{server.port}", "timeout": "1s", **how}
        text = everything(keys)
    finally:
        server.end()
    assert "uthorization" in text
    assert leaks(text) == []


def test_secrets_logged_by_kafka_are_redacted(everything):
    pytest.importorskip("confluent_kafka")
    keys = {
        "type": "kafka",
        "brokers": [f"127.0.0.1:{free_port()}"],
        "topic": "alerts",
        "timeout": "1s",
        "sasl": {"user": "soc", "password": {"env": "NW_PLAIN"}, "mechanism": "PLAIN"},
    }
    text = everything(keys)
    assert "Connection refused" in text
    assert leaks(text) == []


def test_secrets_repeated_by_a_mail_server_are_redacted(everything, certificates):
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
        text = everything(keys)
    finally:
        server.end()
    assert "535" in text
    assert leaks(text) == []


def mail_answer(line):
    if line.upper().startswith(b"EHLO"):
        return b"250-parrot\r\n250 AUTH PLAIN\r\n"
    return b"535 refused: " + line


@given(
    st.text(min_size=8, max_size=60).filter(lambda text: text.strip() == text),
    st.binary(max_size=5),
)
def test_secret_is_found_at_any_offset_of_base64(value, before):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret"
        try:
            path.write_text(value, encoding="utf-8", newline="")
        except UnicodeEncodeError:
            return
        secret = Secret("", path)
        text = base64.b64encode(before + secret.value().encode() + b"!").decode()
        assert "***" in redact(text, [secret])
