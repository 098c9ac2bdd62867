"""Hostile requests to every route as every role: no answer is a defect of the server."""

import random
from collections.abc import Callable
from itertools import islice

import pytest
from support.consoles import Visitor, csrf_of
from support.hostile_requests import LEFT_OUT, TEXTS, coded, hostile_requests

from netwatch.config.console_section import ROLES
from netwatch.console.console import Console
from netwatch.console.routes import ROUTES, may
from netwatch.console.view import Values

REQUESTS = 60
"""Requests of a role."""


@pytest.mark.parametrize("role", ["", *ROLES])
def test_no_request_breaks_the_server(
    role: str, visit: Callable[[str], Visitor], incident: str, console: object
) -> None:
    chance = random.Random(f"console {role}")
    visitor = visit(role) if role else Visitor(console)  # type: ignore[arg-type]
    token = csrf_of(visitor.get("/account" if role else "/sign-in").text)
    requests = hostile_requests(chance, [incident], token, signed_in=bool(role))
    for request in islice(requests, REQUESTS):
        headers = dict(request.headers)
        if request.body is not None:
            headers["Origin"] = visitor.origin.encode()
            answer = visitor.client.post(request.path, content=request.body, headers=headers)
        else:
            answer = visitor.get(request.address, headers=headers)
        assert answer.status_code < 500, request
        assert "Traceback" not in answer.text
        assert answer.headers["content-security-policy"]


@pytest.mark.parametrize("role", ["", *ROLES])
def test_no_value_of_any_page_breaks_the_server(
    role: str,
    visit: Callable[[str], Visitor],
    incident: str,
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console.sessions, "purpose", lambda *_: "case 2023/17")
    asked: set[str] = set()
    read = Values.text

    def text(self: Values, name: str, default: str = "") -> str:
        asked.add(name)
        return read(self, name, default)

    monkeypatch.setattr(Values, "text", text)
    chance = random.Random(f"values {role}")
    visitor = visit(role) if role else Visitor(console)
    paths = [
        each.path.replace(":path}", "}").replace("{id}", incident)
        for each in ROUTES
        if each.method == "GET"
        and may(each, role)
        and (each.roles is not None) == bool(role)
        and not each.path.startswith(LEFT_OUT)
    ]
    for path in paths:
        asked.clear()
        visitor.get(path)
        names = sorted(asked | {"lang", "zone"})
        queries = ["&".join(f"{name}=" for name in names)]
        queries += [f"{name}={coded(chance.choice(TEXTS))}" for name in names]
        for query in queries:
            answer = visitor.client.get(f"{path}?{query}")
            assert answer.status_code < 500, (path, query)
            assert "Traceback" not in answer.text
