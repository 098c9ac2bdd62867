"""What is particular to NATS and Kafka."""

import json

import pytest
from support.examples import only_long, some_of
from support.faulty_proxy import Fault, Proxy
from support.made_alerts import output, record, records
from support.ports import free_port
from support.programs import running
from support.receiver_harness_bus import Kafka, Nats, SaslTansu, Tansu
from support.waiting import TIMEOUT, wait_until

from netwatch.delivery.deferred import deduplication_key
from netwatch.delivery.worker import RetryTiming
from netwatch.sinks.kafka import MECHANISMS


@pytest.fixture
def nats(tmp_path, certificates):
    with running(Nats(tmp_path, certificates)) as receiver:
        yield receiver


@pytest.fixture
def kafka(tmp_path, certificates):
    with running(Kafka(tmp_path, certificates)) as receiver:
        yield receiver


def test_stream_drops_duplicates(nats, deliver, tmp_path):
    delivery = deliver(output(tmp_path, **nats.keys(nats.port)))
    delivery.put(*records(20))
    delivery.put(*records(20))
    assert not delivery.drain(30)
    assert delivery.status()[0].sent == 40
    assert [json.loads(each)["id"] for each in nats.lines()] == [e["id"] for e in records(20)]


def test_subject_without_a_stream_is_reported(nats, deliver, tmp_path):
    delivery = deliver(output(tmp_path, **nats.keys(nats.port), subject="other.alert"))
    delivery.put(record(1))
    wait_until(lambda: delivery.status()[0].retried >= 2)
    assert delivery.status()[0].reason == "no stream is bound to the subject other.alert"
    assert delivery.status()[0].dead == 0


def test_credentials_that_nats_rejects_pause_the_output(
    tmp_path, certificates, deliver, monkeypatch
):
    monkeypatch.setenv("NW_NATS", "wrong")
    receiver = Nats(tmp_path, certificates)
    receiver.options = ["--user", "netwatch", "--pass", "right"]
    receiver.start()
    try:
        keys = {"user": "netwatch", "password": {"env": "NW_NATS"}}
        timing = RetryTiming(first_delay=0.02, max_delay=0.1, paused_delay=0.2, poll_interval=0.02)
        delivery = deliver(output(tmp_path, **receiver.keys(receiver.port), **keys), timing=timing)
        delivery.put(*records(5))
        wait_until(lambda: delivery.status()[0].state == "paused")
        assert "authorization" in delivery.status()[0].reason.lower()
        monkeypatch.setenv("NW_NATS", "right")
        wait_until(lambda: delivery.status()[0].state != "paused", "it was tried again")
        wait_until(lambda: delivery.status()[0].reason.startswith("no stream"))
        assert not any("wrong" in line for line in deliver.log)
    finally:
        receiver.stop()


@pytest.mark.parametrize("how", ["address", "key"])
def test_nothing_is_sent_to_a_server_without_tls_if_tls_is_configured(
    how, nats, deliver, tmp_path, certificates, monkeypatch
):
    monkeypatch.setenv("NW_NATS", "a-token-of-many-letters")
    proxy = Proxy(nats.port)
    keys = {"timeout": "2s", "token": {"env": "NW_NATS"}}
    if how == "key":
        keys |= {"url": f"nats://127.0.0.1:{proxy.port}", "tls": {"ca": str(certificates.ca)}}
    else:
        keys |= {"url": f"tls://127.0.0.1:{proxy.port}"}
    try:
        delivery = deliver(output(tmp_path, type="nats", **keys))
        delivery.put(record(1))
        wait_until(lambda: delivery.status()[0].retried >= 2)
        assert (
            delivery.status()[0].reason
            == "the server does not offer TLS, so nothing was sent to it"
        )
        assert proxy.bytes_from_client == 0
    finally:
        proxy.end()


def test_a_connection_that_is_lost_before_the_acknowledgements_is_not_waited_for(
    nats, deliver, tmp_path
):
    proxy = Proxy(nats.port)
    proxy.fault = Fault(reset_after=2500, connections=1)
    try:
        delivery = deliver(output(tmp_path, **nats.keys(proxy.port), timeout="1h"))
        delivery.put(*records(20))
        assert not delivery.drain(TIMEOUT)
    finally:
        proxy.end()
    assert proxy.faults_applied == 1
    assert {json.loads(each)["id"] for each in nats.lines()} == {e["id"] for e in records(20)}


