"""Fields of records, from their JSON Schemas, and columns of CSV."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs_generator.markdown import code, listed, table
from netwatch.core.observation_columns import COLUMNS
from netwatch.formats import csv, registry

ARROW_TYPES: Mapping[str, str] = {
    "time": "timestamp[ns, UTC]",
    "evidence": "dictionary<string>",
    "transport": "dictionary<string>",
    "source": "dictionary<string>",
    "text": "dictionary<string>",
    "place": "dictionary<string>",
    "address": "dictionary<string>",
    "mac": "string",
    "community id": "string",
    "texts": "list<string>",
    "addresses": "list<string>",
    "client_port": "uint16",
    "server_port": "uint16",
    "optional number": "uint16",
    "packet": "uint64",
    "positive number": "uint64",
}
"""Types in Arrow by the name of a column or the kind of its values."""

Schema = dict[str, Any]


def block(name: str) -> str:
    """The fields of a record: path, type, whether it may be missing, meaning; fields that are alike
    in all of these share an entry. Behind ``beside`` may be another record, whose fields are left
    out if they are the same; behind ``depth`` how many names a path has at most."""
    name, _, most = name.partition(" depth ")
    name, _, other = name.partition(" beside ")
    known = {*fields(json.loads(registry.schema_text(other)))} if other else set()
    alike: dict[tuple[str, str], list[str]] = {}
    for path, kind, always, text in fields(json.loads(registry.schema_text(name))):
        if (path, kind, always, text) not in known and (not most or path.count(".") < int(most)):
            alike.setdefault((kind if always else f"{kind}, optional", text), []).append(path)
    return listed((code(*paths), kind, text) for (kind, text), paths in alike.items())


def fields(schema: Schema) -> Iterator[tuple[str, str, bool, str]]:
    """Path, type, whether it is always there if what contains it is, and description of each field
    that has one.

    Raises `ValueError` for a field that has neither a description nor fields below it.
    """
    yield from _below(schema, schema.get("$defs", {}), "")


def _below(
    schema: Schema, definitions: dict[str, Schema], path: str
) -> Iterator[tuple[str, str, bool, str]]:
    for key, value in schema.get("properties", {}).items():
        there = f"{path}.{key}" if path else key
        required = key in schema.get("required", ())
        text = value.get("description")
        inner = _not_null(value)
        if text:
            yield there, _type(value, definitions), required, text
        elif "properties" not in inner:
            raise ValueError(f"{schema.get('title', there)}: {there} has no description")
        if text and all("description" not in each for each in _properties(inner)):
            continue
        yield from _below(inner, definitions, there)
        items = inner.get("items")
        if isinstance(items, dict):
            yield from _below(items, definitions, f"{there}[]")


def _properties(schema: Schema) -> list[Schema]:
    items = schema.get("items")
    of = items if isinstance(items, dict) else schema
    return list(of.get("properties", {}).values())


def _not_null(schema: Schema) -> Schema:
    kinds = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return kinds[0] if kinds else schema


def _type(schema: Schema, definitions: dict[str, Schema]) -> str:
    words = {"string": "text", "integer": "number", "object": "mapping", "array": "list"}
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "anyOf" in schema:
        return f"{_type(_not_null(schema), definitions)}, null"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        null = ", null" if "null" in _kinds(definitions[name]) else ""
        return f"{name}{null}"
    kinds = [words.get(kind, kind) for kind in _kinds(schema)]
    if "array" in _kinds(schema):
        most = schema.get("maxItems")
        return f"list, at most {most}" if most else "list"
    return ", ".join(kinds)


def _kinds(schema: Schema) -> list[str]:
    kind = schema.get("type", "object")
    return kind if isinstance(kind, list) else [kind]


def csv_block(name: str) -> str:
    """The columns of a record in CSV."""
    return code(*{"observation": csv.OBSERVATION_COLUMNS, "alert": csv.ALERT_COLUMNS}[name])


def columns_block(_: str) -> str:
    """The columns of an observation in Arrow and Parquet, by their type."""
    found: dict[str, list[str]] = {"timestamp[ns, UTC]": [], "uint8": ["time_digits"]}
    for column in COLUMNS:
        kind = ARROW_TYPES.get(column.name) or ARROW_TYPES[column.kind]
        found.setdefault(kind, []).append(column.name)
    return table(("type", "columns"), [(code(kind), code(*names)) for kind, names in found.items()])
