"""Computers of a real directory server, exported with its own tools."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support.programs import Process, needs, search_path

from netwatch.config import load_refresh
from netwatch.core.addresses import mac_text
from netwatch.core.user_yaml import Problems
from netwatch.inventory.inventory_file import read_inventory
from netwatch.refresh.run import refresh

pytestmark = needs("slapd", "slapadd", "slapcat", "ldapsearch", "ldapmodify")

SECOND = 10**9
NOW = 1_700_000_000 * SECOND
SCHEMAS = Path("/etc/ldap/schema")
BASE = "dc=city,dc=example"
ENTRIES = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
o: City
dc: city

dn: ou=Büro,{BASE}
objectClass: organizationalUnit
ou: Büro

dn: cn=Ada Lovelace,{BASE}
objectClass: person
cn: Ada Lovelace
sn: Lovelace

dn: cn=WS-021,ou=Büro,{BASE}
objectClass: computer
objectClass: ieee802Device
cn: WS-021
sn: WS-021
instanceType: 4
nTSecurityDescriptor:: AQA=
objectCategory: cn=computer,{BASE}
dNSHostName: ws-021.city.example
operatingSystem: Windows 11 Enterprise
macAddress: 02:00:00:00:00:01
macAddress: 02:00:00:00:00:02
managedBy: cn=Ada Lovelace,{BASE}
description: {"A text that ldapsearch folds. " * 8}

dn: cn=WS-022,{BASE}
objectClass: computer
cn: WS-022
sn: WS-022
instanceType: 4
nTSecurityDescriptor:: AQA=
objectCategory: cn=computer,{BASE}
dNSHostName: ws-022.city.example
operatingSystem: Ubuntu

dn: cn=WS-023,{BASE}
objectClass: computer
cn: WS-023
sn: WS-023
instanceType: 4
nTSecurityDescriptor:: AQA=
objectCategory: cn=computer,{BASE}
description: : a colon, and ends in a blank\x20

"""


class Directory:
    """A slapd on a socket in a folder, with the classes of Active Directory."""

    def __init__(self, folder: Path) -> None:
        self._configuration = folder / "slapd.conf"
        (folder / "db").mkdir()
        names = ("core", "cosine", "nis", "inetorgperson", "msuser")
        lines = [f"include {SCHEMAS / name}.schema" for name in names]
        lines += ["modulepath /usr/lib/ldap", "moduleload back_mdb", f"pidfile {folder / 'pid'}"]
        lines += ["database mdb", f"directory {folder / 'db'}", f'suffix "{BASE}"']
        lines += [f'rootdn "cn=admin,{BASE}"', "rootpw secret"]
        self._configuration.write_text("\n".join(lines) + "\n")
        self._socket = folder / "ldapi"
        self.url = f"ldapi://{quote(str(self._socket), safe='')}"
        self.run("slapadd", "-f", str(self._configuration), given=ENTRIES)
        command = ["slapd", "-f", str(self._configuration), "-h", self.url, "-d", "0"]
        self._process = Process(command, self._listens, folder)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self._socket)) == 0

    def run(self, *command: str, given: str = "") -> str:
        environment = {"PATH": search_path(), "LC_ALL": "C"}
        done = subprocess.run(
            command, input=given, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def search(self, *options: str) -> str:
        where = ("-x", "-H", self.url, "-b", BASE)
        return self.run("ldapsearch", *options, *where, "(objectClass=computer)")

    def dump(self) -> str:
        return self.run("slapcat", "-f", str(self._configuration))

    def change(self, ldif: str) -> None:
        user = ("-x", "-D", f"cn=admin,{BASE}", "-w", "secret")
        self.run("ldapmodify", *user, "-H", self.url, given=ldif)

    def end(self) -> None:
        self._process.end()


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    server = Directory(tmp_path_factory.mktemp("ldap"))
    yield server
    server.end()


def test_what_the_tools_of_a_directory_export(directory: Directory, tmp_path: Path) -> None:
    export, configuration = tmp_path / "computers.ldif", tmp_path / "netwatch.yaml"
    configuration.write_text(
        "version: 1\ndevices:\n  inventory: devices.csv\n  sources:\n"
        "    - type: directory\n      path: computers.ldif\n      classes:\n"
        "        - {class: guest, os: ubuntu*}\n"
        f"        - {{class: service, under: 'ou=Büro,{BASE}'}}\n"
    )
    options = load_refresh(str(configuration))
    assert options is not None
    expected = {
        "WS-021": (
            "02:00:00:00:00:01 02:00:00:00:00:02",
            "ws-021.city.example",
            "Ada Lovelace",
            "service",
        ),
        "WS-022": ("", "ws-022.city.example", None, "guest"),
        "WS-023": ("", "ws-023", None, None),
    }
    for text in (directory.search("-LLL"), directory.dump(), directory.search()):
        export.write_text(text)
        refresh(options, NOW)
        problems = Problems()
        table = read_inventory(options.path, problems)
        assert problems.found == []
        assert {
            each.id: (
                " ".join(map(mac_text, each.macs)),
                each.hostname,
                each.owner,
                each.device_class,
            )
            for each in table
        } == expected
    assert "\n " in text
    assert "::" in text
    directory.change(f"dn: cn=WS-022,{BASE}\nchangetype: delete\n")
    export.write_text(directory.search("-LLL"))
    assert refresh(options, NOW + SECOND).changes.removed == ("WS-022",)
    table = read_inventory(options.path, Problems())
    assert table.with_id("WS-022", NOW) is not None
    assert table.with_id("WS-022", NOW + SECOND) is None
