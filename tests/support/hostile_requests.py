"""Hostile requests to the routes of the console: values that no form sends, forged headers, forms
without a token."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from netwatch.console.routes import ROUTES

TEXTS = (
    "", "0", "-1", "9" * 30, "é", "\0", "\r\n", "../..", "%", "%s", "' OR 1=1 --", "{{7*7}}",
    "<script>", "\ud83d", "\u202e", "a" * 900, "2023-03-20", "2023-03-20T09:00:00Z",
    "9999-12-31T23:59:59Z", "1679303560000000000.x", "NaN", "[]", "null", "//x", "\\x",
)  # fmt: skip
NAMES = (
    "from", "to", "after", "app", "device", "network", "ban", "verdict", "kind", "outcome", "state",
    "confidence", "account", "action", "subject", "text", "lang", "next", "csrf", "name",
    "password", "purpose", "current", "new", "again", "code", "error", "\0", "x" * 400,
)  # fmt: skip
HEADERS = (
    "Accept-Language", "Cookie", "Referer", "If-None-Match", "Range", "X-Forwarded-For",
    "X-Remote-User", "X-HTTP-Method-Override", "Content-Type",
)  # fmt: skip
LEFT_OUT = ("/sign-out", "/account/sign-out-everywhere", "/reports/report.", "/api/v1/report")
"""Signing out would end the requests of a session, and a report takes seconds to make."""


@dataclass(frozen=True)
class HostileRequest:
    """A request; `body` is None unless it is a form. Who has signed in sends the cookie of the
    session unless `headers` have one."""

    method: str
    path: str
    query: str
    headers: Mapping[str, bytes]
    body: bytes | None

    @property
    def address(self) -> str:
        """The path with the query."""
        return f"{self.path}?{self.query}" if self.body is None else self.path


def hostile_requests(
    chance: random.Random, ids: Sequence[str], token: str, *, signed_in: bool
) -> Iterator[HostileRequest]:
    """Requests without end. `ids` are some that exist, `token` that of the forms."""
    routes = [each for each in ROUTES if not each.path.startswith(LEFT_OUT)]
    while True:
        route = chance.choice(routes)
        path = route.path.replace(":path}", "}").replace(
            "{id}", chance.choice([*ids, *map(coded, TEXTS[1:])])
        )
        pairs = [(coded(chance.choice(NAMES)), coded(chance.choice(TEXTS)))
                 for _ in range(chance.randrange(6))]  # fmt: skip
        query = "&".join(f"{name}={value}" for name, value in pairs)
        headers = {
            chance.choice(HEADERS): chance.choice(TEXTS).encode(errors="replace").strip(b"\r\n\0 ")
        }
        if "Cookie" in headers and signed_in:
            headers = {}
        body = None
        if route.method == "POST" and chance.random() < 0.8:
            body = (f"csrf={token}&{query}" if chance.random() < 0.7 else query).encode()
            headers |= {"Content-Type": b"application/x-www-form-urlencoded"}
        yield HostileRequest("GET" if body is None else "POST", path, query, headers, body)


def coded(text: str) -> str:
    """A text as addresses have it."""
    return quote(text.encode(errors="replace"), safe="")
