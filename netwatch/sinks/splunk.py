"""Splunk's HTTP Event Collector (HEC), with indexer acknowledgement.

HEC responds before it has indexed the events. If the token has indexer acknowledgement enabled, the
response contains an `ackId`, and the batch counts as delivered when that is confirmed.
"""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import beside, key
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import BOOLEAN, DURATION, TEXT
from netwatch.sinks.base import (
    Delivered,
    MisconfiguredError,
    Outcome,
    OutgoingAlert,
    UnavailableError,
)
from netwatch.sinks.http_client import (
    URL,
    HttpClient,
    HttpOptions,
    Response,
    raise_for_status,
)
from netwatch.sinks.options import first_present, only_secrets
from netwatch.sinks.secrets import SECRET, Secret

EVENT_PATH, ACK_PATH = "/services/collector/event", "/services/collector/ack"
"""The endpoints of HEC for events and for acknowledgements."""

# Error codes of HEC that concern the token, the index or the channel, not an event.
_MISCONFIGURED_CODES = {1, 2, 3, 4, 7, 10, 11, 14, 16, 21}
_NO_DATA_CODE = 5
_FIRST_POLL = 0.25
_MAX_POLL = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplunkOptions:
    """With `require_ack`, a response without `ackId` is an error. `ack_timeout` in s is how long to
    wait until a batch is indexed before it is sent again."""

    url: str = key(URL, "the collector: scheme, host and port", required="a URL")
    token: Secret = key(SECRET, "the token of the collector", required="the token of the collector")
    index: str = key(TEXT, "the index", shown="the token's")
    source: str = key(TEXT, "the `source` of the events", "netwatch")
    sourcetype: str = key(TEXT, "the `sourcetype` of the events", "netwatch:alert")
    require_ack: bool = key(
        BOOLEAN,
        "whether the token must have indexer acknowledgement. If it has, it is always used",
        False,
        name="ack",
    )
    ack_timeout: float = key(DURATION, "a batch that is not indexed by then is sent again", "5m")
    http: HttpOptions = key(beside(HttpOptions), "")

    def checked(self, fields: Fields, _: Path) -> Self:
        """The options, checked together."""
        if urlsplit(self.url).path.rstrip("/") not in ("", "/services/collector", EVENT_PATH):
            fields.add_mismatch("url", "a URL like https://splunk.example:8088")
        credential = first_present(fields, "token")
        return replace(self, http=self.http.checked(fields, self.url, credential))

    def secrets(self) -> tuple[Secret, ...]:
        """The token."""
        return only_secrets(self.token)

    def warning(self) -> str:
        """The data sent in clear text."""
        return self.http.warning

    def open(self) -> "SplunkSink":
        """Create the sink."""
        return SplunkSink(self)


class SplunkSink:
    """Sends batches of events to one collector."""

    max_batch = 100

    def __init__(self, options: SplunkOptions) -> None:
        self._options = options
        self._client = HttpClient(options.http)
        parts = urlsplit(options.http.url)
        self._base_url = f"{parts.scheme}://{parts.netloc}"
        # Acknowledgements are numbered per channel, so every sender needs its own.
        self._channel = str(uuid.uuid4())

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Send a batch and, if the collector acknowledges, wait until it is indexed."""
        response = self._post(EVENT_PATH, b"".join(self._event(alert) for alert in alerts))
        ack_id = _parse(response).get("ackId")
        if isinstance(ack_id, int) and not isinstance(ack_id, bool):
            self._wait_until_indexed(ack_id)
            return [Delivered(f"{response}, indexed")] * len(alerts)
        if self._options.require_ack:
            raise MisconfiguredError(
                f"{response}: the token has no indexer acknowledgement, which 'ack' requires"
            )
        return [Delivered(str(response))] * len(alerts)

    def check_connection(self) -> str:
        """Send a request without an event. A collector checks the token first and then complains
        about the missing event (code 5)."""
        response = self._post(EVENT_PATH, b"")
        if _parse(response).get("code") == _NO_DATA_CODE:
            return "accepts the token"
        return f"accepts a request without an event: {response}"

    def _event(self, alert: OutgoingAlert) -> bytes:
        event: dict[str, Any] = {
            "time": event_time(alert.record),
            "host": str((alert.record.get("sensor") or {}).get("name") or "-"),
            "source": self._options.source,
            "sourcetype": self._options.sourcetype,
            "event": json.loads(alert.text) if alert.is_json else alert.text,
            "fields": {"netwatch_key": alert.key},
        }
        if self._options.index:
            event["index"] = self._options.index
        return json.dumps(event, separators=(",", ":")).encode()

    def _post(self, path: str, body: bytes) -> Response:
        try:
            token = self._options.token.value()
        except NetwatchError as error:
            raise MisconfiguredError(str(error)) from None
        headers = {
            "Authorization": f"Splunk {token}",
            "Content-Type": "application/json",
            "X-Splunk-Request-Channel": self._channel,
        }
        response = self._client.request(self._base_url + path, body, headers)
        code = _parse(response).get("code")
        if response.status == 400 and code in _MISCONFIGURED_CODES:
            raise MisconfiguredError(str(response))
        if response.status == 400 and code == _NO_DATA_CODE and not body:
            return response
        return raise_for_status(response)

    def _wait_until_indexed(self, ack_id: int) -> None:
        deadline = time.monotonic() + self._options.ack_timeout
        body = json.dumps({"acks": [ack_id]}).encode()
        delay = _FIRST_POLL
        while True:
            acks = _parse(self._post(ACK_PATH, body)).get("acks")
            if isinstance(acks, dict) and acks.get(str(ack_id)) is True:
                return
            if time.monotonic() + delay > deadline:
                raise UnavailableError(f"not indexed within {self._options.ack_timeout:g} s")
            time.sleep(delay)
            delay = min(delay * 2, _MAX_POLL)

    def on_idle(self) -> None:
        """Keep the connection: the receiver closes it when it wants to."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _parse(response: Response) -> dict[str, Any]:
    """The JSON object in a response, or an empty one."""
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def event_time(record: AlertRecord) -> float | None:
    """`last_seen` in s since the epoch, exact to ms; None if it is not a valid time."""
    try:
        return round(datetime.fromisoformat(str(record.get("last_seen"))).timestamp(), 3)
    except ValueError:
        return None
