"""Whatever reaches a sensor, only what its centre signed for it is applied, and nothing older."""

import base64
import json
import stat
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fleet_bundles import Centre
from support.killed_update import survives

from netwatch.fleet.applying import Applier
from netwatch.fleet.bundle import BundleError, read_bundle
from netwatch.fleet.signing_key import read_public_key
from netwatch.updates.published import published_store

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
