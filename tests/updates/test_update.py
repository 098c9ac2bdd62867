"""What a publisher does: keys, sets, timestamps, rotation."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.killed_update import survives
from support.sets import DAY, Publisher, signatures

from netwatch.core.errors import ConfigError
from netwatch.updates.repository import ROLES, KeyFolder, Repository
from netwatch.updates.set_format import SetError
from netwatch.updates.update import read_examined, update


def signed(publisher: Publisher, name: str) -> dict:
    """The signed part of a file of metadata."""
    return json.loads((publisher.folder / "metadata" / name).read_text())["signed"]


def test_keys_are_for_their_owner_only(publisher: Publisher) -> None:
    paths = sorted(publisher.keys.folder.iterdir())
    assert sorted(path.name.partition("-")[0] for path in paths) == sorted(ROLES)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert stat.S_IMODE(publisher.keys.folder.stat().st_mode) & 0o077 == 0


def test_keys_are_for_their_owner_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        made = Publisher(tmp_path / "made")
    finally:
        os.umask(old)
    assert {stat.S_IMODE(p.stat().st_mode) for p in made.keys.folder.iterdir()} == {0o600}


def test_nothing_is_overwritten(publisher: Publisher, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in publisher.place.rglob("*") if path.is_file()}
    with pytest.raises(SetError, match="expected a new repository"):
        publisher.repository().create()
    with pytest.raises(SetError, match="expected a folder without keys"):
        Repository(tmp_path / "new", publisher.keys).create()
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize("damage", ["mode", "text", "other key", "missing", "link"])
def test_a_key_that_cannot_be_used_is_an_error(publisher: Publisher, damage: str) -> None:
    (path,) = publisher.keys.folder.glob("targets-*.pem")
    if damage == "mode":
        path.chmod(0o640)
    elif damage == "text":
        path.write_text("no key")
    elif damage == "link":
        path.rename(publisher.place / "key")
        path.symlink_to(publisher.place / "key")
    else:
        path.unlink()
        if damage == "other key":
            KeyFolder(publisher.keys.folder).create("targets")
    with pytest.raises(SetError, match=r"targets-[0-9a-f]{8}\.pem"):
        publisher.publish()
    assert not (publisher.folder / "metadata" / "timestamp.json").exists()


def test_versions_rise_and_lives_are_those_asked_for(publisher: Publisher) -> None:
    first = publisher.publish("one.example", life=30 * DAY, timestamp_life=2 * DAY)
    second = publisher.publish("two.example", life=1 * DAY, timestamp_life=2 * DAY)
    assert (first.version, second.version) == (1, 2)
    assert first.expires - first.created == 30 * DAY
    now = datetime.now(UTC)

    def left(name: str) -> timedelta:
        expires = datetime.strptime(signed(publisher, name)["expires"], "%Y-%m-%dT%H:%M:%SZ")
        return expires.replace(tzinfo=UTC) - now

    assert abs(left("1.targets.json") - 30 * DAY) < timedelta(minutes=1)
    assert abs(left("1.snapshot.json") - 30 * DAY) < timedelta(minutes=1)
    # A timestamp does not outlive what it stands for.
    assert abs(left("timestamp.json") - 1 * DAY) < timedelta(minutes=1)
    assert signed(publisher, "timestamp.json")["meta"]["snapshot.json"]["version"] == 2
    assert {"length", "hashes"} < set(signed(publisher, "2.snapshot.json")["meta"]["targets.json"])


def test_problems_name_the_files_of_the_publisher(publisher: Publisher, tmp_path: Path) -> None:
    folder = signatures(tmp_path / "signatures")
    (folder / "apps" / "more.yaml").write_text(
        "app: more\nname: More\nvendor: other\ncategory: video\n"
        "domains: [{suffix: clips.example, role: exclusive, sources: [observed]}]\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_examined(folder)
    texts = [str(problem) for problem in caught.value.problems]
    assert any(text.startswith(f"{folder}/apps/more.yaml:5: ") for text in texts), texts
    assert "/tmp/netwatch-" not in "".join(texts)


def test_a_publisher_that_is_killed_harms_no_subscriber(publisher: Publisher) -> None:
    publisher.publish("one.example")
    update(publisher.options(), str(publisher.folder))
    call, done = 0, False
    offered = []
    while not done:
        done = survives(lambda: publisher.publish("two.example"), call)
        result = update(publisher.options(), str(publisher.folder))
        assert result.installed is not None
        offered.append(result.offered)
        call += 1
        if result.offered > 1 and not done:
            break
    assert offered[0] == 1
    assert offered == sorted(offered)
    assert len(offered) > 5
    assert publisher.publish("three.example").version == offered[-1] + 1
    assert update(publisher.options(), str(publisher.folder)).outcome == "installed"


def test_a_new_timestamp_needs_a_set(publisher: Publisher) -> None:
    with pytest.raises(SetError, match="expected a repository with a set"):
        publisher.repository().refresh(DAY)
    with pytest.raises(SetError, match="--init makes one"):
        Repository(publisher.place / "none", publisher.keys).root()


def test_a_rotation_keeps_old_roots_and_keys(publisher: Publisher) -> None:
    publisher.publish()
    before = set(publisher.keys.folder.iterdir())
    path = publisher.repository().rotate(["root", "timestamp"], DAY)
    assert path.name == "2.root.json"
    after = set(publisher.keys.folder.iterdir())
    assert before < after
    assert len(after) == len(before) + 2
    signatures_ = json.loads(path.read_text())["signatures"]
    assert len(signatures_) == 2
    old, new = signed(publisher, "1.root.json"), signed(publisher, "2.root.json")
    for role in ROLES:
        same = old["roles"][role]["keyids"] == new["roles"][role]["keyids"]
        assert same is (role not in ("root", "timestamp"))
    assert not set(old["roles"]["root"]["keyids"]) & set(new["keys"])


def test_a_rotation_before_the_first_set(publisher: Publisher) -> None:
    publisher.repository().rotate(["targets"], DAY)
    publisher.publish()
    assert update(publisher.options(), str(publisher.folder)).outcome == "installed"


def test_a_rotation_without_the_key_of_the_root_changes_nothing(publisher: Publisher) -> None:
    publisher.publish()
    (path,) = publisher.keys.folder.glob("root-*.pem")
    path.unlink()
    before = sorted(publisher.place.rglob("*"))
    with pytest.raises(SetError, match="expected the key root-"):
        publisher.repository().rotate(["targets"], DAY)
    assert sorted(publisher.place.rglob("*")) == before


def test_a_root_that_expires_soon_is_told(publisher: Publisher) -> None:
    assert not publisher.repository().root_expires_soon()
    assert publisher.repository(ago=-4.6 * 365 * DAY).root_expires_soon()
    publisher.repository(ago=-4.6 * 365 * DAY).rotate(["timestamp"], DAY)
    assert not publisher.repository(ago=-4.6 * 365 * DAY).root_expires_soon()


def test_one_process_publishes_at_a_time(publisher: Publisher) -> None:
    import fcntl

    descriptor = os.open(publisher.folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(SetError, match="another process publishes now"):
            publisher.publish()
    finally:
        os.close(descriptor)
