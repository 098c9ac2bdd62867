"""Computers in exports of a directory. LDIF (RFC 2849), against what the RFC says and an
independent reader.
"""

import base64
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldif import LDIFParser

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.user_yaml import Problems
from netwatch.inventory.directory_export import (
    MAX_VALUES,
    DirectoryEntry,
    LdifError,
    read_computers,
    read_entries,
    recognise,
)
from netwatch.inventory.registered import ClassRule, Registered

LDIF = """\
dn: CN=WS-021,OU=PC,DC=city,DC=example
objectClass: top
objectClass: computer
name: WS-021
sAMAccountName: WS-021$
dNSHostName: ws-021.city.example
operatingSystem: Windows 11 Enterprise
userAccountControl: 4096
managedBy: CN=Lovelace\\, Ada\\C3\\A9,OU=People,DC=city,DC=example

dn: CN=OLD,OU=PC,DC=city,DC=example
objectClass: computer
name: OLD
userAccountControl: 4098

dn: CN=Ada,OU=People,DC=city,DC=example
objectClass: user
name: Ada

dn: cn=printer,ou=Devices,dc=city,dc=example
objectClass: device
objectClass: ieee802Device
objectClass: ipHost
cn: printer
macAddress: 02:00:00:00:00:01
macAddress: 02:00:00:00:00:02
ipHostNumber: 10.0.0.9
networkAddress: 2001:db8::9
networkAddress: tcp:unknown

"""
CSVDE = """\
DN,objectClass,name,dNSHostName,operatingSystem,userAccountControl,networkAddress
"CN=WS-1,OU=PC,DC=city,DC=example",top;person;user;computer,WS-1,ws-1.city.example,Windows,4096,
"CN=WS-2,OU=PC,DC=city,DC=example",top;computer,WS-2,,Linux,4096,10.0.0.2;02:00:00:00:00:02
"CN=Ada,DC=city,DC=example",top;person;user,Ada,,,512,
"""
POWERSHELL = """\
#TYPE Microsoft.ActiveDirectory.Management.ADComputer
"DistinguishedName";"DNSHostName";"Enabled";"IPv4Address";"Name";"ObjectClass"
"CN=WS-1,OU=PC,DC=city,DC=example";"ws-1.city.example";"True";"10.0.0.1";"WS-1";"computer"
"CN=WS-2,OU=PC,DC=city,DC=example";"";"False";"";"WS-2";"computer"
"CN=WS-3,OU=PC,DC=city,DC=example";"";"True";"";"WS-3";"computer"
"""
RULES = (
    ClassRule("guest", (("os", ("*linux*",)),)),
    ClassRule("service", (("under", ("ou=pc,dc=city,dc=example",)),)),
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


def read(text: str, **options: str) -> tuple[dict[str, Registered], list[str]]:
    problems = Problems()
    found = read_computers(text, "export", problems, RULES, **options)
    return {each.id: each for each in found}, [str(each) for each in problems.found]


def test_computers_of_ldif() -> None:
    found, mistakes = read(LDIF)
    assert mistakes == []
    assert sorted(found) == ["WS-021", "printer"]
    pc, printer = found["WS-021"], found["printer"]
    assert (pc.hostname, pc.owner, pc.device_class) == (
        "ws-021.city.example",
        "Lovelace, Adaé",
        "service",
    )
    assert printer.macs == (parse_mac("020000000001"), parse_mac("020000000002"))
    assert printer.ips == (parse_ip("10.0.0.9"), parse_ip("2001:db8::9"))
    assert printer.device_class is None
    assert read(LDIF, owner="operatingSystem")[0]["WS-021"].owner == "Windows 11 Enterprise"


def test_computers_of_csvde() -> None:
    found, mistakes = read(CSVDE)
    assert mistakes == []
    assert {name: each.device_class for name, each in found.items()} == {
        "WS-1": "service",
        "WS-2": "guest",
    }
    assert found["WS-2"].ips == (parse_ip("10.0.0.2"),)
    assert found["WS-2"].macs == (parse_mac("020000000002"),)
    assert found["WS-2"].hostname == "ws-2"


def test_computers_of_powershell() -> None:
    found, mistakes = read(POWERSHELL)
    assert mistakes == []
    assert sorted(found) == ["WS-1", "WS-3"]
    assert found["WS-1"].ips == (parse_ip("10.0.0.1"),)
    assert found["WS-1"].device_class == "service"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "export: expected LDIF, or CSV"),
        ("id,mac\na,b\n", "export:1: expected LDIF, or CSV with a column DN"),
        ("DN,name\na\n", "export:2: expected 2 values"),
        ('DN,name\na,b\nc,"d\n', "export:3: expected valid CSV"),
        ("dn: cn=a\nobjectClass: computer\nx\n", "export:3: expected 'attribute: value'"),
    ],
)
def test_a_mistake_has_file_and_line(text: str, mistake: str) -> None:
    assert read(text)[1][0].startswith(mistake)


@given(st.text() | st.sampled_from([LDIF, CSVDE, POWERSHELL]), st.integers(0, 900), st.text())
def test_garbage_gives_computers_or_mistakes(text: str, at: int, other: str) -> None:
    found, _ = read(text[:at] + other + text[at:])
    for each in found.values():
        assert len(each.id) <= 255
        assert "\n" not in each.id + each.hostname + each.owner


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
