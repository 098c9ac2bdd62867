"""Signing in at a provider of OpenID Connect: the code flow with PKCE, state and nonce.

The provider's addresses and keys come from its discovery document. What a browser brings back is
believed only after the code was exchanged at the provider and the signature, issuer, audience, time
and nonce of the ID token were verified (OpenID Connect Core 1.0, section 3.1.3.7; RFC 7636; RFC
9207). A sign-in that is under way is kept in the database for a few minutes, bound to a cookie, and
can be used once.

What a provider of OpenID Connect says of itself: its addresses and keys, from its discovery
document (OpenID Connect Discovery 1.0), and its answers to requests.

Everything is bounded in time and size, and redirections are not followed.
"""

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete, func, insert, select

from netwatch.config.console_section import OidcOptions
from netwatch.console import tables
from netwatch.console.accounts import account_of, role_of
from netwatch.core.addresses import is_loopback
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.exchange import PROVIDER, Exchange
from netwatch.core.tls_sockets import PoolOptions, client_context, open_pool
from netwatch.store.database import Database

MAX_ANSWER = 1 << 20
"""Bytes of an answer of the provider."""

KEY_SECONDS = 3600
"""Seconds for which the addresses and keys of the provider are kept."""

CALLBACK = "/sign-in/callback"
"""The path to which the provider sends browsers back; it has to be registered there."""

PENDING_SECONDS = 600
"""Seconds in which somebody has to sign in at the provider."""

MAX_PENDING = 10_000
"""Sign-ins under way; beyond that further ones are refused."""

LEEWAY = 60
"""Seconds by which the clocks may differ."""

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
"""Signatures that are accepted: none with a shared key, and never ``none``."""

MAX_SUBJECT = 255
"""Characters of ``sub`` (OpenID Connect Core 1.0, section 2)."""

_SECOND = 1_000_000_000


class ProviderError(NetwatchError):
    """The provider cannot be asked, or says what cannot be believed."""


