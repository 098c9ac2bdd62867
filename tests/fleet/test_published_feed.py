"""From the folder of the centre over a real server to the folder of a sensor, and back.

Whatever reaches a sensor, only what its centre signed for it is applied, and nothing older.
"""

import asyncio
import base64
import contextlib
import json
import random
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fleet_bundles import Centre
from support.fleet_server import FleetServer, fleet_server, until
from support.killed_update import survives

from netwatch.core.errors import Problem
from netwatch.fleet.access import PUBLISHED_BUCKET, bucket_subject, read_public_key
from netwatch.fleet.bundle import BundleError, read_bundle
from netwatch.fleet.publications import Published
from netwatch.fleet.published_feed import Applied, Applier, PublishedFeed
from netwatch.fleet.publisher import (
    PART_BYTES,
    Entry,
    Publisher,
    entry_of,
    read_index,
    read_value,
    write_index,
)
from netwatch.updates.store import published_store

KV = f"KV_{PUBLISHED_BUCKET}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetServer]:
    folder = tmp_path_factory.mktemp("server")
    with fleet_server(folder, "ghent-1", "liege-1") as running:
        yield running


@pytest.fixture(autouse=True)
def empty_server(server: FleetServer) -> None:
    async def delete() -> None:
        import nats.js.errors

        async with server.client() as client:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await client.jetstream().delete_stream(KV)

    asyncio.run(delete())


class Sensor:
    """A sensor that follows what is published; `reported` is what it tells its centre."""

    def __init__(self, name: str, applier: Applier) -> None:
        self.applier = applier
        self.reported: list[Applied] = []
        self.feed = PublishedFeed(name, applier, self._report)

    async def _report(self, applied: Applied) -> None:
        self.reported.append(applied)

    def last(self) -> tuple[str, int, str, str]:
        if not self.reported:
            return ("", 0, "", "")
        last = self.reported[-1]
        return last.kind, last.version, last.state, last.refusal


@asynccontextmanager
async def following(server: FleetServer, name: str, sensor: Sensor) -> AsyncIterator[None]:
    async with server.client(name) as client:
        task = asyncio.create_task(sensor.feed.run(client))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def put(client: Any, centre: Centre) -> Publisher:
    publisher = Publisher(centre.publications, lambda text: None)
    await publisher.put(client)
    return publisher


async def replace(client: Any, key: str, index: bytes) -> None:
    """What somebody who has the server can do: write any index."""
    await client.jetstream().publish(bucket_subject(PUBLISHED_BUCKET, key), index)


def test_what_is_published_reaches_its_sensors_and_nobody_else(
    server: FleetServer, centre: Centre
) -> None:
    ghent = Sensor("ghent-1", centre.applier("ghent-1", "ghent"))
    liege = Sensor("liege-1", centre.applier("liege-1", "liege"))

    async def scenario() -> None:
        centre.publish_set()
        async with server.client() as client:
            publisher = await put(client, centre)
            async with following(server, "ghent-1", ghent), following(server, "liege-1", liege):
                await until(lambda: ghent.reported and liege.reported)
                assert ghent.last() == liege.last() == ("set", 1, "applied", "")
                # A large one for one sensor, while both are connected.
                devices = "".join(f"d{n},{n:032x}\n" for n in range(100_000))
                noise = random.Random(1).randbytes(3 * PART_BYTES).hex()
                centre.publish_configuration(
                    audience="sensor.ghent-1", devices="id,owner\n" + devices, noise=noise
                )
                await publisher.put(client)
                await until(lambda: ghent.last() == ("configuration", 1, "applied", ""))
                centre.publish_set("two.example")
                await publisher.put(client)
                await until(lambda: liege.last() == ("set", 2, "applied", ""))
                await until(lambda: ghent.last() == ("set", 2, "applied", ""))
            # Parts that no index names are removed.
            subjects = (await client.jetstream().stream_info(KV, ">")).state.subjects
            before = publisher.published
            await publisher.put(client)
            assert publisher.published == before
            assert len(subjects) == 2 + len(parts_of(centre))

    asyncio.run(scenario())
    assert [each.kind for each in liege.reported] == ["set", "set"]
    found = list((centre.place / "ghent" / "configuration").rglob("noise.csv"))
    assert len(found) == 1


def parts_of(centre: Centre) -> list[str]:
    return [
        part
        for each in centre.publications.listing()
        for part in entry_of(each).parts(each.bundle.audience)
    ]


