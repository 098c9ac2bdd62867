"""A centre, its server and sensors on loopback, each of which is killed at the worst moment."""

import asyncio
import json
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.fleet_centre import CentreProcess, running_centre, sensor_records
from support.fleet_messages import coverage_record
from support.made_alerts import QUICK
from support.made_facts import made_batches
from support.postgres_server import new_database
from support.programs import require_programs
from support.waiting import TIMEOUT, wait_until

from netwatch import __version__
from netwatch.config import load
from netwatch.core.errors import NetwatchError
from netwatch.delivery.delivery import Delivery
from netwatch.delivery.output import OutboxOptions
from netwatch.fleet import alert_sink, link
from netwatch.fleet.access import STREAM, subject
from netwatch.fleet.alert_sink import centre_output
from netwatch.fleet.connection import write_credentials
from netwatch.fleet.envelope import Envelope
from netwatch.fleet.fact_batch import FactBatch, RunKey, pack
from netwatch.fleet.link import Link
from netwatch.fleet.spool import FactSender, Spool, SpoolWriter, read_news
from netwatch.store.fact_tables import chunk_schema
from netwatch.store.fleet_sensors import roster
from netwatch.store.run_rows import ClientAddress

NotFoundError = pytest.importorskip("nats.js.errors").NotFoundError
pytest.importorskip("nkeys")
pa = pytest.importorskip("pyarrow")

RUN = RunKey(started=7, command="live", versions=("1", "s", "b", "c"), position=0)


@pytest.fixture(scope="module")
def centre(tmp_path_factory):
    require_programs("nats-server")
    with running_centre(tmp_path_factory.mktemp("fleet"), "ghent-1", "liege-1") as running:
        yield running


@pytest.fixture
def deliver(tmp_path):
    """Starts the delivery of a sensor's alerts to a centre."""
    made = []

    def start(centre, sensor, timing=QUICK):
        output = centre_output(centre.options(sensor), "fleet", "")
        outbox = OutboxOptions(tmp_path / f"{sensor}.outbox")
        made.append(Delivery((output,), outbox, [].append, timing))
        made[-1].start()
        return made[-1]

    yield start
    for delivery in made:
        delivery.stop()


def batch(rows, seed=1):
    """Observations of two clients as a sensor packs them."""
    found = pa.Table.from_batches(made_batches(rows, names=50, seed=seed))
    places = pa.array([number % 2 for number in range(rows)], pa.int32())
    layout = chunk_schema("observation")
    columns = [places if name == "client" else found[name] for name in layout.names]
    clients = [ClientAddress("10.1.0.1", "02:00:00:00:00:01", "hq", "service"),
               ClientAddress(None, None, "guest", "guest", "p-1", b"sealed")]  # fmt: skip
    return pack(FactBatch("observation", RUN, clients, pa.table(columns, schema=layout)))


def send_facts(centre, sensor, until=lambda left: not left, timeout=TIMEOUT):
    """Send what the spool of a sensor has, until it is empty."""
    options = centre.options(sensor)
    spool = Spool(options.spool.folder, options.spool.max_bytes)

    async def work(connection):
        sender = FactSender(sensor, spool)

        async def take(message):
            sender.take_news(read_news(message.data))

        await connection.client.subscribe(subject(sensor, "committed"), cb=take)
        running = asyncio.create_task(sender.run(connection.client))
        try:
            async with asyncio.timeout(timeout):
                while not until(spool.files()) and not running.done():
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0)
        finally:
            running.cancel()
        return sender.committed

    return centre.as_sensor(sensor, work)


def stored_alerts(centre, sensor):
    query = f"SELECT incident FROM fleet_case_incident WHERE sensor = '{sensor}'"
    return sorted(row[0] for row in centre.rows(query))


def stored_rows(centre):
    return centre.rows("SELECT coalesce(sum(rows), 0) FROM file WHERE \"table\" = 'observation'")[
        0
    ][0]


