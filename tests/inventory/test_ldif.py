"""LDIF (RFC 2849), against what the RFC says and an independent reader."""

import base64
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldif import LDIFParser

from netwatch.inventory.ldif import (
    MAX_VALUES,
    DirectoryEntry,
    LdifError,
    read_entries,
    recognise,
)

FOLDED = """\
version: 1
# A comment, which
  is continued
dn: cn=Barbara, ou=Sales,
  dc=city, dc=example
objectClass: top
objectClass: person
cn;lang-en: Barbara
description:Without a blank
jpegPhoto:< file:///etc/passwd
title:: RMOpcmVjdHJpY2U=
empty:

dn:: b3U95Za25qWt6YOo
ou: =

"""


def entries(text: str) -> list[DirectoryEntry]:
    return list(read_entries(text))


def test_continued_lines_comments_options_base64_and_urls() -> None:
    first, second = entries(FOLDED)
    assert first.dn == "cn=Barbara, ou=Sales, dc=city, dc=example"
    assert first.line == 4
    assert dict(first.attributes) == {
        "objectclass": ["top", "person"],
        "cn": ["Barbara"],
        "description": ["Without a blank"],
        "title": ["Dérectrice"],
        "empty": [""],
    }
    assert (second.dn, second.line, second.first("ou")) == ("ou=営業部", 14, "=")
    assert second.first("cn") == ""


def test_line_ends_of_windows_and_the_changetype_of_ldifde() -> None:
    text = "dn: CN=A\r\nchangetype: add\r\ncn: A\r\n B\r\n\r\n\r\ndn: CN=C\r\ncn: C\r\n"
    assert [entry.first("cn") for entry in entries(text)] == ["AB", "C"]


def test_what_ldapsearch_says_besides() -> None:
    text = (
        "# extended LDIF\n#\n\ndn: cn=a\ncn: a\n\n# search result\nsearch: 2\nresult: 0 Success\n\n"
    )
    assert [entry.dn for entry in entries(text)] == ["cn=a"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("dn: cn=a\ncn: a", 2, "line end behind the last line"),
        ("cn: a\n", 1, "expected 'dn' at the beginning"),
        (" cn: a\n", 1, "expected a line before"),
        ("dn: cn=a\n\n continued\n", 3, "expected a line before"),
        ("dn: cn=a\nnothing\n", 2, "expected 'attribute: value', found 'nothing'"),
        ("dn: cn=a\n\x1b[2J: x\n", 2, "expected 'attribute: value'"),
        ("dn: cn=a\ncn:: @@@\n", 2, "'cn': expected base64"),
        ("version: 2\ndn: cn=a\n", 1, "'version': expected 1, found '2'"),
        ("dn: cn=a\nchangetype: modify\nreplace: cn\ncn: b\n-\n", 2, "not changes"),
        ("dn: cn=a\ncn: a\ndn: cn=b\n", 3, "expected an empty line"),
        ("dn: cn=a\n" + "m: x\n" * MAX_VALUES, MAX_VALUES + 1, "expected at most"),
    ],
)
def test_a_mistake_has_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(LdifError, match="expected") as raised:
        entries(text)
    assert raised.value.line == line
    assert message in str(raised.value)


def test_recognise() -> None:
    assert recognise("# comment\n continued\n\nDN: cn=a\n")
    assert recognise("version: 1\n")
    assert not recognise('"DistinguishedName","Name"\n')
    assert not recognise("")


@given(st.text() | st.lists(st.sampled_from(FOLDED.splitlines()), max_size=20).map("\n".join))
def test_garbage_gives_entries_or_a_mistake_with_its_line(text: str) -> None:
    line = 0
    try:
        found = entries(text)
    except LdifError as error:
        line, found = error.line, []
    assert 0 <= line <= text.count("\n") + 1
    assert all(0 < entry.line <= text.count("\n") for entry in found)


_SAFE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=90).filter(
    lambda text: text[0] not in ":< " and text.strip() == text
)
_VALUE = _SAFE | st.text(st.characters(codec="utf-8"), max_size=40)
_ENTRIES = st.lists(
    st.tuples(
        _SAFE.map("cn={}".format),
        st.lists(st.tuples(st.sampled_from(["cn", "mail", "ou-1"]), _VALUE), min_size=1),
    ),
    min_size=1,
    max_size=4,
)


def written(listed: list[tuple[str, list[tuple[str, str]]]], width: int) -> str:
    """LDIF of entries, whose lines have at most `width` characters."""
    lines = []
    for dn, values in listed:
        for name, value in [("dn", dn), *values]:
            is_safe = value.isascii() and value.isprintable() and value.strip() == value
            is_safe = is_safe and value[:1] not in (":", "<")
            encoded = base64.b64encode(value.encode()).decode()
            line = f"{name}: {value}" if is_safe else f"{name}:: {encoded}"
            lines.append(line[:width])
            rest = line[width:]
            lines += [f" {rest[at : at + width]}" for at in range(0, len(rest), width)]
        lines.append("")
    return "\n".join(lines) + "\n"


@given(_ENTRIES, st.integers(8, 80))
def test_what_is_written_is_read_and_an_independent_reader_agrees(
    listed: list[tuple[str, list[tuple[str, str]]]], width: int
) -> None:
    text = written(listed, width)
    found = [(entry.dn, dict(entry.attributes)) for entry in entries(text)]
    expected: list[tuple[str, dict[str, list[str]]]] = []
    for dn, values in listed:
        attributes: dict[str, list[str]] = {}
        for name, value in values:
            attributes.setdefault(name, []).append(value)
        expected.append((dn, attributes))
    assert found == expected
    parser = LDIFParser(io.BytesIO(text.encode()), strict=False)
    assert [(dn, {**values}) for dn, values in parser.parse()] == expected