def test_a_sensor_cannot_read_what_is_for_another(server: FleetServer, centre: Centre) -> None:
    published = centre.publish_configuration(audience="sensor.ghent-1")

    async def scenario() -> None:
        async with server.client() as client:
            await put(client, centre)
        async with server.client("liege-1") as client:
            jetstream = client.jetstream(timeout=0.5)
            (part,) = entry_of(published).parts("sensor.ghent-1")
            for key in ("sensor.ghent-1", part):
                with pytest.raises(TimeoutError):
                    await read_value(jetstream, key)
            with pytest.raises(TimeoutError):
                await jetstream.publish(bucket_subject(PUBLISHED_BUCKET, "all"), b"x")
        async with server.client("ghent-1") as client:
            data = await read_value(client.jetstream(timeout=5), part)
            assert data == published.data

    asyncio.run(scenario())


def test_a_deleted_bucket_is_filled_again_and_versions_go_on(
    server: FleetServer, centre: Centre
) -> None:
    sensor = Sensor("ghent-1", centre.applier())

    async def scenario() -> None:
        async with server.client() as client:
            centre.publish_set()
            publisher = await put(client, centre)
            async with following(server, "ghent-1", sensor):
                await until(lambda: sensor.last() == ("set", 1, "applied", ""))
                await client.jetstream().delete_stream(KV)
                centre.publish_set("two.example")
                await publisher.put(client)
                await until(lambda: sensor.last() == ("set", 2, "applied", ""))

    asyncio.run(scenario())
    assert not sensor.applier.refused


@pytest.mark.parametrize(
    ("attack", "refusal"),
    [
        (lambda entry: b"[]", "schema"),
        (lambda entry: b"{" * 100_000, "oversized"),
        (lambda entry: write_index({"set": entry}).replace(b"shed/1", b"shed/2"), "schema"),
        (lambda entry: changed(entry, version=-1), "schema"),
        (lambda entry: changed(entry, version=9, length=10**12), "oversized"),
        (lambda entry: changed(entry, version=9, length=entry.length - 1), "truncated"),
        (lambda entry: changed(entry, version=9, length=entry.length + PART_BYTES), "truncated"),
        (lambda entry: changed(entry, version=9, sha256=entry.sha256[:32] + "0" * 32), "altered"),
        (lambda entry: changed(entry, version=9, sha256="0" * 64), "truncated"),
        (lambda entry: changed(entry, version=1, hash="ffffffffffff"), "older"),
        # The bundle in use under a higher version: its signature tells the truth.
        (lambda entry: changed(entry, version=9), None),
    ],
)  # fmt: skip
def test_an_index_of_somebody_else_changes_nothing_and_is_named(
    server: FleetServer, centre: Centre, attack: Callable[[Entry], bytes], refusal: str | None
) -> None:
    sensor = Sensor("ghent-1", centre.applier())

    async def scenario() -> None:
        async with server.client() as client:
            entry = entry_of(centre.publish_set())
            await put(client, centre)
            async with following(server, "ghent-1", sensor):
                await until(lambda: sensor.last() == ("set", 1, "applied", ""))
                await replace(client, "all", attack(entry))
                if refusal is not None:
                    await until(lambda: sensor.last()[2:] == ("rejected", refusal))
                    assert sensor.applier.problems["set"].reason
                    # Where that goes away, the centre is told what is in use.
                    await put(client, centre)
                    await until(lambda: sensor.last() == ("set", 1, "applied", ""))
                # The centre puts the truth there again, with what is new.
                centre.publish_set("two.example")
                await put(client, centre)
                await until(lambda: sensor.last() == ("set", 2, "applied", ""))

    asyncio.run(scenario())
    assert not sensor.applier.problems
    assert set(sensor.applier.refused) == ({refusal} if refusal else set())


class Bucket:
    """The bucket of no server: the values by key, and those that replace them when the index has
    been read."""

    def __init__(self, values: dict[str, bytes], then: dict[str, bytes]) -> None:
        self.values, self._then = values, then

    async def get_msg(self, stream: str, *, subject: str, direct: bool) -> SimpleNamespace:
        found = self.values.get(subject.removeprefix(bucket_subject(PUBLISHED_BUCKET, "")))
        if subject.endswith(".all"):
            self.values = self._then
        return SimpleNamespace(data=found)


def values_of(published: Published) -> dict[str, bytes]:
    entry = entry_of(published)
    (part,) = entry.parts("all")
    return {"all": write_index({"set": entry}), part: published.data}


@pytest.mark.parametrize("index", [None, b"[]", b"a newer one"])
def test_a_bundle_that_is_replaced_while_it_is_read_is_not_refused(
    centre: Centre, index: bytes | None
) -> None:
    """The message that announces the new index comes late, or not at all."""
    sensor = Sensor("ghent-1", centre.applier())
    old = values_of(centre.publish_set())
    new = values_of(centre.publish_set("two.example"))
    found = new if index == b"a newer one" else {"all": index} if index else {}
    asyncio.run(sensor.feed.look(Bucket(old, found)))
    assert sensor.reported == []
    assert sensor.feed._changed.is_set(), "another look follows"
    asyncio.run(sensor.feed.look(Bucket(new, new)))
    assert sensor.last() == ("set", 2, "applied", "")


