"""The one file that a sensor needs: where the centre is, who it is, and how it proves that.

The centre makes it (``netwatch fleet enrol NAME``), the administrator carries it to the sensor. It
is a YAML file, so that a person can see what is in it, and readable for its owner alone.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.sensor_name import EXPECTED, is_sensor_name
from netwatch.core.user_yaml import Fields, Problems
from netwatch.fleet.user_keys import public_key
from netwatch.rules.documents import read_document

SCHEMA = "netwatch.credentials/1"
"""The version of the file."""

FILE_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorCredentials:
    """What a sensor knows of its centre: the URL of the server, the `seed` of its user there, the
    authority that verifies the server (PEM; empty for those of the system), and the public key
    (Ed25519, hexadecimal; empty where there is none) that verifies what is published to it."""

    sensor: str
    centre: str
    seed: str
    ca: str = ""
    publisher: str = ""


def write_credentials(path: Path, credentials: SensorCredentials) -> None:
    """Write a new file. Raises `NetwatchError` where it exists or cannot be written."""
    lines = [
        f"# The credentials of the sensor {credentials.sensor}. Whoever has this file can report",
        "# in its name: keep it readable for the user of netwatch alone.",
        f"# 'netwatch fleet revoke {credentials.sensor}' at the centre makes it void.",
        f"schema: {SCHEMA}",
        f"sensor: {credentials.sensor}",
        f'centre: "{credentials.centre}"',
        f"seed: {credentials.seed}",
    ]
    if credentials.publisher:
        lines.append(f'publisher: "{credentials.publisher}"')
    if credentials.ca:
        lines += ["ca: |", *(f"  {line}" for line in credentials.ca.splitlines())]
    write_private(path, "\n".join(lines) + "\n")


def write_private(path: Path, content: str | bytes) -> None:
    """Write a new file for its owner only. Raises `NetwatchError` where it exists."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(path, flags, FILE_MODE), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise NetwatchError(f"{path} exists, and is not overwritten") from None
    except OSError as error:
        raise NetwatchError(f"{path} cannot be written: {error.strerror}") from None


def read_credentials(path: Path, sensor: str = "") -> SensorCredentials:
    """The credentials in a file, which must be those of `sensor`, if that is given. Raises
    `ConfigError` with file and line."""
    problems = Problems()
    _check_mode(path, problems)
    mapping = read_document(path, problems)
    if mapping is None:
        problems.raise_if_any()
    assert mapping is not None
    fields = Fields(mapping, str(path), problems, "the credentials")
    schema = fields.text("schema", required=f"{SCHEMA}, the version of this file")
    if schema and schema != SCHEMA:
        fields.add_mismatch("schema", f"{SCHEMA}; a newer centre needs a newer netwatch here")
    name = fields.text("sensor", required="the name of the sensor")
    if name and not is_sensor_name(name):
        fields.add_mismatch("sensor", EXPECTED)
    elif sensor and name and name != sensor:
        fields.add_problem(
            "sensor",
            f"these are the credentials of '{name}', and 'fleet' calls this sensor '{sensor}'",
        )
    ca = fields.text("ca")
    found = SensorCredentials(
        sensor=name,
        centre=fields.text("centre", required="the URL of the centre"),
        seed=fields.text("seed", required="the seed of the sensor's user"),
        ca=f"{ca}\n" if ca else "",
        publisher=fields.text("publisher"),
    )
    if found.seed:
        try:
            public_key(found.seed)
        except NetwatchError as error:
            fields.add_problem("seed", f"'seed': {error}")
    problems.raise_if_any()
    return found


def _check_mode(path: Path, problems: Problems) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from None
    if mode & 0o077:
        problems.add(
            str(path),
            0,
            f"has mode {stat.S_IMODE(mode):o}, expected one that lets its owner alone read it:"
            " chmod 600 restricts it",
        )
