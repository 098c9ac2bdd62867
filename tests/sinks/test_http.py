"""Webhook, Splunk collector and bulk: how the answers of receivers are handled."""

import base64
import hashlib
import hmac
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from support.documents import ROOT, blocks
from support.made_alerts import as_decoded, number_of, output, record, records
from support.receivers import Http, lose_answer, reset, status
from support.waiting import wait_until

from netwatch.delivery import dead_letters
from netwatch.delivery.deferred import deduplication_key
from netwatch.delivery.worker import RetryTiming
from netwatch.sinks.base import BatchRefusedError, MisconfiguredError, UnavailableError
from netwatch.sinks.http_client import Response, raise_for_status, retry_after

TOKEN = "s3cr3t-of-the-collector"


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("NW_TOKEN", TOKEN)


def of(kind, http, tmp_path, **keys):
    own = {"splunk_hec": {"token": {"env": "NW_TOKEN"}}}.get(kind, {})
    return output(tmp_path, **{"type": kind, "url": http.url, "timeout": "2s", **own, **keys})


def ids(http, kind):
    if kind == "http":
        return [json.loads(body)["id"] for body in http.events]
    if kind == "splunk_hec":
        return [event["event"]["id"] for event in http.events]
    return [document["id"] for document in http.documents.values()]


