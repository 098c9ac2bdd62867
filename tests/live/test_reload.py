"""A changed configuration is seen, read whole beside the work, and told."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.office import CONFIG, configured

from netwatch.config import Config, load
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.live.reload import Reloader, stamp


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    own = CONFIG.replace("signatures: [builtin]", "signatures: [builtin, own]")
    signature = "app: own\nname: Own\nvendor: own\ncategory: video\ndomains:\n"
    signature += "  - {suffix: own.example, role: exclusive, sources: [observed]}\n"
    (tmp_path / "own" / "own.yaml").write_text(signature)
    return Path(configured(tmp_path, own))


def awaited(reloader: Reloader) -> Config | NetwatchError:
    deadline = time.monotonic() + 30
    while (found := reloader.take()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_a_configuration_knows_its_files_and_its_version(place: Path) -> None:
    config = load(str(place))
    assert set(config.files) == {
        str(place),
        str(place.parent / "devices.csv"),
        str(place.parent / "own"),
    }
    assert load(str(place)).version == config.version
    place.write_text(place.read_text().replace("quiet_gap: 30m", "quiet_gap: 5m"))
    assert load(str(place)).version != config.version


def _edit(path: Path) -> None:
    path.write_text(path.read_text() + "\n")


def _inventory(path: Path) -> None:
    _edit(path.parent / "devices.csv")


def _signature(path: Path) -> None:
    _edit(path.parent / "own" / "own.yaml")


def _another(path: Path) -> None:
    text = (path.parent / "own" / "own.yaml").read_text().replace("own", "two")
    (path.parent / "own" / "two.yaml").write_text(text)


def _replaced(path: Path) -> None:
    other = path.with_name("new")
    other.write_text(path.read_text())
    other.replace(path)


def _gone(path: Path) -> None:
    (path.parent / "own" / "own.yaml").unlink()


@pytest.mark.parametrize("change", [_edit, _inventory, _signature, _another, _replaced, _gone])
def test_each_change_is_seen_once_it_stands_still(
    place: Path, change: Callable[[Path], None]
) -> None:
    reloader = Reloader(str(place), load(str(place)))
    assert not reloader.changed()
    change(place)
    assert not reloader.changed()
    assert reloader.changed()
    reloader.start()
    assert not reloader.changed()


def test_what_was_read_is_taken_and_the_next_change_seen(place: Path) -> None:
    before = load(str(place))
    reloader = Reloader(str(place), before)
    assert reloader.take() is None
    place.write_text(place.read_text().replace("quiet_gap: 30m", "quiet_gap: 5m"))
    reloader.start()
    assert reloader.busy
    found = awaited(reloader)
    assert isinstance(found, Config)
    assert (found.quiet_gap, before.quiet_gap) == (300 * 10**9, 1800 * 10**9)
    assert not reloader.busy
    assert not reloader.changed()
    _edit(place)
    reloader.changed()
    assert reloader.changed()


def test_mistakes_are_told_all_and_not_again_until_something_changes(place: Path) -> None:
    reloader = Reloader(str(place), load(str(place)))
    place.write_text(place.read_text() + "colour: red\nshape: round\n")
    reloader.start()
    found = awaited(reloader)
    assert isinstance(found, ConfigError)
    assert "colour" in str(found)
    assert "shape" in str(found)
    assert not reloader.changed()
    assert not reloader.changed()


def test_a_file_that_cannot_be_read_is_an_error_and_no_end(place: Path) -> None:
    def broken(path: str | None) -> Config:
        raise PermissionError(13, "Permission denied", path)

    reloader = Reloader(str(place), load(str(place)), broken)
    reloader.start()
    assert str(awaited(reloader)) == f"{place}: Permission denied"


def test_asked_twice_it_reads_once_more_behind(place: Path) -> None:
    read: list[str | None] = []

    def counted(path: str | None) -> Config:
        read.append(path)
        return load(path)

    reloader = Reloader(str(place), load(str(place)), counted)
    reloader.start()
    reloader.start()
    reloader.start()
    awaited(reloader)
    awaited(reloader)
    assert reloader.take() is None
    assert len(read) == 2


def test_built_in_defaults_have_no_files() -> None:
    assert stamp(()) == ()
