"""What the schema of a file refuses, its reader refuses; and the other way round where a value has
a wrong type, is none of the known words, out of range, or under an unknown key."""

import csv
import datetime
import json
from collections.abc import Callable, Iterator
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs_generator.configuration_keys import CONFIGURATION_KEYS
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.config_samples import SAMPLES
from support.examples import examples
from support.paths import ROOT

from netwatch.config import load
from netwatch.config.sections import read_by_section
from netwatch.core.errors import ConfigError
from netwatch.core.file_keys import Key, Section
from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.yaml_reader import parse_yaml
from netwatch.formats.registry import FILE_SCHEMAS, schema_text
from netwatch.rules.bans import read_pack
from netwatch.rules.load import load_signatures
from netwatch.rules.signature import read_signature

SIGNATURES = sorted((ROOT / "signatures" / "apps").glob("*.yaml"))
BANS = sorted((ROOT / "signatures" / "bans").glob("*.yaml"))
CONFIGURATIONS = [
    ROOT / "pcaps" / "netwatch.yaml",
    *sorted((ROOT / "packaging").rglob("netwatch.yaml")),
    *sorted((ROOT / "packaging").rglob("centre.yaml")),
]


Path_ = tuple[Any, ...]


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads(schema_text(name))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def as_json(value: Any) -> Any:
    """A value of YAML as an editor has it: days are texts."""
    if isinstance(value, dict):
        return {str(key): as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def read(written: str) -> Any:
    return yaml.load(written, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def mistakes(name: str, value: Any) -> list[str]:
    return [f"{each.json_path}: {each.message}" for each in validator(name).iter_errors(value)]


@pytest.mark.parametrize("name", FILE_SCHEMAS)
def test_schemas_are_schemas(name: str) -> None:
    assert validator(name)


@pytest.mark.parametrize(
    ("name", "files"), [("signature", SIGNATURES), ("ban", BANS), ("config", CONFIGURATIONS)]
)
def test_files_of_the_project_are_accepted(name: str, files: list[Path]) -> None:
    assert len(files) >= 3
    found = {
        file.name: wrong
        for file in files
        if (wrong := mistakes(name, as_json(read(file.read_text("utf-8")))))
    }
    assert found == {}


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_are_accepted(sample: str) -> None:
    assert mistakes("config", as_json(read(SAMPLES[sample]))) == []


def test_the_inventory_of_the_samples_is_accepted() -> None:
    with (ROOT / "pcaps" / "devices.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert rows
    assert mistakes("inventory", rows) == []
    assert mistakes("inventory", [{**rows[0], "room": "12"}])


@pytest.mark.parametrize("section", CONFIGURATION_KEYS, ids=lambda section: section.path)
def test_each_key_is_described_once(section: Section) -> None:
    names = [key.name for key in section.keys]
    assert len(set(names)) == len(names)
    for key in section.keys:
        assert all((key.type, key.default, key.description))
        assert not key.description.endswith(".")


def declared() -> Iterator[tuple[str, Key]]:
    """The keys whose kind reads them."""
    for section in CONFIGURATION_KEYS:
        for key in section.keys:
            if key.kind.read is not read_by_section:
                yield f"{section.path}.{key.name}", key


PROBES: list[Any] = [
    True,
    1.5,
    -1,
    0,
    7,
    10**15,
    "",
    "no such word",
    "30m",
    "9d",
    "2y",
    "64k",
    "64M",
    "en",
    datetime.date(2023, 3, 10),
    [],
    [7],
    [""],
    ["no such word"],
    {},
    {"room": 1},
    [{"room": 1}],
]
FREE = {"type": ["string", "number"]}


def said_of(probe: Any, key: Key, folder: Path) -> list[str]:
    """What the reader of a key says of a value."""
    problems = Problems()
    mapping = parse_yaml(yaml.safe_dump({key.name: probe}), "netwatch.yaml", problems)
    assert mapping is not None
    key.kind.read(Fields(mapping, "netwatch.yaml", problems, "a mapping"), key, folder)
    return [each.message for each in problems.found]


@pytest.mark.parametrize(("name", "key"), [*declared()])
def test_a_key_is_refused_by_both_or_none(name: str, key: Key, tmp_path: Path) -> None:
    properties = _properties(name)
    for probe in PROBES:
        refused = not Draft202012Validator(properties).is_valid(as_json(probe))
        said = said_of(probe, key, tmp_path)
        if refused:
            assert said, probe
        elif properties.get("type", FREE["type"])[:2] != FREE["type"]:
            assert said == [] or not isinstance(probe, bool | float | dict), (probe, said)
    for probe in exact(properties):
        assert said_of(probe, key, tmp_path) == []


def exact(schema: dict[str, Any]) -> list[Any]:
    """Values that a schema allows where it says all that is allowed: words, numbers, days, and what
    has its default."""
    types = schema.get("type", [])
    found = [*schema.get("enum", ()), *([None] if "null" in types else ())]
    found += [True, False] if "boolean" in types else []
    found += [schema["minimum"]] if "integer" in types else []
    found += [schema["maximum"]] if "maximum" in schema else []
    return [*found, "2023-03-10"] if "\\d{4}-" in schema.get("pattern", "") else found


def _properties(name: str) -> dict[str, Any]:
    """The schema of a key by its path."""
    found = json.loads(schema_text("config"))
    for part in name.removeprefix(".").split("."):
        found = next(_below(found, part))
    return found


def _below(schema: dict[str, Any], part: str) -> Iterator[dict[str, Any]]:
    """The schemas under a part of a path: a key, with ``[]`` its items, behind a colon those of a
    type, or ``*`` for any key."""
    part, _, type_name = part.partition(":")
    word = part.removesuffix("[]")
    for each in [schema, *schema.get("anyOf", ()), schema.get("then", {}), schema.get("else", {})]:
        inner = each.get("additionalProperties") if word == "*" else None
        inner = inner or each.get("properties", {}).get(word)
        if inner and type_name:
            of_type = {"properties": {"type": {"const": type_name}}, "required": ["type"]}
            yield from (form["then"] for form in inner["items"]["allOf"] if form["if"] == of_type)
        elif inner:
            yield inner["items"] if part.endswith("[]") else inner


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values inside of one."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, each in inner:
        yield (*path, key)
        yield from places(each, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, sample: Any) -> Any:
    """A sample with one value replaced or removed, or with an unknown key."""
    value = json.loads(json.dumps(sample, default=lambda day: f"day {day}"))
    value = _with_days(value)
    path = draw(st.sampled_from(sorted(places(value), key=str)))
    holder = value
    for part in path[:-1]:
        holder = holder[part]
    change = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
    if change == "replace":
        holder[path[-1]] = draw(st.sampled_from([None, *PROBES]))
    elif change == "remove" or isinstance(holder, list):
        del holder[path[-1]]
    else:
        holder["no_such_key"] = 1
    return value


def _with_days(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_days(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_days(each) for each in value]
    if isinstance(value, str) and value.startswith("day "):
        return datetime.date.fromisoformat(value[4:])
    return value


def refusal(value: Any, folder: Path) -> str:
    """What the reader says of a configuration; empty if it accepts it."""
    place = folder / "netwatch.yaml"
    place.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    try:
        load(str(place))
    except ConfigError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("configurations")
    (made / "devices.csv").write_text("Device Name,Room\nlab-07,\n")
    (made / "inventory").mkdir()
    (made / "inventory" / "2023-01-01.csv").write_text("id,ip\nlab-07,10.0.0.7\n")
    (made / "dnsmasq.leases").write_text("")
    (made / "root.json").write_text("{}")
    (made / "tiktok.yaml").write_text(
        "{app: tiktok, name: TikTok, vendor: bytedance, category: video,"
        " domains: [{suffix: tiktok.com, role: exclusive, sources: [observed]}]}\n"
    )
    return made


def offered(schema: dict[str, Any], value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """The keys that a schema has for the mappings in a value, by their paths, each with its
    schema."""
    for form in _forms(schema, value):
        keys = form.get("properties", {})
        others = form.get("additionalProperties")
        if isinstance(value, dict):
            yield from (((*path, key), inner) for key, inner in keys.items())
        for key, each in value.items() if isinstance(value, dict) else ():
            inner = keys.get(key, others)
            if isinstance(inner, dict):
                yield from offered(inner, each, (*path, key))
        for number, each in enumerate(value if isinstance(value, list) else ()):
            yield from offered(form.get("items", {}), each, (*path, number))


def _forms(schema: dict[str, Any], value: Any) -> Iterator[dict[str, Any]]:
    """The parts of a schema that say something of a value."""
    yield schema
    for each in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from _forms(each, value)
    if "if" in schema:
        fits = Draft202012Validator(schema["if"]).is_valid(value)
        yield from _forms(schema.get("then" if fits else "else", {}), value)


def example(schema: dict[str, Any]) -> Any:
    """A value that a schema allows, as far as types and ranges say."""
    types = schema.get("type", [])
    if "enum" in schema:
        return schema["enum"][0]
    if "integer" in types:
        return schema["minimum"]
    return True if "boolean" in types else "1d" if "string" in types else []


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_reader_knows_each_key_that_the_schema_offers(sample: str, folder: Path) -> None:
    check_keys("config", SAMPLES[sample], lambda value: refusal(value, folder))


def test_the_reader_of_signatures_knows_each_key_that_the_schema_offers() -> None:
    check_keys("signature", SIGNATURE, refusal_of_signature)


def test_the_reader_of_bans_knows_each_key_that_the_schema_offers(folder: Path) -> None:
    written = BANS[0].with_name("be-fed-tiktok-2023.yaml")
    catalog = load_signatures([folder / "tiktok.yaml"], folder)

    def refused(value: Any) -> str:
        problems = Problems()
        place = folder / written.name
        place.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
        read_pack(place, catalog, problems)
        return "\n".join(each.message for each in problems.found)

    check_keys("ban", written.read_text("utf-8"), refused)


def check_keys(name: str, sample: str, refused: Callable[[Any], str]) -> None:
    """Give a sample each key that its schema offers and that it lacks, with a value and without."""
    written = read(sample)
    assert refused(written) == ""
    absent: dict[Path_, dict[str, Any]] = {}
    for (*path, key), schema in offered(json.loads(schema_text(name)), written):
        absent.setdefault(tuple(path), {})[key] = schema
    assert len(absent) > 3
    empty = read(sample)
    for path, keys in absent.items():
        given = read(sample)
        for key, schema in keys.items():
            at(given, path).setdefault(key, example(schema))
            at(empty, path).setdefault(key)
            if mistakes(name, as_json(empty)):
                del at(empty, path)[key]  # One of them is needed, which the sample has.
        said = refused(given)
        assert "unknown key" not in said
        assert "not supported" not in said
    assert refused(empty) == ""


def refusal_of_signature(value: Any) -> str:
    problems = Problems()
    mapping = parse_yaml(yaml.safe_dump(value), "clips.yaml", problems)
    if mapping is not None:
        read_signature(mapping, "clips.yaml", problems)
    return "\n".join(each.message for each in problems.found)


def at(value: Any, path: Path_) -> Any:
    return reduce(lambda inner, part: inner[part], path, value)


@pytest.mark.parametrize("sample", SAMPLES)
@examples(120)
@given(data=st.data())
def test_what_the_schema_refuses_the_reader_refuses(
    sample: str, folder: Path, data: st.DataObject
) -> None:
    value = data.draw(mutated(read(SAMPLES[sample])))
    wrong = mistakes("config", as_json(value))
    if wrong:
        assert refusal(value, folder), wrong


@examples(120)
@given(data=st.data())
def test_what_the_schema_of_signatures_refuses_the_reader_refuses(data: st.DataObject) -> None:
    value = data.draw(mutated(read(SIGNATURE)))
    wrong = mistakes("signature", as_json(value))
    if wrong:
        assert refusal_of_signature(value), wrong


SIGNATURE = """\
app: clips
name: Clips
vendor: maker
category: video
domains:
  - {suffix: clips.example, role: exclusive, sources: [test], confidence: probable, verified: false}
  - {host: www.clips.example, role: embed, sources: [test], decide: because of this}
asns: [{number: 64496, name: MAKER}]
aliases: [edgesuite.net]
addresses: [192.0.2.1]
tests: {match: [clips.example], ignore: [example]}
"""
