import pickle
import re
import sys

import pytest
from support.documents import ROOT, blocks
from support.made_alerts import output, outputs

from netwatch.config import load, load_outputs
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.sinks.registry import SINKS
from netwatch.sinks.secrets import Secret, redact

VALID = """\
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
  - {type: apprise, url: {env: CHAT}, quiet_hours: "22:00-07:00", timezone: Europe/Brussels}
"""


def problems_of(text, base):
    with pytest.raises(ConfigError) as caught:
        outputs(f"outputs:\n{text}", base)
    return [str(problem) for problem in caught.value.problems]


def test_every_type_is_read_with_its_defaults(tmp_path):
    found = {each.name: each for each in outputs(VALID, tmp_path)}
    assert {each.type for each in found.values()} == set(SINKS)
    assert found["file"].min_severity == 2
    assert found["elastic"].min_verdict == 2
    assert {name: each.format for name, each in found.items()} == {
        **dict.fromkeys(("file", "old", "six", "http", "splunk_hec", "kafka", "nats"), "jsonl"),
        "siem": "cef",
        "elastic": "ecs",
        "email": "",
        "apprise": "",
    }
    assert (found["siem"].options.host, found["siem"].options.port) == ("siem.example", 6514)
    assert (found["old"].options.port, found["old"].options.max_bytes) == (514, 2048)
    assert (found["six"].options.host, found["six"].options.port) == ("2001:db8::1", 601)
    assert found["kafka"].options.brokers == ("kafka.example:9092", "[2001:db8::2]:9093")
    assert found["email"].digest_interval == 3600
    assert found["apprise"].digest_interval == 60
    assert found["apprise"].quiet_hours.start == 22 * 60
    assert found["file"].options.path == tmp_path / "alerts.jsonl"


def test_outputs_can_be_pickled_for_worker_processes(tmp_path):
    found = outputs(VALID, tmp_path)
    assert [each.name for each in pickle.loads(pickle.dumps(found))] == [e.name for e in found]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{type: fax}", "'type': expected one of file, syslog, http"),
        ("{path: a}", "an output needs 'type'"),
        ("{type: file}", "an output needs 'path'"),
        ("{type: file, path: a, name: 'a b'}", "'name': expected letters"),
        ("{type: file, path: a, name: ../x}", "'name': expected letters"),
        ("{type: file, path: a, format: xml}", "'format': expected one of jsonl"),
        ("{type: file, path: a, min_verdict: bad}", "expected one of exempt, advisory, violation"),
        ("{type: file, path: a, min_severity: 3}", "expected one of low, medium, high, critical"),
        ("{type: file, path: a, rotate: 1k}", "expected a size of at least 65,536 bytes"),
        ("{type: file, path: a, rotate: much}", "like 65536, 64k, 10M, 1G"),
        ("{type: file, path: a, rotate: 1M, keep: 0}", "an integer from 1 to 1000"),
        ("{type: file, path: a, colour: red}", "unknown key 'colour'"),
        ("{type: syslog, host: a}", "an output needs 'transport'"),
        ("{type: syslog, transport: udp}", "an output needs 'host'"),
        ("{type: syslog, transport: udp, host: 'a:b'}", "expected host:port"),
        ("{type: syslog, transport: udp, host: 'a:0'}", "expected host:port"),
        ("{type: syslog, transport: udp, host: 'http://a'}", "expected host:port"),
        ("{type: syslog, transport: udp, host: a, framing: lf}", "has no effect with"),
        ("{type: syslog, transport: udp, host: a, max_bytes: 1M}", "the limit of a UDP datagram"),
        ("{type: syslog, transport: tcp, host: a, tls: {}}", "'tls' needs 'transport: tls'"),
        ("{type: syslog, transport: tls, host: a, tls: {ca: none.pem}}", "there is no file"),
        ("{type: syslog, transport: tls, host: a, tls: {key: k}}", "'key' needs 'cert'"),
        ("{type: syslog, transport: tcp, host: a, timeout: 5}", "expected a duration like 90s"),
        ("{type: syslog, transport: tcp, host: a, confirm: maybe}", "expected true or false"),
        ("{type: http}", "an output needs 'url'"),
        ("{type: http, url: ftp://a/}", "expected a URL like https://"),
        ("{type: http, url: 'https://u:secret@a/'}", "use the keys for these"),
        ("{type: http, url: 'https://a:x/'}", "expected a URL like"),
        ("{type: http, url: 'http://a/', tls: {}}", "needs an 'url' that starts with https"),
        (
            "{type: http, url: 'http://a/', token: sesame}",
            "the secret itself must not be in this file",
        ),
        ("{type: http, url: 'http://a/', token: {env: A, file: b}}", "expected {env: NAME}"),
        (
            "{type: http, url: 'http://a/', user: u}",
            "'user' and 'password' are used together, but 'password' is missing",
        ),
        ("{type: http, url: 'http://a/', headers: {Host: b}}", "'Host' cannot be set"),
        ("{type: http, url: 'http://a/', headers: {'A b': c}}", "'A b' cannot be set"),
        ("{type: http, url: 'http://a/', headers: {A: [1]}}", "'A' must be text"),
        ('{type: http, url: "http://a/", headers: {A: "x\\r\\nB: y"}}', "'A' must be text"),
        ("{type: splunk_hec, url: 'http://a'}", "an output needs 'token'"),
        (
            "{type: splunk_hec, url: 'http://a/b', token: {env: A}}",
            "expected a URL like https://spl",
        ),
        ("{type: elastic, url: 'http://a', format: cef}", "expected one of jsonl, ecs, ocsf"),
        ("{type: elastic, url: 'http://a', index: 'A b'}", "expected the name of a data stream"),
        ("{type: kafka, topic: a}", "an output needs 'brokers'"),
        ("{type: kafka, brokers: [a], topic: 'a b'}", "expected letters, digits"),
        ("{type: nats, url: 'http://a'}", "expected a URL like nats://"),
        ("{type: nats, url: 'nats://a', subject: 'a.>'}", "expected a subject like netwatch.alert"),
        ("{type: email, host: a, from: b, to: [c@d]}", "expected an address like soc@"),
        ("{type: email, host: a, from: b@c, to: ['d@e, f@g']}", "expected an address like soc@"),
        ('{type: email, host: a, from: "b@c\\nBcc: x@y", to: [c@d]}', "expected an address like"),
        ("{type: email, host: a, from: b@c, to: [c@d], format: cef}", "unknown key 'format'"),
    ],
)
def test_invalid_outputs_are_reported_with_their_line(entry, expected, tmp_path):
    problems = problems_of(
        f"  - {{type: file, path: sound}}\n  - {entry}\n".replace("sound}", "s, name: s}"), tmp_path
    )
    assert any(expected in problem for problem in problems), problems
    assert all(problem.startswith("netwatch.yaml:3: ") for problem in problems)
    assert "sesame" not in str(problems)