KINDS = ["http", "splunk_hec", "elastic"]
FAULTS = {
    "429": [status(429), status(429, Retry_After="0")],
    "500": [status(500), status(502), status(503), status(504)],
    "reset": [reset, reset],
    "answer lost": [lose_answer, lose_answer],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_temporary_failures_are_retried_and_no_alert_is_lost(kind, fault, http, deliver, tmp_path):
    http.faults = list(FAULTS[fault])
    sent = records(120)
    delivery = deliver(of(kind, http, tmp_path, format="jsonl"))
    delivery.put(*sent)
    assert not delivery.drain(30)
    got = ids(http, kind)
    assert set(got) == {each["id"] for each in sent}
    if fault != "answer lost" or kind == "elastic":
        assert len(got) == len(sent)
    one = delivery.status()[0]
    assert (one.sent, one.dead, one.dropped) == (120, 0, 0)
    assert one.retried == len(FAULTS[fault])
    assert (one.state, one.queued) == ("idle", 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [401, 403, 404, 302])
def test_rejected_output_is_paused_and_resumes_when_corrected(kind, code, http, deliver, tmp_path):
    http.faults = [status(code)] * 2
    timing = RetryTiming(first_delay=0.01, max_delay=0.01, paused_delay=0.2, poll_interval=0.02)
    delivery = deliver(of(kind, http, tmp_path, format="jsonl"), timing=timing)
    delivery.put(*records(5))
    left = wait_until(lambda: delivery.status()[0].state == "paused" and delivery.undelivered())
    assert left.queued == {kind: 5}
    assert any("PAUSED" in line and str(code) in line for line in deliver.log)
    wait_until(lambda: not delivery.undelivered())
    assert delivery.status()[0].dead == 0
    wait_until(lambda: any("delivers again" in line for line in deliver.log))


def test_alerts_put_during_an_attempt_do_not_end_a_pause(http, deliver, tmp_path, monkeypatch):
    pauses = []

    class RecordingEvent(threading.Event):
        def wait(self, timeout=None):
            if timeout is not None and timeout > 3000:
                pauses.append(self.is_set())
            return super().wait(timeout)

    monkeypatch.setattr("netwatch.delivery.worker.threading.Event", RecordingEvent)
    answer = threading.Event()
    http.faults = [lambda request: answer.wait(30) and status(401)(request)]
    delivery = deliver(
        of("http", http, tmp_path), timing=RetryTiming(paused_delay=3600, poll_interval=0.02)
    )
    delivery.put(record(1))
    wait_until(lambda: http.requests)
    delivery.put(record(2))
    answer.set()
    wait_until(lambda: pauses, "the pause has begun")
    assert pauses == [False], "the pause would end immediately"
    assert (http.requests, delivery.undelivered().queued) == (1, {"http": 2})
    delivery.reopen()
    assert not delivery.drain(60)


def test_drain_does_not_wait_for_a_paused_output(http, deliver, tmp_path):
    http.faults = [status(401)]
    delivery = deliver(
        of("http", http, tmp_path), timing=RetryTiming(paused_delay=3600, poll_interval=0.02)
    )
    delivery.put(record(1))
    assert delivery.drain(60).queued == {"http": 1}
    delivery.reopen()
    assert not delivery.drain(60)


@pytest.mark.parametrize("kind", KINDS)
def test_refused_alert_becomes_a_dead_letter_and_the_others_are_delivered(
    kind, http, deliver, tmp_path
):
    poison = record(33)["id"].encode()

    def refuse(request):
        request.server.faults.insert(0, refuse)
        return poison in request.body and request.answer(400, {"code": 6, "text": "no"})

    http.faults = [refuse]
    delivery = deliver(of(kind, http, tmp_path, format="jsonl"))
    sent = records(100)
    delivery.put(*sent)
    assert not delivery.drain(30)
    assert set(ids(http, kind)) == {each["id"] for each in sent} - {poison.decode()}
    assert (delivery.status()[0].sent, delivery.status()[0].dead) == (99, 1)
    (line,) = dead_letters.path_of(deliver.outbox.folder, kind).read_text().splitlines()
    letter = json.loads(line)
    assert letter["alert"] == record(33)
    assert letter["output"] == kind
    assert "HTTP 400" in letter["reason"]


def test_items_of_a_bulk_have_outcomes_of_their_own(http, deliver, tmp_path):
    busy = {}

    def items(key, document):
        number = number_of(document["id"])
        if number % 10 == 3:
            return 400
        if number % 10 == 5 and busy.setdefault(number, 0) < 2:
            busy[number] += 1
            return 429 if number % 20 == 5 else 503
        return http._create(key, document)

    http.items = items
    delivery = deliver(of("elastic", http, tmp_path, format="jsonl"))
    sent = records(100)
    delivery.put(*sent)
    assert not delivery.drain(30)
    expected = {each["id"] for each in sent if number_of(each["id"]) % 10 != 3}
    assert {each["id"] for each in http.documents.values()} == expected
    one = delivery.status()[0]
    assert (one.sent, one.dead, one.retried) == (90, 10, 2)
    # What had arrived is not sent again.
    assert len(http.events) == 100 + 10 + 10


def test_bulk_ids_are_stable_and_a_conflict_is_success(http, deliver, tmp_path):
    delivery = deliver(of("elastic", http, tmp_path, format="jsonl"))
    sent = records(20)
    delivery.put(*sent)
    delivery.put(*sent)
    assert not delivery.drain(30)
    assert set(http.documents) == {deduplication_key(each) for each in sent}
    assert delivery.status()[0].sent == 40
    (path, headers, _) = http.accepted[0]
    assert path.startswith("/logs-netwatch.alert-default/_bulk?")
    assert headers["Content-Type"] == "application/x-ndjson"


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"not json", b'{"items":[]}', b'{"items":[{"create":{}}]}', b"[" * 9999]
)
def test_response_that_does_not_match_the_bulk_is_retried(body, http, deliver, tmp_path):
    def strange(request):
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
        return True

    http.faults = [strange]
    delivery = deliver(of("elastic", http, tmp_path))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert delivery.status()[0].retried == 1
    assert len(http.documents) == 1


@pytest.mark.parametrize(("errors", "retried"), [(False, 0), (True, 1), (None, 1), ("no", 1)])
def test_bulk_response_without_items_counts_for_all_if_it_reports_no_errors(
    errors, retried, http, deliver, tmp_path
):
    bulk = {"errors": errors, "items": [{"create": {"status": 201}}]}
    http.faults = [lambda request: request.answer(200, bulk)]
    delivery = deliver(of("elastic", http, tmp_path))
    delivery.put(*records(20))
    assert not delivery.drain(30)
    assert delivery.status()[0].retried == retried
    assert len(http.documents) == (20 if retried else 0)


