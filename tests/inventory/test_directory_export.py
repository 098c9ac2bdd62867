"""Computers in exports of a directory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.user_yaml import Problems
from netwatch.inventory.class_rules import ClassRule
from netwatch.inventory.directory_export import read_computers
from netwatch.inventory.registered import Registered

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
