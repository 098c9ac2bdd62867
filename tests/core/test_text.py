"""Counts agree with their nouns, and text of a sender can do no harm. No message, log line or
record shows the password of a URL.
"""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_records import HOSTILE

from netwatch.cli import main
from netwatch.cli.printing import print_line, print_message
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.text import ESCAPE_UNENCODABLE, escaped, quantity, without_secrets
from netwatch.formats.values import LOG_FORMATS, log_line
from netwatch.store.options import StoreOptions

PLACE = "postgresql://ann:s3cret@db.example:5432/netwatch"
SHOWN = "postgresql://db.example:5432/netwatch"


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (PLACE, SHOWN),
        (f"{PLACE}: no such server", f"{SHOWN}: no such server"),
        ("s3://key:a/b+c@bucket/store", "s3://bucket/store"),
        ("https://token@host/a", "https://host/a"),
        ("postgresql://ann@db/netwatch", "postgresql://ann@db/netwatch"),
        ("write to ann@example.org: at 10:00", "write to ann@example.org: at 10:00"),
        ("nats://host:4222, mail to ann@example.org", "nats://host:4222, mail to ann@example.org"),
        ("https://host/a?sig=abc&part=2", "https://host/a?sig=***&part=2"),
    ],
)
def test_what_is_secret_is_left_out(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


def test_whatever_is_printed_or_logged_has_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(PLACE)
    print_message(f"{PLACE}: refused")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"{SHOWN}\n", f"{SHOWN}: refused\n")
    assert all("s3cret" not in log_line(PLACE, 0, form) for form in LOG_FORMATS)
    assert StoreOptions(PLACE).shown == SHOWN


@pytest.mark.parametrize(
    "command",
    [
        ["store", "status"],
        ["store", "status", "--format", "jsonl"],
        ["store", "sql", "tables"],
        ["store", "verify"],
        ["store", "erase", "--device", "x", "--yes"],
        ["store", "query", "incidents"],
        ["rejudge"],
        ["report", "--from", "2023-03-01", "--to", "2023-03-02", "-o", "report.json"],
        ["explain", "0"],
        ["users", "list"],
        ["serve"],
        ["scan", "-q", "none.pcap"],
    ],
)
def test_no_command_shows_the_password_of_a_store(
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert main([*command, "--store-path", PLACE]) in (1, 2)
    captured = capsys.readouterr()
    assert captured.err
    assert "s3cret" not in json.dumps([captured.out, captured.err])