def test_a_bundle_whose_part_is_missing_is_refused(centre: Centre) -> None:
    sensor = Sensor("ghent-1", centre.applier())
    index = {"all": values_of(centre.publish_set())["all"]}
    asyncio.run(sensor.feed.look(Bucket(index, index)))
    assert sensor.last() == ("set", 1, "rejected", "truncated")


def changed(entry: Entry, **changes: Any) -> bytes:
    content = json.loads(write_index({"set": entry}))
    return json.dumps({**content, "set": {**content["set"], **changes}}).encode()


def test_a_bundle_that_was_refused_is_tried_again_when_local_files_change(
    server: FleetServer, centre: Centre
) -> None:
    problems = ["an exemption does not fit"]

    def examine(kind: str, folder: Path) -> list[Any]:
        return [Problem("netwatch.yaml", 3, 0, text) for text in problems]

    applier = centre.applier()
    applier._examine = examine
    sensor = Sensor("ghent-1", applier)

    async def scenario() -> None:
        centre.publish_configuration()
        async with server.client() as client:
            await put(client, centre)
        async with following(server, "ghent-1", sensor):
            await until(lambda: sensor.last() == ("configuration", 1, "rejected", "invalid"))
            assert "netwatch.yaml:3: an exemption does not fit" in sensor.reported[-1].reason
            problems.clear()
            sensor.feed.retry()
            await until(lambda: sensor.last() == ("configuration", 1, "applied", ""))
        # At the next start of a connection the centre is told again what is in use.
        sensor.reported.clear()
        async with following(server, "ghent-1", sensor):
            await until(lambda: sensor.last() == ("configuration", 1, "applied", ""))

    asyncio.run(scenario())
    assert len(sensor.reported) == 1


def test_index_is_read_as_it_was_written_and_later_fields_are_ignored() -> None:
    entry = Entry(7, "0a1b2c3d4e5f", "ab" * 32, 3 * PART_BYTES + 1)
    index = json.loads(write_index({"set": entry}))
    index["mood"], index["set"]["later"] = 1, {}
    assert read_index(json.dumps(index).encode()) == {"set": entry}
    assert len(entry.parts("all")) == 4
    assert all(part.startswith("all.") for part in entry.parts("all"))


DAY = timedelta(days=1)


def altered(data: bytes, **changes: object) -> bytes:
    """A bundle whose first line was changed."""
    line, _, archive = data.partition(b"\n")
    return json.dumps({**json.loads(line), **changes}).encode() + b"\n" + archive


def restated(data: bytes, **changes: object) -> bytes:
    """A bundle whose statement was changed, under the old signature."""
    statement = json.loads(base64.b64decode(json.loads(data.partition(b"\n")[0])["statement"]))
    changed = json.dumps({**statement, **changes}).encode()
    return altered(data, statement=base64.b64encode(changed).decode())


def in_use(applier: Applier, kind: str = "set") -> int:
    """The version in use, of which every file was verified; 0 for none."""
    current = applier.in_use(kind)
    return 0 if current is None else current.version


def name_of(folder: Path) -> str:
    """The name that the app of the set in use has beside the other."""
    found = published_store(folder, "set").open_current()
    assert found is not None
    text = (found[1] / "apps" / "clips.yaml").read_text()
    return text.partition("match: [www.clips.example, ")[2].partition("]")[0]


def test_a_newer_set_replaces_the_one_in_use(centre: Centre) -> None:
    applier = centre.applier()
    for version, name in enumerate(("one.example", "two.example"), 1):
        result = applier.offer(centre.publish_set(name).data)
        assert result is not None
        assert (result.state, result.version, result.reason) == ("applied", version, "")
        assert name_of(centre.place / "sensor") == name
    # After a restart it is still in use, and offered again it is nothing new.
    again = centre.applier()
    assert in_use(again) == 2
    assert again.offer(centre.publications.listing()[0].data) is None
    assert not again.refused


def test_a_configuration_is_kept_for_its_owner_only(centre: Centre) -> None:
    result = centre.applier().offer(centre.publish_configuration(devices="id,owner\n1,Ann\n").data)
    assert result is not None
    assert result.state == "applied"
    files = [path for path in (centre.place / "sensor").rglob("*") if path.is_file()]
    assert any(path.name == "devices.csv" for path in files)
    folders = [path for path in (centre.place / "sensor").rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in folders} == {0}


