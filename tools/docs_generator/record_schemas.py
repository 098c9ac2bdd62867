"""The JSON Schemas of alerts and cases, from the classes of their records.

The annotations of a class say what its keys can be (`netwatch.formats.alert_record`), and
``data/alert_fields.yaml`` what they mean.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from docs_generator.data import rows
from netwatch.core.alert import DEFINITIONS, Mark, Says
from netwatch.formats.alert_record import Case, Evidence, Exemption, Incident

Schema = dict[str, Any]

_TYPES: Mapping[Any, str] = {
    str: "string", int: "integer", float: "number", bool: "boolean", datetime: "string",
    date: "string",
}  # fmt: skip
_MORE: Mapping[Any, Schema] = {
    Evidence: {"anyOf": [{"required": ["packet"]}, {"required": ["log"]}]}
}
"""What no annotation says of a class."""


def record_schemas() -> dict[str, Schema]:
    """The schemas by the names of the records."""
    texts = rows("alert_fields")
    return {
        "alert": _record(Incident, "netwatch.alert/1", texts["alert"]),
        "case": _record(Case, "netwatch.case/1", texts["alert"] | texts["case"]),
    }


def _record(cls: type, title: str, texts: Mapping[str, str]) -> Schema:
    return {
        "title": title,
        "description": texts[""],
        **_object(cls, texts, ""),
        "$defs": DEFINITIONS,
    }


def _object(cls: type, texts: Mapping[str, str], path: str) -> Schema:
    hints = get_type_hints(cls, include_extras=True)
    keys, required = {}, []
    for each in fields(cls):
        hint, marks = hints[each.name], _marks(hints[each.name])
        if each.name == "_record" or Mark.ELSEWHERE in marks:
            continue
        name = each.name.removesuffix("_")
        there = f"{path}.{name}".lstrip(".")
        is_there = Mark.ALWAYS in marks or not _has_default(each)
        if is_there:
            required.append(name)
        keys[name] = _value(hint, texts, there, is_there or Mark.NULL in marks)
        if there in texts:
            keys[name]["description"] = texts[there]
    return {"type": "object", "required": required, "properties": keys, **_MORE.get(cls, {})}


def _has_default(each: "Field[Any]") -> bool:
    return each.default is not MISSING or each.default_factory is not MISSING


def _marks(hint: Any) -> list[Mark]:
    return [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Mark)]


def _value(hint: Any, texts: Mapping[str, str], path: str, may_be_null: bool = True) -> Schema:
    """The schema of a value of this type. Where it has to be there, it is None in Python where it
    is missing."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        parts = [each.schema for each in hint.__metadata__ if isinstance(each, Says)]
        added: Schema = {key: value for part in parts for key, value in part.items()}
        if added.keys() & {"$ref", "const", "type"}:
            return added
        return _value(arguments[0], texts, path, may_be_null) | added
    if origin in (Union, types.UnionType):
        (inner,) = [each for each in arguments if each is not type(None)]
        schema = _value(inner, texts, path)
        if not may_be_null:
            return schema
        if "type" not in schema or inner is Exemption:
            return {"anyOf": [schema, {"type": "null"}]}
        return schema | {"type": [schema["type"], "null"]}
    if origin is tuple:
        return {"type": "array", "items": _value(arguments[0], texts, f"{path}[]")}
    if origin is Literal:
        return {"enum": [*arguments]}
    return _object(hint, texts, path) if is_dataclass(hint) else {"type": _TYPES[hint]}
