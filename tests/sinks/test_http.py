"""Webhook, Splunk collector and bulk: what receivers answer, and what is made of it."""

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
from support.made_alerts import as_read, number_of, output, record, records
from support.receivers import Http, deaf, reset, status, until

from netwatch.delivery import dead_letters as deadletters
from netwatch.delivery.outbox import key_of
from netwatch.delivery.worker import Timing
from netwatch.sinks.base import DeniedError, RejectedError, UnavailableError
from netwatch.sinks.web import Answer, check, retry_after

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
    "answer lost": [deaf, deaf],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_for_now_is_tried_again_and_nothing_is_lost(
    kind, fault, http, deliver, tmp_path
):
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
def test_an_output_that_is_refused_is_paused_loudly_and_goes_on_when_mended(
    kind, code, http, deliver, tmp_path
):
    http.faults = [status(code)] * 2
    timing = Timing(first=0.01, cap=0.01, pause=0.2, poll=0.02)
    delivery = deliver(of(kind, http, tmp_path, format="jsonl"), timing=timing)
    delivery.put(*records(5))
    left = until(lambda: delivery.status()[0].state == "paused" and delivery.left())
    assert left.queued == {kind: 5}
    assert any("PAUSED" in line and str(code) in line for line in deliver.said)
    until(lambda: not delivery.left())
    assert delivery.status()[0].dead == 0
    until(lambda: any("delivers again" in line for line in deliver.said))


def test_what_is_put_during_an_attempt_does_not_end_a_pause(http, deliver, tmp_path):
    held = threading.Event()
    http.faults = [lambda request: held.wait(30) and status(401)(request)]
    delivery = deliver(of("http", http, tmp_path), timing=Timing(pause=3600, poll=0.02))
    delivery.put(record(1))
    until(lambda: http.requests)
    delivery.put(record(2))
    held.set()
    until(lambda: delivery.status()[0].state == "paused")
    time.sleep(0.2)
    assert (http.requests, delivery.left().queued) == (1, {"http": 2})
    delivery.reopen()
    assert not delivery.drain(60)


def test_drain_does_not_wait_for_a_paused_output(http, deliver, tmp_path):
    http.faults = [status(401)]
    delivery = deliver(of("http", http, tmp_path), timing=Timing(pause=3600, poll=0.02))
    delivery.put(record(1))
    assert delivery.drain(60).queued == {"http": 1}
    delivery.reopen()
    assert not delivery.drain(60)


@pytest.mark.parametrize("kind", KINDS)
def test_a_poisonous_alert_becomes_a_dead_letter_and_the_others_arrive(
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
    (line,) = deadletters.path_of(deliver.outbox.folder, kind).read_text().splitlines()
    letter = json.loads(line)
    assert letter["alert"] == record(33)
    assert letter["output"] == kind
    assert "HTTP 400" in letter["reason"]


def test_a_bulk_that_failed_half_is_delivered_half(http, deliver, tmp_path):
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


def test_bulk_keys_are_stable_and_a_conflict_is_success(http, deliver, tmp_path):
    delivery = deliver(of("elastic", http, tmp_path, format="jsonl"))
    sent = records(20)
    delivery.put(*sent)
    delivery.put(*sent)
    assert not delivery.drain(30)
    assert set(http.documents) == {key_of(each) for each in sent}
    assert delivery.status()[0].sent == 40
    (path, headers, _) = http.taken[0]
    assert path.startswith("/logs-netwatch.alert-default/_bulk?")
    assert headers["Content-Type"] == "application/x-ndjson"


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"not json", b'{"items":[]}', b'{"items":[{"create":{}}]}', b"[" * 9999]
)
def test_a_bulk_that_is_not_answered_as_one_is_tried_again(body, http, deliver, tmp_path):
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
def test_one_answer_to_a_bulk_counts_for_all_where_it_says_so(
    errors, retried, http, deliver, tmp_path
):
    told = {"errors": errors, "items": [{"create": {"status": 201}}]}
    http.faults = [lambda request: request.answer(200, told)]
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


