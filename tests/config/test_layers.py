"""What a sensor judges by when its centre has published something to it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fleet_bundles import CONFIGURATION, Centre

from netwatch.cli import main
from netwatch.config import examine_configuration, load, load_catalog
from netwatch.config.layers import PUBLISHED_KEYS
from netwatch.core.errors import ConfigError
from netwatch.fleet.published_feed import Applier
from netwatch.rules.load import use_builtin

LOCAL = """\
version: 1
networks:
  - {name: local, cidrs: [192.0.2.0/24], class: service}
search_suffixes: [corp.example]
store: {path: store}
metrics: {listen: "127.0.0.1:9477"}
fleet: {sensor: ghent-1, centre: "tls://nats.example:4222", credentials: sensor.creds,
        published: published}
"""


class Sensor:
    """A sensor with its local file, and an applier as the running capture has one."""

    def __init__(self, place: Path, centre: Centre) -> None:
        self.centre = centre
        self.path = place / "netwatch.yaml"
        self.path.write_text(LOCAL)
        (place / "sensor.creds").write_text("")
        self.applier: Applier = centre.applier(folder=str(place / "published"))

    def publish(self, text: str = CONFIGURATION, **files: str) -> None:
        result = self.applier.offer(self.centre.publish_configuration(text, **files).data)
        assert result is not None
        assert result.state == "applied", result.reason


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Sensor]:
    yield Sensor(tmp_path, Centre(tmp_path / "centre"))
    use_builtin(None)


def test_published_sections_take_the_place_of_local_ones_and_others_stay(sensor: Sensor) -> None:
    before = load(str(sensor.path))
    assert [scope.network.name for scope in before.networks.scopes] == ["local"]
    assert before.published is not None
    assert before.published.configuration is None
    sensor.publish(
        CONFIGURATION + "devices: {inventory: devices.csv}\n",
        devices="id,mac,ip,hostname,owner,class\npc-7,,10.20.0.7,,Ann,service\n",
    )
    config = load(str(sensor.path))
    assert [scope.network.name for scope in config.networks.scopes] == ["hq"]
    assert [ban.id for ban in config.policy.bans] == ["b"]
    assert config.devices.find("pc-7") is not None
    # What the published file does not have, and what cannot be published, is local.
    assert config.search_suffixes == ("corp.example",)
    assert (config.store and config.store.path) == str(sensor.path.parent / "store")
    assert config.metrics is not None
    assert config.sensor.name == "ghent-1"
    assert config.published is not None
    assert config.published.configuration is not None
    assert config.published.configuration.version == 1
    assert config.version != before.version
    assert any("configuration 1 of the centre" in note for note in config.notes)
    # The running capture notices the next one as a changed file.
    assert {path.rpartition("/published/")[2] for path in config.published.state_files} == {
        "set/state.json", "configuration/state.json"
    }  # fmt: skip
    assert set(config.published.state_files) < set(config.files)
    assert any(path.endswith("/devices.csv") for path in config.files)


def test_a_published_set_is_what_builtin_stands_for(sensor: Sensor) -> None:
    sensor.path.write_text(LOCAL + "bans: [{pack: city-clips-2023}]\n")
    sensor.applier.offer(sensor.centre.publish_set().data)
    config = load(str(sensor.path))
    assert list(config.catalog.signatures) == ["clips"]
    assert config.installed is not None
    assert config.sensor.installed_set is not None
    assert config.sensor.installed_set.version == 1
    assert list(load_catalog(str(sensor.path)).signatures) == ["clips"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("outputs: []\n", "'outputs' cannot be published, it is local to each sensor"),
        ("store: {path: /tmp/x}\n", "'store' cannot be published"),
        ("fleet: {}\n", "'fleet' cannot be published"),
        ("netwrks: []\n", "'netwrks' cannot be published"),
        ("bans:\n  - {pack: no-such-ban}\n", "no-such-ban"),
        ("exemptions:\n  - {ban: gone, device: x}\n", "'ban': expected the id of a ban"),
        ("signatures: [missing/]\n", "expected a file or folder of signatures"),
        ("devices: {inventory: gone.csv}\n", "cannot be read"),
    ],
)
def test_a_configuration_with_mistakes_is_named_with_file_and_line(
    sensor: Sensor, tmp_path: Path, text: str, problem: str
) -> None:
    folder = tmp_path / "candidate"
    folder.mkdir()
    (folder / "netwatch.yaml").write_text(f"version: 1\n{text}")
    problems = examine_configuration(str(sensor.path), folder)
    assert any(problem in each.message for each in problems)
    assert all(each.file.startswith(str(folder)) for each in problems)
    # Nothing of it is in use.
    assert [scope.network.name for scope in load(str(sensor.path)).networks.scopes] == ["local"]


def test_a_local_section_that_does_not_fit_refuses_the_published_one(
    sensor: Sensor, tmp_path: Path
) -> None:
    sensor.path.write_text(LOCAL + "exemptions:\n  - {ban: default, device: 192.0.2.9}\n")
    folder = tmp_path / "candidate"
    folder.mkdir()
    (folder / "netwatch.yaml").write_text(CONFIGURATION)
    (problem,) = examine_configuration(str(sensor.path), folder)
    assert (problem.file, problem.line) == (str(sensor.path), 10)


def test_what_was_changed_on_disk_is_not_used(sensor: Sensor) -> None:
    sensor.publish()
    (path,) = (sensor.path.parent / "published").rglob("netwatch.yaml")
    path.chmod(0o600)
    path.write_text(CONFIGURATION.replace("service", "guest"))
    with pytest.raises(ConfigError, match="what the centre published is damaged"):
        load(str(sensor.path))


def test_bans_of_a_command_replace_published_ones(sensor: Sensor, tmp_path: Path) -> None:
    from netwatch.config.layers import Replacements

    sensor.publish()
    other = tmp_path / "other.yaml"
    other.write_text(CONFIGURATION.replace("id: b,", "id: other,"))
    config = load(str(sensor.path), replacements=Replacements(bans=str(other)))
    assert [ban.id for ban in config.policy.bans] == ["other"]
    assert [scope.network.name for scope in config.networks.scopes] == ["hq"]


def test_policy_check_shows_the_published_configuration(
    sensor: Sensor, capsys: pytest.CaptureFixture[str]
) -> None:
    sensor.publish()
    assert main(["policy", "check", "-c", str(sensor.path), "--format", "jsonl"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["name"] for each in records if each["kind"] == "network"] == ["hq"]


def test_no_key_with_secrets_or_outputs_can_be_published() -> None:
    local = {"outputs", "store", "fleet", "spool", "metrics", "privacy", "updates", "console"}
    assert not local & set(PUBLISHED_KEYS)
