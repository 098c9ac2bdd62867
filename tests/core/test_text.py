"""Counts agree with their nouns, and text of a sender can do no harm."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_records import HOSTILE

from netwatch.core.errors import ConfigError, Problem
from netwatch.core.text import ESCAPE_UNENCODABLE, escaped, quantity


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 packets"), (1, "1 packet"), (2, "2 packets"), (1_234_567, "1,234,567 packets")],
)
def test_the_noun_agrees_with_its_count(count: int, expected: str) -> None:
    assert quantity(count, "packet") == expected


def test_an_irregular_plural_is_given() -> None:
    assert quantity(1, "entry", "entries") == "1 entry"
    assert quantity(3, "entry", "entries") == "3 entries"


DANGEROUS = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_escaped(text: str) -> None:
    shown = escaped(text)
    assert not {unicodedata.category(char) for char in shown} & DANGEROUS
    shown.encode("utf-8")


@given(st.text())
def test_escaped_text_decodes_as_json(text: str) -> None:
    encoded = json.dumps(text, ensure_ascii=False)
    shown = escaped(encoded)
    assert json.loads(shown) == json.loads(encoded)
    assert shown.splitlines() == [shown]
    assert escaped(shown) == shown


@pytest.mark.parametrize("text", ["tiktok.com", "B\u00fcro 7", "\u6296\u97f3", "a\\.b", ""])
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert escaped(text) == text


@given(st.text())
def test_an_encoding_without_the_character_shows_its_escape(text: str) -> None:
    encoded = json.dumps(text, ensure_ascii=False)
    for encoding in ("ascii", "latin-1", "utf-8"):
        raw = encoded.encode(encoding, ESCAPE_UNENCODABLE)
        assert json.loads(raw.decode(encoding)) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_mistake_is_one_line_whatever_its_file_contains(text: str) -> None:
    problems = [Problem(text, 1, 0, f"found '{text}'"), Problem("b.yaml", 2, 0, "expected x")]
    lines = str(ConfigError(problems)).splitlines()
    assert len(lines) == 2
    assert lines[1] == "b.yaml:2: expected x"
    assert not {unicodedata.category(char) for char in lines[0]} & DANGEROUS