def test_messages_have_the_incident_as_key_and_the_deduplication_key_as_header(
    kafka, deliver, tmp_path
):
    import confluent_kafka as library

    delivery = deliver(output(tmp_path, **kafka.keys(kafka.port)))
    delivery.put(record(1), record(1, status="open"), record(2))
    assert not delivery.drain(30)
    consumer = library.Consumer(
        {"bootstrap.servers": f"127.0.0.1:{kafka.port}", "group.id": "t", "log_level": 0}
    )
    try:
        found = []
        for number in consumer.list_topics("alerts", 10).topics["alerts"].partitions:
            consumer.assign([library.TopicPartition("alerts", number, 0)])
            _, high = consumer.get_watermark_offsets(library.TopicPartition("alerts", number), 10)
            found += consumer.consume(high, 5)
    finally:
        consumer.close()
    found_keys = {
        (each.key().decode(), dict(each.headers())["netwatch-key"].decode()) for each in found
    }
    alerts = [record(1), record(1, status="open"), record(2)]
    assert found_keys == {(each["id"], deduplication_key(each)) for each in alerts}
    partitions = {each.partition() for each in found if each.key() == record(1)["id"].encode()}
    assert len(partitions) == 1


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", only_long("SCRAM-SHA-512")])
def test_credentials_that_a_broker_rejects_pause_the_output(
    mechanism, deliver, tmp_path, certificates, monkeypatch
):
    monkeypatch.setenv("NW_KAFKA", "a-wrong-password")
    receiver = Tansu(tmp_path, certificates)
    receiver.arguments = ["--authentication"]
    receiver.start()
    try:
        sasl = {"user": "netwatch", "password": {"env": "NW_KAFKA"}, "mechanism": mechanism}
        delivery = deliver(output(tmp_path, **receiver.keys(receiver.port), sasl=sasl))
        delivery.put(record(1))
        wait_until(lambda: delivery.status()[0].state == "paused")
        assert "authentication failed" in delivery.status()[0].reason
        assert not any("a-wrong-password" in line for line in deliver.log)
        assert delivery.undelivered().queued == {"kafka": 1}
    finally:
        receiver.stop()


@pytest.fixture
def signed(tmp_path, certificates):
    with running(SaslTansu(tmp_path, certificates)) as receiver:
        yield receiver


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_broker_with_sasl_receives_all_alerts(mechanism, signed, deliver, tmp_path, monkeypatch):
    monkeypatch.setenv("NW_KAFKA", signed.PASSWORD)
    sasl = {"user": "netwatch", "password": {"env": "NW_KAFKA"}, "mechanism": mechanism}
    delivery = deliver(output(tmp_path, **signed.keys(signed.front.port), sasl=sasl))
    delivery.put(*records(300))
    assert not delivery.drain(30)
    assert ("netwatch", mechanism) in signed.front.authenticated
    assert {json.loads(each)["id"] for each in signed.lines()} == {e["id"] for e in records(300)}


@pytest.mark.parametrize("mechanism", some_of(MECHANISMS, 3))
def test_wrong_password_pauses_the_output_until_it_is_corrected(
    mechanism, signed, deliver, tmp_path, monkeypatch
):
    monkeypatch.setenv("NW_KAFKA", "a-wrong-password")
    sasl = {"user": "netwatch", "password": {"env": "NW_KAFKA"}, "mechanism": mechanism}
    timing = RetryTiming(first_delay=0.02, max_delay=0.1, paused_delay=0.2, poll_interval=0.02)
    made = output(tmp_path, **signed.keys(signed.front.port), sasl=sasl)
    delivery = deliver(made, timing=timing)
    delivery.put(*records(5))
    wait_until(lambda: delivery.status()[0].state == "paused")
    assert "uthentication failed" in delivery.status()[0].reason
    assert not any("a-wrong-password" in line for line in deliver.log)
    assert ("netwatch", mechanism) not in signed.front.authenticated
    monkeypatch.setenv("NW_KAFKA", signed.PASSWORD)
    wait_until(lambda: delivery.status()[0].sent == 5, "it was tried again")
    assert ("netwatch", mechanism) in signed.front.authenticated
    assert len(signed.lines()) >= 5


def test_unreachable_brokers_are_retried(deliver, tmp_path):
    pytest.importorskip("confluent_kafka")
    keys = {"type": "kafka", "brokers": [f"127.0.0.1:{free_port()}"], "topic": "alerts"}
    delivery = deliver(output(tmp_path, **keys, timeout="1s"))
    delivery.put(*records(3))
    wait_until(lambda: delivery.status()[0].retried >= 1)
    assert delivery.status()[0].reason
    assert delivery.undelivered().queued == {"kafka": 3}


def test_a_message_that_is_too_large_is_a_dead_letter(kafka, deliver, tmp_path):
    delivery = deliver(output(tmp_path, **kafka.keys(kafka.port)))
    delivery.put(record(1), record(2, names=["x" * 255] * 8000), record(3))
    assert not delivery.drain(30)
    assert (delivery.status()[0].sent, delivery.status()[0].dead) == (2, 1)
