"""Hostile requests to every route as every role: no answer is a defect of the server."""

import random
from collections.abc import Callable
from urllib.parse import quote

import pytest
from support.consoles import Visitor, csrf_of

from netwatch.config.console_section import ROLES
from netwatch.console.routes import ROUTES

REQUESTS = 150
"""Requests of a role."""

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


def coded(text: str) -> str:
    return quote(text.encode(errors="replace"), safe="")


@pytest.mark.parametrize("role", ["", *ROLES])
def test_no_request_breaks_the_server(
    role: str, visit: Callable[[str], Visitor], incident: str, console: object
) -> None:
    chance = random.Random(f"console {role}")
    visitor = visit(role) if role else Visitor(console)  # type: ignore[arg-type]
    token = csrf_of(visitor.get("/account" if role else "/sign-in").text)
    # Signing out would end the test, and a report takes seconds to make.
    left_out = ("/sign-out", "/account/sign-out-everywhere", "/reports/report.")
    routes = [each for each in ROUTES if not each.path.startswith(left_out)]
    for _ in range(REQUESTS):
        route = chance.choice(routes)
        path = route.path.replace("{id}", chance.choice([incident, *map(coded, TEXTS[1:])]))
        pairs = [(coded(chance.choice(NAMES)), coded(chance.choice(TEXTS)))
                 for _ in range(chance.randrange(6))]  # fmt: skip
        query = "&".join(f"{name}={value}" for name, value in pairs)
        headers = {
            chance.choice(HEADERS): chance.choice(TEXTS).encode(errors="replace").strip(b"\r\n\0 ")
        }
        if "Cookie" in headers and role:
            headers = {}
        if route.method == "POST" and chance.random() < 0.8:
            body = f"csrf={token}&{query}" if chance.random() < 0.7 else query
            headers |= {"Content-Type": "application/x-www-form-urlencoded",
                        "Origin": visitor.origin}  # fmt: skip
            answer = visitor.client.post(path, content=body.encode(), headers=headers)
        else:
            answer = visitor.get(f"{path}?{query}", headers=headers)
        assert answer.status_code < 500, (route.method, path, query, headers)
        assert "Traceback" not in answer.text
        assert answer.headers["content-security-policy"]