def test_what_is_not_for_this_sensor_or_not_from_its_centre_is_refused(
    centre: Centre, tmp_path: Path
) -> None:
    applier = centre.applier("ghent-1")
    good = centre.publish_set()
    assert applier.offer(good.data)
    stranger = Centre(tmp_path / "stranger")
    for _ in range(3):
        strange = stranger.publish_set("evil.example")
    older = good.data
    newest = centre.publish_set("two.example")
    kept_back = centre.publish_set("three.example", "sensor.liege-1")
    signature = json.loads(newest.data.partition(b"\n")[0])["signatures"][0]["signature"]
    refusals = {
        "misdirected": [kept_back.data],
        "forged": [
            strange.data,
            # The key id of the centre, and the signature of somebody else.
            altered(strange.data, signatures=[{"key": centre.key.key_id, "signature": signature}]),
            altered(newest.data, signatures=[]),
            altered(newest.data, signatures=[{"key": centre.key.key_id, "signature": "?"}]),
            altered(newest.data, signatures=None),
            restated(newest.data, audience="sensor.ghent-1"),
            restated(kept_back.data, audience="all"),
            restated(newest.data, kind="configuration"),
        ],
        "expired": [centre.publish_set(ago=91 * DAY).data],
        "future": [centre.publish_set(ago=-3 * DAY).data],
        "release": [centre.publish_set(release="999.0.0").data],
        "truncated": [newest.data[:-1], newest.data[:50], b"", b"\n", b"[" * 100_000 + b"\n"],
        "altered": [newest.data + b"x", newest.data[:-1] + b"x"],
        "schema": [altered(newest.data, schema="netwatch.bundle/2"), b"[]\n", b"{}\n"],
    }
    for refusal, bundles in refusals.items():
        for number, data in enumerate(bundles, 1):
            result = applier.offer(data, "set", 7)
            assert result is not None
            assert (result.state, result.refusal) == ("rejected", refusal)
            assert result.reason
            assert applier.refused[refusal] == number
            assert applier.problems["set"] == result
    assert in_use(applier) == 1
    # What is newer and right goes through afterwards, and no older one any more.
    assert applier.offer(newest.data)
    assert not applier.problems
    for _ in range(2):
        result = applier.offer(older)
        assert result is not None
        assert result.refusal == "older"
    assert in_use(centre.applier()) == 2
    assert name_of(centre.place / "sensor") == "two.example"


def test_fields_that_a_later_release_adds_are_ignored(centre: Centre) -> None:
    result = centre.applier().offer(altered(centre.publish_set().data, priority="high"))
    assert result is not None
    assert result.state == "applied"


def test_an_oversized_bundle_is_not_even_parsed(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = centre.publish_set().data
    monkeypatch.setattr("netwatch.fleet.bundle.MAX_BUNDLE_BYTES", len(data) - 1)
    result = centre.applier().offer(data, "set", 1)
    assert result is not None
    assert result.refusal == "oversized"


def test_a_signed_set_with_mistakes_is_rejected_with_file_and_line(centre: Centre) -> None:
    applier = centre.applier()
    applier.offer(centre.publish_set().data)
    files = centre.set_files()
    files["apps/clips.yaml"] = files["apps/clips.yaml"].replace(b"exclusive", b"exklusive")
    bad = centre.publications.publish("set", "all", files, release="0.1.0")
    result = applier.offer(bad.data)
    assert result is not None
    assert result.refusal == "invalid"
    assert "apps/clips.yaml:6" in result.reason
    assert "exklusive" in result.reason
    assert in_use(applier) == 1
    # The way back is the earlier content under a higher version.
    result = applier.offer(centre.publish_set().data)
    assert result is not None
    assert (result.state, result.version) == ("applied", 3)


def test_a_kill_between_any_two_steps_leaves_one_whole_bundle(centre: Centre) -> None:
    applier = centre.applier()
    applier.offer(centre.publish_set().data)
    new = centre.publish_set("two.example").data
    call, done, seen = 0, False, []
    while not done:
        done = survives(partial(applier.offer, new), call)
        applier = centre.applier()
        seen.append(in_use(applier))
        call += 1
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}
    assert name_of(centre.place / "sensor") == "two.example"


def test_a_disk_that_cannot_be_written_is_a_reason(centre: Centre) -> None:
    (centre.place / "sensor").write_text("a file in the place of the folder")
    result = centre.applier().offer(centre.publish_set().data)
    assert result is not None
    assert result.refusal == "unwritable"


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_by_name(data: bytes) -> None:
    keys = read_public_key("00" * 32)
    with pytest.raises(BundleError):
        read_bundle(data, keys)
