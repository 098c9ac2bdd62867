"""Hostile requests to every route as every role: no answer is a defect of the server."""

import random
from collections.abc import Callable
from itertools import islice

import pytest
from support.consoles import Visitor, csrf_of
from support.hostile_requests import hostile_requests

from netwatch.config.console_section import ROLES

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
