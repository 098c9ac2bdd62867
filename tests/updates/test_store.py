"""The folder of sets: one set replaces another as a whole or not at all."""

import fcntl
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.killed_update import survives
from support.sets import DAY, Publisher

from netwatch.updates.set_format import Installed, SetError
from netwatch.updates.store import MARK, SetStore, State
from netwatch.updates.update import Mode, rollback, update


def names(publisher: Publisher) -> set[str]:
    """The folders of sets."""
    return {path.name for path in (publisher.options().folder / "sets").iterdir()}


def in_use(publisher: Publisher) -> tuple[int, str]:
    """The version of the set in use, and the name that its app has beside the others."""
    found = SetStore(publisher.options().folder).open_current()
    assert found is not None
    text = (found[1] / "apps" / "clips.yaml").read_text()
    return found[0].version, text.partition("match: [www.clips.example, ")[2].partition("]")[0]


@pytest.fixture
def two(publisher: Publisher) -> Publisher:
    """Two sets, of which the second is in use."""
    for name in ("one.example", "two.example"):
        publisher.publish(name)
        update(publisher.options(), str(publisher.folder))
    return publisher


@pytest.mark.parametrize("source", ["update", "rollback"])
def test_a_kill_between_any_two_steps_leaves_one_whole_set(two: Publisher, source: str) -> None:
    two.publish("three.example")
    folder = two.options().folder
    before, after = (2, "two.example"), (3, "three.example")
    if source == "rollback":
        after = (1, "one.example")
    saved = shutil.copytree(folder, two.place / "saved", symlinks=True)
    outcomes, done, call = [], False, 0

    def act() -> None:
        if source == "rollback":
            rollback(two.options())
        else:
            update(two.options(), str(two.folder))

    while not done:
        shutil.rmtree(folder)
        shutil.copytree(saved, folder, symlinks=True)
        done = survives(act, call)
        found = in_use(two)
        assert found in (before, after)
        outcomes.append(found)
        # Whatever was left half-written harms nobody, and is removed by the next update.
        result = update(two.options(), str(two.folder), Mode(again=True))
        assert in_use(two) == (3, "three.example")
        assert result.outcome in ("installed", "current")
        assert not any(name.startswith("incoming") for name in names(two))
        assert len(names(two)) <= 2
        assert not list(folder.glob("*.new"))
        call += 1
    assert outcomes == sorted(outcomes, key=[before, after].index)
    assert outcomes[0] == before
    assert outcomes[-1] == after
    assert len(outcomes) > (3 if source == "rollback" else 10)


def test_the_previous_set_is_kept_and_older_ones_are_removed(two: Publisher) -> None:
    assert {name.partition("-")[0] for name in names(two)} == {"1", "2"}
    two.publish("three.example")
    update(two.options(), str(two.folder))
    update(two.options(), str(two.folder))
    assert {name.partition("-")[0] for name in names(two)} == {"2", "3"}


def test_a_rollback_holds_until_there_is_a_newer_set(two: Publisher) -> None:
    assert rollback(two.options()).version == 1
    assert in_use(two) == (1, "one.example")
    result = update(two.options(), str(two.folder))
    assert (result.outcome, result.offered) == ("rolled-back", 2)
    assert in_use(two) == (1, "one.example")
    with pytest.raises(SetError, match="expected a previous set, found none"):
        rollback(two.options())
    two.publish("three.example")
    assert update(two.options(), str(two.folder)).outcome == "installed"
    assert rollback(two.options()).version == 1


def test_a_set_that_was_rolled_back_is_installed_again_on_request(two: Publisher) -> None:
    rollback(two.options())
    assert update(two.options(), str(two.folder), Mode(again=True)).outcome == "installed"
    assert in_use(two) == (2, "two.example")
    assert rollback(two.options()).version == 1


def test_a_set_below_the_one_rolled_back_from_is_refused(two: Publisher) -> None:
    """An attacker who has the old keys could offer set 1 again, or another set 2."""
    two.publish("three.example")
    update(two.options(), str(two.folder))
    state = SetStore(two.options().folder).read_state()
    assert state.highest == 3
    rollback(two.options())
    shutil.rmtree(two.options().folder / "metadata")
    old = two.copy("old")
    for path in (old / "metadata").iterdir():
        if path.name != "1.root.json":
            path.unlink()
    two.folder = old
    two.publish("evil.example")
    with pytest.raises(SetError, match="set 1 is older than set 3"):
        update(two.options(), str(old))


def test_one_process_installs_at_a_time(two: Publisher) -> None:
    with (two.options().folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SetError, match="another process installs a set now"):
            update(two.options(), str(two.folder))


def _in_set(publisher: Publisher) -> Path:
    found = SetStore(publisher.options().folder).open_current()
    assert found is not None
    return found[1]


def _change(publisher: Publisher) -> None:
    path = _in_set(publisher) / "apps" / "clips.yaml"
    path.write_text(path.read_text().replace("two.example", "six.example"))


def _add(publisher: Publisher) -> None:
    (_in_set(publisher) / "apps" / "other.yaml").write_text("app: other\n")


