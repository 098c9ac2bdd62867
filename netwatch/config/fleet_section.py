"""``fleet:`` of netwatch.yaml: a sensor that reports to a centre, or the centre itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.core.sensor_name import EXPECTED, is_sensor_name
from netwatch.core.user_yaml import Fields
from netwatch.sinks.options import read_duration, read_file_path, read_size, read_url
from netwatch.watch.endpoint_options import parse_listen_address

DEFAULT_PORT = 4222
"""The port of NATS."""

SYSTEM_FOLDER = Path("/var/lib/netwatch/fleet")
"""Where sensor and centre keep their state unless the configuration names a folder."""

MIN_SILENCE = 15.0
"""The least time in s after which a sensor can count as silent."""

PUBLISHED_FOLDER = SYSTEM_FOLDER / "published"
"""Where a sensor keeps what was published to it unless the configuration names a folder."""


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """Where facts wait until the centre has committed them: a `folder`, and how many bytes it may
    have until the oldest are evicted."""

    folder: Path = SYSTEM_FOLDER / "spool"
    max_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The server of the centre. It listens on `host` and `port`, or, with the URL `join`, is one
    that runs already. `folder` has keys, credentials of sensors, and what the server stores.
    `certificate` and `key` are empty where the centre has an authority of its own; `ca` verifies
    them, empty for those of the system. `credentials` is a credentials file of NATS for a server
    that is joined. The stream takes `max_bytes`, and keeps a message for `max_age` s. A sensor is
    silent that gave no sign of life for `silence` s."""

    host: str = "0.0.0.0"
    port: int = DEFAULT_PORT
    folder: Path = SYSTEM_FOLDER
    certificate: str = ""
    key: str = ""
    ca: str = ""
    join: str = ""
    credentials: Path | None = None
    max_bytes: int = 4 << 30
    max_age: float = 7 * 86400.0
    silence: float = 60.0


@dataclass(frozen=True, slots=True)
class SensorLimit:
    """What a sensor may speak of: `networks` by name, and patterns (fnmatch) of the ids of
    `devices` of an inventory; None for all."""

    networks: frozenset[str] | None = None
    devices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """`centre` is the URL under which sensors reach the server. A sensor has its name in `sensor`,
    and `credentials`, the file that the centre made for it; `server` is None there. `published` is
    the folder with what the centre published to it. A centre has `server`, and `sensor` is empty;
    `sensors` has there the limits of what sensors may speak of, by name.
    """

    centre: str
    sensor: str = ""
    credentials: Path | None = None
    spool: SpoolOptions = SpoolOptions()
    server: ServerOptions | None = None
    published: Path = PUBLISHED_FOLDER
    sensors: Mapping[str, SensorLimit] = attribute(default_factory=dict)


def fleet_section(fields: Fields, base: Path) -> FleetOptions | None:
    """The fleet; None without the section or where it has mistakes, which are noted."""
    section = fields.nested("fleet", "fleet")
    if section is None:
        return None
    before = len(fields.problems.found)
    centre = read_url(section, "centre", ("tls", "nats"))
    _check_centre(section, centre)
    sensor = section.text("sensor")
    if sensor and not is_sensor_name(sensor):
        section.add_mismatch("sensor", EXPECTED)
    credentials = read_file_path(section, "credentials", base)
    spool = _spool(section, base)
    server = _server(section, base, centre)
    sensors = _sensors(section)
    if section.has("sensors") and server is None:
        section.add_problem("sensors", "'sensors': expected 'server' beside it, found none")
    if bool(sensor) == (server is not None) and len(fields.problems.found) == before:
        section.add_problem(
            None,
            "'fleet': expected 'sensor' and 'credentials' for a sensor, or 'server' for a centre",
        )
    if sensor and not section.has("credentials"):
        section.add_problem(
            None,
            "'fleet': expected 'credentials', the file that 'netwatch fleet enrol"
            f" {sensor}' makes at the centre",
        )
    published = base / section.text("published", str(PUBLISHED_FOLDER))
    section.reject_unknown()
    if len(fields.problems.found) > before:
        return None
    return FleetOptions(centre, sensor, credentials, spool, server, published, sensors)


