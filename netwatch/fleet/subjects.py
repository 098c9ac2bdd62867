"""Names of subjects, streams and buckets, and who may use which.

A sensor publishes below its own name and reads what is addressed to it or to all. The server
enforces that (`accounts_of`), so a sensor that pretends to be another is refused there, and the
centre can take the name in a subject as that of the sender.
"""

from collections.abc import Mapping
from typing import Any

from netwatch.core.text import is_sensor_name

CENTRE = "NETWATCH"
"""The account of the centre on the server, with its streams and buckets."""

ROOT = "netwatch.v1"
"""What all subjects of the fleet begin with."""

STREAM = "NETWATCH"
"""The stream of what the centre has to commit."""

HEALTH_BUCKET = "netwatch-health"
"""The bucket with the last sign of life of each sensor, under its name."""

PUBLISHED_BUCKET = "netwatch-published"
"""The bucket with what is published to sensors: which versions there are under `ALL` or
``sensor.<name>``, and below these the parts of each."""

ALL = "all"
"""The key of what is published to all sensors."""

STREAM_KINDS = ("alerts", "facts", "coverage", "applied")
"""Kinds of messages that the stream keeps until the centre has committed them."""

MAX_PAYLOAD = 1 << 20
"""Bytes of a message that the server accepts."""


def subject(sensor: str, kind: str) -> str:
    """The subject of a kind of messages of a sensor, or to it (``committed``); ``*`` for any."""
    return f"{ROOT}.{sensor}.{kind}"


def sender_of(subject: str) -> tuple[str, str]:
    """The sensor and the kind that a subject names. Raises `ValueError` for any other."""
    parts = subject.split(".")
    if len(parts) != 4 or ".".join(parts[:2]) != ROOT or not is_sensor_name(parts[2]):
        raise ValueError(f"{subject!r} is no subject of a sensor")
    return parts[2], parts[3]


def bucket_subject(bucket: str, key: str) -> str:
    """The subject to which a value of a bucket is published."""
    return f"$KV.{bucket}.{key}"


def published_keys(sensor: str) -> tuple[str, str]:
    """The keys of `PUBLISHED_BUCKET` that a sensor reads."""
    return ALL, f"sensor.{sensor}"


def is_audience(text: str) -> bool:
    """Whether a text is a key of `published_keys`, of any sensor."""
    return text == ALL or (text.startswith("sensor.") and is_sensor_name(text[len("sensor.") :]))


def audience_text(key: str) -> str:
    """A key of `published_keys` as people name it."""
    return "all sensors" if key == ALL else key.replace("sensor.", "sensor ", 1)


def published_parts(key: str, sha256: str, count: int) -> list[str]:
    """The keys below one of `published_keys` with the parts of a content, which has this hash."""
    return [f"{key}.{sha256[:32]}.{number}" for number in range(count)]


def inbox(sensor: str) -> str:
    """What the subjects of answers to a sensor begin with."""
    return f"_INBOX.{sensor}"


MAPPED = "_R_."
"""What the subject of an answer begins with that the server carries into a sensor's account."""


def is_own_reply(sensor: str, reply: str) -> bool:
    """Whether an answer that goes to this subject reaches its sensor and nobody else."""
    return reply.startswith((MAPPED, f"{inbox(sensor)}."))


def accounts_of(centre: str, sensors: Mapping[str, str]) -> Mapping[str, Any]:
    """The accounts of the centre, whose public key is `centre`, and of each sensor by its own, as
    nats-server's configuration has them.

    Each sensor is alone in an account of its name. What it may send is a service of the centre's
    account that it imports, so an answer to it, whoever gives it, the server's own acknowledgements
    too, goes back into the account of the sensor, whatever subject it asked for.
    """
    exports = [_export("service", service) for service in _services("*")]
    exports += [_export("stream", stream) for stream in _streams("*")]
    accounts: dict[str, Any] = {
        CENTRE: {"jetstream": "enabled", "users": [{"nkey": centre}], "exports": exports}
    }
    for sensor, user in sensors.items():
        services, streams = _services(sensor), _streams(sensor)
        permissions = {
            "publish": {"allow": services},
            "subscribe": {"allow": [*streams, f"{inbox(sensor)}.>"]},
        }
        accounts[sensor] = {
            "users": [{"nkey": user, "permissions": permissions}],
            "imports": [
                *({"service": {"account": CENTRE, "subject": service}} for service in services),
                *({"stream": {"account": CENTRE, "subject": stream}} for stream in streams),
            ],
        }
    return accounts


def _export(kind: str, exported: str) -> Mapping[str, Any]:
    """What the centre's account lets others import: with a name in it only the account of that."""
    tokens = exported.split(".")
    place = {"account_token_position": tokens.index("*") + 1} if "*" in tokens else {}
    return {kind: exported, **place}


def _published(sensor: str) -> list[str]:
    keys = [each for key in published_keys(sensor) for each in (key, f"{key}.>")]
    return [bucket_subject(PUBLISHED_BUCKET, key) for key in keys]


def _services(sensor: str) -> list[str]:
    """To what a sensor publishes."""
    return [
        *(subject(sensor, kind) for kind in (*STREAM_KINDS, "clock")),
        bucket_subject(HEALTH_BUCKET, sensor),
        *(f"$JS.API.DIRECT.GET.KV_{PUBLISHED_BUCKET}.{each}" for each in _published(sensor)),
    ]


def _streams(sensor: str) -> list[str]:
    """What a sensor reads."""
    return [subject(sensor, "committed"), *_published(sensor)]
