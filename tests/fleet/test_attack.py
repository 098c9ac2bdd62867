"""A sensor that was taken over, against the centre and other sensors."""

import asyncio
import json
import random
from contextlib import nullcontext
from dataclasses import replace

import pytest
from support.fleet_attack import attack
from support.fleet_centre import running_centre, sensor_records
from support.fleet_local import LocalCentre, Message
from support.fleet_messages import facts, message
from support.made_alerts import QUICK
from support.programs import require_programs
from support.waiting import wait_until

from netwatch.delivery.delivery import Delivery
from netwatch.delivery.output import OutboxOptions
from netwatch.fleet import consumers
from netwatch.fleet.access import (
    HEALTH_BUCKET,
    MAX_PAYLOAD,
    STREAM,
    bucket_subject,
    subject,
)
from netwatch.fleet.alert_sink import centre_output
from netwatch.fleet.commit_process import KilledError
from netwatch.fleet.consumers import Consumers
from netwatch.fleet.envelope import MAX_WAITING
from netwatch.fleet.fact_commits import FactCommits
from netwatch.fleet.receiver import FOLDER, RefusedMessages

pytest.importorskip("nats")
pytest.importorskip("nkeys")


@pytest.fixture
def centre(tmp_path):
    made = LocalCentre(tmp_path, "evil-1", "good-1", "a-1", "b-1")
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_sensor_sends_is_stored_or_refused_at_once(centre, seed):
    chance = random.Random(seed)
    found = [attack(chance, "evil-1", number) for number in range(150)]
    sent = centre.take("evil-1", found)
    parts, _ = centre.receiver.waiting("evil-1")
    assert sum(not each.ended for each in sent) == parts
    assert centre.status.refused["evil-1"] > 20
    good = [facts("flow", {}, sensor="good-1"), alerts("good-1", 2)]
    centre.commit([Message("good-1", "facts", good[0].encode())], "facts")
    centre.alerts.prepare(good[1:], {})
    assert len(centre.alerts.store().stored["good-1"]) == 2
    assert not centre.status.refused["good-1"]


def alerts(sensor, count):
    records = sensor_records(sensor, range(count))
    body = {"alerts": [{"key": each["id"], "record": each} for each in records]}
    return message("alerts", 1, sensor, body)


def test_what_a_revoked_sensor_had_sent_is_dropped(centre):
    centre.enrolled.discard("evil-1")
    late = [Message("evil-1", "facts", facts("flow", {}, sensor="evil-1").encode())]
    centre.commit(late, "facts")
    assert [each.ended for each in late] == ["term"]
    assert not centre.status.refused
    assert centre.roster.known() == []


BATCH = facts("flow", {})


def part(sensor, identity, number):
    whole = replace(BATCH, sensor=sensor, id=identity, parts=2, part=number)
    return Message(sensor, "facts", whole.encode())


def test_orphans_of_one_sensor_let_go_and_leave_the_parts_of_others(centre):
    first, second = part("good-1", "g", 1), part("good-1", "g", 2)
    orphans = [part("evil-1", f"e{number}", 1) for number in range(1000)]
    # The same part again and again under other ids is not kept either.
    orphans += [part("evil-1", "e999", 1) for _ in range(100)]

    async def decode():
        found = []
        for each in (first, *orphans, second):
            envelopes, done = await centre.receiver.decode([each], reads_content=False)
            found += [(envelope.sensor, len(done)) for envelope in envelopes]
        return found

    assert asyncio.run(decode()) == [("good-1", 2)]
    assert sum(not each.ended for each in orphans) == MAX_WAITING
    assert centre.status.dropped["evil-1"] == 1000 - MAX_WAITING


class Process:
    """The commits of a centre without a process of their own. What the sensor evil-1 sends makes
    them fail as `error` says."""

    def __init__(self, commits, error):
        self._commits, self._error = commits, error

    async def run(self, method, *arguments):
        is_prepare = method is FactCommits.prepare
        if is_prepare and any(each.sensor == "evil-1" for each in arguments[0]):
            raise self._error
        return method(self._commits, *arguments)


class Client:
    """Keeps what is published."""

    def __init__(self):
        self.said = []

    async def publish(self, place, data):
        self.said.append((place, json.loads(data).get("through")))


@pytest.mark.parametrize("error", [OverflowError("x"), KilledError("the process was killed")])
def test_a_message_that_makes_others_fail_is_set_aside_alone(centre, monkeypatch, error):
    monkeypatch.setattr(consumers, "RETRY_SECONDS", (0.0,))
    client = Client()
    report = []
    made = Consumers(client, centre.receiver, centre.status, report.append, nullcontext())
    sent = [facts("flow", {}, sensor=each, sequence=1) for each in ("a-1", "evil-1", "b-1")]
    asyncio.run(made._commit_facts(Process(centre.facts, error), sent))
    assert sorted(client.said) == [(subject(each, "committed"), 1)
                                   for each in ("a-1", "b-1", "evil-1")]  # fmt: skip
    assert centre.status.refused == {"evil-1": 1}
    assert centre.status.rows == {"a-1": 1, "b-1": 1}
    (kept,) = centre.kept.listing()
    assert (kept.sensor, kept.kind) == ("evil-1", "facts")


def test_a_centre_goes_on_whatever_one_sensor_sends(tmp_path):
    """The real one, with its server. `bench/fleet_attack.py` does the same at length."""
    require_programs("nats-server")
    chance = random.Random(7)
    with running_centre(tmp_path, "evil-1", "good-1") as centre:
        output = centre_output(centre.options("good-1"), "fleet", "")
        delivery = Delivery((output,), OutboxOptions(tmp_path / "outbox"), [].append, QUICK)
        delivery.start()

        async def fire(connection):
            client = connection.client
            for number in range(300):
                kind, data = attack(chance, "evil-1", number)
                place = subject("evil-1", kind)
                if kind == "health":
                    place = bucket_subject(HEALTH_BUCKET, "evil-1")
                reply = chance.choice(("", f"$JS.API.STREAM.PURGE.{STREAM}", "_INBOX.evil-1.x"))
                if len(data) < MAX_PAYLOAD:
                    await client.publish(place, data, reply=reply)
            await client.flush(timeout=30)

        try:
            pid, commits = centre.pid, {*centre.children()[1]}
            delivery.put(*sensor_records("good-1", range(20)))
            centre.as_sensor("evil-1", fire)
            delivery.put(*sensor_records("good-1", range(20, 40)))
            assert not delivery.drain(60)
            assert commits <= {*centre.children()[1]}
        finally:
            delivery.stop()
        query = "SELECT count(*) FROM fleet_case_incident WHERE sensor = 'good-1'"
        wait_until(lambda: centre.rows(query) == [(40,)], lambda: centre.log)
        assert centre.end() == 0
        assert pid
        assert "Traceback" not in centre.log
        assert RefusedMessages(centre.keys.path / FOLDER).listing()