def _sensors(section: Fields) -> dict[str, SensorLimit]:
    """What each sensor may speak of that is named."""
    part = section.nested("sensors", "fleet.sensors")
    found: dict[str, SensorLimit] = {}
    if part is None:
        return found
    for name in [*part.mapping]:
        if not is_sensor_name(name):
            part.add_problem(name, f"{name!r} cannot name a sensor: expected {EXPECTED}")
            part.value(name)
            continue
        sensor = part.nested(name, "a sensor of the fleet")
        if sensor is None:
            continue
        networks, devices = (
            [text for _, text in sensor.texts(key)] if sensor.has(key) else None
            for key in ("networks", "devices")
        )
        found[name] = SensorLimit(
            None if networks is None else frozenset(networks),
            None if devices is None else tuple(devices),
        )
        sensor.reject_unknown()
    return found


def _check_centre(section: Fields, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "nats" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        section.add_mismatch(
            "centre", "a URL like tls://nats.example:4222; nats:// is for loopback"
        )
    elif url and (parts.path.strip("/") or parts.query or parts.fragment):
        section.add_mismatch("centre", "a URL like tls://nats.example:4222, without a path")


def _spool(section: Fields, base: Path) -> SpoolOptions:
    part = section.nested("spool", "fleet.spool")
    defaults = SpoolOptions()
    if part is None:
        return defaults
    folder = base / part.text("path", str(defaults.folder))
    options = SpoolOptions(folder, read_size(part, "max_bytes", defaults.max_bytes, 8 << 20))
    part.reject_unknown()
    return options


def _silence(section: Fields, default: float) -> float:
    """After which time a sensor is silent, in s. It gives a sign of life every 5 s, and has to
    connect again after the server was away."""
    seconds = read_duration(section, "silence", default)
    if seconds < MIN_SILENCE:
        section.add_mismatch("silence", f"a time of at least {MIN_SILENCE:g}s, like 60s or 5m")
    return seconds


def _server(section: Fields, base: Path, centre: str) -> ServerOptions | None:
    part = section.nested("server", "fleet.server")
    if part is None:
        return None
    defaults = ServerOptions()
    host, port = defaults.host, urlsplit(centre).port or DEFAULT_PORT
    if part.has("listen"):
        try:
            host, port = parse_listen_address(part.text("listen"))
        except ValueError as error:
            part.add_problem("listen", f"'listen': {error}")
    files = {name: read_file_path(part, name, base) for name in ("certificate", "key", "ca")}
    if bool(files["certificate"]) != bool(files["key"]):
        part.add_problem(None, "'fleet.server': expected 'certificate' and 'key' together")
    join = part.text("join") and read_url(part, "join", ("tls", "nats"))
    if join and (part.has("listen") or part.has("certificate")):
        part.add_problem("join", "'join': a server that runs elsewhere has no 'listen' and no"
                                 " 'certificate' here")  # fmt: skip
    credentials = read_file_path(part, "credentials", base)
    if credentials is not None and not join:
        part.add_problem("credentials", "'credentials': expected 'join' beside it, found none")
    options = ServerOptions(
        host,
        port,
        base / part.text("folder", str(defaults.folder)),
        certificate=str(files["certificate"] or ""),
        key=str(files["key"] or ""),
        ca=str(files["ca"] or ""),
        join=join,
        credentials=credentials,
        max_bytes=read_size(part, "max_bytes", defaults.max_bytes, 64 << 20),
        max_age=read_duration(part, "max_age", defaults.max_age),
        silence=_silence(part, defaults.silence),
    )
    part.reject_unknown()
    return options
