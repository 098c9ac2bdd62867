"""``fleet:`` of netwatch.yaml: a sensor that reports to a centre, or the centre itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.core.file_keys import Key, Kind, nested, read_section
from netwatch.core.file_keys import key as declare
from netwatch.core.text import EXPECTED, is_sensor_name
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import DURATION, PATH, TEXT, parsed, size, texts
from netwatch.sinks.options import FILE, url_of
from netwatch.watch.endpoint_options import parse_listen_address

DEFAULT_PORT = 4222
"""The port of NATS."""

SYSTEM_FOLDER = Path("/var/lib/netwatch/fleet")
"""The default folder for the state of sensor and centre."""

MIN_SILENCE = 15.0
"""The least time in s after which a sensor can count as silent."""

PUBLISHED_FOLDER = SYSTEM_FOLDER / "published"
"""The default folder of a sensor for what was published to it."""


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """Where facts wait until the centre has committed them: a `folder`, and its size in bytes above
    which the oldest are evicted."""

    folder: Path = declare(
        PATH, "the folder; created if absent", str(SYSTEM_FOLDER / "spool"), name="path"
    )
    max_bytes: int = declare(
        size(8 << 20), "above this size the oldest facts are evicted; `8M` least", "1G"
    )


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The server of the centre. It listens on `listen` or, with the URL `join`, is an existing one.
    `folder` has keys, credentials of sensors, and the server's data. `certificate` and `key` are
    None if the centre has an authority of its own; `ca` verifies them, None for the system's.
    `credentials` is a NATS credentials file for an existing server. The stream uses `max_bytes`,
    and keeps a message for `max_age` s. A sensor is silent without a sign of life for `silence`
    s."""

    listen: tuple[str, int] = declare(
        parsed("text", parse_listen_address, empty=("0.0.0.0", DEFAULT_PORT)),
        "address and port",
        shown="`0.0.0.0`, port of `centre`",
    )
    folder: Path = declare(
        PATH,
        "keys, credentials of sensors, and what the server stores; for its owner only",
        str(SYSTEM_FOLDER),
    )
    certificate: Path | None = declare(
        FILE,
        "the certificate of the server with its chain, PEM",
        shown="one that the centre makes",
    )
    key: Path | None = declare(FILE, "its private key, PEM", shown="one that the centre makes")
    ca: Path | None = declare(
        FILE, "the authority that sensors verify it with, PEM", shown="the centre's"
    )
    join: str = declare(
        url_of("tls", "nats"), "a server that runs already, instead of one of its own"
    )
    credentials: Path | None = declare(FILE, "a credentials file of NATS for that server")
    max_bytes: int = declare(
        size(64 << 20), "what waits on the server at most; `64M` at least", "4G"
    )
    max_age: float = declare(DURATION, "how long it waits there; sensors send it again", "7d")
    silence: float = declare(
        DURATION,
        "time without a sign of life after which a sensor is silent; `15s` at least",
        "60s",
    )

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.listen[0]

    @property
    def port(self) -> int:
        """The port to listen on."""
        return self.listen[1]


@dataclass(frozen=True, slots=True)
class SensorLimit:
    """The scope of a sensor's reports: `networks` by name, and patterns (fnmatch) of the ids of
    `devices` of an inventory; None for all."""

    networks: frozenset[str] | None = declare(
        replace(texts(), empty=None),
        "the networks that the sensor sees; reports about others are recorded as a contradiction"
        " and raise no confidence",
        shown="all",
    )
    devices: tuple[str, ...] | None = declare(
        replace(texts("list of globs"), empty=None),
        "the devices of an inventory that it sees, by id, like `lab-*`; the same for others."
        " A device that no inventory names is not limited",
        shown="all",
    )


