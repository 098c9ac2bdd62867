"""Programs that ask the API of a console with a token, in this process."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.consoles import HOST, Client

from netwatch.console.application import Application
from netwatch.console.console import Console
from netwatch.sinks.http_client import HttpClient, Response

PURPOSE = "case 2023/17"
"""Why programs of tests ask."""


class Program:
    """A program with a token, None for one without."""

    def __init__(self, console: Console, token: str | None) -> None:
        self.client = Client(Application(console, is_secure=False).asgi(), f"http://{HOST}", "::1")
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def get(self, place: str, headers: Mapping[str, str] | None = None) -> Any:
        """Ask for a path below ``/api/v1/``."""
        return self.client.get(f"/api/v1/{place}", headers={**self.headers, **(headers or {})})

    def patch(self, place: str, value: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Send a value, as JSON unless it is bytes."""
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        sent = {"Content-Type": "application/json", **self.headers, **(headers or {})}
        return self.client.request("PATCH", f"/api/v1/{place}", content=content, headers=sent)

    def records(self, place: str) -> list[Any]:
        """All records of a list."""
        return [json.loads(each) for each in self.lines(place, 500)]

    def lines(self, place: str, size: int = 3) -> list[str]:
        """The same as they are written, of pages of some size."""
        found: list[str] = []
        mark = "&" if "?" in place else "?"
        more = f"{mark}limit={size}"
        while True:
            answer = self.get(place + more)
            assert answer.status_code == 200, answer.text
            found += _lines(answer.text)
            following = answer.json()["next"]
            if following is None:
                return found
            more = f"{mark}limit={size}&after={following}"


def _lines(text: str) -> Iterator[str]:
    decoder, at = json.JSONDecoder(), text.index("[") + 1
    while text[at] != "]":
        _, end = decoder.raw_decode(text, at)
        yield text[at:end]
        at = end + (len(",\n") if text[end] == "," else 0)


def program(
    console: Console, role: str, *networks: str, name: str = "", purpose: str = PURPOSE
) -> Program:
    """A program with a token of a role, limited to some networks."""
    name = name or "-".join(("a", role, *networks))
    return Program(console, console.tokens.add(name, role, purpose, frozenset(networks)))


def connect(console: Console, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let what a command asks of any server go to a console; the addresses that it asks for."""
    asked: list[str] = []
    client = Client(Application(console, is_secure=False).asgi(), f"http://{HOST}", "::1")

    def request(
        _: HttpClient, url: str, body: bytes, headers: Mapping[str, str], method: str = "POST"
    ) -> Response:
        asked.append(url)
        parts = urlsplit(url)
        answer = client.request(method, f"{parts.path}?{parts.query}", headers=dict(headers))
        return Response(answer.status_code, answer.content, dict(answer.headers))

    monkeypatch.setattr(HttpClient, "request", request)
    return asked
