"""``netwatch outputs`` and ``scan --deliver``, by the command line."""

import json
from pathlib import Path

import pytest
from support.made_alerts import output, record
from support.paths import ROOT
from support.receivers import Http

from netwatch.cli import main
from netwatch.config import load_outputs
from netwatch.delivery import attempt, dead_letters
from netwatch.delivery.outbox import OutboxDatabase
from netwatch.delivery.outbox_file import DeliveryLock

CAPTURE = str(ROOT / "pcaps" / "office-day.pcap")
ALERTS = 9
"""Alerts of that capture."""
TOKEN = "s3cr3t"


@pytest.fixture
def site(tmp_path, http, monkeypatch):
    monkeypatch.setenv("NW_TOKEN", TOKEN)
    path = tmp_path / "netwatch.yaml"
    path.write_text(
        "version: 1\n"
        "spool: {path: spool}\n"
        "outputs:\n"
        "  - {type: file, path: alerts.jsonl}\n"
        f"  - {{type: http, name: hook, url: '{http.url}', token: {{env: NW_TOKEN}}}}\n"
    )
    return path


def run(capsys, *words):
    status = main(list(words))
    out, err = capsys.readouterr()
    return status, out, err


def test_scan_delivers_what_it_prints(site, http, capsys, tmp_path):
    words = ("scan", "-c", str(site), CAPTURE, "--deliver", "--format", "jsonl")
    status, out, err = run(capsys, *words)
    assert status == 0, err
    printed = [json.loads(line) for line in out.splitlines()]
    assert len(printed) == ALERTS
    assert list(map(json.loads, (tmp_path / "alerts.jsonl").read_text().splitlines())) == printed
    assert [json.loads(body) for body in http.events] == printed
    status, out, _ = run(capsys, "outputs", "status", "-c", str(site))
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["name", "type", "format", "state", "queued", "oldest", "sent", "failed", "dead"],
        ["file", "file", "jsonl", "idle", "0", "-", str(ALERTS), "0", "0"],
        ["hook", "http", "jsonl", "idle", "0", "-", str(ALERTS), "0", "0"],
    ]


def test_undelivered_alerts_give_status_1_and_are_delivered_later(site, http, capsys):
    port = http.server_port
    http.end()
    words = ("scan", "-q", "-c", str(site), CAPTURE, "--deliver")
    status, _, err = run(capsys, *words, "--deliver-timeout", "1")
    assert status == 1
    assert f"output hook: {ALERTS} alerts left in the outbox" in err
    assert "output file" not in err
    status, out, _ = run(capsys, "outputs", "status", "-c", str(site), "--format", "jsonl")
    assert status == 1
    hook = json.loads(out.splitlines()[1])
    assert (hook["name"], hook["state"], hook["queued"], hook["sent"]) == (
        "hook",
        "retrying",
        ALERTS,
        0,
    )
    assert "refused" in hook["reason"].lower()
    assert hook["oldest_seconds"] >= 0
    again = Http(port=port)
    try:
        assert run(capsys, *words)[0] == 0
        assert len(again.events) == 2 * ALERTS
    finally:
        again.end()


def test_refused_alert_gives_status_1_and_can_be_replayed(site, http, capsys, tmp_path):
    http.faults = [lambda request: request.answer(422, {"no": "thanks"})]
    words = ("scan", "-q", "-c", str(site), CAPTURE, "--deliver")
    status, _, err = run(capsys, *words)
    assert status == 1
    assert "output hook: 1 alert refused permanently" in err
    assert dead_letters.count(tmp_path / "spool", "hook") == 1
    status, out, _ = run(capsys, "outputs", "status", "-c", str(site), "hook")
    assert (status, out.splitlines()[1].split()[-1]) == (1, "1")
    status, _, err = run(capsys, "outputs", "replay", "-c", str(site))
    assert (status, err) == (
        0,
        "netwatch: file: 0 alerts put into the outbox again\n"
        "netwatch: hook: 1 alert put into the outbox again\n",
    )
    none = tmp_path / "empty.pcap"
    none.write_bytes(Path(CAPTURE).read_bytes()[:24])
    assert run(capsys, "scan", "-q", "-c", str(site), str(none), "--deliver")[0] == 0
    assert len(set(http.events)) == ALERTS
    assert len((tmp_path / "alerts.jsonl").read_text().splitlines()) == ALERTS


def test_command_sends_a_marked_alert_and_prints_the_answer(site, http, capsys):
    status, out, _ = run(capsys, "outputs", "test", "-c", str(site))
    assert status == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["ok    file", "ok    hook"]
    assert "HTTP 200 OK" in out
    (alert,) = map(json.loads, http.events)
    assert (alert["verdict"], alert["app"]["id"]) == ("exempt", "netwatch-test")
    http.faults = [lambda request: request.answer(403, {"you": request.headers["Authorization"]})]
    status, out, err = run(capsys, "outputs", "test", "-c", str(site), "hook", "--format", "jsonl")
    assert status == 1
    result = json.loads(out)
    assert (result["delivered"], result["name"]) == (False, "hook")
    assert "HTTP 403" in result["answer"]
    assert TOKEN not in out + err


