"""Webhooks: a POST for each alert, signed so that the receiver knows who sent it.

Signatures are those of Standard Webhooks (standardwebhooks.com, version 1.0.0): HMAC
SHA-256 over id, time and body. `webhook-id` is the same for the same alert.
"""

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields, YamlMapping
from netwatch.sinks import web
from netwatch.sinks.base import JSON_FORMATS, Delivered, DeniedError, Item, Outcome
from netwatch.sinks.secrets import Secret, take, written
from netwatch.sinks.settings import Credentials, credentials, given

MAX_HEADERS = 32
"""Headers that a configuration may add."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REFUSALS = {401, 403, 407}
_OURS = {"content-length", "content-type", "host", "transfer-encoding", "connection"}


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """`token` is sent as a bearer's, `credentials` as Basic, `secret` signs; `headers` are
    added as they are."""

    web: web.WebSettings
    token: Secret | None
    credentials: Credentials
    secret: Secret | None
    headers: tuple[tuple[str, str | Secret], ...]
    json: bool

    def secrets(self) -> tuple[Secret, ...]:
        """All that authenticate, and the headers that are secrets."""
        return given(
            self.token,
            self.credentials.password,
            self.secret,
            *(value for _, value in self.headers),
        )

    def open(self) -> "WebhookSink":
        """The sink."""
        return WebhookSink(self)


def read(fields: Fields, base: Path) -> WebhookSettings:
    """The keys ``url``, ``token``, ``user``, ``password``, ``secret``, ``headers``,
    ``proxy``, ``timeout`` and ``tls``."""
    settings = web.read(fields, base)
    token, user = take(fields, "token", base), credentials(fields, base)
    if token and user.user:
        fields.add_problem("token", "'token' and 'user' do not stand together")
    secret = take(fields, "secret", base)
    headers: list[tuple[str, str | Secret]] = []
    part = fields.nested("headers", "headers")
    for name in part.mapping if part else ():
        assert part is not None
        value = part.value(name)
        given_secret = written(value, base) if isinstance(value, YamlMapping) else None
        text = value if isinstance(value, str) else None
        if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
            part.add_problem(name, f"'{name}' cannot be set, expected the name of another header")
        elif given_secret is None and (text is None or not text.isprintable()):
            part.add_problem(name, f"'{name}' must be text, {{env: NAME}} or {{file: path}}")
        else:
            headers.append((name, given_secret or text or ""))
    if len(headers) > MAX_HEADERS:
        fields.add_problem("headers", f"'headers' has more than {MAX_HEADERS} entries")
    json = str(fields.mapping.get("format", "jsonl")) in JSON_FORMATS
    return WebhookSettings(settings, token, user, secret, tuple(headers), json)


class WebhookSink:
    """Sends to one address."""

    batch = 1

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._web = web.Web(settings.web)

    def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Send alerts one by one; raises as `netwatch.sinks.web.check` does."""
        outcomes: list[Outcome] = []
        for item in items:
            body = item.text.encode("utf-8", "backslashreplace")
            kind = "application/json" if self._settings.json else "text/plain; charset=utf-8"
            headers = {"Content-Type": kind, **self._headers()}
            headers |= self._signed(item.key, body)
            answer = web.check(self._web.post(self._settings.web.url, body, headers))
            outcomes.append(Delivered(str(answer)))
        return outcomes

    def reach(self) -> str:
        """Ask for the head of what is there, with our credentials: any answer but a refusal
        of these, or a redirect, will do."""
        answer = self._web.post(self._settings.web.url, b"", self._headers(), "HEAD")
        if answer.status in _REFUSALS or 300 <= answer.status < 400:
            raise DeniedError(str(answer))
        return f"answers: {answer}"

    def _headers(self) -> dict[str, str]:
        settings = self._settings
        try:
            headers = {
                name: value.value() if isinstance(value, Secret) else value
                for name, value in settings.headers
            }
            headers |= authorization(settings.credentials)
            if settings.token is not None:
                headers["Authorization"] = f"Bearer {settings.token.value()}"
        except NetwatchError as error:
            raise DeniedError(str(error)) from None
        return headers

    def _signed(self, key: str, body: bytes) -> dict[str, str]:
        moment = str(int(time.time()))
        headers = {"webhook-id": key, "webhook-timestamp": moment}
        if self._settings.secret is not None:
            try:
                secret = self._settings.secret.value()
            except NetwatchError as error:
                raise DeniedError(str(error)) from None
            headers["webhook-signature"] = signature(secret, key, moment, body)
        return headers

    def rest(self) -> None:
        """The connection stays: receivers close those that idle."""

    def close(self) -> None:
        """Close the connection."""
        self._web.close()


def authorization(who: Credentials) -> dict[str, str]:
    """The header for Basic authentication (RFC 7617), if there is a user. Raises
    `NetwatchError` where the password cannot be had."""
    if who.password is None:
        return {}
    pair = f"{who.user}:{who.password.value()}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}


def signature(secret: str, key: str, moment: str, body: bytes) -> str:
    """The header ``webhook-signature``. A secret that starts with ``whsec_`` is base64 behind
    that, as the standard has it; any other is taken by its letters."""
    raw = secret.encode()
    if secret.startswith("whsec_"):
        try:
            raw = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise DeniedError("the secret starts with whsec_ and is not base64") from None
    signed = f"{key}.{moment}.".encode() + body
    digest = hmac.digest(raw, signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode('ascii')}"
