"""The JSON Schemas of the files that a user writes, from the declarations of their keys, and those
of alerts and cases."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from docs_generator.configuration_keys import CONFIGURATION_KEYS
from docs_generator.pages import ROOT
from docs_generator.record_schemas import record_schemas
from netwatch.core.file_keys import Key, Section, sections
from netwatch.inventory.inventory_columns import COLUMNS
from netwatch.rules.keys import PackKeys, SignatureKeys

Schema = dict[str, Any]

_FOLDER = ROOT / "netwatch" / "schemas"
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_PLACES = ("", "[]", ".*")
"""Behind the path of a key, where the mappings are whose keys are declared for it."""


def texts() -> dict[str, str]:
    """The schemas as JSON text, by the path of the file."""
    made = {
        "config": _mapping(CONFIGURATION_KEYS, "", "The configuration of netwatch"),
        "signature": _mapping(
            sections("", SignatureKeys), "", "An app, with the names by which it is seen"
        ),
        "ban": _mapping(sections("", PackKeys), "", "A ban"),
        "inventory": _inventory(),
        **record_schemas(),
    }
    return {
        str(_FOLDER / f"{name}.json"): json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$id": f"urn:netwatch:{name}:1",
                **schema,
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
        for name, schema in made.items()
    }


def _mapping(sections: Iterable[Section], path: str, title: str = "") -> Schema:
    """The mapping at `path`: of several sections that are there, one has to fit. The first whose
    first key is in a mapping decides, so that an editor shows the mistakes of that one."""
    sections = [*sections]
    found = [each for each in sections if each.path == path]
    schema = _section(found[-1], sections)
    for each in reversed(found[:-1]):
        schema = {
            "type": "object",
            "if": {"required": [each.keys[0].name]},
            "then": _section(each, sections),
            "else": schema,
        }
    return {"title": title, **schema} if title else schema


def _section(section: Section, sections: Iterable[Section]) -> Schema:
    keys = {key.name: _key(key, section.path, sections) for key in section.keys}
    required = [key.name for key in section.keys if key.required]
    schema: Schema = {"type": "object", "properties": keys, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _key(key: Key, path: str, sections: Iterable[Section]) -> Schema:
    schema = {**key.kind.schema}
    below = f"{path}.{key.name}".lstrip(".")
    for place in _PLACES:
        if not any(each.path == below + place for each in sections):
            continue
        inner = _mapping(sections, below + place)
        if place == "[]":
            schema = {"type": "array", "items": inner}
        elif place:
            schema = {**schema, "additionalProperties": inner}
        else:
            schema = inner
    types = [each.path for each in sections if each.path.startswith(f"{below}[]:")]
    types = [each for each in types if "." not in each.rpartition(":")[2]]
    if types:
        schema = {"type": "array", "items": _of_types(types, sections)}
    if not key.required:
        schema = _or_nothing(schema)
    words: Schema = {}
    if key.description:
        words["description"] = _LINK.sub(r"\1", key.description)
    if key.written is not None:
        words["default"] = key.written
    return {**words, **schema}


def _of_types(paths: Iterable[str], sections: Iterable[Section]) -> Schema:
    """The schema of mappings whose keys depend on their type, which is behind the colon of a
    path."""
    types = {path.rpartition(":")[2]: path for path in paths}
    forms = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": _mapping(sections, path),
        }
        for name, path in types.items()
    ]
    known = {"properties": {"type": {"enum": [*types]}}, "required": ["type"]}
    return {"type": "object", **known, "allOf": forms}


def _or_nothing(schema: Mapping[str, Any]) -> Schema:
    """A schema that also allows a key without a value, which has its default."""
    allowed = {**schema}
    if "enum" in allowed:
        allowed["enum"] = [*allowed["enum"], None]
    if "if" in allowed:
        return {"anyOf": [{"type": "null"}, allowed]}
    if "type" in allowed:
        types = allowed["type"]
        allowed["type"] = [*([types] if isinstance(types, str) else types), "null"]
    return allowed


def _inventory() -> Schema:
    """The rows of the CSV file, as most readers of CSV give them: texts by column."""
    cells = {name: {"description": text, "type": "string"} for name, text in COLUMNS.items()}
    row = {"type": "object", "properties": cells, "additionalProperties": False}
    return {"title": "The rows of an inventory of devices", "type": "array", "items": row}