def test_sample_alert_can_be_rendered_in_every_format(site):
    from netwatch.formats.registry import RENDERERS
    from netwatch.sinks.templates import sample_alert

    alert = sample_alert(1_700_000_000.5, "s", "0")
    assert set(alert) == set(record(1))
    assert all(render(alert) for render in RENDERERS.values())


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (
            ("outputs", "test", "nobody"),
            2,
            "expected an output of the configuration, found 'nobody'; configured are: file, hook",
        ),
        (("scan", CAPTURE, "--once"), 2, "netwatch: scan: --once needs --deliver"),
        (("scan", CAPTURE, "--deliver", "--deliver-timeout", "x"), 2, "number of seconds"),
    ],
)
def test_errors_are_reported_with_their_exit_status(words, status, why, site, capsys):
    try:
        found, _, err = run(capsys, *words, "-c", str(site))
    except SystemExit as caught:
        found, err = caught.code, capsys.readouterr().err
    assert found == status
    assert why in err


def test_status_and_replay_before_the_first_delivery(site, capsys, tmp_path):
    status, out, err = run(capsys, "outputs", "status", "-c", str(site))
    assert (status, err) == (0, "")
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["file", "file", "jsonl", "new", "0", "-", "0", "0", "0"],
        ["hook", "http", "jsonl", "new", "0", "-", "0", "0", "0"],
    ]
    status, _, err = run(capsys, "outputs", "replay", "-c", str(site))
    assert status == 0
    assert err.splitlines()[0] == "netwatch: file: 0 alerts put into the outbox again"
    assert not (tmp_path / "spool").exists()


def test_output_that_nobody_delivers_to_is_stopped_not_idle(site, capsys, tmp_path):
    outputs, options = load_outputs(str(site))
    database = OutboxDatabase(options, create=True)
    database.configure(outputs)
    database.put([record(1)])
    words = ("outputs", "status", "-c", str(site), "hook", "--format", "jsonl")
    status, out, _ = run(capsys, *words)
    assert status == 1
    assert (json.loads(out)["state"], json.loads(out)["queued"]) == ("stopped", 1)
    assert "no netwatch process delivers" in json.loads(out)["reason"]
    lock = DeliveryLock(options.folder)
    assert lock.acquire()
    status, out, _ = run(capsys, *words)
    assert (status, json.loads(out)["state"]) == (0, "idle")
    lock.release()
    database.close()


@pytest.mark.parametrize("words", [("outputs", "status"), ("scan", CAPTURE, "--deliver")])
def test_file_of_another_program_in_place_of_the_outbox_gives_status_2(
    words, site, capsys, tmp_path
):
    (tmp_path / "spool").mkdir()
    path = tmp_path / "spool" / "outbox.sqlite"
    path.write_text("not ours")
    status, out, err = run(capsys, *words, "-c", str(site))
    assert (status, out) == (2, "")
    assert f"{path}: is another file and was left as it is" in err
    assert path.read_text() == "not ours"


def test_outbox_that_cannot_be_created_is_reported_before_the_scan(site, capsys, tmp_path):
    (tmp_path / "spool").write_text("")
    status, out, err = run(capsys, "scan", CAPTURE, "--deliver", "-c", str(site))
    assert (status, out) == (1, "")
    assert "spool" in err
    assert "cannot be created" in err


def test_repeats_are_reported_and_left_out_with_once(site, http, capsys, tmp_path):
    words = ("scan", "-c", str(site), CAPTURE, "--deliver")
    assert "delivered before" not in run(capsys, *words)[2]
    status, _, err = run(capsys, *words)
    assert status == 0
    text = f"{ALERTS} alerts sent again, delivered before; --once sends each only once"
    assert f"netwatch: output file: {text}" in err
    assert f"netwatch: output hook: {text}" in err
    assert len(http.events) == 2 * ALERTS
    status, _, err = run(capsys, *words, "--once")
    assert status == 0
    assert f"output hook: {ALERTS} alerts not sent again, delivered before" in err
    assert len(http.events) == 2 * ALERTS
    assert "delivered before" not in run(capsys, *words, "--once", "-q")[2]
    lines = (tmp_path / "alerts.jsonl").read_text().splitlines()
    assert len(lines) == 2 * ALERTS