def test_documents_have_a_timestamp_in_every_format(http, deliver, tmp_path):
    for form in ("jsonl", "ecs", "ocsf", "eve", "gelf"):
        delivery = deliver(of("elastic", http, tmp_path, format=form, name=form))
        delivery.put(record(11))
        assert not delivery.drain(30)
        delivery.stop()
    assert len(http.events) == 5
    assert all(event["@timestamp"].startswith("2023-03-20T09:") for event in http.events)


def test_hec_events_are_complete_and_acknowledged(http, deliver, tmp_path):
    asked = []

    def third(number):
        asked.append(number)
        return asked.count(number) > 2

    http.acks = third
    delivery = deliver(of("splunk_hec", http, tmp_path, index="netops", format="jsonl"))
    delivery.put(*records(3))
    assert not delivery.drain(30)
    assert len(http.events) == 3
    assert http.acked == 3
    event = http.events[1]
    assert event["event"] == as_decoded(record(1))
    assert event["fields"] == {"netwatch_key": deduplication_key(record(1))}
    assert (event["host"], event["index"]) == ("sensor-1", "netops")
    assert event["sourcetype"] == "netwatch:alert"
    assert event["time"] == 1_679_302_801.0
    headers = http.accepted[0][1]
    assert headers["Authorization"] == f"Splunk {TOKEN}"
    assert len(headers["X-Splunk-Request-Channel"]) == 36


def test_hec_batch_without_acknowledgement_is_sent_again(http, deliver, tmp_path):
    http.acks = lambda number: number > 1
    delivery = deliver(of("splunk_hec", http, tmp_path, ack_timeout="1s"))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert len(http.events) == 2
    assert delivery.status()[0].retried == 1
    assert any("not indexed within 1 s" in line for line in deliver.log)


def test_collector_without_required_acknowledgement_is_reported(http, deliver, tmp_path):
    delivery = deliver(
        of("splunk_hec", http, tmp_path, ack=True),
        timing=RetryTiming(paused_delay=99, poll_interval=0.02),
    )
    delivery.put(record(1))
    assert delivery.drain(60)
    assert any("no indexer acknowledgement" in line for line in deliver.log)


@pytest.mark.parametrize(("code", "state"), [(7, "paused"), (10, "paused"), (6, "idle")])
def test_hec_codes_about_the_configuration_pause_and_others_do_not(
    code, state, http, deliver, tmp_path
):
    def refuse(request):
        request.server.faults.insert(0, refuse)
        return request.answer(400, {"text": "no", "code": code})

    http.faults = [refuse]
    delivery = deliver(
        of("splunk_hec", http, tmp_path), timing=RetryTiming(paused_delay=99, poll_interval=0.02)
    )
    delivery.put(record(1))
    wait_until(lambda: delivery.status()[0].state == "paused" or delivery.status()[0].dead)
    assert delivery.status()[0].state == state


def test_webhooks_are_signed_by_the_standard(http, deliver, tmp_path, monkeypatch):
    raw = b"\x01\x02key of 24 bytes or more.."
    monkeypatch.setenv("NW_HMAC", "whsec_" + base64.b64encode(raw).decode())
    keys = {
        "secret": {"env": "NW_HMAC"},
        "token": {"env": "NW_TOKEN"},
        "headers": {"X-Team": "network", "X-Key": {"env": "NW_TOKEN"}},
    }
    delivery = deliver(of("http", http, tmp_path, **keys))
    delivery.put(record(2))
    assert not delivery.drain(30)
    ((_, headers, (body,)),) = http.accepted
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert headers["webhook-id"] == deduplication_key(record(2))
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert (headers["X-Team"], headers["X-Key"]) == ("network", TOKEN)
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == as_decoded(record(2))