def test_hec_events_are_whole_and_acknowledged(http, deliver, tmp_path):
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
    assert event["event"] == as_read(record(1))
    assert event["fields"] == {"netwatch_key": key_of(record(1))}
    assert (event["host"], event["index"]) == ("sensor-1", "netops")
    assert event["sourcetype"] == "netwatch:alert"
    assert event["time"] == 1_679_302_801.0
    headers = http.taken[0][1]
    assert headers["Authorization"] == f"Splunk {TOKEN}"
    assert len(headers["X-Splunk-Request-Channel"]) == 36


def test_a_hec_batch_that_is_never_acknowledged_is_sent_again(http, deliver, tmp_path):
    http.acks = lambda number: number > 1
    delivery = deliver(of("splunk_hec", http, tmp_path, ack_timeout="1s"))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert len(http.events) == 2
    assert delivery.status()[0].retried == 1
    assert any("not indexed within 1 s" in line for line in deliver.said)


def test_a_collector_without_acknowledgement_is_told_where_it_is_wanted(http, deliver, tmp_path):
    delivery = deliver(
        of("splunk_hec", http, tmp_path, ack=True), timing=Timing(pause=99, poll=0.02)
    )
    delivery.put(record(1))
    assert delivery.drain(60)
    assert any("no indexer acknowledgement" in line for line in deliver.said)


@pytest.mark.parametrize(("code", "state"), [(7, "paused"), (10, "paused"), (6, "idle")])
def test_hec_codes_of_the_configuration_pause_and_those_of_an_event_do_not(
    code, state, http, deliver, tmp_path
):
    def refuse(request):
        request.server.faults.insert(0, refuse)
        return request.answer(400, {"text": "no", "code": code})

    http.faults = [refuse]
    delivery = deliver(of("splunk_hec", http, tmp_path), timing=Timing(pause=99, poll=0.02))
    delivery.put(record(1))
    until(lambda: delivery.status()[0].state == "paused" or delivery.status()[0].dead)
    assert delivery.status()[0].state == state


def test_webhooks_are_signed_as_the_standard_has_it(http, deliver, tmp_path, monkeypatch):
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
    ((_, headers, (body,)),) = http.taken
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert headers["webhook-id"] == key_of(record(2))
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert (headers["X-Team"], headers["X-Key"]) == ("network", TOKEN)
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == as_read(record(2))


def test_the_documents_check_a_signature_as_it_is_made(http, deliver, tmp_path, monkeypatch):
    monkeypatch.setenv("NW_HMAC", "a secret of letters")
    (code,) = blocks("python", (ROOT / "docs" / "siem" / "README.md").read_text("utf-8"))
    delivery = deliver(of("http", http, tmp_path, secret={"env": "NW_HMAC"}))
    delivery.put(record(2))
    assert not delivery.drain(30)
    ((_, headers, (body,)),) = http.taken
    for said, genuine in ((body, True), (body + b" ", False)):
        known = {"headers": headers, "body": said, "secret": "a secret of letters"}
        exec(code, known)
        assert known["genuine"] is genuine


def test_no_secret_leaves_in_a_log_or_a_dead_letter(http, deliver, tmp_path):
    def parrot(request):
        return request.answer(request.server.code, {"you": request.headers["Authorization"]})

    delivery = deliver(of("splunk_hec", http, tmp_path), timing=Timing(0.01, 0.02, 0.05, 0.02))
    for code in (401, 500, 400):
        http.code = code
        http.faults = [parrot]
        delivery.put(record(code))
        until(lambda: not delivery.left())
    told = "\n".join(deliver.said) + str(delivery.status()) + str(delivery.outputs)
    told += deadletters.path_of(deliver.outbox.folder, "splunk_hec").read_text()
    assert "***" in told
    assert TOKEN not in told


