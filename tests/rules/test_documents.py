"""YAML files that were read before come from the cache, as they were read."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support.examples import examples

from netwatch.core import yaml_reader
from netwatch.core.user_yaml import Problems, YamlMapping, YamlSequence
from netwatch.core.yaml_reader import decode_yaml
from netwatch.rules import documents
from netwatch.rules.documents import read_document

TEXT = """\
version: 1
empty:
share: 0.50
on: yes
since: 2023-03-10
at: 2023-03-10T08:00:00.25+01:00
local: 2023-03-10 08:00:00
far: .inf
words: [map, list, date, "time", 0x1F]
networks:
  - {name: hq, cidrs: [10.20.0.0/16, "2001:db8::/32"]}
  - name: byod
    vlans: [30, []]
nested: {}
"""


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are parsed, and not taken from the cache."""
    files: list[str] = []

    def counted(raw: bytes, file: str, problems: Problems) -> YamlMapping | None:
        files.append(Path(file).name)
        return decode_yaml(raw, file, problems)

    monkeypatch.setattr(yaml_reader, "decode_yaml", counted)
    return files


def written(tmp_path: Path, text: str, mode: int = 0o644) -> Path:
    path = tmp_path / "netwatch.yaml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def details(value: Any) -> Any:
    """A value with all that is known of it."""
    if isinstance(value, YamlMapping):
        items = [(key, details(each)) for key, each in value.items()]
        return "mapping", value.line, items, value.lines, value.written
    if isinstance(value, YamlSequence):
        return "sequence", value.line, [*map(details, value)], [*value.lines], value.lines.typecode
    return type(value), str(value)


def read(path: Path) -> YamlMapping | None:
    problems = Problems()
    mapping = read_document(path, problems)
    assert (mapping is None) == bool(problems.found)
    return mapping


def test_the_second_time_it_is_the_same_and_not_parsed(
    folder: Path, tmp_path: Path, parsed: list[str]
) -> None:
    path = written(tmp_path, TEXT)
    first, second = read(path), read(path)
    assert parsed == ["netwatch.yaml"]
    assert details(first) == details(second)
    assert second is not None
    assert second["at"].utcoffset() in (None, datetime.timedelta(hours=1))
    assert [*folder.glob("*.document")] != []


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.dates()
        | st.datetimes()
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=8,
    )
)
def test_any_document_is_restored(value: Any) -> None:
    yaml = pytest.importorskip("yaml")
    problems = Problems()
    raw = yaml.safe_dump({"key": value}, allow_unicode=False).encode()
    mapping = decode_yaml(raw, "any.yaml", problems)
    if mapping is None or problems.found:
        return
    packed = json.dumps(documents._packed(mapping))
    assert details(documents._unpacked(json.loads(packed))) == details(mapping)


def test_changed_files_and_files_with_mistakes_are_parsed(
    folder: Path, tmp_path: Path, parsed: list[str]
) -> None:
    for text in ("a: 1\n", "a: 2\n", "a: 1\na: 2\n", "a: 1\na: 2\n", "a: [\n", "a: [\n"):
        problems = Problems()
        read_document(written(tmp_path, text), problems)
        assert bool(problems.found) == (text in ("a: [\n", "a: 1\na: 2\n"))
    assert len(parsed) == 6


def test_what_only_its_owner_may_read_is_not_copied(
    folder: Path, tmp_path: Path, parsed: list[str]
) -> None:
    path = written(tmp_path, TEXT, 0o600)
    read(path)
    read(path)
    assert len(parsed) == 2
    assert not folder.exists()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "7", '["map"]', '["list", 1, [], []]', '["map", 1, 2, 3, 4]']
)
def test_a_strange_entry_is_as_none(
    folder: Path, tmp_path: Path, parsed: list[str], content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, TEXT)
    monkeypatch.setattr(documents, "read_entry", lambda key, kind: content.encode())
    mapping = read(path)
    assert mapping is not None
    assert mapping["version"] == 1
    assert parsed == ["netwatch.yaml"]


@pytest.mark.parametrize("path", ["/dev/zero", "/", "none.yaml", "a\0b"])
def test_what_is_no_file(path: str) -> None:
    problems = Problems()
    assert read_document(Path(path), problems) is None
    assert [problem.message.split(":")[0] for problem in problems.found] == ["cannot be read"]
