import pickle
import re
import sys

import pytest
from support.documents import ROOT, blocks
from support.made_alerts import output, outputs

from netwatch.config import load, load_outputs
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.sinks.secrets import Secret, redacted
from netwatch.sinks.table import SINKS

SOUND = """\
outputs:
  - {type: file, path: alerts.jsonl, rotate: 10M, keep: 9, min_severity: high}
  - {type: syslog, name: siem, host: "siem.example:6514", transport: tls, format: cef}
  - {type: syslog, name: old, host: 192.0.2.1, transport: udp, facility: authpriv, max_bytes: 2k}
  - {type: syslog, name: six, host: "[2001:db8::1]:601", transport: tcp, framing: lf,
     confirm: false}
  - {type: http, url: "https://hook.example/x", secret: {env: HMAC}, headers: {X-A: b}}
  - {type: splunk_hec, url: "https://splunk.example:8088", token: {file: hec.token}, ack: true}
  - {type: elastic, url: "https://es.example:9200", api_key: {env: KEY}, min_verdict: violation}
  - {type: kafka, brokers: [kafka.example, "[2001:db8::2]:9093"], topic: netwatch.alerts,
     sasl: {user: u, password: {env: P}}}
  - {type: nats, url: "tls://nats.example:4222", user: u, password: {env: P}}
  - {type: email, host: mail.example, from: netwatch@example.org, to: [soc@example.org], every: 1h}
"""


def told(text, base):
    with pytest.raises(ConfigError) as caught:
        outputs(f"outputs:\n{text}", base)
    return [str(problem) for problem in caught.value.problems]


def test_every_type_is_read_with_its_defaults(tmp_path):
    found = {each.name: each for each in outputs(SOUND, tmp_path)}
    assert {each.type for each in found.values()} == set(SINKS)
    assert found["file"].min_severity == 2
    assert found["elastic"].min_verdict == 2
    assert {name: each.format for name, each in found.items()} == {
        **dict.fromkeys(("file", "old", "six", "http", "splunk_hec", "kafka", "nats"), "jsonl"),
        "siem": "cef",
        "elastic": "ecs",
        "email": "",
    }
    assert (found["siem"].settings.host, found["siem"].settings.port) == ("siem.example", 6514)
    assert (found["old"].settings.port, found["old"].settings.max_bytes) == (514, 2048)
    assert (found["six"].settings.host, found["six"].settings.port) == ("2001:db8::1", 601)
    assert found["kafka"].settings.brokers == ("kafka.example:9092", "[2001:db8::2]:9093")
    assert found["email"].every == 3600
    assert found["file"].settings.path == tmp_path / "alerts.jsonl"


def test_workers_can_be_given_outputs(tmp_path):
    found = outputs(SOUND, tmp_path)
    assert [each.name for each in pickle.loads(pickle.dumps(found))] == [e.name for e in found]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{type: fax}", "'type': expected one of file, syslog, http"),
        ("{path: a}", "an output needs 'type'"),
        ("{type: file}", "an output needs 'path'"),
        ("{type: file, path: a, name: 'a b'}", "'name' is 'a b', expected letters"),
        ("{type: file, path: a, name: ../x}", "'name' is '../x', expected letters"),
        ("{type: file, path: a, format: xml}", "'format': expected one of jsonl"),
        ("{type: file, path: a, min_verdict: bad}", "expected one of exempt, advisory, violation"),
        ("{type: file, path: a, min_severity: 3}", "expected one of low, medium, high, critical"),
        ("{type: file, path: a, rotate: 1k}", "expected a size from 65,536 bytes"),
        ("{type: file, path: a, rotate: much}", "like 65536, 64k, 10M, 1G"),
        ("{type: file, path: a, rotate: 1M, keep: 0}", "a whole number from 1 to 1000"),
        ("{type: file, path: a, colour: red}", "unknown key 'colour'"),
        ("{type: syslog, host: a}", "an output needs 'transport'"),
        ("{type: syslog, transport: udp}", "an output needs 'host'"),
        ("{type: syslog, transport: udp, host: 'a:b'}", "expected host:port"),
        ("{type: syslog, transport: udp, host: 'a:0'}", "expected host:port"),
        ("{type: syslog, transport: udp, host: 'http://a'}", "expected host:port"),
        ("{type: syslog, transport: udp, host: a, framing: lf}", "no meaning with"),
        ("{type: syslog, transport: udp, host: a, max_bytes: 1M}", "what a datagram holds"),
        ("{type: syslog, transport: tcp, host: a, tls: {}}", "'tls' needs 'transport: tls'"),
        ("{type: syslog, transport: tls, host: a, tls: {ca: none.pem}}", "there is no file"),
        ("{type: syslog, transport: tls, host: a, tls: {key: k}}", "'key' needs 'cert'"),
        ("{type: syslog, transport: tcp, host: a, timeout: 5}", "expected a time like 90s"),
        ("{type: syslog, transport: tcp, host: a, confirm: maybe}", "expected true or false"),
        ("{type: http}", "an output needs 'url'"),
        ("{type: http, url: ftp://a/}", "expected an address like https://"),
        ("{type: http, url: 'https://u:secret@a/'}", "there are keys for these"),
        ("{type: http, url: 'https://a:x/'}", "expected an address like"),
        ("{type: http, url: 'http://a/', tls: {}}", "needs an address with https"),
        ("{type: http, url: 'http://a/', token: sesame}", "a secret is not written in this file"),
        ("{type: http, url: 'http://a/', token: {env: A, file: b}}", "expected {env: NAME}"),
        ("{type: http, url: 'http://a/', user: u}", "'user' and 'password' stand together"),
        ("{type: http, url: 'http://a/', headers: {Host: b}}", "'Host' cannot be set"),
        ("{type: http, url: 'http://a/', headers: {'A b': c}}", "'A b' cannot be set"),
        ("{type: http, url: 'http://a/', headers: {A: [1]}}", "'A' must be text"),
        ('{type: http, url: "http://a/", headers: {A: "x\\r\\nB: y"}}', "'A' must be text"),
        ("{type: splunk_hec, url: 'http://a'}", "an output needs 'token'"),
        ("{type: splunk_hec, url: 'http://a/b', token: {env: A}}", "expected one like https://spl"),
        ("{type: elastic, url: 'http://a', format: cef}", "expected one of jsonl, ecs, ocsf"),
        ("{type: elastic, url: 'http://a', index: 'A b'}", "expected the name of a data stream"),
        ("{type: kafka, topic: a}", "an output needs 'brokers'"),
        ("{type: kafka, brokers: [a], topic: 'a b'}", "expected letters, digits"),
        ("{type: nats, url: 'http://a'}", "expected an address like nats://"),
        ("{type: nats, url: 'nats://a', subject: 'a.>'}", "expected one like netwatch.alert"),
        ("{type: email, host: a, from: b, to: [c@d]}", "expected an address like soc@"),
        ("{type: email, host: a, from: b@c, to: ['d@e, f@g']}", "expected an address like soc@"),
        ('{type: email, host: a, from: "b@c\\nBcc: x@y", to: [c@d]}', "expected an address like"),
        ("{type: email, host: a, from: b@c, to: [c@d], format: cef}", "unknown key 'format'"),
    ],
)
def test_mistakes_are_told_with_their_line(entry, expected, tmp_path):
    problems = told(
        f"  - {{type: file, path: sound}}\n  - {entry}\n".replace("sound}", "s, name: s}"), tmp_path
    )
    assert any(expected in problem for problem in problems), problems
    assert all(problem.startswith("netwatch.yaml:3: ") for problem in problems)
    assert "sesame" not in str(problems)