def test_duplicate_name_is_reported(tmp_path):
    (problem,) = problems_of("  - {type: file, path: a}\n  - {type: file, path: b}\n", tmp_path)
    assert problem == (
        "netwatch.yaml:3: duplicate output 'file' (first on line 2), expected a unique 'name'"
    )


def test_all_problems_are_reported_at_once(tmp_path):
    problems = problems_of("  - {type: file}\n  - {type: fax}\n  - 7\n", tmp_path)
    assert [problem.split(" ")[0] for problem in problems] == [
        "netwatch.yaml:2:",
        "netwatch.yaml:3:",
        "netwatch.yaml:4:",
    ]


def test_configuration_has_outputs_and_outbox_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netwatch.yaml").write_text(
        f"version: 1\nspool: {{path: out, max_bytes: 2M, max_age: 2d}}\n{VALID}"
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


def test_secrets_are_read_when_needed_and_redacted(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("  open sesame\n")
    secret = Secret("", tmp_path / "token")
    assert secret.value() == "open sesame"
    assert "sesame" not in repr(secret)
    monkeypatch.setenv("NW_S", "other")
    assert Secret("NW_S", None).value() == "other"
    assert redact("say open sesame and other", [secret, Secret("NW_S", None)]) == (
        "say *** and ***"
    )
    assert redact("a\nb\x1b[2J" + "x" * 999, []) == "a b [2J" + "x" * 192 + "…"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b" \n", "is empty"),
        (b"\xff", "not UTF-8"),
        (b"x" * 4097, "at most 4,096 bytes"),
    ],
)
def test_unreadable_secret_is_reported(content, why, tmp_path):
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(NetwatchError, match=why):
        Secret("", tmp_path / "token").value()


def test_missing_library_names_the_extra_to_install(tmp_path, monkeypatch):
    for name, module, keys in (
        ("kafka", "confluent_kafka", {"brokers": ["a"], "topic": "t"}),
        ("nats", "nats.aio.client", {"url": "nats://a"}),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        one = output(tmp_path, type=name, **keys)
        with pytest.raises(NetwatchError, match=rf"pip install '.*\[{name}\]'"):
            one.options.open()


WITHOUT_OUTPUTS = {"README.md", "eve-ocsf.md", "grafana.md", "misp.md", "sigma.md"}
"""Pages on SIEM that are about no receiver."""


@pytest.mark.parametrize(
    "page",
    [each for each in sorted((ROOT / "docs" / "siem").glob("*.md"))
     if each.name not in WITHOUT_OUTPUTS],
    ids=lambda p: p.name,
)  # fmt: skip
def test_outputs_in_the_documentation_are_valid(page, tmp_path):
    found = [text for text in blocks("yaml", page.read_text("utf-8")) if "outputs:" in text]
    assert found
    for text in found:
        # Files of certificates are the reader's own.
        (tmp_path / "ca.pem").write_text("")
        local = re.sub(r"ca: [\w./-]+", "ca: ca.pem", re.sub(r"^spool:.*\n", "", text))
        assert outputs(local, tmp_path)


def test_server_name_is_rejected_for_kafka(tmp_path):
    entry = "{type: kafka, brokers: [a], topic: b, tls: {server_name: c}}"
    (problem,) = problems_of(f"  - {entry}\n", tmp_path)
    assert "unknown key 'server_name' in tls: expected one of ca, cert, key" in problem
