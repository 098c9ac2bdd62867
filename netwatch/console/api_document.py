"""The OpenAPI document of the API (version 3.1), made from the table of routes and the JSON Schemas
of records, and the page that shows it.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from netwatch.config.console_section import ROLES
from netwatch.console.api import ANSWER_KEYS
from netwatch.console.api_operations import JSON, PROBLEM, ROOT, Operation, Parameter, body
from netwatch.console.rendering import words
from netwatch.console.view import Answer, Page, View
from netwatch.formats.registry import schema_text

if TYPE_CHECKING:
    from netwatch.console.routes import Route

_RECORDS = ("alert", "bypass", "case", "coverage", "report")
_ETAG = {"ETag": {"description": "the state of the answer", "schema": {"type": "string"}}}
_ERRORS = {
    "400": "a parameter cannot be",
    "401": "no valid token",
    "403": "the role, the networks or a missing purpose forbid it",
    "404": "there is no such thing",
    "429": "too many requests with this token; Retry-After says how long to wait",
    "503": "the console is busy, or the answer is being made; Retry-After says how long to wait",
}


_ERRORS_OF_BODIES = {
    "409": "it was changed meanwhile",
    "413": "the body is too large",
    "415": "the body is not JSON",
}


def _errors(operation: Operation) -> Mapping[str, str]:
    """The error responses, by status."""
    more = {} if operation.body is None else _ERRORS_OF_BODIES
    return dict(sorted({**_ERRORS, **more}.items()))


def show_document(view: View, routes: Iterable["Route"]) -> Answer:
    """The document as JSON."""
    return body(view, f"{json.dumps(document(routes), indent=1)}\n")


def show_page(view: View, routes: Iterable["Route"]) -> Answer:
    """The document as a page."""
    called = words(view.language)
    rows = [
        {"path": route.path, "method": route.method, "operation": route.operation,
         "roles": ", ".join(called[role] for role in _roles(route))}
        for route in routes
        if route.operation is not None
    ]  # fmt: skip
    return Page("api", {"rows": rows, "document": f"{ROOT}openapi.json"})


def _roles(route: "Route") -> list[str]:
    return [role for role in ROLES if route.roles is None or role in route.roles]


def document(routes: Iterable["Route"]) -> dict[str, Any]:
    """The OpenAPI document of the operations of a table of routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.operation is not None:
            method = route.method.lower()
            paths.setdefault(route.path, {})[method] = _operation(route, route.operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "netwatch",
            "version": "1",
            "description": "Whether bans on apps were kept: incidents, cases, devices, coverage,"
            " bans and their answers. Only the triage of incidents can be changed. Records may get"
            " further keys.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "made by `netwatch tokens add NAME --role ROLE --purpose TEXT`",
                }
            },
            "schemas": dict(schemas()),
        },
    }


def _operation(route: "Route", operation: Operation) -> dict[str, Any]:
    roles = "everybody" if route.roles is None else ", ".join(_roles(route))
    more = " A token that is limited to networks may ask." if operation.by_network else ""
    kept = " The audit has each request." if route.audited else ""
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"For: {roles}.{more}{kept}",
        "parameters": [*_in_path(route.path), *map(_parameter, operation.parameters)],
        "responses": {
            "200": {
                "description": operation.summary,
                "headers": _ETAG,
                "content": {JSON: {"schema": operation.schema}},
            },
            **({"304": {"description": "the client has this answer (If-None-Match)"}}
               if operation.body is None else {}),
            **{status: _error(text) for status, text in _errors(operation).items()},
        },
    }  # fmt: skip
    if operation.body is not None:
        content = {JSON: {"schema": operation.body}}
        found["requestBody"] = {"required": True, "content": content}
    if route.roles is None:
        found["security"] = []
    return found


def _in_path(path: str) -> list[dict[str, Any]]:
    if "{id}" not in path:
        return []
    schema = {"type": "string", "minLength": 1}
    return [{"name": "id", "in": "path", "required": True, "schema": schema}]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.schema)
    if parameter.is_repeated:
        schema = {"type": "array", "items": schema}
    shown = {"name": parameter.name, "in": "query", "description": parameter.description}
    more = {"style": "form", "explode": True} if parameter.is_repeated else {}
    return {**shown, "schema": schema, **more}


def _error(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/problem"}
    return {"description": text, "content": {PROBLEM: {"schema": schema}}}


@cache
def schemas() -> Mapping[str, Any]:
    """The schemas of records and errors, by name."""
    found = {name: _moved(json.loads(schema_text(name)), name) for name in _RECORDS}
    report = found["report"]["properties"]
    keys = {name: report["bans"]["items"]["properties"][name] for name in ANSWER_KEYS}
    keys = {name: report[name] for name in ("first", "last", "timezone", "made")} | keys
    found["answer"] = {"type": "object", "required": [*keys], "properties": keys}
    text = {"type": "string"}
    parameter = {"type": "object", "required": ["name", "detail"],
                 "properties": {"name": text, "detail": text}}  # fmt: skip
    properties = {
        "type": text, "title": text, "status": {"type": "integer"}, "detail": text,
        "parameters": {"type": "array", "items": parameter},
    }  # fmt: skip
    found["problem"] = {
        "type": "object", "required": [*properties], "properties": properties,
        "description": "an error (RFC 9457)",
    }  # fmt: skip
    return found


def _moved(schema: Any, name: str) -> Any:
    """A schema as a part of the document: its references are to its place there."""
    if isinstance(schema, list):
        return [_moved(each, name) for each in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {}
    for key, value in schema.items():
        if key in ("$schema", "$id"):
            continue
        is_own = key == "$ref" and isinstance(value, str) and value.startswith("#/")
        moved[key] = f"#/components/schemas/{name}{value[1:]}" if is_own else _moved(value, name)
    return moved
