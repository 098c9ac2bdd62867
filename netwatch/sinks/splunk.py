"""Splunk's HTTP Event Collector, with indexer acknowledgement.

HEC answers before it has indexed. Where the token has acknowledgement switched on, an
answer carries an `ackId`, and the batch counts as delivered when that is confirmed.
"""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields
from netwatch.sinks import web
from netwatch.sinks.base import (
    JSON_FORMATS,
    Delivered,
    DeniedError,
    Item,
    Outcome,
    Record,
    UnavailableError,
)
from netwatch.sinks.secrets import Secret, take
from netwatch.sinks.settings import duration, flag

EVENT, ACK = "/services/collector/event", "/services/collector/ack"
"""The two endpoints."""

# Codes of HEC that stand for the token, the index or the channel, not for an event.
_CONFIGURATION = {1, 2, 3, 4, 7, 10, 11, 14, 16, 21}
_NO_DATA = 5
_POLL = 0.25
_POLL_MOST = 5.0


@dataclass(frozen=True, slots=True)
class SplunkSettings:
    """`ack`: an answer without `ackId` is an error; `ack_timeout` in s is how long to wait
    until a batch is indexed, then it is sent again."""

    web: web.WebSettings
    token: Secret
    index: str
    source: str
    sourcetype: str
    ack: bool
    ack_timeout: float
    json: bool

    def secrets(self) -> tuple[Secret, ...]:
        """The token."""
        return (self.token,)

    def open(self) -> "SplunkSink":
        """The sink."""
        return SplunkSink(self)


def read(fields: Fields, base: Path) -> SplunkSettings | None:
    """The keys ``url``, ``token``, ``index``, ``source``, ``sourcetype``, ``ack``,
    ``ack_timeout``, ``proxy``, ``timeout`` and ``tls``."""
    settings = web.read(fields, base)
    if urlsplit(settings.url).path.rstrip("/") not in ("", "/services/collector", EVENT):
        fields.add_problem(
            "url", f"'url' is '{settings.url}', expected one like https://splunk.example:8088"
        )
    token = take(fields, "token", base, required="the token of the collector")
    index = fields.text("index")
    source = fields.text("source", "netwatch")
    sourcetype = fields.text("sourcetype", "netwatch:alert")
    ack, ack_timeout = flag(fields, "ack", False), duration(fields, "ack_timeout", 300)
    json = str(fields.mapping.get("format", "jsonl")) in JSON_FORMATS
    if token is None:
        return None
    return SplunkSettings(settings, token, index, source, sourcetype, ack, ack_timeout, json)


class SplunkSink:
    """Sends to one collector."""

    batch = 100

    def __init__(self, settings: SplunkSettings) -> None:
        self._settings = settings
        self._web = web.Web(settings.web)
        parts = urlsplit(settings.web.url)
        self._base = f"{parts.scheme}://{parts.netloc}"
        # Acknowledgements belong to a channel; that of another sender must not be ours.
        self._channel = str(uuid.uuid4())

    def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Send a batch, and wait until it is indexed where the collector tells that."""
        answer = self._post(EVENT, b"".join(self._event(item) for item in items))
        told = _parsed(answer)
        number = told.get("ackId")
        if isinstance(number, int) and not isinstance(number, bool):
            self._await(number)
            return [Delivered(f"{answer}, indexed")] * len(items)
        if self._settings.ack:
            raise DeniedError(f"{answer}: the token has no indexer acknowledgement, expected 'ack'")
        return [Delivered(str(answer))] * len(items)

    def reach(self) -> str:
        """Send no event at all: a collector looks at the token first, and then misses the
        event (code 5)."""
        answer = self._post(EVENT, b"")
        missed = _parsed(answer).get("code") == _NO_DATA
        return "takes the token" if missed else f"takes what is no event: {answer}"

    def _event(self, item: Item) -> bytes:
        event: dict[str, Any] = {
            "time": epoch(item.record),
            "host": str((item.record.get("sensor") or {}).get("name") or "-"),
            "source": self._settings.source,
            "sourcetype": self._settings.sourcetype,
            "event": json.loads(item.text) if self._settings.json else item.text,
            "fields": {"netwatch_key": item.key},
        }
        if self._settings.index:
            event["index"] = self._settings.index
        return json.dumps(event, separators=(",", ":")).encode()

    def _post(self, path: str, body: bytes) -> web.Answer:
        try:
            token = self._settings.token.value()
        except NetwatchError as error:
            raise DeniedError(str(error)) from None
        headers = {
            "Authorization": f"Splunk {token}",
            "Content-Type": "application/json",
            "X-Splunk-Request-Channel": self._channel,
        }
        answer = self._web.post(self._base + path, body, headers)
        code = _parsed(answer).get("code")
        if answer.status == 400 and code in _CONFIGURATION:
            raise DeniedError(str(answer))
        if answer.status == 400 and code == _NO_DATA and not body:
            return answer
        return web.check(answer)

    def _await(self, number: int) -> None:
        deadline = time.monotonic() + self._settings.ack_timeout
        body = json.dumps({"acks": [number]}).encode()
        wait = _POLL
        while True:
            acks = _parsed(self._post(ACK, body)).get("acks")
            if isinstance(acks, dict) and acks.get(str(number)) is True:
                return
            if time.monotonic() + wait > deadline:
                told = f"not indexed within {self._settings.ack_timeout:g} s"
                raise UnavailableError(told)
            time.sleep(wait)
            wait = min(wait * 2, _POLL_MOST)

    def rest(self) -> None:
        """The connection stays."""

    def close(self) -> None:
        """Close the connection."""
        self._web.close()


def _parsed(answer: web.Answer) -> dict[str, Any]:
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def epoch(record: Record) -> float | None:
    """`last_seen` in s since the epoch, ms exact; None where it is no time."""
    try:
        return round(datetime.fromisoformat(str(record.get("last_seen"))).timestamp(), 3)
    except ValueError:
        return None
