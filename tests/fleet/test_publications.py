import json
from functools import partial
from pathlib import Path

import pytest
from support.fleet_bundles import Centre
from support.killed_update import survives

from netwatch.core.errors import NetwatchError
from netwatch.fleet.access import open_signing_key, read_public_key


def test_versions_count_for_a_kind_over_all_audiences(centre: Centre) -> None:
    published = [
        centre.publish_set(),
        centre.publish_configuration(),
        centre.publish_set(audience="sensor.ghent-1"),
        centre.publish_set(),
    ]
    assert [each.bundle.manifest.version for each in published] == [1, 1, 2, 3]
    listed = [
        (each.bundle.kind, each.bundle.audience, each.bundle.manifest.version)
        for each in centre.publications.listing()
    ]
    assert listed == [
        ("configuration", "all", 1),
        ("set", "sensor.ghent-1", 2),
        ("set", "all", 3),
    ]


def test_no_version_is_given_twice_wherever_the_publisher_is_killed(centre: Centre) -> None:
    seen: dict[int, str] = {}
    call, done = 0, False
    while not done:
        done = survives(partial(centre.publish_set, f"n{call}.example"), call)
        for each in centre.publications.listing():
            version, hash_ = each.bundle.manifest.version, each.bundle.hash
            assert seen.setdefault(version, hash_) == hash_
        call += 1
    assert len(seen) > 1
    assert not [path for path in centre.publications.folder.iterdir() if path.stat().st_mode & 0o77]


def test_damaged_versions_are_named_and_nothing_is_published(centre: Centre) -> None:
    centre.publish_set()
    path = centre.publications.folder / "versions.json"
    for text in ('{"set": "x"}', "[]", "{", json.dumps({"set": -5}), json.dumps({"set": 10**9})):
        path.write_text(text)
        with pytest.raises(NetwatchError, match="versions"):
            centre.publish_set()
    assert centre.publications.listing()[0].bundle.manifest.version == 1


def test_a_damaged_bundle_is_named(centre: Centre) -> None:
    centre.publish_set()
    path = centre.publications.folder / "set.all.bundle"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(NetwatchError, match=r"set\.all\.bundle.*publish it again"):
        centre.publications.listing()


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc/passwd", ".hidden", "a" * 101, "a b"])
def test_a_configuration_has_only_names_inside_of_its_folder(centre: Centre, name: str) -> None:
    files = {"netwatch.yaml": b"version: 1\n", name: b""}
    with pytest.raises(NetwatchError):
        centre.publications.publish("configuration", "all", files)


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    first, second = open_signing_key(tmp_path / "keys"), open_signing_key(tmp_path / "keys")
    assert (first.public, first.key_id) == (second.public, second.key_id)
    assert list(read_public_key(first.public)) == [first.key_id]
    with pytest.raises(NetwatchError, match="64 hexadecimal"):
        read_public_key("AAAA")