def _read_sensors(section: Fields, _: Key, base: Path) -> dict[str, SensorLimit] | None:
    """The scope of each named sensor's reports."""
    part = section.nested("sensors", "fleet.sensors")
    found: dict[str, SensorLimit] = {}
    if part is None:
        return None
    for name in [*part.mapping]:
        if not is_sensor_name(name):
            part.add_problem(name, f"{name!r} cannot name a sensor: expected {EXPECTED}")
            part.value(name)
            continue
        sensor = part.nested(name, "a sensor of the fleet")
        if sensor is None:
            continue
        limit = read_section(SensorLimit, sensor, base)
        found[name] = SensorLimit(
            frozenset(limit.networks or ()) if sensor.has("networks") else None,
            limit.devices if sensor.has("devices") else None,
        )
    return found


_SENSORS = Kind(
    "mapping",
    {"type": "object"},
    _read_sensors,
    empty={},
    below=SensorLimit,
    place=".*",
)


def _check_server(found: ServerOptions, part: Fields, _: Path) -> ServerOptions:
    if bool(found.certificate) != bool(found.key):
        part.add_problem(None, "'fleet.server': expected 'certificate' and 'key' together")
    if found.join and (part.is_set("listen") or part.is_set("certificate")):
        part.add_problem("join", "'join': a server that runs elsewhere has no 'listen' and no"
                                 " 'certificate' here")  # fmt: skip
    if found.credentials is not None and not found.join:
        part.add_problem("credentials", "'credentials': expected 'join' next to it, found none")
    if found.silence < MIN_SILENCE:
        # A sensor gives a sign of life every 5 s, and must reconnect after the server was away.
        part.add_mismatch("silence", f"a time of at least {MIN_SILENCE:g}s, like 60s or 5m")
    return found


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """`centre` is the URL under which sensors reach the server. A sensor has its name in `sensor`,
    and `credentials`, the file that the centre made for it; `server` is None there. `published` is
    the folder with what the centre published to it. A centre has `server`, and `sensor` is empty;
    its `sensors` has the limits of what sensors may report on, by name."""

    centre: str = declare(
        url_of("tls", "nats"),
        "where sensors reach the server of the centre, like `tls://nats.example:4222`;"
        " `nats://`, without TLS, on loopback only",
        required="a URL like tls://siem.example/path",
    )
    sensor: str = declare(TEXT, "the name of this sensor, for which it was enrolled")
    credentials: Path | None = declare(
        FILE, "the file that `netwatch fleet enrol NAME` made at the centre; a sensor needs it"
    )
    spool: SpoolOptions = declare(
        nested(SpoolOptions, "fleet.spool", empty=SpoolOptions()),
        "where a sensor keeps facts until they are committed",
        shown="see below",
    )
    server: ServerOptions | None = declare(
        nested(ServerOptions, "fleet.server", _check_server),
        "the server of the centre; a centre needs it",
    )
    published: Path = declare(
        PATH,
        "where a sensor keeps sets and configurations that the centre published; created for "
        "its owner only",
        str(PUBLISHED_FOLDER),
    )
    sensors: Mapping[str, SensorLimit] = declare(
        _SENSORS, "at a centre: what each sensor, by its name, may speak of", shown="any"
    )


def fleet_section(fields: Fields, base: Path) -> FleetOptions | None:
    """The fleet; None without the section or if it has mistakes, which are noted."""
    section = fields.nested("fleet", "fleet")
    if section is None:
        return None
    before = len(fields.problems.found)
    found = read_section(FleetOptions, section, base)
    _check_centre(section, found.centre)
    sensor, server = found.sensor, found.server
    if sensor and not is_sensor_name(sensor):
        section.add_mismatch("sensor", EXPECTED)
    if section.is_set("sensors") and server is None:
        section.add_problem("sensors", "'sensors': expected 'server' next to it, found none")
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
    if len(fields.problems.found) > before:
        return None
    port = urlsplit(found.centre).port
    if server is not None and port and "listen" not in section.mapping["server"]:
        found = replace(found, server=replace(server, listen=(server.host, port)))
    return found


def _check_centre(section: Fields, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "nats" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        section.add_mismatch(
            "centre", "a URL like tls://nats.example:4222; nats:// is for loopback"
        )
    elif url and (parts.path.strip("/") or parts.query or parts.fragment):
        section.add_mismatch("centre", "a URL like tls://nats.example:4222, without a path")