def test_alerts_arrive_once_although_server_and_stream_are_lost(centre, deliver):
    delivery = deliver(centre, "ghent-1")
    records = sensor_records("ghent-1", range(120))
    delivery.put(*records[:40])
    assert not delivery.drain(20)

    def put():
        for record in records[40:]:
            delivery.put(record)
            time.sleep(0.002)

    putting = threading.Thread(target=put)
    putting.start()
    centre.kill_server()
    putting.join()
    assert not delivery.drain(30)

    async def lose(connection):
        await connection.client.jetstream().delete_stream(STREAM)

    centre.as_centre(lose)
    delivery.put(*sensor_records("ghent-1", range(120, 140)))
    assert not delivery.drain(60)
    wanted = sorted(each["id"] for each in sensor_records("ghent-1", range(140)))
    assert stored_alerts(centre, "ghent-1") == wanted
    assert delivery.status()[0].dead == 0


def test_facts_are_stored_once_whatever_is_sent_again(centre):
    before = stored_rows(centre)
    writer = SpoolWriter(centre.options("liege-1").spool.folder)
    content = [batch(2000, seed) for seed in range(5)]
    for each in content:
        writer.put("observation", 2000, each)
    coverage = {
        "run": RUN.record(),
        "part": 0,
        "first": 1,
        "last": 2,
        "record": coverage_record("hq", 4, ech=1),
    }
    writer.put("coverage", 1, json.dumps(coverage).encode())
    folder = centre.options("liege-1").spool.folder
    copies = {path: path.read_bytes() for path in folder.iterdir()}
    assert send_facts(centre, "liege-1") >= 8000
    assert stored_rows(centre) == before + 10_000
    for path, data in copies.items():
        path.write_bytes(data)
    send_facts(centre, "liege-1")
    assert stored_rows(centre) == before + 10_000
    query = "SELECT network, reason, flows FROM coverage_network ORDER BY reason"
    assert centre.rows(query) == [("hq", "", 4), ("hq", "ech", 1)]
    known = centre.rows("SELECT ip, pseudonym FROM client ORDER BY ip")
    assert known == [(None, "p-1"), ("10.1.0.1", None)]


def test_a_process_that_commits_is_replaced_when_it_was_killed(centre, deliver):
    delivery = deliver(centre, "ghent-1")
    writer = SpoolWriter(centre.options("liege-1").spool.folder)
    before = stored_rows(centre)
    for number in range(3):
        records = sensor_records("ghent-1", range(2000 + 30 * number, 2030 + 30 * number))
        writer.put("observation", 100, batch(100, seed=100 + number))
        delivery.put(*records)
        centre.kill_commits()
        send_facts(centre, "liege-1")
        assert not delivery.drain(30)
        assert {each["id"] for each in records} <= {*stored_alerts(centre, "ghent-1")}
    assert len(centre.children()[1]) >= 2
    assert stored_rows(centre) == before + 300
    assert delivery.status()[0].dead == 0


def test_several_processes_commit_alerts_and_facts(tmp_path, deliver, postgres_server):
    """Each contact is seen by all three sensors, whose alerts are committed in three processes."""
    require_programs("nats-server")
    names = ("ghent-1", "liege-1", "namur-1")
    centre = CentreProcess(tmp_path, *names, catalogue=new_database(postgres_server), cpus=8)
    centre.start()
    try:
        deliveries = {name: deliver(centre, name) for name in names}
        for name, delivery in deliveries.items():
            SpoolWriter(centre.options(name).spool.folder).put("observation", 300, batch(300))
            delivery.put(*sensor_records(name, range(60)))
        for name, delivery in deliveries.items():
            send_facts(centre, name)
            assert not delivery.drain(60)
        _, commits = centre.children()
        assert len(commits) > 2
        assert stored_rows(centre) == 900
        assert centre.rows("SELECT sensors, count(*) FROM fleet_case GROUP BY sensors") == [(3, 60)]
    finally:
        centre.end()


def test_processes_that_commit_end_with_the_centre(tmp_path, deliver):
    """However it ends."""
    require_programs("nats-server")
    centre = CentreProcess(tmp_path, "ghent-1")
    for how in (signal.SIGTERM, signal.SIGKILL):
        centre.start()
        delivery = deliver(centre, "ghent-1")
        delivery.put(*sensor_records("ghent-1", [how]))
        assert not delivery.drain(30)
        delivery.stop()
        _, commits = centre.children()
        assert commits
        centre.end(how)
        wait_until(lambda pids=commits: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids))