class ProviderClient:
    """Asks a provider; thread-safe. Raises `ConfigError` for an issuer without TLS that is not on
    loopback."""

    def __init__(self, options: OidcOptions) -> None:
        _check_address(options.issuer)
        self._options = options
        ca = options.ca_file
        self._pool = open_pool("", PoolOptions(client_context(ca), connections=4))
        self._lock = threading.Lock()
        self._known: tuple[float, Mapping[str, Any], KeySet] | None = None

    def discovered(self, *, again: bool = False) -> tuple[Mapping[str, Any], KeySet]:
        """The addresses and keys of the provider, which are asked for `again` or when they are
        old. Raises `ProviderError`."""
        with self._lock:
            known = self._known
            if known is not None and not again and time.monotonic() - known[0] < KEY_SECONDS:
                return known[1], known[2]
            metadata = self.ask("GET", f"{self._options.issuer}/.well-known/openid-configuration")
            if str(metadata.get("issuer", "")).rstrip("/") != self._options.issuer:
                raise ProviderError("its discovery document names another issuer")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(metadata.get(name), str):
                    raise ProviderError(f"its discovery document has no {name}")
                _check_address(metadata[name])
            try:
                keys = KeySet.import_key_set(self.ask("GET", metadata["jwks_uri"]))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise ProviderError(f"its keys cannot be read: {error}") from None
            self._known = (time.monotonic(), metadata, keys)
            return metadata, keys

    def ask(
        self,
        method: str,
        url: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The answer of the provider, which has to be an object of JSON."""
        exchange = Exchange(PROVIDER)
        try:
            with exchange.going_on():
                response = self._pool.request(
                    method, url, body=body, redirect=False, preload_content=False, retries=False,
                    headers={"Accept": "application/json", **(headers or {})},
                )  # fmt: skip
                content = response.read(MAX_ANSWER + 1)
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as cause:
            error = exchange.expired or cause
            raise ProviderError(f"{urlsplit(url).netloc} cannot be asked: {error}") from None
        if response.status != 200 or len(content) > MAX_ANSWER:
            raise ProviderError(f"{urlsplit(url).netloc} answered with status {response.status}")
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ProviderError(f"{urlsplit(url).netloc} did not answer with an object of JSON")
        return found


def _check_address(url: str) -> None:
    """Raise `ConfigError` for an address of a provider without TLS that is not on loopback."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (
        parts.scheme == "http" and is_loopback(parts.hostname or "")
    ):
        message = "expected an address with https: anyone able to change the answers could sign in"
        raise ConfigError.of(url, message)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in at the provider: the `account`, which issuer and ``sub`` make (`made_of`),
    and the `name`, which a person may change. `role` is empty if the account has none here,
    `target` is the page that was wanted."""

    account: str
    name: str
    made_of: Mapping[str, str]
    role: str
    target: str


class Provider:
    """A provider; thread-safe. Raises `ConfigError` for an issuer without TLS that is not on
    loopback."""

    def __init__(
        self, options: OidcOptions, database: Database, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._client = ProviderClient(options)
        self._options = options
        self._database = database
        self._now = now

    def begin(self, callback: str, target: str) -> tuple[str, str]:
        """Begin a sign-in: the address at the provider to go to, and the token for the cookie.
        `callback` is the address to come back to, `target` the page that was wanted."""
        metadata, _ = self._client.discovered()
        token, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        state, nonce = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        detail = {"state": state, "nonce": nonce, "verifier": verifier, "target": target,
                  "callback": callback}  # fmt: skip
        self._remember(token, detail)
        parameters = {
            "response_type": "code",
            "client_id": self._options.client_id,
            "redirect_uri": callback,
            "scope": self._options.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        place = str(metadata["authorization_endpoint"])
        return f"{place}{'&' if '?' in place else '?'}{urlencode(parameters)}", token

    def finish(self, token: str, answer: Mapping[str, str]) -> "SignedIn":
        """End a sign-in with what the browser brought back. Raises `ProviderError`."""
        detail = self._take(token)
        if detail is None:
            raise ProviderError("the sign-in was not begun in this browser, or too long ago")
        if not compare_digest(answer.get("state", "").encode(), detail["state"].encode()):
            raise ProviderError("the state does not belong to this sign-in")
        if answer.get("iss", self._options.issuer).rstrip("/") != self._options.issuer:
            raise ProviderError("the answer is from another provider")
        if not answer.get("code"):
            raise ProviderError(f"the provider refused: {answer.get('error', 'no code')[:60]}")
        claims = self._claims(answer["code"], detail)
        subject, name = claims["sub"], claims.get(self._options.name_claim)
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
            raise ProviderError("the ID token has no 'sub', which identifies the user")
        groups = claims.get(self._options.role_claim)
        listed = groups if isinstance(groups, list) else [groups]
        role = role_of(filter(None, map(_text, listed)), self._options.roles)
        return SignedIn(
            account_of(self._options.issuer, subject),
            _text(name) or subject,
            {"issuer": self._options.issuer, "sub": subject},
            role,
            detail["target"],
        )

    def _claims(self, code: str, detail: Mapping[str, str]) -> Mapping[str, Any]:
        """The verified claims of the ID token that a code is exchanged for."""
        metadata, keys = self._client.discovered()
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": detail["callback"],
            "client_id": self._options.client_id,
            "code_verifier": detail["verifier"],
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._options.secret is not None:
            user = f"{_quoted(self._options.client_id)}:{_quoted(self._options.secret.value())}"
            headers |= urllib3.util.make_headers(basic_auth=user)
        granted = self._client.ask(
            "POST", str(metadata["token_endpoint"]), urlencode(fields), headers
        )
        token = granted.get("id_token")
        if not isinstance(token, str):
            raise ProviderError("the provider gave no ID token")
        try:
            decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            # The provider may have new keys.
            _, keys = self._client.discovered(again=True)
            try:
                decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
            except (JoseError, ValueError) as error:
                raise ProviderError(
                    f"the ID token is not signed by the provider: {error}"
                ) from None
        return self._validated(decoded, detail["nonce"])

    def _validated(self, decoded: jwt.Token, nonce: str) -> Mapping[str, Any]:
        client, issuer = self._options.client_id, self._options.issuer
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {
                "iss": {"essential": True, "values": [issuer, f"{issuer}/"]},
                "aud": {"essential": True, "value": client},
            },
            {"nonce": nonce, "client_id": client},
        )
        try:
            claims.validate(now=self._now() // _SECOND, leeway=LEEWAY)
        except (JoseError, ValueError, TypeError) as error:
            raise ProviderError(f"the ID token cannot be believed: {error}") from None
        return dict(claims)

    def _remember(self, token: str, detail: Mapping[str, str]) -> None:
        columns, now = tables.pending.c, self._now()
        with self._database.writing() as connection:
            connection.execute(delete(tables.pending).where(columns.expires < now))
            count = connection.execute(
                select(func.count()).select_from(tables.pending)
            ).scalar_one()
            if count >= MAX_PENDING:
                raise ProviderError("too many sign-ins are under way")
            connection.execute(
                insert(tables.pending).values(
                    token=_key(token),
                    detail=json.dumps(detail),
                    expires=now + PENDING_SECONDS * _SECOND,
                )
            )

    def _take(self, token: str) -> dict[str, str] | None:
        """The sign-in of a token, which cannot be used again."""
        columns, now = tables.pending.c, self._now()
        row = columns.token == _key(token)
        with self._database.writing() as connection:
            found = connection.execute(
                select(columns.detail).where(row, columns.expires >= now)
            ).scalar()
            taken = connection.execute(delete(tables.pending).where(row)).rowcount
        return dict(json.loads(found)) if found is not None and taken else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _quoted(text: str) -> str:
    """A name or a password in HTTP Basic, as RFC 6749 section 2.3.1 has it."""
    return urlencode({"": text})[1:]


def _key(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
