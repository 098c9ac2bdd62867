"""Elasticsearch, OpenSearch and what speaks their ``_bulk``.

Each alert is created under an ``_id`` of its own in a data stream, so a repetition is a
conflict (409) that means success. A bulk is answered item by item, and so is it read: a
bulk that failed half is delivered half.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields
from netwatch.sinks import web
from netwatch.sinks.base import (
    Again,
    Delivered,
    DeniedError,
    Item,
    Outcome,
    Refused,
    UnavailableError,
)
from netwatch.sinks.secrets import Secret, take
from netwatch.sinks.settings import Credentials, credentials, given
from netwatch.sinks.webhook import authorization

STREAM = "logs-netwatch.alert-default"
"""The data stream, by Elastic's naming scheme: type, dataset, namespace."""

_ASKED = "filter_path=errors,items.*.status,items.*.error"
_LATER = {408, 425, 429}
_DENIED = {401, 403, 404}


@dataclass(frozen=True, slots=True)
class ElasticSettings:
    """`index` is a data stream or an index; `api_key` the encoded one."""

    web: web.WebSettings
    index: str
    api_key: Secret | None
    credentials: Credentials

    def secrets(self) -> tuple[Secret, ...]:
        """The API key or the password."""
        return given(self.api_key, self.credentials.password)

    def open(self) -> "ElasticSink":
        """The sink."""
        return ElasticSink(self)


def read(fields: Fields, base: Path) -> ElasticSettings:
    """The keys ``url``, ``index``, ``api_key``, ``user``, ``password``, ``proxy``,
    ``timeout`` and ``tls``."""
    settings = web.read(fields, base)
    index = fields.text("index", STREAM)
    # https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-create
    if index != index.lower() or set(index) & set('\\/*?"<>| ,#:') or index[0] in "-_+.":
        fields.add_problem("index", f"'index' is '{index}', expected the name of a data stream")
    api_key, user = take(fields, "api_key", base), credentials(fields, base)
    if api_key and user.user:
        fields.add_problem("api_key", "'api_key' and 'user' do not stand together")
    return ElasticSettings(settings, index, api_key, user)


class ElasticSink:
    """Sends bulks to one cluster."""

    batch = 500

    def __init__(self, settings: ElasticSettings) -> None:
        self._settings = settings
        self._web = web.Web(settings.web)
        self._url = f"{settings.web.url.rstrip('/')}/{settings.index}/_bulk?{_ASKED}"

    def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Send one bulk; raises as `netwatch.sinks.web.check` does."""
        lines = []
        for item in items:
            lines.append(json.dumps({"create": {"_id": item.key}}).encode())
            lines.append(document(item))
        answer = web.check(self._post(b"\n".join(lines) + b"\n"))
        try:
            told = json.loads(answer.body)
            results = [one for each in told["items"] for one in each.values()]
            statuses = [int(one["status"]) for one in results]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UnavailableError(f"no answer to a bulk: {answer}") from None
        if len(results) != len(items):
            if told.get("errors") is False:
                # Some tell of all together where nothing went wrong.
                return [Delivered("no errors")] * len(items)
            raise UnavailableError(f"{len(results)} answers to a bulk of {len(items)}")
        return [_outcome(status, one) for status, one in zip(statuses, results, strict=True)]

    def _post(self, body: bytes) -> web.Answer:
        headers = {"Content-Type": "application/x-ndjson", **self._authorization()}
        return self._web.post(self._url, body, headers)

    def reach(self) -> str:
        """Send a bulk of nothing, which is refused as such (400) behind the credentials."""
        answer = self._post(b"\n")
        if answer.status != 400:
            web.check(answer)
        return f"answers a bulk of nothing: HTTP {answer.status}"

    def _authorization(self) -> dict[str, str]:
        try:
            if self._settings.api_key is not None:
                return {"Authorization": f"ApiKey {self._settings.api_key.value()}"}
            return authorization(self._settings.credentials)
        except NetwatchError as error:
            raise DeniedError(str(error)) from None

    def rest(self) -> None:
        """The connection stays."""

    def close(self) -> None:
        """Close the connection."""
        self._web.close()


def document(item: Item) -> bytes:
    """The alert as a document; a data stream needs ``@timestamp``, which not all formats
    have."""
    if '"@timestamp":' not in item.text:
        found = json.loads(item.text)
        found.setdefault("@timestamp", item.record.get("last_seen"))
        return json.dumps(found, separators=(",", ":")).encode()
    return item.text.encode("utf-8", "backslashreplace")


def _outcome(status: int, result: Mapping[str, Any]) -> Outcome:
    if 200 <= status < 300:
        return Delivered(f"status {status}, created")
    if status == 409:
        return Delivered("status 409, was there already")
    error = result.get("error")
    told = f"status {status}"
    if isinstance(error, dict):
        told += f", {error.get('type')}: {error.get('reason')}"
    elif error:
        told += f", {error}"
    if status in _DENIED:
        raise DeniedError(told)
    if status in _LATER or status >= 500:
        return Again(told)
    return Refused(told)
