"""The checks of updates: the installed set, the root of trust, and the repository."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.diagnosed import brief, files, findings, of
from support.ports import free_port
from support.sets import DAY, Publisher, served, shipped_again  # noqa: F401 - a fixture

from netwatch.cli.doctor import configuration
from netwatch.core.installing import install_command
from netwatch.updates.update import update

pytest.importorskip("tuf")


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@pytest.fixture
def site(tmp_path: Path, publisher: Publisher) -> str:
    """A configuration with a repository in a folder, of which set 1 is installed."""
    publisher.publish()
    update(publisher.options(), str(publisher.folder))
    return text_of(publisher.folder.as_uri())


def text_of(url: str) -> str:
    return f'updates: {{url: "{url}", root: root.json, folder: sets}}\n'


def test_without_updates_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert findings(configuration.check_updates, tmp_path, "") == []


def test_a_subscriber_that_is_well_is_left_as_it_is(tmp_path: Path, site: str) -> None:
    before = files(tmp_path / "sets")
    found = findings(configuration.check_updates, tmp_path, site)
    assert brief(found) == ["ok set", "ok sets", "ok root", "ok repository"]
    assert "made 0 days ago" in of(found, "set").text
    assert of(found, "root").text.startswith("version 1, valid until ")
    assert of(found, "repository").text.endswith("answers, its newest set is 1")
    assert files(tmp_path / "sets") == before


def test_a_newer_set(tmp_path: Path, site: str, publisher: Publisher) -> None:
    publisher.publish("two.example")
    with served(publisher.folder) as url:
        found = findings(configuration.check_updates, tmp_path, text_of(url))
    assert of(found, "repository").level == "warn"
    assert of(found, "repository").text.endswith("has set 2")
    assert of(found, "set").text.startswith("builtin is set 1 ")


def test_no_set_yet(tmp_path: Path, publisher: Publisher) -> None:
    publisher.publish()
    found = findings(configuration.check_updates, tmp_path, text_of(publisher.folder.as_uri()))
    assert brief(found) == ["bad set", "ok sets", "ok root", "ok repository"]
    assert not (tmp_path / "sets").exists()


def test_a_set_that_ends_soon(tmp_path: Path, publisher: Publisher) -> None:
    publisher.publish(life=80 * DAY, ago=75 * DAY, timestamp_life=80 * DAY)
    update(publisher.options(), str(publisher.folder))
    found = of(
        findings(configuration.check_updates, tmp_path, text_of(publisher.folder.as_uri())), "set"
    )
    assert found.level == "warn"
    assert "made 75 days ago" in found.text


@pytest.mark.parametrize(("days", "level"), [(-5, "bad"), (10, "warn"), (40, "ok")])
def test_the_life_of_the_root(
    tmp_path: Path, site: str, days: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuf.api.metadata import Metadata, Root

    path = tmp_path / "sets" / "metadata" / "root.json"
    root = Metadata[Root].from_bytes(path.read_bytes())
    root.signed.expires = (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)
    path.unlink()
    path.write_bytes(root.to_bytes())
    assert of(findings(configuration.check_updates, tmp_path, site), "root").level == level


def test_a_root_that_is_none(tmp_path: Path, publisher: Publisher) -> None:
    publisher.root.write_text("a shopping list")
    found = findings(configuration.check_updates, tmp_path, text_of(publisher.folder.as_uri()))
    assert of(found, "root").level == "bad"
    assert of(found, "repository").level == "bad"


def test_a_repository_that_does_not_answer(tmp_path: Path, site: str) -> None:
    found = findings(
        configuration.check_updates, tmp_path, text_of(f"http://127.0.0.1:{free_port()}/")
    )
    assert of(found, "repository").level == "bad"
    assert "it cannot be reached" in of(found, "repository").text


def test_a_repository_that_serves_an_old_state(tmp_path: Path, publisher: Publisher) -> None:
    publisher.publish(ago=20 * DAY)
    found = findings(configuration.check_updates, tmp_path, text_of(publisher.folder.as_uri()))
    assert "past its expiry" in of(found, "repository").text


def test_what_is_not_installed_is_said(
    tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tuf.ngclient", None)
    found = findings(configuration.check_updates, tmp_path, site)
    assert found[-1].text == f"updates needs an extra: {install_command('updates')}"
