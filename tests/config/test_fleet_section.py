"""What ``fleet:`` of a configuration may say."""

from pathlib import Path

import pytest

from netwatch.config import load
from netwatch.config.fleet_section import SensorLimit
from netwatch.core.errors import ConfigError


def read(folder, text):
    path = Path(folder, "netwatch.yaml")
    path.write_text(f"version: 1\n{text}\n")
    return load(str(path))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sensor.creds").write_text("")
    return tmp_path


def test_sensor_is_called_in_alerts_as_in_its_fleet(folder):
    config = read(folder, 'fleet: {sensor: brussels-1, centre: "tls://nats.example:4222",'
                          " credentials: sensor.creds}")  # fmt: skip
    assert config.fleet.credentials == folder / "sensor.creds"
    assert (config.fleet.sensor, config.fleet.server) == ("brussels-1", None)
    assert config.sensor_name == "brussels-1"


def test_centre_listens_on_the_port_of_its_url(folder):
    config = read(folder, 'fleet: {centre: "tls://nats.example:4333", server: {folder: f}}')
    server = config.fleet.server
    assert (server.host, server.port, server.folder) == ("0.0.0.0", 4333, folder / "f")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{sensor: a, credentials: sensor.creds}", "expected a URL like tls://"),
        ('{centre: "nats://192.0.2.1", server: {}}', "nats:// is for loopback"),
        ('{centre: "tls://nats.example/x", server: {}}', "without a path"),
        ('{centre: "tls://u:p@nats.example", server: {}}', "contains a user or password"),
        ('{centre: "tls://nats.example"}', "'sensor' and 'credentials' for a sensor"),
        (
            '{centre: "tls://a", sensor: a, credentials: sensor.creds, server: {}}',
            "or 'server' for a centre",
        ),
        ('{centre: "tls://a", sensor: a}', "netwatch fleet enrol a"),
        ('{centre: "tls://a", sensor: A.b, credentials: sensor.creds}', "like brussels-1"),
        ('{centre: "tls://a", sensor: a, credentials: no.creds}', "there is no file"),
        ('{centre: "tls://a", server: {certificate: sensor.creds}}', "'key' together"),
        ('{centre: "tls://a", server: {join: "tls://b", listen: ":1"}}', "has no 'listen'"),
        ('{centre: "tls://a", server: {credentials: sensor.creds}}', "'join' next to it"),
        ('{centre: "tls://a", server: {listen: nowhere}}', "expected an address and port"),
        ('{centre: "tls://a", server: {max_bytes: 1k}}', "at least 67,108,864 bytes"),
        ('{centre: "tls://a", server: {listne: ":1"}}', "listne"),
        ('{centre: "tls://a", server: {}, sensors: {A.b: {}}}', "like brussels-1"),
        ('{centre: "tls://a", server: {}, sensors: {a: {networks: hq}}}', "'networks'"),
        ('{centre: "tls://a", server: {}, sensors: {a: {netwoks: [hq]}}}', "netwoks"),
        ('{centre: "tls://a", server: {}, sensors: {a: [hq]}}', "'a'"),
        ('{centre: "tls://a", server: {}, sensors: {a: {devices: kiosk}}}', "devices"),
        ('{centre: "tls://a", server: {}, sensors: {a: {devices: [[kiosk]]}}}', "devices"),
        (
            '{centre: "tls://a", sensor: a, credentials: sensor.creds, sensors: {b: {}}}',
            "'server' next to it",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(folder, text, expected):
    with pytest.raises(ConfigError) as caught:
        read(folder, f"fleet: {text}")
    assert expected in str(caught.value)
    assert all(problem.line == 2 for problem in caught.value.problems)


def test_a_centre_says_what_a_sensor_may_speak_of(folder):
    config = read(folder, 'fleet: {centre: "tls://a", server: {folder: f},'
                          " sensors: {brussels-1: {networks: [hq, byod]}, ghent-1: {networks: []},"
                          " liege-1: {}, namur-1: {devices: [kiosk-*]}}}")  # fmt: skip
    assert config.fleet.sensors == {
        "brussels-1": SensorLimit(frozenset({"hq", "byod"})),
        "ghent-1": SensorLimit(frozenset()),
        "liege-1": SensorLimit(),
        "namur-1": SensorLimit(devices=("kiosk-*",)),
    }


def test_sensor_has_one_name(folder):
    with pytest.raises(ConfigError, match="as 'fleet' calls this sensor"):
        read(folder, 'sensor: {name: b}\nfleet: {sensor: a, centre: "tls://a",'
                     " credentials: sensor.creds}")  # fmt: skip