def test_once_sends_what_was_not_delivered_yet(site, http, capsys, tmp_path):
    http.faults = [lambda request: request.answer(422, {"no": "thanks"})]
    words = ("scan", "-c", str(site), CAPTURE, "--deliver", "--once")
    assert run(capsys, *words)[0] == 1
    status, _, err = run(capsys, *words)
    assert status == 0
    assert f"output hook: {ALERTS - 1} alerts not sent again" in err
    assert len(set(http.events)) == len(http.events) == ALERTS
    # What waits in the outbox from an earlier run is not sent twice either.
    port = http.server_port
    http.end()
    other = tmp_path / "other.yaml"
    other.write_text(site.read_text().replace("name: hook", "name: new"))
    words = ("scan", "-q", "-c", str(other), CAPTURE, "--deliver", "--once")
    for _ in range(2):
        assert run(capsys, *words, "--deliver-timeout", "0")[0] == 1
    again = Http(port=port)
    try:
        assert run(capsys, *words)[0] == 0
        assert len(again.events) == ALERTS
    finally:
        again.end()


def test_missing_secret_is_a_configuration_error(site, capsys, monkeypatch):
    monkeypatch.delenv("NW_TOKEN")
    for words in (("outputs", "test"), ("scan", CAPTURE, "--deliver")):
        status, _, err = run(capsys, *words, "-c", str(site))
        assert status == 2
        assert f"{site}:5: output 'hook': the environment variable NW_TOKEN is not set" in err
    assert run(capsys, "scan", "-q", "-c", str(site), CAPTURE)[0] == 0


def test_deliver_needs_outputs(tmp_path, capsys):
    path = tmp_path / "netwatch.yaml"
    path.write_text("version: 1\n")
    status, _, err = run(capsys, "scan", CAPTURE, "--deliver", "-c", str(path))
    assert status == 2
    assert "--deliver needs 'outputs'" in err


def outputs_of(out):
    return [line for line in out.splitlines() if line[5:].startswith(("outbox", "output"))]


def test_doctor_says_whether_outputs_can_be_reached(site, http, capsys, tmp_path):
    _, out, _ = run(capsys, "doctor", "-c", str(site))
    assert outputs_of(out) == [
        f"ok   outbox        {tmp_path / 'spool'} can be written",
        f"ok   output file   {tmp_path / 'alerts.jsonl'} can be written",
        "ok   output hook   answers: HTTP 405 Method Not Allowed",
    ]
    http.faults = [lambda request: request.answer(401, {})]
    status, out, _ = run(capsys, "doctor", "-c", str(site))
    assert status == 1
    assert outputs_of(out)[2].startswith("bad  output hook   HTTP 401 Unauthorized")
    http.end()
    _, out, _ = run(capsys, "doctor", "-c", str(site))
    assert outputs_of(out)[2] == (
        f"bad  output hook   127.0.0.1:{http.server_port}: Connection refused"
    )
    assert http.events == []
    assert not (tmp_path / "spool").exists()
    assert not (tmp_path / "alerts.jsonl").exists()


def test_doctor_says_why_an_outbox_cannot_be_used(site, capsys, tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(0o777)
    _, out, _ = run(capsys, "doctor", "-c", str(site))
    assert outputs_of(out)[0].startswith(f"bad  outbox        {folder} has mode 0777")
    (folder / "outbox.sqlite").symlink_to(tmp_path / "elsewhere")
    _, out, _ = run(capsys, "doctor", "-c", str(site))
    assert "is a symbolic link" in outputs_of(out)[0]


def test_doctor_reports_what_is_missing_for_an_output(site, capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("NW_TOKEN")
    site.write_text(site.read_text().replace("path: alerts", "path: none/alerts"))
    _, out, _ = run(capsys, "doctor", "-c", str(site))
    assert outputs_of(out)[1:] == [
        f"bad  output file   there is no folder {tmp_path / 'none'}",
        "bad  output hook   the environment variable NW_TOKEN is not set",
    ]


@pytest.mark.parametrize(
    ("kind", "status", "body", "reached", "answer"),
    [
        ("splunk_hec", 400, {"text": "No data", "code": 5}, True, "accepts the token"),
        ("splunk_hec", 403, {"text": "Invalid token", "code": 4}, False, "Invalid token"),
        ("splunk_hec", 503, {"text": "Server is busy", "code": 9}, False, "HTTP 503"),
        ("elastic", 400, {"error": "parse"}, True, "answers an empty bulk request: HTTP 400"),
        ("elastic", 401, {"error": "missing credentials"}, False, "HTTP 401 Unauthorized"),
        ("elastic", 404, {}, False, "HTTP 404"),
        ("http", 204, {}, True, "answers: HTTP 204"),
        ("http", 302, {}, False, "HTTP 302"),
    ],
)
def test_connection_check_sends_no_alert(
    kind, status, body, reached, answer, http, tmp_path, monkeypatch
):
    monkeypatch.setenv("NW_TOKEN", TOKEN)
    http.faults = [lambda request: request.answer(status, body)]
    more = {"token": {"env": "NW_TOKEN"}} if kind == "splunk_hec" else {}
    result = attempt.check_connection(output(tmp_path, type=kind, url=http.url, **more))
    assert result[0] is reached
    assert answer in result[1]
    assert http.accepted == []
