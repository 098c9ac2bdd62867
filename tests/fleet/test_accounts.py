"""What one sensor can do with the answers that it asks for, on a server as it is configured.

The server gives its own acknowledgement of a publication, and the centre its time, to whatever
subject a sensor names. With an account for each sensor that subject is one of its own account.
"""

import asyncio
import contextlib
import json
import subprocess

import pytest
from support.fleet_server import fleet_server
from support.programs import require_programs

from netwatch.config.fleet_section import FleetOptions, ServerOptions
from netwatch.fleet.access import (
    ALL,
    HEALTH_BUCKET,
    PUBLISHED_BUCKET,
    STREAM,
    bucket_subject,
    is_own_reply,
    subject,
)
from netwatch.fleet.centre_folder import ACCOUNTS, CentreFolder
from netwatch.fleet.receiver import Puller
from netwatch.fleet.server import MAX_PENDING, prepare

pytest.importorskip("nats")

NAMES = ("evil-1", "good-1", "12", "include", "true", "sys")
"""Some of them are words in a configuration of the server."""
KINDS = ("alerts", "facts", "coverage", "applied", "clock")
TARGETS = (
    bucket_subject(PUBLISHED_BUCKET, ALL),
    bucket_subject(PUBLISHED_BUCKET, "sensor.good-1"),
    bucket_subject(HEALTH_BUCKET, "good-1"),
    f"$JS.API.STREAM.PURGE.{STREAM}",
    f"$JS.API.STREAM.DELETE.{STREAM}",
    f"$JS.API.STREAM.PURGE.KV_{PUBLISHED_BUCKET}",
    f"$JS.API.CONSUMER.DELETE.{STREAM}.centre-alerts",
    subject("good-1", "alerts"),
    subject("good-1", "committed"),
    "_INBOX.good-1.x",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with fleet_server(tmp_path_factory.mktemp("server"), *NAMES) as running:
        yield running


def attempt(server, work):
    async def run():
        async with server.client() as centre, server.client("evil-1") as evil:
            await prepare(centre.jetstream(timeout=10), ServerOptions())

            async def tell(message):
                await message.respond(b"time")

            await centre.subscribe(subject("*", "clock"), cb=tell)
            await centre.flush()
            return await work(centre, evil)

    return asyncio.run(run())


async def state(centre):
    """What the server keeps of the centre."""
    found = {}
    jetstream = centre.jetstream(timeout=10)
    for name in (STREAM, f"KV_{PUBLISHED_BUCKET}", f"KV_{HEALTH_BUCKET}"):
        info = await jetstream.stream_info(name, subjects_filter=">")
        found[name] = dict(info.state.subjects or {})
    found["consumers"] = sorted([each.name for each in await jetstream.consumers_info(STREAM)])
    return found


def test_no_answer_reaches_anything_but_the_sensor_that_asked(server):
    async def work(centre, evil):
        jetstream = centre.jetstream(timeout=10)
        await jetstream.publish(bucket_subject(PUBLISHED_BUCKET, ALL), b"published")
        await jetstream.publish(subject("good-1", "facts"), b"waits")
        heard = []

        async def note(message):
            heard.append((message.subject, message.data))

        for target in TARGETS:
            await centre.subscribe(target, cb=note)
        await centre.flush()
        before = await state(centre)
        asked = [subject("evil-1", kind) for kind in KINDS]
        asked.append(f"$JS.API.DIRECT.GET.KV_{PUBLISHED_BUCKET}."
                     f"{bucket_subject(PUBLISHED_BUCKET, ALL)}")  # fmt: skip
        for target in TARGETS:
            for each in asked:
                await evil.publish(each, b"x", reply=target)
        await evil.flush()
        # It still gets its own answers, after all of these.
        answer = await evil.request(subject("evil-1", "clock"), b"", timeout=10)
        assert answer.data == b"time"
        await evil.jetstream(timeout=10).publish(subject("evil-1", "applied"), b"x")
        await centre.flush()
        after = await state(centre)
        sent = {key: count for key, count in after[STREAM].items() if "evil-1" in key}
        assert sent == {subject("evil-1", kind): len(TARGETS) + (kind == "applied")
                        for kind in KINDS[:-1]}  # fmt: skip
        kept = {key: count for key, count in after[STREAM].items() if "evil-1" not in key}
        assert {**after, STREAM: kept} == before
        assert heard == []

    attempt(server, work)


def test_a_sensor_can_use_no_name_but_its_own(server):
    others = [subject("good-1", kind) for kind in KINDS]
    others += [
        bucket_subject(HEALTH_BUCKET, "good-1"),
        bucket_subject(PUBLISHED_BUCKET, ALL),
        f"$JS.API.STREAM.PURGE.{STREAM}",
        f"$JS.ACK.{STREAM}.centre-facts.1.1.1.1.1",
    ]

    async def work(centre, evil):
        before = await state(centre)
        heard = []

        async def note(message):
            heard.append(message.subject)

        await centre.subscribe(subject("good-1", "clock"), cb=note)
        await centre.flush()
        for each in others:
            await evil.publish(each, b"x", reply="_INBOX.evil-1.y")
        # The server closes a connection that asks too often for what it may not.
        with contextlib.suppress(Exception):
            await evil.flush()
        async with server.client("evil-1") as again:
            await again.request(subject("evil-1", "clock"), b"", timeout=10)
        assert await state(centre) == before
        assert heard == []

    attempt(server, work)


def test_a_sensor_reads_what_is_for_it_and_for_all_alone(server):
    async def work(centre, evil):
        jetstream = centre.jetstream(timeout=10)
        for key in (ALL, "sensor.evil-1", "sensor.good-1"):
            await jetstream.publish(bucket_subject(PUBLISHED_BUCKET, key), key.encode())
        found = []
        for key in (ALL, "sensor.evil-1", "sensor.good-1"):
            with contextlib.suppress(Exception):
                message = await evil.jetstream(timeout=1).get_msg(
                    f"KV_{PUBLISHED_BUCKET}",
                    subject=bucket_subject(PUBLISHED_BUCKET, key),
                    direct=True,
                )
                found.append(message.data.decode())
        assert found == [ALL, "sensor.evil-1"]

    attempt(server, work)


def test_the_stream_keeps_a_bounded_number_of_each_sensor(server):
    async def work(centre, evil):
        jetstream = evil.jetstream(timeout=10)
        await centre.jetstream(timeout=10).purge_stream(STREAM)
        for _ in range(MAX_PENDING + 50):
            await evil.publish(subject("evil-1", "facts"), b"orphan")
        with pytest.raises(Exception, match="maximum messages per subject"):
            await jetstream.publish(subject("evil-1", "facts"), b"one too many")
        async with server.client("good-1") as good:
            await good.jetstream(timeout=10).publish(subject("good-1", "facts"), b"mine")
        puller = Puller(centre, "facts", 1000, 1 << 20)
        await puller.start()
        found = []
        while not any(each.subject == subject("good-1", "facts") for each in found):
            found += await puller.take()
        assert len(found) <= MAX_PENDING + 1
        for each in found:
            await each.ack()

    attempt(server, work)


def test_any_name_of_a_sensor_is_one_of_an_account(server):
    async def work(centre, evil):
        for name in NAMES:
            async with server.client(name) as sensor:
                await sensor.jetstream(timeout=10).publish(subject(name, "applied"), b"x")

    attempt(server, work)


def test_a_sensor_that_is_enrolled_later_is_let_in_while_others_go_on(server):
    async def work(centre, evil):
        server.enrol("late-1")
        async with asyncio.timeout(60):
            while True:
                server.reload()
                with contextlib.suppress(Exception):
                    async with server.client("late-1") as late:
                        assert (await late.request(subject("late-1", "clock"), b"")).data == b"time"
                        break
        assert (await evil.request(subject("evil-1", "clock"), b"", timeout=10)).data == b"time"

    attempt(server, work)


def test_the_centre_knows_an_answer_that_would_go_astray():
    assert is_own_reply("ghent-1", "_R_.abc.def")
    assert is_own_reply("ghent-1", "_INBOX.ghent-1.x")
    for reply in ("", "_INBOX.ghent-10.x", "_INBOX.ghent-1", "$JS.API.STREAM.PURGE.NETWATCH",
                  subject("ghent-1", "facts"), json.dumps("_R_.")):  # fmt: skip
        assert not is_own_reply("ghent-1", reply)


def test_a_server_that_is_joined_includes_the_accounts(tmp_path):
    require_programs("nats-server")
    url = "nats://127.0.0.1:4222"
    options = FleetOptions(url, server=ServerOptions(folder=tmp_path, join=url))
    folder = CentreFolder(options)
    folder.prepare()
    folder.enrol("ghent-1")
    folder.write_configuration()
    own = tmp_path / "own.conf"
    own.write_text(
        f'jetstream {{ sync_interval: always }}\naccounts {{\n include "{ACCOUNTS}"\n}}\n'
    )
    done = subprocess.run(["nats-server", "-t", "-c", str(own)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