def test_what_is_committed_takes_no_room_on_the_server(centre, tmp_path):
    """In a stream of an earlier version as well, which kept everything for a week."""

    async def forget_nothing(connection):
        jetstream = connection.client.jetstream()
        stream = (await jetstream.stream_info(STREAM)).config
        await jetstream.delete_stream(STREAM)
        await jetstream.add_stream(replace(stream, retention="limits"))

    async def waiting(connection):
        info = await connection.client.jetstream().stream_info(STREAM)
        return info.state.messages, info.config.retention

    def is_empty():
        try:
            return centre.as_centre(waiting) == (0, "interest")
        except (NetwatchError, NotFoundError):
            return False  # the server has just been killed, or the stream

    SpoolWriter(centre.options("liege-1").spool.folder).put("observation", 50, batch(50, seed=9))
    send_facts(centre, "liege-1")
    wait_until(is_empty)
    centre.as_centre(forget_nothing)
    assert centre.as_centre(waiting)[1] == "limits"
    SpoolWriter(centre.options("liege-1").spool.folder).put("observation", 50, batch(50, seed=8))
    send_facts(centre, "liege-1", timeout=40)
    centre.kill_server()
    wait_until(is_empty)


def test_sensor_cannot_publish_as_another_or_read_what_is_for_it(centre):
    async def work(connection):
        client = connection.client
        for name in ("alerts", "committed"):
            with pytest.raises(Exception, match=r"timeout|^$"):
                await client.jetstream(timeout=0.5).publish(subject("liege-1", name), b"x")
            assert "permissions violation for publish" in str(client.last_error).lower()
        await client.subscribe(subject("liege-1", "committed"))
        # The server says so when it likes, not before it answers the next ping.
        async with asyncio.timeout(TIMEOUT):
            while "for subscription" not in str(client.last_error).lower():
                await asyncio.sleep(0.01)
        with pytest.raises(Exception, match=r"timeout|^$"):
            await client.jetstream(timeout=0.5).delete_stream(STREAM)

    centre.as_sensor("ghent-1", work)


def test_forged_messages_are_refused_counted_and_named(centre):
    good = Envelope(sensor="ghent-1", kind="alerts", sequence=1, sent=1, version=__version__,
                    id="x", body={"alerts": []})  # fmt: skip
    of_another = sensor_records("liege-1", [1])[0]
    messages = [
        b"",
        b"\xff\xfe",
        replace(good, sensor="liege-1").encode(),
        replace(good, schema="netwatch.fleet/2").encode(),
        replace(good, body={"alerts": [{"key": "k", "record": of_another}]}).encode(),
        replace(good, body={"alerts": [{"key": "k2", "record": {"id": "x"}}]}).encode(),
        good.encode().replace(b'{"alerts":[]}', b'{"alerts":['),
    ]
    bomb = replace(good, kind="facts", body=None, payload=batch(10)[:200],
                   fields={"epoch": "e", "after": 0, "table": "observation"})  # fmt: skip

    async def work(connection):
        jetstream = connection.client.jetstream()
        for message in messages:
            await jetstream.publish(subject("ghent-1", "alerts"), message)
        await jetstream.publish(subject("ghent-1", "facts"), bomb.encode())
        with pytest.raises(Exception, match=r"maximum payload|size"):
            await jetstream.publish(subject("ghent-1", "alerts"), bytes(2 << 20))

    centre.as_sensor("ghent-1", work)

    def refused():
        with centre.catalogue() as catalogue:
            return next(each for each in roster(catalogue) if each.name == "ghent-1").refused

    wait_until(lambda: refused() >= 8)
    assert stored_alerts(centre, "liege-1") == []


