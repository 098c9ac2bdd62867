"""The output of a sensor's alerts to its centre.

It is an output like others: alerts are in the outbox, with its limits, retries and dead letters
(`netwatch.delivery`). An alert counts as delivered when the centre reports that its database has
committed it. Having reached the server is not enough: a stream can be lost.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from netwatch import __version__
from netwatch.config.fleet_section import FleetOptions
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.delivery.output import Output
from netwatch.fleet.access import inbox, subject
from netwatch.fleet.connection import Peer, read_credentials
from netwatch.fleet.envelope import PART_BYTES, Envelope, EnvelopeError, cut
from netwatch.sinks.base import (
    Delivered,
    MisconfiguredError,
    Outcome,
    OutgoingAlert,
    Refused,
    Retry,
    UnavailableError,
)
from netwatch.sinks.nats import NatsOptions, NatsSink
from netwatch.sinks.secrets import Secret

OUTPUT = "fleet"
"""The name and the type of the output."""

TIMEOUT = 15.0
"""Seconds within which a batch must be sent and committed."""

ENROL_SECONDS = 60.0
"""Seconds in which a refusal may come from a server that has not yet read that the sensor was
enrolled; after that somebody must correct something."""

_MARGIN = 2.0
_KEY_BYTES = 300


def sensor_peer(fleet: FleetOptions) -> Peer:
    """The server of the centre, and the sensor as its user. Raises `ConfigError`."""
    assert fleet.credentials is not None
    found = read_credentials(fleet.credentials, fleet.sensor)
    return Peer(
        url=fleet.centre,
        name=f"netwatch sensor {fleet.sensor}",
        seed=found.seed,
        ca=found.ca,
        inbox=inbox(fleet.sensor),
    )


@dataclass(frozen=True, slots=True)
class CentreOptions:
    """The options of the output: the fleet's. The credentials are read when the sink is opened, so
    that a corrected file takes effect."""

    fleet: FleetOptions
    url: str = field(compare=False)
    timeout: float = TIMEOUT

    def secrets(self) -> tuple[Secret, ...]:
        """The file of the credentials."""
        return (
            (Secret("", self.fleet.credentials, with_lines=True),) if self.fleet.credentials else ()
        )

    def warning(self) -> str:
        """Nothing is sent in clear text, except on loopback."""
        return ""

    def open(self) -> "CentreSink":
        """Create the sink. Raises `NetwatchError` if the credentials cannot be read."""
        try:
            return CentreSink(self, sensor_peer(self.fleet))
        except ConfigError as error:
            raise NetwatchError("; ".join(map(str, error.problems))) from None


def centre_output(fleet: FleetOptions, name: str, path: str) -> Output:
    """The centre as an output with this name; `path` is the file of the configuration."""
    return Output(
        name=name,
        type=OUTPUT,
        format="jsonl",
        min_verdict=0,
        min_severity=0,
        digest_interval=0,
        options=CentreOptions(fleet, fleet.centre),
        file=path,
        line=0,
    )


class CentreSink(NatsSink):
    """Sends alerts to the centre and waits until they are committed."""

    def __init__(self, options: CentreOptions, peer: Peer) -> None:
        super().__init__(
            NatsOptions(
                url=options.url,
                subject=subject(options.fleet.sensor, "alerts"),
                timeout=options.timeout,
            )
        )
        self._peer = peer
        self._sensor = options.fleet.sensor
        self._subscribed: Any = None
        self._committed: set[str] = set()
        self._refused: dict[str, str] = {}
        self._news = asyncio.Event()
        self._sequence = 0
        self._refused_since: float | None = None

    def connect_arguments(self) -> dict[str, Any]:
        """The sensor's options as a user."""
        return dict(self._peer.arguments())

    async def connect(self) -> Any:
        """The client, which has subscribed to what the centre commits."""
        client = await super().connect()
        self._refused_since = None
        if client is not self._subscribed:
            self._news = asyncio.Event()
            await client.subscribe(subject(self._sensor, "committed"), cb=self._take_news)
            # The server must have the subscription before anything is published.
            await client.flush(timeout=TIMEOUT)
            self._subscribed = client
        return client

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Send a batch and wait until it is committed. A server that refuses the sensor is asked
        again soon at first."""
        try:
            return super().send(alerts)
        except MisconfiguredError as error:
            now = time.monotonic()
            if self._refused_since is None:
                self._refused_since = now
            if now - self._refused_since < ENROL_SECONDS:
                raise UnavailableError(str(error)) from None
            raise

    async def _take_news(self, message: Any) -> None:
        try:
            news = json.loads(message.data)
            if news.get("kind") != "alerts":
                return
            self._committed.update(map(str, news.get("keys", ())))
            self._refused.update(news.get("refused", {}))
        except (ValueError, TypeError, AttributeError):
            return  # Perhaps from another version; what is not known to be committed is sent again.
        self._news.set()

    async def publish(self, alerts: Sequence[OutgoingAlert]) -> list[Outcome]:
        """Publish a batch and wait for the centre's results."""
        deadline = time.monotonic() + TIMEOUT - _MARGIN
        client = await self.connect()
        self._committed.clear()
        self._refused.clear()
        failed: dict[str, Outcome] = {}
        for group in _groups(alerts):
            failed |= await self._publish_group(client, group)
        waiting = {alert.key for alert in alerts} - failed.keys()
        while not waiting <= self._committed | self._refused.keys():
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), max(0.01, deadline - time.monotonic()))
            except TimeoutError:
                break
        return [failed.get(alert.key) or self._outcome(alert.key) for alert in alerts]

    def _outcome(self, key: str) -> Outcome:
        if key in self._committed:
            return Delivered("committed by the centre")
        if key in self._refused:
            return Refused(f"the centre: {self._refused[key]}")
        return Retry("the server has it, but the centre has not committed it yet")

    async def _publish_group(
        self, client: Any, group: Sequence[OutgoingAlert]
    ) -> dict[str, Outcome]:
        """Publish alerts as one content; returns the outcome of those that could not be
        published."""
        envelope = self._envelope(group)
        try:
            messages = cut(envelope)
        except EnvelopeError as error:
            return {alert.key: Refused(str(error)) for alert in group}
        reason: Outcome | None = None
        for number, data in enumerate(messages, 1):
            reason = reason or await self._publish_message(client, f"{envelope.id}.{number}", data)
        return {alert.key: reason for alert in group} if reason is not None else {}

    async def _publish_message(self, client: Any, identity: str, data: bytes) -> Outcome | None:
        """Publish a message; None when the server has it."""
        errors = self._library.js.errors
        jetstream = client.jetstream(timeout=TIMEOUT)
        # A stream drops repeated messages. Then the centre has it, or had it and reported so when
        # nobody listened, so it is sent once more under another id.
        for name in (identity, f"{identity}.{time.monotonic_ns()}"):
            try:
                ack = await jetstream.publish(
                    subject(self._sensor, "alerts"), data, headers={"Nats-Msg-Id": name}
                )
            except errors.NoStreamResponseError:
                return Retry("the centre has made no stream yet")
            except errors.APIError as error:
                return Retry(f"the server: {error.code} {error.description}")
            except self._library.errors.MaxPayloadError:
                return Refused("larger than the server's maximum payload")
            if not ack.duplicate:
                break
        return None

    def _envelope(self, group: Sequence[OutgoingAlert]) -> Envelope:
        self._sequence += 1
        identity = hashlib.sha256("\0".join(alert.key for alert in group).encode()).hexdigest()[:32]
        return Envelope(
            sensor=self._sensor,
            kind="alerts",
            sequence=self._sequence,
            sent=time.time_ns(),
            version=__version__,
            id=f"a{identity}",
            body={"alerts": [{"key": alert.key, "record": alert.record} for alert in group]},
        )

    async def examine(self) -> str:
        """Connect, and ask the centre for its time, which it answers if it runs."""
        client = await self.connect()
        try:
            await client.request(subject(self._sensor, "clock"), b"{}", timeout=3)
        except self._library.errors.NoRespondersError:
            raise UnavailableError("connected to the server, but the centre does not run") from None
        except (self._library.errors.TimeoutError, TimeoutError):
            if self._last_error is not None:
                raise MisconfiguredError(str(self._last_error)) from None
            raise UnavailableError("connected to the server, but the centre is silent") from None
        return f"connected as {self._sensor}, and the centre answers"


def _groups(alerts: Sequence[OutgoingAlert]) -> list[list[OutgoingAlert]]:
    """Alerts in groups that fit into a message, as far as a single alert does."""
    groups: list[list[OutgoingAlert]] = [[]]
    room = PART_BYTES
    for alert in alerts:
        # JSON of the record is as long as the text of it; characters may take four bytes.
        size = len(alert.text.encode("utf-8", "backslashreplace")) + _KEY_BYTES
        if size > room and groups[-1]:
            groups.append([])
            room = PART_BYTES
        groups[-1].append(alert)
        room -= size
    return groups
