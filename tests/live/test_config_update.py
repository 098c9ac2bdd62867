"""A changed configuration is noticed, read as a whole in a thread, and returned once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from support.office import CONFIG, configured
from support.waiting import wait_until

from netwatch.config import Config, load
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.live.config_update import ConfigUpdate, Reloader, fingerprint
from netwatch.live.events import Event, Note, ReloadRefused, is_warning


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    own = CONFIG.replace("signatures: [builtin]", "signatures: [builtin, own]")
    signature = "app: own\nname: Own\nvendor: own\ncategory: video\ndomains:\n"
    signature += "  - {suffix: own.example, role: exclusive, sources: [observed]}\n"
    (tmp_path / "own" / "own.yaml").write_text(signature)
    return Path(configured(tmp_path, own))


def wait_for_result(reloader: Reloader) -> Config | NetwatchError:
    results: list[Config | NetwatchError] = []

    def is_done() -> bool:
        result = reloader.poll()
        results.extend([result] if result is not None else [])
        return bool(results)

    wait_until(is_done)
    return results[0]


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


def _added(path: Path) -> None:
    text = (path.parent / "own" / "own.yaml").read_text().replace("own", "two")
    (path.parent / "own" / "two.yaml").write_text(text)


def _replaced(path: Path) -> None:
    other = path.with_name("new")
    other.write_text(path.read_text())
    other.replace(path)


def _removed(path: Path) -> None:
    (path.parent / "own" / "own.yaml").unlink()


@pytest.mark.parametrize("change", [_edit, _inventory, _signature, _added, _replaced, _removed])
def test_a_change_is_noticed_once_the_files_are_stable(
    place: Path, change: Callable[[Path], None]
) -> None:
    reloader = Reloader(str(place), load(str(place)))
    assert not reloader.has_changed()
    change(place)
    assert not reloader.has_changed()
    assert reloader.has_changed()
    reloader.start()
    assert not reloader.has_changed()


def test_a_result_is_returned_and_the_next_change_noticed(place: Path) -> None:
    before = load(str(place))
    reloader = Reloader(str(place), before)
    assert reloader.poll() is None
    place.write_text(place.read_text().replace("quiet_gap: 30m", "quiet_gap: 5m"))
    reloader.start()
    assert reloader.is_reading
    result = wait_for_result(reloader)
    assert isinstance(result, Config)
    assert (result.quiet_gap, before.quiet_gap) == (300 * 10**9, 1800 * 10**9)
    assert not reloader.is_reading
    assert not reloader.has_changed()
    _edit(place)
    reloader.has_changed()
    assert reloader.has_changed()


def test_all_mistakes_are_returned_and_not_read_again_until_a_change(place: Path) -> None:
    reloader = Reloader(str(place), load(str(place)))
    place.write_text(place.read_text() + "colour: red\nshape: round\n")
    reloader.start()
    result = wait_for_result(reloader)
    assert isinstance(result, ConfigError)
    assert "colour" in str(result)
    assert "shape" in str(result)
    assert not reloader.has_changed()
    assert not reloader.has_changed()


def test_a_file_that_cannot_be_read_is_an_error(place: Path) -> None:
    def broken(path: str | None) -> Config:
        raise PermissionError(13, "Permission denied", path)

    reloader = Reloader(str(place), load(str(place)), broken)
    reloader.start()
    assert str(wait_for_result(reloader)) == f"{place}: Permission denied"


def test_requests_during_a_read_cause_one_more_read(place: Path) -> None:
    read: list[str | None] = []

    def counted(path: str | None) -> Config:
        read.append(path)
        return load(path)

    reloader = Reloader(str(place), load(str(place)), counted)
    reloader.start()
    reloader.start()
    reloader.start()
    wait_for_result(reloader)
    wait_for_result(reloader)
    assert reloader.poll() is None
    assert len(read) == 2


def test_built_in_defaults_have_no_files() -> None:
    assert fingerprint(()) == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sensor: {name: !!timestamp x}", "expected a date, as the tag !!timestamp requires"),
        ("sensor: {name: !!bool x}", "expected true or false, as the tag !!bool requires"),
        ('sensor: {name: !!int ""}', "expected an integer, as the tag !!int requires"),
        ('sensor: {name: !!float ""}', "expected a number, as the tag !!float requires"),
        ("sensor: !!str {name: x}", "expected a value without the tag !!str"),
        ("sensor: {name: *x}", "expected values written out, found an alias"),
        ("sensor: " + "[" * 5_000, "exceeded maximum nesting depth"),
        ("sensor: {name: \0}", "expected text, found the character U+0000"),
        (f"version: {'9' * 5_000}", "expected a number or date of at most 100 characters"),
        (
            'devices: {inventory: "a\\0b"}',
            "cannot be read: the name contains a NUL byte or an invalid character",
        ),
        ("devices: {inventory: /dev/zero}", "cannot be read: expected a file, found a device"),
        ("signatures: [/dev/zero]", "cannot be read: expected a file, found a device"),
        ("geoip: {asn: /dev/zero}", "cannot be read: expected a file, found a device"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_refused_and_the_next_one_is_read(
    place: Path, line: str, message: str
) -> None:
    good = place.read_text()
    reloader = Reloader(str(place), load(str(place)))
    place.write_text(line if line.startswith("version") else f"version: 1\n{line}\n")
    reloader.start()
    result = wait_for_result(reloader)
    assert isinstance(result, ConfigError)
    assert message in str(result)
    assert len(str(result)) < 1_000
    place.write_text(good)
    reloader.start()
    assert isinstance(wait_for_result(reloader), Config)


def test_a_defect_is_reported_as_the_reason(place: Path) -> None:
    def fail(_: str | None) -> Config:
        raise KeyError("a defect")

    reloader = Reloader(str(place), load(str(place)), fail)
    reloader.start()
    result = wait_for_result(reloader)
    assert str(result) == "the configuration cannot be read: KeyError: 'a defect'"


@pytest.fixture
def update(place: Path) -> Callable[..., tuple[ConfigUpdate, list[Event]]]:
    """Makes the update of a capture with a reader of configurations, and its events."""

    def made(
        read: Callable[[str | None], Config],
    ) -> tuple[ConfigUpdate, list[Event]]:
        events: list[Event] = []
        config = load(str(place))
        nothing: Any = MagicMock()
        reloader = Reloader(str(place), config, read)
        return ConfigUpdate(
            config, reloader, pool=nothing, receiver=nothing, incidents=nothing, emit=events.append
        ), events

    return made


def test_whether_a_user_can_read_the_configuration_is_tried_at_the_start(
    update: Callable[..., tuple[ConfigUpdate, list[Event]]],
) -> None:
    def fail(_: str | None) -> Config:
        raise LookupError("unknown encoding: utf-8-sig")

    made, events = update(fail)
    made.try_reload("nobody")
    wait_until(made.poll)
    assert (made.applied, made.refused) == (0, 1)
    first, second = events
    assert isinstance(first, Note)
    assert is_warning(first)
    assert "user 'nobody' cannot read the configuration" in first.text
    assert isinstance(second, ReloadRefused)
    assert "unknown encoding" in second.error


def test_what_is_read_at_the_start_is_not_applied_once_more_unless_it_differs(
    place: Path, update: Callable[..., tuple[ConfigUpdate, list[Event]]]
) -> None:
    made, events = update(load)
    made.try_reload("nobody")
    wait_until(made.poll)
    assert (made.applied, made.refused, events) == (0, 0, [])
    place.write_text(place.read_text().replace("quiet_gap: 30m", "quiet_gap: 5m"))
    made.try_reload("nobody")
    wait_until(made.poll)
    assert (made.applied, made.config.quiet_gap) == (1, 300 * 10**9)