def test_a_token_in_a_file_is_read_anew(http, deliver, tmp_path):
    path = tmp_path / "token"
    path.write_text("wrong\n")

    def guarded(request):
        request.server.faults.insert(0, guarded)
        right = request.headers["Authorization"] == "Splunk right"
        return not right and request.answer(403, {"text": "Invalid token", "code": 4})

    http.faults = [guarded]
    timing = Timing(pause=0.1, poll=0.02)
    delivery = deliver(of("splunk_hec", http, tmp_path, token={"file": "token"}), timing=timing)
    delivery.put(*records(10))
    until(lambda: delivery.status()[0].state == "paused")
    path.write_text("right\n")
    until(lambda: not delivery.left())
    assert len(http.events) == 10


@pytest.mark.parametrize(
    ("names", "days", "why"),
    [
        (("127.0.0.1",), -1, "certificate has expired"),
        (("other.example",), 30, "certificate is not valid for"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_that_is_wrong_is_told_and_mended(
    kind, names, days, why, certificates, deliver, tmp_path
):
    bad = Http(certificates.server(*names, days=days))
    keys = {"tls": {"ca": str(certificates.ca)}, "format": "jsonl"}
    try:
        delivery = deliver(of(kind, bad, tmp_path, **keys))
        delivery.put(*records(20))
        until(lambda: delivery.status()[0].retried >= 2)
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


def test_a_client_certificate_and_another_name_are_used(certificates, deliver, tmp_path):
    server = Http(certificates.server("siem.example", client=True))
    cert, key = certificates.issue("netwatch.example")
    tls = {"ca": str(certificates.ca), "server_name": "siem.example"}
    try:
        bare = deliver(of("http", server, tmp_path, tls=tls))
        bare.put(record(1))
        until(lambda: bare.status()[0].retried)
        bare.stop()
        tls |= {"cert": str(cert), "key": str(key)}
        delivery = deliver(of("http", server, tmp_path, tls=tls))
        assert not delivery.drain(30)
        assert len(server.events) == 1
    finally:
        server.end()


def test_retry_after_is_honoured_to_a_bound():
    assert retry_after(Answer(429, b"", {"retry-after": "7"})) == 7
    assert retry_after(Answer(429, b"", {"Retry-After": "9" * 400})) == 999_999_999
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60))
    assert 55 < retry_after(Answer(503, b"", {"Retry-After": later})) <= 60
    for text in ("", "soon", "-1", "1.5", "Mon, 99 Foo 2023"):
        assert retry_after(Answer(429, b"", {"Retry-After": text})) is None
    timing = Timing(first=1, cap=10)
    assert timing.delay(1, 7) == 7
    assert timing.delay(1, 1e9) == 3600
    assert all(0.5 <= timing.delay(1) <= 1 for _ in range(50))
    assert all(5 <= timing.delay(99) <= 10 for _ in range(50))
    assert len({timing.delay(5) for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        *((code, None) for code in (200, 201, 202, 204)),
        *((code, DeniedError) for code in (301, 302, 401, 403, 404, 405, 407, 410)),
        *((code, UnavailableError) for code in (408, 425, 429, 500, 502, 503, 504, 599)),
        *((code, RejectedError) for code in (400, 409, 411, 413, 415, 422, 431)),
    ],
)
def test_each_status_means_one_thing(code, raised):
    answer = Answer(code, b"said", {})
    if raised is None:
        assert check(answer) is answer
    else:
        with pytest.raises(raised, match=f"HTTP {code}"):
            check(answer)


def test_an_answer_without_end_is_given_up(http, deliver, tmp_path, monkeypatch):
    monkeypatch.setattr("netwatch.sinks.web.MAX_ANSWER", 100_000)

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
    assert any("more than 100,000 bytes" in line for line in deliver.said)


def test_another_output_does_not_wait_for_one_that_hangs(http, deliver, tmp_path):
    other = Http()
    http.faults = [lambda _: time.sleep(1.5) or True]
    try:
        delivery = deliver(
            of("http", http, tmp_path, name="slow"), of("http", other, tmp_path, name="quick")
        )
        delivery.put(*records(20))
        until(lambda: len(other.events) == 20)
        assert len(http.events) == 0
    finally:
        other.end()
