"""The debs on a machine with systemd: installed, started, upgraded, removed and purged; and the
services of a centre, its console and a sensor, each of which its unit starts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.booted_system import BootedSystem, booted
from support.built_packages import LATER, BuiltPackages, package
from support.namespaces import Namespace, namespace, needs_namespaces
from support.office import TIKTOK, one_hello
from support.programs import needs
from support.system_root import differences, service_root
from support.waiting import wait_until

pytestmark = [
    pytest.mark.packages,
    needs("dpkg-deb", "mmdebstrap", "nsenter", "unshare"),
    needs_namespaces,
]

UNIT = "netwatch.service"
ALERTS = "var/log/netwatch/alerts.jsonl"
SETTINGS = "INTERFACES=mirror\n"

CENTRE = """\
version: 1
store: {path: /var/lib/netwatch/store}
metrics: {listen: "127.0.0.1:9477"}
fleet:
  centre: "tls://127.0.0.1:4222"
  server: {listen: "127.0.0.1:4222", folder: /var/lib/netwatch/fleet}
"""
SENSOR = """\
version: 1
networks: [{name: hq, cidrs: [10.20.0.0/16], class: service, authority: BE-FED}]
bans: [{pack: be-fed-tiktok-2023}]
fleet:
  sensor: brussels-1
  centre: "tls://127.0.0.1:4222"
  credentials: /var/lib/netwatch/brussels-1.creds
