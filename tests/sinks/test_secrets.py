"""No secret is shown or stored, whatever a receiver does with it."""

import base64
import contextlib
import html
import json
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_alerts import output, record
from support.paths import ROOT
from support.ports import free_port
from support.receivers import Listener

from netwatch.cli import main
from netwatch.core.errors import ConfigError
from netwatch.delivery.attempt import attempt, send
from netwatch.delivery.outbox import QueuedAlert
from netwatch.sinks.secrets import Secret, redact

SECRET = 's3cr3t "quoted" \\ & lång'
PLAIN = "s3cr3t-of-letters-alone"
CAPTURE = str(ROOT / "pcaps" / "http-host.pcap")
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
        text = b"{" + b" " * self.server.padding + text[1:]
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
    server.padding = 0
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
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
    config = tmp_path / "netwatch.yaml"

    def run(keys, plain=PLAIN):
        monkeypatch.setenv("NW_PLAIN", plain)
        (tmp_path / "secret").write_text(plain)
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


CODES = (302, 400, 401, 500)
ANSWERED = [
    pytest.param(case, code, marks=[pytest.mark.long] if (at + place) % 4 else [])
    for at, case in enumerate(HTTP)
    for place, code in enumerate(CODES)
]
"""Every way to give a secret and one of the answers in turn; all pairs in `make test-long`."""


@pytest.mark.parametrize(("case", "code"), ANSWERED)
def test_secrets_repeated_by_a_web_server_are_redacted(case, code, parrot, everything):
    parrot.status = code
    text = everything({**HTTP[case], "url": f"http://127.0.0.1:{parrot.server_port}"})
    assert f"HTTP {code}" in text
    assert leaks(text) == []


@pytest.mark.parametrize(
    "padding", [*range(440, 500, 7), *range(150, 200, 7), *range(4040, 4100, 7)]
)
def test_secrets_are_redacted_before_an_answer_is_cut(padding, parrot, tmp_path, monkeypatch):
    monkeypatch.setenv("NW_PLAIN", PLAIN)
    parrot.status, parrot.padding = 500, padding
    keys = {**HTTP["bearer"], "url": f"http://127.0.0.1:{parrot.server_port}"}
    reason = send(output(tmp_path, **keys), record(1)).reason
    assert reason.startswith("HTTP 500")
    assert not any(PLAIN[:length] in reason for length in range(4, len(PLAIN) + 1))


LINES = "first-line-of-a-secret\nsecond-line-of-it"


@pytest.mark.parametrize("case", ["bearer", "hec", "bulk", "header"])
def test_secret_that_a_header_cannot_have_is_not_repeated(case, parrot, everything):
    parrot.status = 500
    text = everything({**HTTP[case], "url": f"http://127.0.0.1:{parrot.server_port}"}, plain=LINES)
    assert ("more than 1 line" if case == "header" else "has a line break") in text
    assert not any(line in text for line in LINES.splitlines())


@pytest.mark.parametrize("password", ["pässword-of-many-letters", LINES])
def test_password_that_smtp_cannot_send_is_not_repeated(password, everything, certificates):
    server = Chatter(b"220 parrot\r\n", mail_answer, certificates.server("127.0.0.1"))
    try:
        text = everything(mail_keys(server.port, certificates), plain=password)
    finally:
        server.end()
    assert "other than ASCII" in text or "535" in text
    assert not any(line in text for line in password.splitlines())


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
        text = everything(mail_keys(server.port, certificates))
    finally:
        server.end()
    assert "535" in text
    assert leaks(text) == []


def mail_keys(port, certificates):
    return {
        "type": "email",
        "host": f"127.0.0.1:{port}",
        "security": "tls",
        "tls": {"ca": str(certificates.ca)},
        "from": "a@example.org",
        "to": ["b@example.org"],
        "user": "soc",
        "password": {"env": "NW_PLAIN"},
        "timeout": "2s",
    }


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
        secret = Secret("", path, with_lines=True)
        text = base64.b64encode(before + secret.value().encode() + b"!").decode()
        assert "***" in redact(text, [secret])


