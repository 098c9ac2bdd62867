"""Regular expressions that are compiled late do what compiled ones do."""

import re
import subprocess
import sys

import pytest

from netwatch.core import patterns
from netwatch.core.patterns import pattern, patterns_of_imports
from netwatch.core.yaml_reader import _UNPRINTABLE


def test_a_pattern_is_used_as_a_compiled_one() -> None:
    late, compiled = pattern(r"(?P<a>\d)x", re.IGNORECASE), re.compile(r"(?P<a>\d)x", re.IGNORECASE)
    assert late.sub("-", "1X2x3") == compiled.sub("-", "1X2x3") == "--3"
    assert late.findall("1X2x") == ["1", "2"]
    assert [found["a"] for found in late.finditer("1x2X")] == ["1", "2"]
    assert late.fullmatch("1xx") is None
    assert late.match("9x") is not None
    assert late.search("ab9x") is not None
    assert late.split("a1xb") == ["a", "1", "b"]
    for name in ("pattern", "flags", "groups", "groupindex"):
        assert getattr(late, name) == getattr(compiled, name)
    with pytest.raises(AttributeError):
        late.other  # type: ignore[attr-defined] # noqa: B018


def test_a_mistake_is_raised_at_the_first_use() -> None:
    late = pattern(r"(")
    with pytest.raises(re.error):
        late.match("")


def test_a_library_is_imported_with_late_patterns_in_a_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = re.compile
    monkeypatch.setattr(patterns, "_is_command", False)
    with patterns_of_imports():
        assert re.compile is before
    with patterns_of_imports(is_command=True):
        assert re.compile is not before
        assert re.compile("a+").match("aa") is not None
    assert re.compile is before


def test_what_yaml_does_not_accept_is_the_opposite_of_what_it_accepts() -> None:
    accepted = re.compile("[\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
    for code in range(0x110000):
        assert (accepted.match(chr(code)) is None) == bool(_UNPRINTABLE.match(chr(code)))


def test_yaml_reads_dates_and_numbers_with_late_patterns() -> None:
    code = (
        "from netwatch.core.patterns import patterns_of_imports\n"
        "with patterns_of_imports(is_command=True):\n    import netwatch.core.yaml_reader\n"
        "import yaml; print(yaml.safe_load('[1.5, 2024-01-02, yes]'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[1.5, datetime.date(2024, 1, 2), True]\n"
