"""Regular expressions that are compiled late do what compiled ones do, and no library gets them."""

import re

import pytest
from support.paths import ROOT

from netwatch.core.patterns import pattern
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


_IMPORTED = re.compile(r"^ *(?:import|from (?!netwatch)\S+ import) (.+)$", re.MULTILINE)
_ASSIGNED = re.compile(r"^ *((\w+)(?:\.\w+)+)(?:: .+)? [-+|]?= ", re.MULTILINE)


def test_no_module_changes_the_code_of_another_package() -> None:
    found = set()
    for path in (ROOT / "netwatch").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        others = {word for line in _IMPORTED.findall(text) for word in re.findall(r"\w+", line)}
        found |= {target for target, name in _ASSIGNED.findall(text) if name in others}
    # Streams of this process, and a setting that scapy offers.
    assert found == {"sys.stdin", "sys.stderr", "conf.use_pcap"}


def test_what_yaml_does_not_accept_is_the_opposite_of_what_it_accepts() -> None:
    accepted = re.compile("[\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
    for code in range(0x110000):
        assert (accepted.match(chr(code)) is None) == bool(_UNPRINTABLE.match(chr(code)))
