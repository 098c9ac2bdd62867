"""The stream, buckets and consumers on the server, which the centre makes if they are missing."""

from typing import Any

from netwatch.config.fleet_section import ServerOptions
from netwatch.fleet.subjects import (
    HEALTH_BUCKET,
    MAX_PAYLOAD,
    PUBLISHED_BUCKET,
    ROOT,
    STREAM,
    STREAM_KINDS,
)

HEALTH_SECONDS = 60.0
"""How long a bucket has the last sign of life of a sensor."""

PUBLISHED_HISTORY = 8
"""Revisions of what is published that a bucket keeps."""

DUPLICATE_SECONDS = 300.0
"""How long the stream knows the ids of messages, to drop those that are sent twice."""

MAX_PENDING = 256
"""Messages of one kind of a sensor that the stream keeps at most; the sensor keeps the others."""

MIN_PENDING = 20
"""The same at least: a content in parts has to fit in."""

ACK_SECONDS = 60.0
"""How long the centre has to commit what it was given, until it is given that again."""

CONSUMERS = {"alerts": ("alerts",), "facts": ("facts", "coverage"), "applied": ("applied",)}
"""The kinds of messages that each consumer gets. What has to stay in order has one consumer."""


def pending_limit(max_bytes: int) -> int:
    """How many messages of one kind of a sensor a stream of so many bytes keeps: one sensor takes a
    quarter of it at most."""
    share = max_bytes // (4 * len(STREAM_KINDS) * MAX_PAYLOAD)
    return max(MIN_PENDING, min(MAX_PENDING, share))


async def prepare(jetstream: Any, options: ServerOptions) -> None:
    """Make what is missing, and let what is there have the limits of the configuration; on a server
    that was joined, its administrator decides on these. Raises errors of the library."""
    from nats.js.api import (
        AckPolicy,
        ConsumerConfig,
        DiscardPolicy,
        KeyValueConfig,
        RetentionPolicy,
        StorageType,
        StreamConfig,
    )
    from nats.js.errors import NotFoundError

    stream = StreamConfig(
        name=STREAM,
        subjects=[f"{ROOT}.*.{kind}" for kind in STREAM_KINDS],
        storage=StorageType.FILE,
        # What the centre has acknowledged is gone. It would stay for `max_age` otherwise, and fill
        # the stream in days, or under load in minutes. Of a stream that is there already, a work
        # queue cannot be made.
        retention=RetentionPolicy.INTEREST,
        # A full stream takes nothing more, and sensors keep it. To drop the oldest would save
        # nothing: they would send it again.
        discard=DiscardPolicy.NEW,
        # One sensor must not take what the stream has room for.
        max_msgs_per_subject=pending_limit(options.max_bytes),
        discard_new_per_subject=True,
        max_bytes=options.max_bytes,
        max_age=options.max_age,
        max_msg_size=MAX_PAYLOAD,
        duplicate_window=min(DUPLICATE_SECONDS, options.max_age),
    )
    try:
        await jetstream.stream_info(STREAM)
        if not options.join:
            await jetstream.update_stream(stream)
    except NotFoundError:
        await jetstream.add_stream(stream)
    for name, kinds in CONSUMERS.items():
        await jetstream.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=f"centre-{name}",
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_SECONDS,
                # What of each sensor is pending is bounded by the stream.
                max_ack_pending=-1,
                filter_subjects=[f"{ROOT}.*.{kind}" for kind in kinds],
            ),
        )
    buckets = (
        KeyValueConfig(bucket=HEALTH_BUCKET, ttl=HEALTH_SECONDS, max_bytes=64 << 20, direct=True),
        KeyValueConfig(
            bucket=PUBLISHED_BUCKET, history=PUBLISHED_HISTORY, max_bytes=256 << 20, direct=True
        ),
    )
    for bucket in buckets:
        try:
            await jetstream.stream_info(f"KV_{bucket.bucket}")
        except NotFoundError:
            await jetstream.create_key_value(bucket)
