"""The classes of the API have what the schemas of the records have."""

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_records import ALERT, FULL_ALERT

from netwatch import api
from netwatch.formats import registry
from netwatch.formats.jsonl import alert_record
from netwatch.formats.typed_records import view

# Keys that are the same in other words, or whose names are data.
MAPPINGS = {"left_out", "shortened"}


def paths_of_class(cls: type[Any], prefix: str = "") -> set[str]:
    """The paths of all keys that the attributes of a class stand for."""
    hints = get_type_hints(cls)
    found = set()
    for each in fields(cls):
        if each.name == "_record":
            continue
        path = f"{prefix}{each.name.removesuffix('_')}"
        found.add(path)
        inner = inside(hints[each.name])
        if is_dataclass(inner):
            found |= paths_of_class(inner, f"{path}.")  # type: ignore[arg-type]
    return found


def inside(hint: Any) -> Any:
    """The type in an optional one or a tuple."""
    if get_origin(hint) in (Union, types.UnionType, tuple):
        return inside(next(each for each in get_args(hint) if each is not type(None)))
    return hint


def paths_of_schema(schema: Mapping[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for choice in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        for key, inner in choice.get("properties", {}).items():
            path = f"{prefix}{key}"
            found.add(path)
            if key not in MAPPINGS:
                found |= paths_of_schema(inner.get("items", inner), f"{path}.")
    return found


@pytest.mark.parametrize(
    ("name", "cls", "more"),
    [
        # What other records have of the same objects.
        ("alert", api.Incident, {"app.category", "evidence.tls.version", "evidence.tls.alpn",
                                 "evidence.tls.ech", "evidence.tls.ech_config_id",
                                 "evidence.log.outcome",
                                 "evidence.log.blocked_by"}),
        ("observation", api.Observation, {"server.mac", "server.hostname", "server.network",
                                         "log.sampling"}),
    ],
)  # fmt: skip
def test_attributes_are_the_keys_of_the_schema(name: str, cls: type[Any], more: set[str]) -> None:
    assert paths_of_class(cls) == paths_of_schema(json.loads(registry.schema_text(name))) | more


@pytest.mark.parametrize("alert", [ALERT, FULL_ALERT])
def test_every_object_of_a_record_becomes_a_value(alert: Any) -> None:
    record = alert_record(alert)
    incident = api.Incident.of(json.loads(json.dumps(record)))
    assert incident.record() == record
    assert_same(incident, record)


def assert_same(value: Any, expected: Any) -> None:
    """Attributes have the values of the record, in whatever depth."""
    if is_dataclass(value):
        for key, inner in expected.items():
            name = key if hasattr(value, key) else f"{key}_"
            assert_same(getattr(value, name), inner)
    elif isinstance(value, tuple):
        assert len(value) == len(expected)
        for each, inner in zip(value, expected, strict=True):
            assert_same(each, inner)
    elif hasattr(value, "isoformat"):
        text = value.isoformat().replace("+00:00", "")
        assert expected.removesuffix("Z")[:19] == text[:19]
    else:
        assert value == expected


def test_keys_of_later_versions_stay_in_the_record() -> None:
    record = {**alert_record(FULL_ALERT), "later": {"a": 1}}
    assert api.Incident.of(record).record()["later"] == {"a": 1}


@pytest.mark.parametrize("key", alert_record(ALERT))
def test_what_is_no_record_is_refused(key: str) -> None:
    record = alert_record(ALERT)
    del record[key]
    if key == "contradictions":
        assert api.Incident.of(record).contradictions == ()
    elif key in ("versions", "binding"):  # records of version 1 do not have them
        assert getattr(api.Incident.of(record), key) is None
    elif key == "candidates":  # nor this one
        assert api.Incident.of(record).candidates == ()
    else:
        with pytest.raises(api.Error, match=f"^{key}: expected this key$"):
            api.Incident.of(record)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"first_seen": "yesterday"}, "first_seen: expected a time such as 2023-03-20T09:31:07Z"),
        ({"first_seen": 5}, "first_seen: expected a time such as"),
        (
            {"ban": {**alert_record(FULL_ALERT)["ban"], "from": 5}},
            "ban.from: expected a day such as",
        ),
        ({"app": "tiktok"}, "app: expected an object, found 'tiktok'"),
        ({"names": "tiktok.com"}, "names: expected a list, found 'tiktok.com'"),
        ({"evidence": [{}]}, "evidence.time: expected this key"),
        ({"evidence": [3]}, "evidence: expected an object, found 3"),
        ({"left_out": []}, "left_out: expected an object"),
        ({"app": "\x1b" * 9}, "app: expected an object, found '\\x1b"),
    ],
)
def test_what_is_wrong_in_a_record_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(api.Error) as caught:
        api.Incident.of({**alert_record(FULL_ALERT), **change})
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("cls", [api.Incident, api.Observation, api.Coverage, api.Match])
@pytest.mark.parametrize("record", [None, 5, "text", [], {}, b"{}"])
def test_no_record_at_all_is_refused(cls: type[api.Incident], record: Any) -> None:
    with pytest.raises(api.Error, match="expected"):
        cls.of(record)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "time", "from", "value"]), inner, max_size=3)
    ),
)


@given(st.sampled_from(sorted(alert_record(FULL_ALERT))), VALUES)
def test_anything_is_a_record_or_is_refused(key: str, value: Any) -> None:
    record = {**alert_record(FULL_ALERT), key: value}
    try:
        incident = api.Incident.of(record)
    except api.Error:
        return
    assert incident.record() == record


def test_a_view_takes_the_defaults_of_its_class() -> None:
    assert view(api.Tls, {"ja4": "t13d"}) == api.Tls(ja4="t13d")


def test_values_can_be_in_sets() -> None:
    record = alert_record(FULL_ALERT)
    other = {**record, "id": "other"}
    assert len({api.Incident.of(each) for each in (record, dict(record), other)}) == 2
    found = api.match("tiktok.com")
    assert len({found, api.match("TikTok.com."), api.match("example.org")}) == 2