def test_two_outputs_need_two_names(tmp_path):
    (problem,) = told("  - {type: file, path: a}\n  - {type: file, path: b}\n", tmp_path)
    assert problem == (
        "netwatch.yaml:3: output 'file' stands twice (first in line 2): give it a 'name'"
    )


def test_all_mistakes_are_told_at_once(tmp_path):
    problems = told("  - {type: file}\n  - {type: fax}\n  - 7\n", tmp_path)
    assert [problem.split(" ")[0] for problem in problems] == [
        "netwatch.yaml:2:",
        "netwatch.yaml:3:",
        "netwatch.yaml:4:",
    ]


def test_a_configuration_holds_outputs_and_spool(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netwatch.yaml").write_text(
        f"version: 1\nspool: {{path: out, max_bytes: 2M, max_age: 2d}}\n{SOUND}"
    )
    config = load("netwatch.yaml")
    assert [each.name for each in config.outputs][:2] == ["file", "siem"]
    assert (config.outbox.folder.name, config.outbox.max_bytes) == ("out", 2 << 20)
    assert config.outbox.max_age == 172_800
    named, outbox = load_outputs("netwatch.yaml")
    assert [each.name for each in named] == [each.name for each in config.outputs]
    assert outbox == config.outbox
    (tmp_path / "netwatch.yaml").write_text("version: 1\nspool: {max_bytes: 1k}\noutputs: 7\n")
    with pytest.raises(ConfigError) as caught:
        load("netwatch.yaml")
    assert [problem.line for problem in caught.value.problems] == [2, 3]


def test_secrets_are_read_when_needed_and_never_shown(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("  open sesame\n")
    secret = Secret("", tmp_path / "token")
    assert secret.value() == "open sesame"
    assert "sesame" not in repr(secret)
    monkeypatch.setenv("NW_S", "other")
    assert Secret("NW_S", None).value() == "other"
    assert redacted("say open sesame and other", [secret, Secret("NW_S", None)]) == (
        "say *** and ***"
    )
    assert redacted("a\nb\x1b[2J" + "x" * 999, []) == "a b [2J" + "x" * 192 + "…"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b" \n", "is empty"),
        (b"\xff", "not UTF-8"),
        (b"x" * 70000, "larger"),
    ],
)
def test_a_secret_that_cannot_be_had_is_told(content, why, tmp_path):
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(NetwatchError, match=why):
        Secret("", tmp_path / "token").value()


def test_a_missing_library_is_told_with_what_to_install(tmp_path, monkeypatch):
    for name, module, keys in (
        ("kafka", "confluent_kafka", {"brokers": ["a"], "topic": "t"}),
        ("nats", "nats.aio.client", {"url": "nats://a"}),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        one = output(tmp_path, type=name, **keys)
        with pytest.raises(NetwatchError, match=rf"pip install 'netwatch\[{name}\]'"):
            one.settings.open()


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "siem").glob("*.md")), ids=lambda p: p.name
)
def test_outputs_in_the_documents_are_sound(page, tmp_path):
    found = [text for text in blocks("yaml", page.read_text("utf-8")) if "outputs:" in text]
    assert found
    for text in found:
        # Files of certificates are the reader's own.
        (tmp_path / "ca.pem").write_text("")
        local = re.sub(r"ca: [\w./-]+", "ca: ca.pem", re.sub(r"^spool:.*\n", "", text))
        assert outputs(local, tmp_path)


def test_a_server_name_has_no_meaning_to_kafka(tmp_path):
    entry = "{type: kafka, brokers: [a], topic: b, tls: {server_name: c}}"
    (problem,) = told(f"  - {entry}\n", tmp_path)
    assert "librdkafka checks the name of each broker" in problem
