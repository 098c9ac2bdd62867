"""The folder of a centre: its keys, its certificates, the enrolled sensors, and the server's
configuration, which is generated from these.

Commands and the running centre share it. A sensor is enrolled by a new file in ``sensors``; the
centre looks for changes there.
"""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.config.fleet_section import FleetOptions, ServerOptions
from netwatch.core.errors import NetwatchError
from netwatch.core.text import EXPECTED, is_sensor_name
from netwatch.core.user_yaml import read_user_file
from netwatch.fleet.access import (
    MAX_PAYLOAD,
    Pair,
    accounts_of,
    new_authority,
    new_seed,
    new_server,
    public_key,
    serves,
)
from netwatch.fleet.connection import SensorCredentials, write_private
from netwatch.store.flow_rows import KEY_BYTES, new_key

LOG_BYTES = 10 << 20
"""Size of the server's log at which a new one begins; three are kept."""

ACCOUNTS = "accounts.conf"
"""The file with the accounts, for an existing server."""

BUCKET_BYTES = 512 << 20
"""Bytes that the server may store for the buckets, besides the stream."""

FLOW_KEY = "flows.key"
"""The file with the key that gives sensors' flows their names in the store."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class EnrolledSensor:
    """A sensor with credentials: its public key, and when it was enrolled (ns)."""

    name: str
    user: str
    enrolled: int


class CentreFolder:
    """The folder of the centre that `options` describe. Methods raise `NetwatchError` if it cannot
    be used."""

    def __init__(self, options: FleetOptions) -> None:
        assert options.server is not None
        self._centre = options.centre
        self._server: ServerOptions = options.server
        self.path = options.server.folder
        self.configuration = self.path / "nats.conf"
        self.log = self.path / "nats.log"
        self._read_before: dict[tuple[str, int, int], EnrolledSensor] = {}
        self._written: tuple[list[EnrolledSensor], int] | None = None
        self._text = ""

    def prepare(self) -> None:
        """Create what is missing: the folder, the keys, the certificates."""
        try:
            for folder in (self.path, self.path / "sensors"):
                folder.mkdir(0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NetwatchError(f"{self.path}: cannot be created: {error.strerror}") from None
        self._text_of("centre.seed", new_seed)
        self._text_of(FLOW_KEY, lambda: new_key().hex())
        if not self._server.join and not self._server.certificate and self._has_tls:
            self._prepare_certificate()

    def _prepare_certificate(self) -> None:
        authority = self._authority()
        path = self.path / "server.pem"
        hosts = [self._host, *(host for host in _LOOPBACK if host != self._host)]
        if path.exists() and serves(_read(path), hosts):
            return
        pair = new_server(authority, hosts)
        for name, text in (("server.pem", pair.certificate), ("server.key", pair.key)):
            with contextlib.suppress(FileNotFoundError):
                (self.path / name).unlink()
            write_private(self.path / name, text)

    def _authority(self) -> Pair:
        """The authority of this centre, certificate and key in one file, since one needs the
        other."""
        text = self._text_of("ca.pem", _authority_text)
        certificate, marker, key = text.partition("-----BEGIN PRIVATE KEY-----")
        return Pair(certificate, marker + key)

    def _text_of(self, name: str, make: Callable[[], str]) -> str:
        """The content of a file that is created if there is none; another process may do so at the
        same time."""
        path = self.path / name
        if not path.exists():
            with contextlib.suppress(NetwatchError):
                write_private(path, make())
        return _read(path)

    @property
    def _host(self) -> str:
        return urlsplit(self._centre).hostname or ""

    @property
    def _has_tls(self) -> bool:
        return self._centre.startswith("tls:")

    @property
    def seed(self) -> str:
        """The seed of the centre's own user."""
        return _read(self.path / "centre.seed").strip()

    @property
    def flow_key(self) -> bytes:
        """The key of the names of flows. It is not in the store: with it, and with a number sent by
        a sensor with an older netwatch, the ends of a flow could be found."""
        text = self._text_of(FLOW_KEY, lambda: new_key().hex()).strip()
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            path = self.path / FLOW_KEY
            raise NetwatchError(
                f"{path}: expected {2 * KEY_BYTES} hex digits; without the file another key is made"
            )
        return key

    @property
    def ca(self) -> str:
        """The authority (PEM) that verifies the server; empty for the system's."""
        if self._server.ca:
            return _read(self._server.ca)
        if self._server.join or self._server.certificate or not self._has_tls:
            return ""
        return self._authority().certificate

    # Sensors

    def enrol(self, name: str, publisher: str = "") -> SensorCredentials:
        """Admit a sensor; returns its credentials. Raises `NetwatchError` if it is enrolled."""
        if not is_sensor_name(name):
            raise NetwatchError(f"{name!r} cannot name a sensor: expected {EXPECTED}")
        seed = new_seed()
        record = {"user": public_key(seed), "enrolled": time.time_ns()}
        path = self.path / "sensors" / f"{name}.json"
        if path.exists():
            raise NetwatchError(
                f"{name} is enrolled already, and a file of credentials is made only once:"
                f" 'netwatch fleet revoke {name}' makes the old one void"
            )
        write_private(path, json.dumps(record) + "\n")
        return SensorCredentials(
            sensor=name, centre=self._centre, seed=seed, ca=self.ca, publisher=publisher
        )

    def revoke(self, name: str) -> None:
        """Make the credentials of a sensor void. Raises `NetwatchError` if it has none."""
        path = self.path / "sensors" / f"{name}.json"
        if not self.is_enrolled(name):
            raise NetwatchError(f"no sensor {name!r} is enrolled in {self.path}")
        path.unlink()

    def is_enrolled(self, name: str) -> bool:
        """Whether a sensor has credentials."""
        return is_sensor_name(name) and (self.path / "sensors" / f"{name}.json").exists()

    def sensors(self) -> list[EnrolledSensor]:
        """All enrolled sensors, by name. A file is read again when it has changed."""
        found: dict[tuple[str, int, int], EnrolledSensor] = {}
        for path in sorted((self.path / "sensors").glob("*.json")):
            try:
                status = path.stat()
                key = (path.stem, status.st_ino, status.st_mtime_ns)
                found[key] = self._read_before.get(key) or _sensor(path)
            except FileNotFoundError:
                continue  # revoked meanwhile
        self._read_before = found
        return [*found.values()]

    # The server

    def write_configuration(self) -> bool:
        """Write the configuration of the server, or for an existing server the accounts that its
        administrator includes there. Returns whether it differs from when this object last wrote or
        read it: `fleet enrol` writes it too, and only the running centre makes the server reload
        it."""
        path = self.path / ACCOUNTS if self._server.join else self.configuration
        sensors = self.sensors()
        if path.exists() and self._written == (sensors, path.stat().st_mtime_ns):
            return False
        text = self._accounts(sensors) if self._server.join else self._configuration(sensors)
        changed, self._text = text != self._text, text
        if path.exists() and _read(path) == text:
            self._written = sensors, path.stat().st_mtime_ns
            return changed
        temporary = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        write_private(temporary, text)
        temporary.replace(path)
        return changed

    def _configuration(self, sensors: Sequence[EnrolledSensor]) -> str:
        options = self._server
        host = f"[{options.host}]" if ":" in options.host else options.host
        lines = [
            "# Written by 'netwatch fleet centre', which overwrites what is changed here.",
            'server_name: "netwatch"',
            f'listen: "{host}:{options.port}"',
            f"max_payload: {MAX_PAYLOAD}",
            f"log_file: {json.dumps(str(self.log))}",
            f"logfile_size_limit: {LOG_BYTES}",
            "logfile_max_num: 3",
            "jetstream {",
            f"  store_dir: {json.dumps(str(self.path / 'jetstream'))}",
            # Without it an acknowledged message can be lost when the power fails.
            "  sync_interval: always",
            f"  max_file_store: {options.max_bytes + BUCKET_BYTES}",
            "  max_memory_store: 67108864",
            "}",
        ]
        if self._has_tls:
            certificate = str(options.certificate or self.path / "server.pem")
            key = str(options.key or self.path / "server.key")
            lines += [
                "tls {",
                f"  cert_file: {json.dumps(certificate)}",
                f"  key_file: {json.dumps(key)}",
                '  min_version: "1.2"',
                "  timeout: 5",
                "}",
            ]
        return "\n".join(lines) + "\naccounts {\n" + self._accounts(sensors) + "}\n"

    def _accounts(self, sensors: Sequence[EnrolledSensor]) -> str:
        users = {sensor.name: sensor.user for sensor in sensors}
        accounts = accounts_of(public_key(self.seed), users)
        return "".join(
            f"{json.dumps(name)}: {json.dumps(each, indent=1)}\n" for name, each in accounts.items()
        )


def _sensor(path: Path) -> EnrolledSensor:
    try:
        record = json.loads(_read(path))
        return EnrolledSensor(path.stem, record["user"], int(record["enrolled"]))
    except (ValueError, KeyError, TypeError) as error:
        raise NetwatchError(f"{path}: expected what 'fleet enrol' wrote: {error}") from None


def _authority_text() -> str:
    pair = new_authority()
    return pair.certificate + pair.key


def _read(path: Path) -> str:
    try:
        return read_user_file(path, 4 << 20).decode()
    except (NetwatchError, UnicodeDecodeError) as error:
        raise NetwatchError(f"{path} {error}") from None