def test_documented_code_verifies_the_signature(http, deliver, tmp_path, monkeypatch):
    monkeypatch.setenv("NW_HMAC", "a secret of letters")
    (code,) = blocks("python", (ROOT / "docs" / "siem" / "webhook.md").read_text("utf-8"))
    delivery = deliver(of("http", http, tmp_path, secret={"env": "NW_HMAC"}))
    delivery.put(record(2))
    assert not delivery.drain(30)
    ((_, headers, (body,)),) = http.accepted
    for received, genuine in ((body, True), (body + b" ", False)):
        variables = {"headers": headers, "body": received, "secret": "a secret of letters"}
        exec(code, variables)
        assert variables["genuine"] is genuine


def test_no_secret_gets_into_a_log_or_a_dead_letter(http, deliver, tmp_path):
    def parrot(request):
        return request.answer(request.server.code, {"you": request.headers["Authorization"]})

    delivery = deliver(of("splunk_hec", http, tmp_path), timing=RetryTiming(0.01, 0.02, 0.05, 0.02))
    for code in (401, 500, 400):
        http.code = code
        http.faults = [parrot]
        delivery.put(record(code))
        wait_until(lambda: not delivery.undelivered())
    text = "\n".join(deliver.log) + str(delivery.status()) + str(delivery.outputs)
    text += dead_letters.path_of(deliver.outbox.folder, "splunk_hec").read_text()
    assert "***" in text
    assert TOKEN not in text


def test_token_in_a_file_is_read_again(http, deliver, tmp_path):
    path = tmp_path / "token"
    path.write_text("wrong\n")

    def guarded(request):
        request.server.faults.insert(0, guarded)
        right = request.headers["Authorization"] == "Splunk right"
        return not right and request.answer(403, {"text": "Invalid token", "code": 4})

    http.faults = [guarded]
    timing = RetryTiming(paused_delay=0.1, poll_interval=0.02)
    delivery = deliver(of("splunk_hec", http, tmp_path, token={"file": "token"}), timing=timing)
    delivery.put(*records(10))
    wait_until(lambda: delivery.status()[0].state == "paused")
    path.write_text("right\n")
    wait_until(lambda: not delivery.undelivered())
    assert len(http.events) == 10