HARD = 's3cr3t "quoted" \\ & <lång>/+~\'.\nits second line'
FORMS = {
    "as it is": HARD,
    "a line": "its second line",
    "another line": HARD.splitlines()[0],
    "URL": quote(HARD),
    "whole URL": quote(HARD, safe=""),
    "form of a URL": quote_plus(HARD),
    "URL in lower case": quote(HARD).lower(),
    "every character": "".join(f"%{byte:02X}" for byte in HARD.encode()),
    "JSON": json.dumps(HARD),
    "JSON in UTF-8": json.dumps(HARD, ensure_ascii=False),
    "JSON of a browser": json.dumps(HARD).replace("/", "\\/").replace("<", "\\u003c"),
    "HTML": html.escape(HARD),
    "Python": repr(HARD),
    "Python bytes": repr(HARD.encode()),
    "lower case": HARD.lower(),
    "upper case": HARD.upper(),
    "Latin-1 read as UTF-8": HARD.encode("latin-1").decode("utf-8", "replace"),
    "UTF-8 read as Latin-1": HARD.encode().decode("latin-1"),
    "base64": base64.b64encode(HARD.encode()).decode(),
    "Basic": base64.b64encode(f"soc:{HARD}".encode()).decode(),
    "SASL PLAIN": base64.b64encode(f"\0soc\0{HARD}".encode()).decode(),
    "base64 in a URL": quote(base64.b64encode(f"ab{HARD}".encode()), safe=""),
    "base64 of a URL": base64.urlsafe_b64encode(f"{HARD}?".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_secret_is_found_in_every_form(form, monkeypatch):
    monkeypatch.setenv("NW_SECRET", HARD)
    shown = redact(f"<{FORMS[form]}>", [Secret("NW_SECRET", None, "soc")])
    assert "***" in shown
    assert len(shown) <= len("<b'***'>"), shown


@pytest.mark.parametrize("password", ["x", "no", "abc", "abcd", "0123456"])
def test_short_password_is_found_in_basic_authentication(password, monkeypatch):
    monkeypatch.setenv("NW_SECRET", password)
    text = base64.b64encode(f"soc:{password}".encode()).decode()
    assert redact(f"<{text}>", [Secret("NW_SECRET", None, "soc")]) == "<***>"


def test_text_beside_a_secret_is_shown(monkeypatch):
    monkeypatch.setenv("NW_SECRET", HARD)
    secret = Secret("NW_SECRET", None)
    assert redact(f"no\n{HARD} for {HARD}, sorry", [secret]) == "no *** for ***, sorry"
    assert redact("quite another text", [secret]) == "quite another text"


@given(st.integers(0, 300), st.integers(1, 60), st.sampled_from([HARD, PLAIN, "x" * 300]))
def test_nothing_of_a_secret_is_left_where_a_text_is_cut(before, times, value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret"
        path.write_text(value, encoding="utf-8")
        shown = redact(f"{'-' * before}{value * times}", [Secret("", path, with_lines=True)])
    assert len(shown) <= 200
    assert value[:4] not in shown


def test_long_answers_take_no_time(monkeypatch):
    monkeypatch.setenv("NW_SECRET", PLAIN)
    start = time.process_time()
    assert redact("A" * (16 << 20), [Secret("NW_SECRET", None, "soc")]).startswith("AAAA")
    assert time.process_time() - start < 2


def test_secret_that_was_replaced_is_still_redacted(tmp_path):
    path = tmp_path / "secret"
    secret = Secret("", path)
    for value in (PLAIN, "another-secret-of-letters"):
        path.write_text(value)
        assert secret.value() == value
    path.unlink()
    assert redact(f"{PLAIN} or another-secret-of-letters", [secret]) == "*** or ***"


def test_exception_of_a_format_is_redacted(tmp_path, monkeypatch):
    monkeypatch.setenv("NW_PLAIN", PLAIN)
    made = output(tmp_path, type="http", url="http://127.0.0.1/", token={"env": "NW_PLAIN"})

    def fail(_output, _record):
        raise ValueError(f"{PLAIN}\n{'x' * 1000}")

    monkeypatch.setattr(type(made), "render", fail)
    result = attempt(made, made.options.open(), [QueuedAlert(1, "k", 0.0, record(1))])
    ((_, reason),) = result.refused.values()
    assert PLAIN not in reason
    assert len(reason) <= 200


def test_secret_with_very_many_lines_is_refused(tmp_path):
    path = tmp_path / "secret"
    path.write_text("\n".join("x" * 300))
    assert "more than 256 lines" in Secret("", path, with_lines=True).problem()


def test_a_secret_of_a_file_has_one_line(tmp_path):
    """Somebody could have named a file of the system, to have it sent to a server of theirs."""
    path = tmp_path / "shadow"
    path.write_text("root:$y$j9T$hash:19000\ndaemon:*:19000\n")
    assert Secret("", path).problem() == f"the secret in {path} has more than 1 line"
    path.write_text("\n one-line-of-a-secret \n\n")
    assert Secret("", path).value() == "one-line-of-a-secret"


def test_a_secret_that_others_can_replace_is_refused(tmp_path):
    path = tmp_path / "secret"
    path.write_text(PLAIN)
    path.chmod(0o622)
    assert Secret("", path).problem().endswith(f"chmod go-w {path}")


def test_credentials_file_of_nats_is_a_secret(tmp_path):
    jwt = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.e30.c2ln"
    path = tmp_path / "user.creds"
    path.write_text(f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n")
    options = output(tmp_path, type="nats", url="nats://127.0.0.1", creds=str(path)).options
    assert redact(f"-ERR for {jwt.lower()}", options.secrets()) == "-ERR for ***"


PASTED = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "keys",
    [
        {"type": "http", "url": "https://soc:hunter2@siem.example:99999/"},
        {"type": "http", "url": "https://soc:hunter2@siem example/"},
        {"type": "http", "url": "https://siem.example/", "proxy": "ftp://soc:hunter2@proxy/"},
        {"type": "syslog", "transport": "tcp", "host": "soc:hunter2@siem.example:x"},
        {"type": "kafka", "topic": "alerts", "brokers": ["soc:hunter2@kafka.example"]},
        {"type": "nats", "url": "nats://hunter2@nats.example"},
        {"type": "nats", "url": "nats://nats.example", "creds": PASTED},
        {"type": "syslog", "transport": "tls", "host": "siem.example", "tls": {"key": PASTED}},
        {"type": "http", "url": "https://siem.example/", "token": "hunter2"},
        {"type": "http", "url": "https://siem.example/", "token": {"file": PASTED}},
        {"type": "http", "url": "https://siem.example/", "token": {"env": PASTED}},
        {"type": "http", "url": "https://siem.example/", "headers": {"X-Key": "hunter2\nx"}},
    ],
)
def test_secret_at_a_wrong_place_of_the_configuration_is_not_repeated(keys, tmp_path):
    with pytest.raises(ConfigError) as raised:
        output(tmp_path, **keys)
    text = "\n".join(map(str, raised.value.problems))
    assert text
    assert "hunter2" not in text
    assert "MC4C" not in text
