"""A provider of OpenID Connect on loopback, with keys of its own: it signs everybody in at once."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "netwatch", "a secret of the client"


def _same(claims: dict[str, Any]) -> dict[str, Any]:
    return claims


@dataclass
class IdentityProvider:
    """The provider; `change` alters the claims of a token, `sign` makes the token of them."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    claims: dict[str, Any] = field(default_factory=dict)
    change: Callable[[dict[str, Any]], dict[str, Any]] = _same
    sign: "Callable[[IdentityProvider, dict[str, Any]], str] | None" = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent back to, for what it was sent with."""
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """The tokens for a code, which is used once; None where the client may not have them."""
        expected = base64.b64encode(f"{CLIENT}:a+secret+of+the+client".encode()).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if (
            asked is None
            or authorization != f"Basic {expected}"
            or form["redirect_uri"] != asked["redirect_uri"]
            or base64.urlsafe_b64encode(challenge).decode().rstrip("=") != asked["code_challenge"]
        ):
            self.refused.append(form.get("code", ""))
            return None
        now = int(time.time())
        claims = self.change(
            {"iss": self.issuer, "sub": "0815", "aud": CLIENT, "iat": now, "exp": now + 300,
             "nonce": asked["nonce"], **self.claims}
        )  # fmt: skip
        made = self.sign(self, claims) if self.sign else signed(self, claims)
        return {"access_token": "x", "token_type": "Bearer", "id_token": made}


def signed(provider: IdentityProvider, claims: dict[str, Any]) -> str:
    """A token that the provider signed."""
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, provider.key)


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """A provider that listens."""
    provider = IdentityProvider()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _answer(self, status: int, content: Any, **headers: str) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == "/.well-known/openid-configuration":
                self._answer(200, {
                    "issuer": provider.issuer,
                    "authorization_endpoint": f"{provider.issuer}/authorize",
                    "token_endpoint": f"{provider.issuer}/token",
                    "jwks_uri": f"{provider.issuer}/keys",
                })  # fmt: skip
            elif path == "/keys":
                self._answer(200, {"keys": [provider.key.as_dict(private=False)]})
            else:
                asked = {name: values[0] for name, values in parse_qs(query).items()}
                self._answer(302, {}, Location=provider.authorize(asked))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            found = provider.token(form, self.headers.get("Authorization", ""))
            self._answer(200 if found else 400, found or {"error": "invalid_grant"})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def follow(place: str) -> str:
    """Go to the provider as a browser does; the address to come back to."""
    import urllib3

    answer = urllib3.request("GET", place, redirect=False, retries=False)
    parts = urlsplit(answer.headers["Location"])
    return f"{parts.path}?{parts.query}"
