"""Webhooks: one POST request per alert, signed so that the receiver can verify the sender.

Signatures follow Standard Webhooks (standardwebhooks.com, version 1.0.0): HMAC SHA-256 over id,
timestamp and body. `webhook-id` is the same whenever the same alert is sent.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import Key, Kind, beside, key
from netwatch.core.user_yaml import Fields, YamlMapping
from netwatch.core.value_kinds import TEXT
from netwatch.sinks.base import Delivered, MisconfiguredError, Outcome, OutgoingAlert
from netwatch.sinks.http_client import (
    URL,
    HttpClient,
    HttpOptions,
    is_header_value,
    raise_for_status,
)
from netwatch.sinks.options import (
    Credentials,
    check_credentials,
    first_present,
    only_secrets,
)
from netwatch.sinks.secrets import SECRET, Secret, parse_secret
from netwatch.sinks.templates import MessageTemplate, sample_alert, template_file

CONTENT_TYPE = "application/json"
"""The default content type of a template's output."""

MAX_HEADERS = 32
"""Headers that a configuration may add."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_RESERVED_HEADERS = {"content-length", "content-type", "host", "transfer-encoding", "connection"}
_CREDENTIAL_HEADERS = {"authorization", "proxy-authorization", "cookie"}
_REJECTED_CREDENTIALS = {401, 403, 407}


def _read_headers(
    fields: Fields, declared: Key, base: Path
) -> tuple[tuple[str, str | Secret], ...] | None:
    part = fields.nested(declared.name, declared.name)
    if part is None:
        return None
    headers: list[tuple[str, str | Secret]] = []
    for name in part.mapping:
        value = part.value(name)
        secret = parse_secret(value, base) if isinstance(value, YamlMapping) else None
        text = value if isinstance(value, str) else None
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            part.add_problem(name, f"'{name}' cannot be set, expected the name of another header")
        elif secret is None and (text is None or not is_header_value(text)):
            part.add_problem(
                name, f"'{name}' must be text in Latin-1, {{env: NAME}} or {{file: path}}"
            )
        else:
            headers.append((name, secret or text or ""))
    if len(headers) > MAX_HEADERS:
        fields.add_problem("headers", f"'headers' has more than {MAX_HEADERS} entries")
    return tuple(headers)


_HEADERS = Kind(
    "mapping",
    {
        "type": "object",
        "maxProperties": MAX_HEADERS,
        "additionalProperties": {"anyOf": [{"type": "string"}, SECRET.schema]},
    },
    _read_headers,
    empty=(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """`token` is sent as a bearer token, `credentials` by Basic authentication; `signing_key`
    signs; `headers` are sent as they are. The text of a `template`, if given, makes the body, which
    is sent as `content_type`."""

    url: str = key(URL, "where to POST to, by http or https", required="a URL")
    signing_key: Secret | None = key(
        SECRET,
        "the key of the header `webhook-signature`. A secret that starts with `whsec_` is followed"
        " by the key in base64; any other is the key itself",
        name="secret",
    )
    token: Secret | None = key(SECRET, "sent as `Authorization: Bearer`. Excludes `user`")
    credentials: Credentials = key(beside(Credentials, check_credentials), "")
    template: str = key(
        template_file(escapes=False, example=lambda: {"alert": sample_alert(0, "", ""), "key": ""}),
        "a template of Jinja2 for the body, instead of `format`; needs the extra `notify`. It has"
        " `alert` (the record) and `key`; the filters `tojson`, `plain` and `line` make values safe"
        " for JSON and for chat services",
    )
    content_type: str = key(TEXT, "the content type of what the template makes", CONTENT_TYPE)
    headers: tuple[tuple[str, str | Secret], ...] = key(
        _HEADERS, f"up to {MAX_HEADERS} additional headers, text or secrets"
    )
    http: HttpOptions = key(beside(HttpOptions), "")

    def checked(self, fields: Fields, _: Path) -> Self:
        """The options, checked together."""
        credential = first_present(fields, "token", "password")
        if not credential and any(_is_credential(*header) for header in self.headers):
            credential = "headers"
        if self.token and self.credentials.user:
            fields.add_problem("token", "'token' and 'user' exclude each other")
        if not is_header_value(self.content_type):
            fields.add_mismatch("content_type", f"a content type like {CONTENT_TYPE}")
        if fields.is_set("content_type") and not fields.is_set("template"):
            fields.add_problem("content_type", "'content_type' needs 'template'")
        return replace(self, http=self.http.checked(fields, self.url, credential))

    def secrets(self) -> tuple[Secret, ...]:
        """Everything that authenticates, and the headers that are secrets."""
        headers = [
            Secret("", None, literal=value.rpartition(" ")[2])
            if isinstance(value, str) and _is_credential(name, value)
            else value
            for name, value in self.headers
        ]
        return only_secrets(self.token, self.credentials.password, self.signing_key, *headers)

    def warning(self) -> str:
        """The data sent in clear text."""
        return self.http.warning

    def open(self) -> "WebhookSink":
        """Create the sink."""
        return WebhookSink(self)


def _is_credential(name: str, value: str | Secret) -> bool:
    return isinstance(value, Secret) or name.lower() in _CREDENTIAL_HEADERS


class WebhookSink:
    """POSTs each alert to one URL."""

    max_batch = 1

    def __init__(self, options: WebhookOptions) -> None:
        self._options = options
        self._client = HttpClient(options.http)
        self._template = (
            MessageTemplate(options.template, escapes=False) if options.template else None
        )

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Send alerts one by one. Raises as `raise_for_status` does."""
        outcomes: list[Outcome] = []
        for alert in alerts:
            text, content_type = self._body(alert)
            body = text.encode("utf-8", "backslashreplace")
            headers = {"Content-Type": content_type, **self._authentication_headers()}
            headers |= self._signature_headers(alert.key, body)
            response = self._client.request(self._options.http.url, body, headers)
            outcomes.append(Delivered(str(raise_for_status(response))))
        return outcomes

    def check_connection(self) -> str:
        """Send a HEAD request with our credentials. Any status is fine except one that rejects
        these, or a redirect."""
        headers = self._authentication_headers()
        response = self._client.request(self._options.http.url, b"", headers, "HEAD")
        if response.status in _REJECTED_CREDENTIALS or 300 <= response.status < 400:
            raise MisconfiguredError(str(response))
        return f"answers: {response}"

    def _body(self, alert: OutgoingAlert) -> tuple[str, str]:
        """The text of an alert and its content type."""
        if self._template is None:
            return alert.text, "application/json" if alert.is_json else "text/plain; charset=utf-8"
        try:
            text = self._template.render(alert=alert.record, key=alert.key)
            if self._options.content_type == CONTENT_TYPE:
                json.loads(text)
        except NetwatchError as error:
            raise MisconfiguredError(str(error)) from None
        except ValueError as error:
            raise MisconfiguredError(f"the template makes no JSON: {error}") from None
        return text, self._options.content_type

    def _authentication_headers(self) -> dict[str, str]:
        options = self._options
        try:
            headers = {
                name: value.value() if isinstance(value, Secret) else value
                for name, value in options.headers
            }
            headers |= basic_authentication(options.credentials)
            if options.token is not None:
                headers["Authorization"] = f"Bearer {options.token.value()}"
        except NetwatchError as error:
            raise MisconfiguredError(str(error)) from None
        return headers

    def _signature_headers(self, key: str, body: bytes) -> dict[str, str]:
        timestamp = str(int(time.time()))
        headers = {"webhook-id": key, "webhook-timestamp": timestamp}
        if self._options.signing_key is not None:
            try:
                signing_key = self._options.signing_key.value()
            except NetwatchError as error:
                raise MisconfiguredError(str(error)) from None
            headers["webhook-signature"] = signature(signing_key, key, timestamp, body)
        return headers

    def on_idle(self) -> None:
        """Keep the connection: the receiver closes it when it wants to."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def basic_authentication(credentials: Credentials) -> dict[str, str]:
    """The header for Basic authentication (RFC 7617), or none if there is no user. Raises
    `NetwatchError` if the password cannot be read."""
    if credentials.password is None:
        return {}
    pair = f"{credentials.user}:{credentials.password.value()}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}


def signature(signing_key: str, key: str, timestamp: str, body: bytes) -> str:
    """The value of ``webhook-signature``. A signing key that starts with ``whsec_`` is followed by
    base64, as the standard defines; any other is used as it is."""
    raw_key = signing_key.encode()
    if signing_key.startswith("whsec_"):
        try:
            raw_key = base64.b64decode(signing_key.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise MisconfiguredError(
                "the secret starts with whsec_, but what follows is not base64"
            ) from None
    signed = f"{key}.{timestamp}.".encode() + body
    digest = hmac.digest(raw_key, signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode('ascii')}"