@pytest.mark.parametrize(
    ("names", "days", "why"),
    [
        (("127.0.0.1",), -1, "certificate has expired"),
        (("other.example",), 30, "certificate is not valid for"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_invalid_certificate_is_reported_until_it_is_replaced(
    kind, names, days, why, certificates, deliver, tmp_path
):
    bad = Http(certificates.server(*names, days=days))
    keys = {"tls": {"ca": str(certificates.ca)}, "format": "jsonl"}
    try:
        delivery = deliver(of(kind, bad, tmp_path, **keys))
        delivery.put(*records(20))
        wait_until(lambda: delivery.status()[0].retried >= 2)
        assert why in delivery.status()[0].reason
        assert bad.requests == 0
    finally:
        bad.end()
    good = Http(certificates.server("127.0.0.1"), port=bad.server_port)
    try:
        assert not delivery.drain(30)
        assert len(ids(good, kind)) == 20
    finally:
        good.end()


def test_client_certificate_and_server_name_are_used(certificates, deliver, tmp_path):
    server = Http(certificates.server("siem.example", client=True))
    cert, key = certificates.issue("netwatch.example")
    tls = {"ca": str(certificates.ca), "server_name": "siem.example"}
    try:
        bare = deliver(of("http", server, tmp_path, tls=tls))
        bare.put(record(1))
        wait_until(lambda: bare.status()[0].retried)
        bare.stop()
        tls |= {"cert": str(cert), "key": str(key)}
        delivery = deliver(of("http", server, tmp_path, tls=tls))
        assert not delivery.drain(30)
        assert len(server.events) == 1
    finally:
        server.end()


def test_retry_after_is_honoured_up_to_a_limit():
    assert retry_after(Response(429, b"", {"retry-after": "7"})) == 7
    assert retry_after(Response(429, b"", {"Retry-After": "9" * 400})) == 999_999_999
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60))
    assert 55 < retry_after(Response(503, b"", {"Retry-After": later})) <= 60
    for text in ("", "soon", "-1", "1.5", "Mon, 99 Foo 2023"):
        assert retry_after(Response(429, b"", {"Retry-After": text})) is None
    timing = RetryTiming(first_delay=1, max_delay=10)
    assert timing.delay(1, 7) == 7
    assert timing.delay(1, 1e9) == 3600
    assert all(0.5 <= timing.delay(1) <= 1 for _ in range(50))
    assert all(5 <= timing.delay(99) <= 10 for _ in range(50))
    assert len({timing.delay(5) for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        *((code, None) for code in (200, 201, 202, 204)),
        *((code, MisconfiguredError) for code in (301, 302, 401, 403, 404, 405, 407, 410)),
        *((code, UnavailableError) for code in (408, 425, 429, 500, 502, 503, 504, 599)),
        *((code, BatchRefusedError) for code in (400, 409, 411, 413, 415, 422, 431)),
    ],
)
def test_meaning_of_each_status(code, raised):
    response = Response(code, b"answer", {})
    if raised is None:
        assert raise_for_status(response) is response
    else:
        with pytest.raises(raised, match=f"HTTP {code}"):
            raise_for_status(response)


def test_endless_response_is_aborted(http, deliver, tmp_path, monkeypatch):
    monkeypatch.setattr("netwatch.core.exchange.MAX_RECEIVED", 100_000)

    def flood(request):
        request.send_response(200)
        request.send_header("Content-Length", str(1 << 40))
        request.end_headers()
        for _ in range(10):
            request.wfile.write(b"x" * 20_000)
        request.close_connection = True
        return True

    http.faults = [flood]
    delivery = deliver(of("http", http, tmp_path))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert any("more than 100,000 bytes" in line for line in deliver.log)


def test_another_output_does_not_wait_for_one_that_hangs(http, deliver, tmp_path):
    other = Http()
    answer = threading.Event()
    http.faults = [lambda _: answer.wait(30) or True]
    try:
        delivery = deliver(
            of("http", http, tmp_path, name="slow"), of("http", other, tmp_path, name="quick")
        )
        delivery.put(*records(20))
        wait_until(lambda: len(other.events) == 20)
        assert len(http.events) == 0
    finally:
        answer.set()
        other.end()


TEAMS = """{"text": {{ alert | line | tojson }}, "id": {{ alert.id | tojson }},
"device": {{ alert.device.id | plain | tojson }}}"""


def test_a_template_makes_the_body(http, deliver, tmp_path):
    (tmp_path / "body.j2").write_text(TEAMS)
    delivery = deliver(of("http", http, tmp_path, template="body.j2"))
    hostile = [record(number) for number in range(16)]
    hostile[0]["device"]["id"] = '"}<@everyone>'
    delivery.put(*hostile)
    assert not delivery.drain(30)
    bodies = [json.loads(body) for body in http.events]
    assert [body["id"] for body in bodies] == [each["id"] for each in hostile]
    assert bodies[0]["device"] == '"\uff5d\uff1c\uff20everyone\uff1e'
    assert {headers["Content-Type"] for _, headers, _ in http.accepted} == {"application/json"}


def test_a_template_that_makes_no_json_pauses_the_output(http, deliver, tmp_path):
    (tmp_path / "body.j2").write_text('{"id": "{{ alert.device.owner or "" }}"}')
    delivery = deliver(of("http", http, tmp_path, template="body.j2"))
    delivery.put(record(2))  # with a quotation mark
    state = wait_until(lambda: delivery.status()[0].state == "paused" and delivery.status()[0])
    assert "the template makes no JSON" in state.reason
    assert not http.accepted


def test_a_template_of_another_content_type(http, deliver, tmp_path):
    (tmp_path / "body.j2").write_text("{{ alert.verdict }}")
    one = of("http", http, tmp_path, template="body.j2", content_type="text/x-own")
    delivery = deliver(one)
    delivery.put(record(0))
    assert not delivery.drain(30)
    ((_, headers, events),) = http.accepted
    assert (headers["Content-Type"], events) == ("text/x-own", [b"violation"])