def test_a_sensor_that_starts_before_the_server_knows_it_is_let_in_soon(centre, deliver):
    write_credentials(centre.folder / "namur-1.creds", centre.keys.enrol("namur-1"))
    place = centre.keys.path / "sensors" / "namur-1.json"
    hidden = place.rename(place.with_suffix(".later"))
    # A pause would be longer than the test.
    delivery = deliver(centre, "namur-1", replace(QUICK, paused_delay=600.0))
    delivery.put(*sensor_records("namur-1", range(3)))
    wait_until(lambda: delivery.status()[0].state == "retrying")
    assert "authorization" in delivery.status()[0].reason.lower()
    hidden.rename(place)
    assert not delivery.drain(30)
    assert len(stored_alerts(centre, "namur-1")) == 3


def test_a_refusal_that_lasts_pauses_the_alerts(centre, deliver, monkeypatch):
    monkeypatch.setattr(alert_sink, "ENROL_SECONDS", 0.1)
    write_credentials(centre.folder / "mons-1.creds", centre.keys.enrol("mons-1"))
    centre.keys.revoke("mons-1")
    delivery = deliver(centre, "mons-1")
    delivery.put(*sensor_records("mons-1", [1]))
    wait_until(lambda: delivery.status()[0].state == "paused")


def test_a_clock_that_jumps_is_measured_and_reported(centre, deliver, tmp_path, monkeypatch):
    real, ahead = time.time_ns, [0]

    class Clock:
        """The module ``time`` of the link, with a clock that can be set."""

        time_ns = staticmethod(lambda: real() + ahead[0])

        def __getattr__(self, name):
            return getattr(time, name)

    monkeypatch.setattr(link, "time", Clock())
    monkeypatch.setattr(link, "HEARTBEAT_SECONDS", 0.2)
    options = centre.options("ghent-1")
    place = tmp_path / "sensor.yaml"
    place.write_text(
        f'version: 1\nfleet: {{sensor: ghent-1, centre: "{centre.url}",'
        f" credentials: {options.credentials}, spool: {{path: {tmp_path}/spool}}}}\n"
    )
    running = Link(load(str(place)), [].append)

    def is_known():
        with centre.catalogue() as catalogue:
            known = {each.name: each.clock_offset for each in roster(catalogue)}
        offset = known.get("ghent-1")
        return offset is not None and abs(offset - ahead[0]) < 10**9

    running.start()
    try:
        for seconds in (0, 100, -3600):
            ahead[0] = seconds * 10**9
            wait_until(is_known, f"the centre knows that the clock is {seconds} s ahead")
            assert abs(running.status().offset - seconds) < 1
        # Cases compare by the clock of the centre.
        record = sensor_records("ghent-1", [900])[0]
        delivery = deliver(centre, "ghent-1")
        delivery.put(record)
        assert not delivery.drain(20)
        query = f"SELECT clock_offset FROM fleet_case_incident WHERE incident = '{record['id']}'"
        assert abs(centre.rows(query)[0][0] - ahead[0]) < 10**9
    finally:
        running.stop()


@pytest.mark.parametrize(("where", "what"), [("commit", "facts"), ("say", "alerts"),
                                             ("ack", "facts")])  # fmt: skip
def test_centre_that_is_killed_loses_nothing_and_stores_nothing_twice(
    where, what, tmp_path, deliver, monkeypatch
):
    require_programs("nats-server")
    monkeypatch.setattr("netwatch.fleet.spool.RESEND_SECONDS", 1.0)
    centre = CentreProcess(tmp_path, "ghent-1")
    centre.start(where, what)
    delivery = deliver(centre, "ghent-1")
    if what == "alerts":
        delivery.put(*sensor_records("ghent-1", range(50)))
    else:
        writer = SpoolWriter(centre.options("ghent-1").spool.folder)
        for seed in range(3):
            writer.put("observation", 500, batch(500, seed))
        send_facts(centre, "ghent-1")  # until the connection breaks
    assert centre.wait() < 0
    centre.start()
    try:
        if what == "alerts":
            assert not delivery.drain(30)
            assert len(stored_alerts(centre, "ghent-1")) == 50
        else:
            send_facts(centre, "ghent-1")
            assert stored_rows(centre) == 1500
    finally:
        assert centre.end() == 0
