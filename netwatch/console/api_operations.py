"""What every operation of the API is made of: its parameters, which are checked before anything
else, pages of records with an opaque cursor, entity tags, and one form for all errors.

An error is an object of RFC 9457 (``application/problem+json``): ``detail`` says what is wrong and
what to do, and ``parameters`` the same of each parameter.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from netwatch.console.view import (
    MAX_VALUE,
    Answer,
    Asked,
    Body,
    Refused,
    View,
    parse_pairs,
)
from netwatch.core.text import storable
from netwatch.core.user_yaml import did_you_mean
from netwatch.formats.values import json_line
from netwatch.store.statements import Position

ROOT = "/api/v1/"
"""What the paths of all operations begin with; the page about them is there."""

MAX_RECORDS = 500
"""Records of one answer at most."""

RECORDS = 100
"""Records of one answer, unless it is said how many."""

MAX_TEXT = 4 << 20
"""Characters of the records of one answer, of which there is always one."""

MAX_CURSOR = 1500
"""Characters of a cursor: it has the name of a device or a case."""

JSON = "application/json"
PROBLEM = "application/problem+json"

_REASONS = {
    401: "There is no valid token; send one that 'netwatch tokens add' made, as"
    " 'Authorization: Bearer TOKEN'.",
    403: "The role of this token may not ask for this.",
    404: "There is no such path",
    405: "This path has no such method; the header Allow names those that it has.",
    413: "The body of the request is too large.",
    415: "The body is not JSON; send it with 'Content-Type: application/json'.",
    421: "The console does not have this host name; add it to 'hosts' under 'console'.",
    500: "The console has a defect, which is in its log.",
    503: "The console is busy; ask again later.",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter behind ``?``, and what the document says of it. `schema` is that of one value."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    is_repeated: bool = False

    @property
    def max_length(self) -> int:
        """Characters of a value at most."""
        return int(self.schema.get("maxLength", MAX_VALUE))


@dataclass(frozen=True, slots=True)
class Operation:
    """What a path of the API answers: `schema` is that of its answer, and `body` that of what is
    sent, None if nothing is: whatever changes something has one. With `by_network` a token that is
    limited to networks may ask for it."""

    name: str
    summary: str
    answer: Callable[[View], Answer]
    schema: Mapping[str, Any]
    parameters: tuple[Parameter, ...] = ()
    by_network: bool = False
    body: Mapping[str, Any] | None = None

    def check(self, view: View, query: str) -> None:
        """Raise `Refused` for parameters that the operation has not, that cannot be, and that are
        given too often, and for a token that may not ask."""
        known = {parameter.name: parameter for parameter in self.parameters}
        wrong: dict[str, str] = {}
        seen = set()
        for name, value in parse_pairs(query):
            parameter = known.get(name)
            if parameter is None:
                shown = storable(name[:40])
                expected = f"expected one of {', '.join(known)}" if known else "expected none"
                wrong[shown] = f"{expected}, found '{shown}'{did_you_mean(name, known)}"
            elif name in seen and not parameter.is_repeated:
                wrong[name] = "expected one value, found several"
            elif problem := _problem(parameter, value):
                wrong[name] = problem
            seen.add(name)
        if wrong:
            raise wrong_parameters([*wrong.items()])
        if view.identity and view.identity.networks and not self.by_network:
            raise Refused(
                403, "This token is limited to networks, and this answer is about all of them."
            )


def _problem(parameter: Parameter, value: str) -> str:
    """What is wrong with a value; empty if nothing is."""
    if not value.strip():
        return "expected a value, found none"
    if len(value) > parameter.max_length:
        return f"expected at most {parameter.max_length} characters, found {len(value)}"
    if storable(value) != value:
        return "expected a text without a NUL character"
    words = parameter.schema.get("enum")
    if words and value not in words:
        hint = did_you_mean(value, words)
        return f"expected one of {', '.join(words)}, found '{value}'{hint}"
    return ""


def wrong_parameters(problems: Sequence[tuple[str, str]]) -> Refused:
    """The refusal of a request with parameters that cannot be."""
    detail = "; ".join(f"{name}: {text}" for name, text in problems)
    return Refused(400, detail, parameters=problems)


def words_of(view: View) -> dict[str, list[str]]:
    """The values of each parameter of a request."""
    words: dict[str, list[str]] = {}
    for name, value in view.query.pairs:
        words.setdefault(name, []).append(value.strip())
    return words


def wanted_records(view: View) -> int:
    """How many records are asked for."""
    text = view.query.text("limit")
    if not text:
        return RECORDS
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 0 < int(text) <= MAX_RECORDS):
        expected = f"expected a number from 1 to {MAX_RECORDS}, found '{text[:40]}'"
        raise wrong_parameters([("limit", expected)])
    return int(text)


def cursor_of(view: View, kinds: Sequence[type]) -> Position | None:
    """The position behind which the records of a request are; `kinds` are the types of what it is
    made of."""
    text = view.query.text("after")
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        position = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        position = None
    is_position = isinstance(position, list) and [type(part) for part in position] == [*kinds]
    if not is_position or not all(
        part == storable(part) if isinstance(part, str) else abs(part) < 1 << 63
        for part in position
    ):
        expected = "expected the 'next' of an answer to the same question"
        raise wrong_parameters([("after", expected)])
    return tuple(position)


def _cursor(position: Position) -> str:
    text = json.dumps(position, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def page(
    view: View,
    name: str,
    found: Iterable[tuple[str, Position, Mapping[str, Any]]],
    **of_all: int,
) -> Body:
    """Records of a list, as lines of JSON, each with its position and what else is said of it, and
    what is said `of_all`. One more record than is asked for shows that more follow; so do large
    ones that are left out."""
    size, length = wanted_records(view), 0
    shown: list[tuple[str, Position, Mapping[str, Any]]] = []
    following = None
    for row in found:
        if not row[0]:
            following = _cursor(row[1])
            break
        length += len(row[0])
        if len(shown) == size or (shown and length > MAX_TEXT):
            following = _cursor(shown[-1][1])
            break
        shown.append(row)
    records = ",\n".join(text for text, *_ in shown)
    more = "".join(
        f",{json.dumps(key)}:{json.dumps([each[key] for *_, each in shown])}"
        for key in (shown[0][2] if shown else ())
    )
    more += "".join(f",{json.dumps(key)}:{value}" for key, value in of_all.items())
    text = f'{{"records":[{records}],"next":{json.dumps(following)}{more}}}\n'
    return body(view, text, name)


def body(view: View, text: str, subject: str = "", told: Mapping[str, Any] | None = None) -> Body:
    """An answer with its entity tag (RFC 9110 section 8.8.3); `told` is what the audit has of it,
    the filter if None."""
    content = text.encode()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    detail = {"filter": {name: " ".join(words) for name, words in words_of(view).items()}}
    if told is None:
        told = detail if view.query.pairs else {}
    return Body(JSON, content, subject, {"ETag": tag}, told)


def is_operation(place: str) -> bool:
    """Whether a program asks for this place: its errors are for programs too."""
    return place.startswith("/api/") and place != ROOT


def problem(asked: Asked, refused: Refused, paths: Iterable[str]) -> tuple[bytes, dict[str, str]]:
    """The error that a refusal is for a program, and its headers. `paths` are those of the API."""
    status = HTTPStatus(refused.status)
    detail = refused.reason or _REASONS.get(refused.status, f"{status.description}.")
    if refused.status == 404 and not refused.reason:
        detail += did_you_mean(asked.place, paths, 0.8) or f"; {ROOT}openapi.json has all of them"
    record = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "parameters": [{"name": name, "detail": text} for name, text in refused.parameters],
    }
    headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="netwatch"'
    if refused.status == 405:
        headers["Allow"] = ", ".join(refused.allowed)
    return f"{json_line(record)}\n".encode(), headers