def _remove(publisher: Publisher) -> None:
    (_in_set(publisher) / "bans" / "city-clips-2023.yaml").unlink()


def _forge_manifest(publisher: Publisher) -> None:
    path = _in_set(publisher) / "set.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 3'))


def _link(publisher: Publisher) -> None:
    apps = _in_set(publisher) / "apps"
    apps.rename(publisher.place / "apps")
    apps.symlink_to(publisher.place / "apps")


def _link_file(publisher: Publisher) -> None:
    path = _in_set(publisher) / "apps" / "clips.yaml"
    path.rename(publisher.place / "clips.yaml")
    path.symlink_to(publisher.place / "clips.yaml")


def _open_to_all(publisher: Publisher) -> None:
    _in_set(publisher).chmod(0o777)


@pytest.mark.parametrize(
    "damage", [_change, _add, _remove, _forge_manifest, _link, _link_file, _open_to_all]
)
def test_a_set_that_was_changed_is_not_read(two: Publisher, damage) -> None:
    damage(two)
    with pytest.raises(SetError, match=r"damaged|only its owner"):
        SetStore(two.options().folder).open_current()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"current": 1}', "{}", '{"current": null}'])
def test_a_damaged_state_is_an_error(two: Publisher, text: str) -> None:
    (two.options().folder / "state.json").write_text(text)
    with pytest.raises(SetError, match=r"state\.json: is damaged"):
        SetStore(two.options().folder).read_state()


def test_a_state_cannot_lead_out_of_the_folder(two: Publisher) -> None:
    path = two.options().folder / "state.json"
    content = json.loads(path.read_text())
    content["current"]["hash"] = "../../../x00"
    path.write_text(json.dumps(content))
    with pytest.raises(SetError, match="a hash has 12 hex digits"):
        SetStore(two.options().folder).open_current()


def test_a_folder_of_something_else_is_left_alone(publisher: Publisher) -> None:
    publisher.publish()
    folder = publisher.options().folder
    folder.mkdir(0o750)
    (folder / "state.json").write_text("mine")
    with pytest.raises(SetError, match="found other files"):
        update(publisher.options(), str(publisher.folder))
    with pytest.raises(SetError, match="expected a folder of netwatch's sets"):
        SetStore(folder).read_state()
    assert [path.name for path in folder.iterdir()] == ["state.json"]
    assert (folder / "state.json").read_text() == "mine"


def test_an_empty_folder_is_taken(publisher: Publisher) -> None:
    publisher.publish()
    publisher.options().folder.mkdir(0o700)
    assert update(publisher.options(), str(publisher.folder)).outcome == "installed"
    assert (publisher.options().folder / MARK).exists()


def test_a_folder_that_is_a_symbolic_link_is_refused(two: Publisher) -> None:
    folder = two.options().folder
    folder.rename(two.place / "elsewhere")
    folder.symlink_to(two.place / "elsewhere")
    with pytest.raises(SetError, match="expected a folder, found a symbolic link"):
        SetStore(folder).open_current()
    with pytest.raises(SetError, match="expected a folder, found a symbolic link"):
        update(two.options(), str(two.folder))


def test_a_folder_that_others_may_write_to_is_refused(two: Publisher) -> None:
    two.options().folder.chmod(0o775)
    with pytest.raises(SetError, match="only its owner may write to, found mode 775"):
        SetStore(two.options().folder).open_current()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_folder_of_another_user_is_not_written_to(two: Publisher) -> None:
    folder = two.options().folder
    os.chown(folder, 12345, 12345)
    assert SetStore(folder).open_current() is not None
    with pytest.raises(SetError, match="expected a folder of user 0, found one of user 12345"):
        update(two.options(), str(two.folder))


def test_nothing_is_installed_where_there_is_no_folder(tmp_path: Path) -> None:
    store = SetStore(tmp_path / "none")
    assert store.read_state() == State()
    assert store.open_current() is None
    assert not store.folder.exists()


def test_the_folder_is_for_its_owner(two: Publisher) -> None:
    old = os.umask(0)
    try:
        two.publish("three.example")
        update(two.options(), str(two.folder))
    finally:
        os.umask(old)
    for path in two.options().folder.rglob("*"):
        if "metadata" not in path.parts:
            assert path.stat().st_mode & 0o027 == 0, path


@pytest.mark.parametrize(
    ("life", "left", "soon", "expired"),
    [
        (90 * DAY, 15 * DAY, False, False),
        (90 * DAY, 13 * DAY, True, False),
        (8 * DAY, 3 * DAY, False, False),
        (8 * DAY, 1 * DAY, True, False),
        (90 * DAY, -timedelta(seconds=1), True, True),
    ],
)
def test_an_expiry_is_warned_of(
    life: timedelta, left: timedelta, soon: bool, expired: bool
) -> None:
    now = datetime.now(UTC)
    installed = Installed(1, "0" * 12, now + left - life, now + left)
    assert (installed.expires_soon(now), installed.is_expired(now)) == (soon, expired)
