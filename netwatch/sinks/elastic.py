"""Elasticsearch, OpenSearch and other receivers of their ``_bulk`` API.

Each alert is created in a data stream under an ``_id`` that is the same whenever it is sent, so a
duplicate is a conflict (409) and counts as success. The response to a bulk request has a status for
each item, and each is evaluated on its own: if half of a bulk failed, half is delivered.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import beside, key
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import TEXT
from netwatch.sinks.base import (
    Delivered,
    MisconfiguredError,
    Outcome,
    OutgoingAlert,
    Refused,
    Retry,
    UnavailableError,
)
from netwatch.sinks.http_client import (
    URL,
    HttpClient,
    HttpOptions,
    Response,
    raise_for_status,
)
from netwatch.sinks.options import (
    Credentials,
    check_credentials,
    first_present,
    only_secrets,
)
from netwatch.sinks.secrets import SECRET, Secret
from netwatch.sinks.webhook import basic_authentication

DATA_STREAM = "logs-netwatch.alert-default"
"""The default data stream, by Elastic's naming scheme: type, dataset, namespace."""

_RESPONSE_FILTER = "filter_path=errors,items.*.status,items.*.error"
_RETRY_STATUSES = {408, 425, 429}
_MISCONFIGURED_STATUSES = {401, 403, 404}


@dataclass(frozen=True, slots=True)
class ElasticOptions:
    """`index` is a data stream or an index; `api_key` is the encoded key."""

    url: str = key(URL, "the cluster: scheme, host and port, and a path if any", required="a URL")
    index: str = key(TEXT, "a data stream or an index", DATA_STREAM)
    api_key: Secret | None = key(SECRET, "the API key in its encoded form. Excludes `user`")
    credentials: Credentials = key(beside(Credentials, check_credentials), "")
    http: HttpOptions = key(beside(HttpOptions), "")

    def checked(self, fields: Fields, _: Path) -> Self:
        """The options, checked together."""
        index = self.index
        # https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-create
        if index != index.lower() or set(index) & set('\\/*?"<>| ,#:') or index[0] in "-_+.":
            fields.add_mismatch("index", "the name of a data stream or index")
        if self.api_key and self.credentials.user:
            fields.add_problem("api_key", "'api_key' and 'user' exclude each other")
        credential = first_present(fields, "api_key", "password")
        return replace(self, http=self.http.checked(fields, self.url, credential))

    def secrets(self) -> tuple[Secret, ...]:
        """The API key or the password."""
        return only_secrets(self.api_key, self.credentials.password)

    def warning(self) -> str:
        """The data sent in clear text."""
        return self.http.warning

    def open(self) -> "ElasticSink":
        """Create the sink."""
        return ElasticSink(self)


class ElasticSink:
    """Sends bulk requests to one cluster."""

    max_batch = 500

    def __init__(self, options: ElasticOptions) -> None:
        self._options = options
        self._client = HttpClient(options.http)
        base_url = options.http.url.rstrip("/")
        self._url = f"{base_url}/{options.index}/_bulk?{_RESPONSE_FILTER}"

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Send one bulk request. Raises as `raise_for_status` does."""
        lines = []
        for alert in alerts:
            lines.append(json.dumps({"create": {"_id": alert.key}}).encode())
            lines.append(document(alert))
        response = raise_for_status(self._post(b"\n".join(lines) + b"\n"))
        try:
            answer = json.loads(response.body)
            results = [result for item in answer["items"] for result in item.values()]
            statuses = [int(result["status"]) for result in results]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UnavailableError(f"not a response to a bulk request: {response}") from None
        if len(results) != len(alerts):
            if answer.get("errors") is False:
                # Some receivers omit the items if all of them succeeded.
                return [Delivered("no errors")] * len(alerts)
            raise UnavailableError(f"{len(results)} results for a bulk of {len(alerts)} alerts")
        return [_outcome(*pair) for pair in zip(statuses, results, strict=True)]

    def _post(self, body: bytes) -> Response:
        headers = {"Content-Type": "application/x-ndjson", **self._authentication_headers()}
        return self._client.request(self._url, body, headers)

    def check_connection(self) -> str:
        """Send an empty bulk request, which a cluster answers with 400 once it has accepted the
        credentials."""
        response = self._post(b"\n")
        if response.status != 400:
            raise_for_status(response)
        return f"answers an empty bulk request: HTTP {response.status}"

    def _authentication_headers(self) -> dict[str, str]:
        try:
            if self._options.api_key is not None:
                return {"Authorization": f"ApiKey {self._options.api_key.value()}"}
            return basic_authentication(self._options.credentials)
        except NetwatchError as error:
            raise MisconfiguredError(str(error)) from None

    def on_idle(self) -> None:
        """Keep the connection: the receiver closes it when it wants to."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def document(alert: OutgoingAlert) -> bytes:
    """The alert as a document. A data stream requires ``@timestamp``, which is added to formats
    that do not have it."""
    if '"@timestamp":' not in alert.text:
        fields = json.loads(alert.text)
        fields.setdefault("@timestamp", alert.record.get("last_seen"))
        return json.dumps(fields, separators=(",", ":")).encode()
    return alert.text.encode("utf-8", "backslashreplace")


def _outcome(status: int, result: Mapping[str, Any]) -> Outcome:
    """The outcome of one item. Raises `MisconfiguredError` if it applies to all."""
    if 200 <= status < 300:
        return Delivered(f"status {status}, created")
    if status == 409:
        return Delivered("status 409, already present")
    reason = f"status {status}"
    error = result.get("error")
    if isinstance(error, dict):
        reason += f", {error.get('type')}: {error.get('reason')}"
    elif error:
        reason += f", {error}"
    if status in _MISCONFIGURED_STATUSES:
        raise MisconfiguredError(reason)
    if status in _RETRY_STATUSES or status >= 500:
        return Retry(reason)
    return Refused(reason)