"""
AS_NETWATCH = ("setpriv", "--reuid=netwatch", "--regid=netwatch", "--init-groups")


@dataclass(frozen=True)
class Machine:
    """A running system whose interface `mirror` gets what is sent to `wire`."""

    system: BootedSystem
    network: Namespace
    packages: BuiltPackages

    def install(self, folder: Path) -> None:
        """Install the deb of a folder; everything else that it needs is there."""
        deb = package(folder, "netwatch", "deb")
        target = self.system.root.path / "var/tmp" / deb.name
        target.write_bytes(deb.read_bytes())
        self.system.run("apt-get", "install", "-q", "-y", f"/var/tmp/{deb.name}")
        target.unlink()

    def main_pid(self, unit: str = UNIT) -> int:
        """The process of a service as systemd knows it; 0 where it does not run."""
        return int(self.system.unit(unit)["MainPID"])

    def get(self, address: str) -> str:
        """What a web server of the machine answers; empty while it does not."""
        code = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{address}').read())"
        return self.system.run("/usr/lib/netwatch/bin/python3", "-c", code, check=False).stdout

    def visit(self) -> None:
        """A device contacts a banned app; returns when the alert was written."""
        wire = one_hello("2026-11-25T10:00:00+01:00")
        (frame,) = [frame for _, frame in wire.frames]
        sender = self.network.sender("wire")
        before = len(self.alerts())
        sender.send(frame)
        sender.close()
        wait_until(lambda: len(self.alerts()) > before, lambda: self.journal())

    def alerts(self) -> list[dict[str, object]]:
        """What the service has reported."""
        path = self.system.root.path / ALERTS
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def journal(self, unit: str = UNIT) -> str:
        """What a service has logged."""
        return self.system.run("journalctl", "-u", unit, "--no-pager", "-n", "40").stdout


@pytest.fixture
def centre(packages: BuiltPackages) -> Iterator[Machine]:
    """A machine on which both packages and `nats-server` were installed before it was booted: what
    the console needs comes from the network, which a booted one does not have."""
    with service_root() as root, namespace() as network:
        debs = [package(packages.folder, name, "deb") for name in ("netwatch", "netwatch-console")]
        for deb in debs:
            (root.path / "var/tmp" / deb.name).write_bytes(deb.read_bytes())
        paths = [f"/var/tmp/{deb.name}" for deb in debs]
        install = ("apt-get", "install", "-q", "-y", "--no-install-recommends")
        root.run("apt-get", "update", "-q")
        root.run(*install, "nats-server", *paths)
        root.run("systemctl", "disable", "nats-server")
        network.pair("wire", "mirror")
        with booted(root, network) as system:
            yield Machine(system, network, packages)


@pytest.fixture
def machine(packages: BuiltPackages) -> Iterator[Machine]:
    with service_root() as root, namespace() as network:
        network.pair("wire", "mirror")
        with booted(root, network) as system:
            yield Machine(system, network, packages)


def test_from_installation_to_purge(machine: Machine) -> None:
    system = machine.system
    before = system.root.listing()

    # Installed: there, and neither enabled nor started.
    machine.install(machine.packages.folder)
    assert system.run("systemctl", "is-enabled", UNIT, check=False).stdout.strip() == "disabled"
    assert machine.main_pid() == 0
    system.run("systemd-analyze", "verify", UNIT)

    # Started: in the sandbox of the unit, as its user with its capability, and it reports.
    edited = system.root.path / "etc/netwatch/netwatch.yaml"
    edited.write_text(edited.read_text() + "search_suffixes: [corp.example]\n")
    (system.root.path / "etc/default/netwatch").write_text(SETTINGS)
    system.run("systemctl", "enable", "--now", UNIT)
    first = machine.main_pid()
    status = system.run("cat", f"/proc/{first}/status").stdout
    (users,) = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
    user = int(system.run("id", "-u", "netwatch").stdout)
    assert users == [str(user)] * 4
    assert user > 0
    machine.visit()
    (alert,) = machine.alerts()
    assert alert["status"] == "open"
    assert TIKTOK in str(alert["names"])

    # Upgraded: the service runs again, with the files that were edited and the state that it had.
    machine.install(machine.packages.later)
    shown = system.run("dpkg-query", "-W", "-f=${Version} ${Status}", "netwatch").stdout
    assert shown == f"{LATER}-1 install ok installed"
    second = machine.main_pid()
    assert second not in (0, first)
    assert edited.read_text().endswith("search_suffixes: [corp.example]\n")
    assert (system.root.path / "etc/default/netwatch").read_text() == SETTINGS
    statuses = [each["status"] for each in machine.alerts()]
    assert statuses == ["open", "closed"]
    machine.visit()

    # Rotated: logrotate accepts the file of the package, and the service writes into a new file.
    system.run("logrotate", "--force", "/etc/logrotate.d/netwatch")
    assert system.root.path.joinpath(f"{ALERTS}.1").exists()

    # Removed: stopped, and everything that the administrator and the service wrote is kept.
    system.run("apt-get", "remove", "-q", "-y", "netwatch")
    assert system.unit(UNIT)["ActiveState"] in ("inactive", "failed")
    assert not system.root.path.joinpath("usr/lib/netwatch").exists()
    assert edited.exists()
    assert system.root.path.joinpath(f"{ALERTS}.1").exists()
    assert system.root.path.joinpath("var/lib/netwatch").is_dir()

    # Purged: nothing is left.
    system.run("apt-get", "purge", "-q", "-y", "netwatch")
    assert differences(before, system.root.listing()) == []
    assert system.run("id", "netwatch", check=False).returncode != 0
    assert list(system.root.path.joinpath("var/lib/dpkg/info").glob("netwatch*")) == []


def test_an_unused_service_is_not_started_by_an_upgrade(machine: Machine) -> None:
    machine.install(machine.packages.folder)
    machine.install(machine.packages.later)
    assert machine.main_pid() == 0
    assert machine.system.unit(UNIT)["ActiveState"] == "inactive"


def test_the_services_of_a_centre(centre: Machine) -> None:
    system, etc = centre.system, centre.system.root.path / "etc"
    (etc / "netwatch/netwatch.yaml").write_text(CENTRE)
    (etc / "netwatch/sensor.yaml").write_text(SENSOR)
    (etc / "default/netwatch").write_text(f"{SETTINGS}OPTIONS=-c /etc/netwatch/sensor.yaml\n")
    configured = ("-c", "/etc/netwatch/netwatch.yaml")
    units = ("netwatch-centre", "netwatch-console")

    # Started: as the user of netwatch, without any capability; both answer.
    system.run("systemctl", "enable", "--now", *units)
    wait_until(lambda: "netwatch" in centre.get("8477/sign-in"), lambda: centre.journal(units[1]))
    wait_until(lambda: centre.get("9477/healthz"), lambda: centre.journal(units[0]))
    user = system.run("id", "-u", "netwatch").stdout.strip()
    first = {unit: centre.main_pid(unit) for unit in units}
    for pid in first.values():
        status = system.run("cat", f"/proc/{pid}/status").stdout.splitlines()
        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        assert fields["Uid"].split() == [user] * 4
        assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0

    # What a sensor on the same machine reports is committed.
    enrol = ("netwatch", "fleet", "enrol", "brussels-1", *configured)
    system.run(*AS_NETWATCH, *enrol, "-o", "/var/lib/netwatch/brussels-1.creds")
    started = system.run("systemctl", "start", UNIT, check=False)
    assert started.returncode == 0, centre.journal()
    query = ("netwatch", "store", "query", "incidents", *configured, "--format", "jsonl")
    centre.visit()

    def stored() -> list[str]:
        return system.run(*AS_NETWATCH, *query, check=False).stdout.splitlines()

    wait_until(lambda: any(TIKTOK in line for line in stored()), lambda: centre.journal(units[0]))

    # Killed: systemd starts each again, and what is reported then arrives.
    for unit in units:
        system.run("systemctl", "kill", "--signal=KILL", unit)
    for unit in units:
        wait_until(lambda unit=unit: centre.main_pid(unit) not in (0, first[unit]))
    wait_until(lambda: "netwatch" in centre.get("8477/sign-in"), lambda: centre.journal(units[1]))
    system.run("systemctl", "stop", UNIT)
    wait_until(lambda: any('"closed"' in line for line in stored()), lambda: centre.journal())

    # Stopped: without an error.
    system.run("systemctl", "stop", *units)
    for unit in units:
        assert system.unit(unit)["Result"] == "success", centre.journal(unit)
